"""What bad agents cost: their own games or their own cell, named, with exit status 1; never the run, nor the others' cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bad_agents
import pytest

from lmrl_agents import AgentError
from lmrl_agents.playing.answers import MAX_ERROR, QUIT
from lmrl_agents.playing.rollout import Rollout
from lmrl_benchmarks.commands.cli import run as command
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.jobs import problem_of
from lmrl_benchmarks.running.records import EPISODES, RUN, SUMMARY, RecordFile
from lmrl_benchmarks.running.verify import verify_records

MAZE = "lmrl/MazeFullyObserved-v0"


def played(agent: Any, out: Path, episodes: int = 4) -> dict[str, Any]:
    return evaluate(EvaluationSpec(MAZE, "mine", episodes, 0), out, agent=agent)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Exits", f"{QUIT}SystemExit: 0"),
        ("ExitsWithWords", f"{QUIT}SystemExit: no GPU found"),
        ("CoroutineExits", f"{QUIT}SystemExit: 0"),
        ("TextRaises", "_Silent, whose text raises"),
        ("LongError", "ValueError: long long"),
        ("ErrorObject", "TypeError: the error of an action is object, not text"),
        ("OneString", "must return a list of actions, not str"),
        ("Endless", "more than 1 actions for 1 requests"),
    ],
)
def test_agents_that_fail_in_every_game_fail(name: str, why: str, tmp_path: Path) -> None:
    summary = played(getattr(bad_agents, name)(), tmp_path)
    assert summary["errors"] == 4 and summary["return_mean"] == -400
    for record in RecordFile(tmp_path).read():
        assert record.error is not None and why in record.error and len(record.error) <= MAX_ERROR
    assert "4 games ended in an error" in problem_of(tmp_path) and why in problem_of(tmp_path)
    assert list(verify_records(tmp_path)) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("SlotsText", "slots must be a number of games"),
        ("DescribeRaises", "describe raised RuntimeError: no words"),
        ("DescribeCycle", "describe() gives what JSON cannot hold"),
        ("DescribeHuge", "describe() gives what JSON cannot hold"),
        ("FingerObject", "fingerprint() must return a short text"),
        ("FingerExits", "fingerprint raised SystemExit: 0"),
    ],
)
def test_what_agents_say_of_themselves_is_checked_before_they_play(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(AgentError) as found:
        played(getattr(bad_agents, name)(), tmp_path / "out")
    assert "agent 'mine': " in str(found.value) and why in str(found.value)
    assert not (tmp_path / "out" / EPISODES).exists() and not (tmp_path / "out" / RUN).exists()


@pytest.mark.parametrize(
    "name", ["DetailsBig", "DetailsNan", "DetailsDeep", "DetailsObject", "DetailsList", "DetailsHuge"]
)
def test_details_that_no_record_can_hold_are_left_out(name: str, tmp_path: Path) -> None:
    assert played(getattr(bad_agents, name)(), tmp_path)["errors"] == 0
    (first, *_), text = RecordFile(tmp_path).read(), (tmp_path / EPISODES).read_text()
    assert list(first.details[0]) == ["not_recorded"] and len(first.details[0]["not_recorded"]) <= 200
    assert "NaN" not in text and list(verify_records(tmp_path)) == []


def test_amounts_that_are_none_are_not_added_up(tmp_path: Path) -> None:
    assert "cost_usd" not in played(bad_agents.DetailsSum(), tmp_path)
    assert played(bad_agents.DetailsNumpy(), tmp_path / "numpy")["errors"] == 0
    assert RecordFile(tmp_path / "numpy").read()[0].details[0] == {"value": 0.5, "count": 3, "all": [1.0]}


def test_coroutines_play_as_functions_do(tmp_path: Path) -> None:
    texts = [
        [game.transcript.as_text() for game in sorted(Rollout(agent, MAZE).play(range(4), 0), key=lambda g: g.episode)]
        for agent in (bad_agents.Good(), bad_agents.Coroutine())
    ]
    assert texts[0] == texts[1]


def test_ctrl_c_of_the_person_is_not_the_agents(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        played(bad_agents.Interrupts(), tmp_path)


class Ill:
    """Fails in games 1 and 3 while it is ill."""

    def __init__(self, ill: bool) -> None:
        self.ill, self.asked = ill, set()

    def act(self, requests):
        self.asked |= {request.episode for request in requests}
        if self.ill and any(request.episode % 2 for request in requests):
            raise RuntimeError("ill")
        return ["move up"] * len(requests)


def test_failed_episodes_alone_are_played_again_when_asked(tmp_path: Path) -> None:
    spec, out = EvaluationSpec(MAZE, "ill", 4, 0), tmp_path / "eval"
    assert evaluate(spec, out, agent=Ill(True))["errors"] == 2 and problem_of(out) == ""
    again = Ill(False)
    assert evaluate(spec, out, agent=again)["errors"] == 2 and again.asked == set()
    assert evaluate(spec, out, agent=again, retry_errors=True)["errors"] == 0 and again.asked == {1, 3}
    evaluate(spec, tmp_path / "well", agent=Ill(False))
    records = [
        [{**json.loads(line), "seconds": 0} for line in (folder / EPISODES).open()]
        for folder in (out, tmp_path / "well")
    ]
    assert records[0] == records[1] and (out / SUMMARY).exists()


# -- rewards, labellers and tasks: plug-ins, too

PLUGINS = """
import itertools, sys

class Odd(Exception):
    def __str__(self):
        raise ValueError

class Plug:
    scripted = True

    def score(self, trajectories):
        return self.do([[0.0] * len(t.transcript.actions) for t in trajectories])

    def label(self, pairs):
        return self.do([0.5] * len(pairs))

    def do(self, good):
        return good

class Exits(Plug):
    def do(self, good):
        sys.exit(0)

class NoText(Plug):
    def do(self, good):
        raise Odd

class Endless(Plug):
    def do(self, good):
        return itertools.repeat(good[0])

class EndlessWithin(Plug):
    def do(self, good):
        return [itertools.count() for _ in good]

class Huge(Plug):
    def do(self, good):
        return [[1e200 for _ in row] if isinstance(row, list) else 1e200 for row in good]

class Text(Plug):
    def do(self, good):
        return "x" * len(good)

class Nothing(Plug):
    def do(self, good):
        return None

def ends():
    sys.exit(0)
"""
KINDS = ("Exits", "NoText", "Endless", "EndlessWithin", "Huge", "Text", "Nothing", "ends")


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "plugins.py").write_text(PLUGINS)
    (folder / "quits.py").write_text("import sys\nsys.exit(0)\n")
    return folder


@pytest.mark.parametrize("kind", [*KINDS, "quits"])
def test_a_reward_that_is_none_fails_its_evaluation(
    kind: str, plugins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = f"{plugins}/quits.py:x" if kind == "quits" else f"{plugins}/plugins.py:{kind}"
    asked = ["eval", "--agent", "random", "--env", MAZE, "--episodes", "2", "--out", str(tmp_path / "out")]
    status = command([*asked, "--reward", spec])
    told = capsys.readouterr().err
    assert status in (1, 2) and f"{kind}" in told and len(told) < 2000 and "Traceback" not in told
    assert not (tmp_path / "out/summary.json").exists()
    assert command([*asked[:-1], str(tmp_path / "good"), "--reward", f"{plugins}/plugins.py:Plug"]) == 0


@pytest.mark.parametrize("kind", [*KINDS, "quits"])
def test_a_labeller_that_is_none_labels_nothing(
    kind: str, plugins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, out = f"{plugins}/quits.py:x" if kind == "quits" else f"{plugins}/plugins.py:{kind}", tmp_path / "data"
    asked = ["prefs", "collect", "--env", MAZE, "--labels", "2", "--agent", "random", "--out", str(out), "--labeller"]
    assert command([*asked, ""]) == 0
    status = command(["prefs", "label", str(out), "--labeller", spec])
    told = capsys.readouterr().err
    assert status in (1, 2) and kind in told and len(told) < 2000 and "Traceback" not in told
    assert not (out / "labels.jsonl").exists() or not (out / "labels.jsonl").read_text()
    assert command(["prefs", "label", str(out), "--labeller", f"{plugins}/plugins.py:Plug"]) == 0


@pytest.mark.parametrize("asked", [
    ["eval", "--agent", "random", "--episodes", "1", "--out", "out", "--env"], ["agents", "check", "random", "--env"],
    ["play"], ["prefs", "collect", "--out", "out", "--env"],
])  # fmt: skip
def test_a_task_that_quits_as_it_is_loaded_is_named(
    asked: list[str], plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status = command([*asked, f"{plugins}/quits.py:mine/X-v0"])
    assert status in (1, 2) and "quits.py" in capsys.readouterr().err
