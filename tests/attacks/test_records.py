"""Records, runs and suites of strangers: what is odd costs its own cell, is named, reads no file and breaks nobody's page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmrl_benchmarks.commands.cli import run
from lmrl_benchmarks.reporting.report import write_report
from lmrl_benchmarks.reporting.results import load_results
from lmrl_benchmarks.running.cells import read_suite
from lmrl_benchmarks.running.records import EPISODES, RUN, SUMMARY, RecordFile
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import SuiteError, load_suite
from lmrl_benchmarks.running.verify import verify_run
from lmrl_envs.files.arguments import ForeignArgument, from_elsewhere, named_file, refuse

SUITE = """
name = "tiny"
version = 1
episodes = 4
seed = 1
training_seeds = [0]
[[tasks]]
id = "lmrl/Wordle-v0"
[[tasks]]
id = "lmrl/MazeFullyObserved-v0"
[[agents]]
name = "random"
[[agents]]
name = "expert"
"""
CELL = "cells/Wordle/expert/seed-0"
SECRET = "dummy-secret-123"
HUGE = int("1" + "0" * 400)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    (folder / "tiny.toml").write_text(SUITE)
    assert run_suite(load_suite(str(folder / "tiny.toml")), folder / "run", workers=1) == {}
    return folder / "run"


def record(**changes: Any) -> Callable[[Path], None]:
    """The second record with other values; `...` leaves a key out."""

    def change(cell: Path) -> None:
        lines = (cell / EPISODES).read_text().splitlines()
        values = {**json.loads(lines[1]), **changes}
        lines[1] = json.dumps({key: value for key, value in values.items() if value is not ...})
        (cell / EPISODES).write_text("\n".join(lines) + "\n")

    return change


def line(text: str) -> Callable[[Path], None]:
    def change(cell: Path) -> None:
        lines = (cell / EPISODES).read_text().splitlines()
        (cell / EPISODES).write_text("\n".join([lines[0], text, *lines[2:]]) + "\n")

    return change


def entry(name: str, **changes: Any) -> Callable[[Path], None]:
    """A JSON file of the cell with other values."""

    def change(cell: Path) -> None:
        (cell / name).write_text(json.dumps({**json.loads((cell / name).read_text()), **changes}))

    return change


def spec(**changes: Any) -> Callable[[Path], None]:
    def change(cell: Path) -> None:
        whole = json.loads((cell / RUN).read_text())
        (cell / RUN).write_text(json.dumps({**whole, "spec": {**whole["spec"], **changes}}))

    return change


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda cell: (cell / name).write_text(content) and None


DEEP = "[" * 100_000
ODD: dict[str, Callable[[Path], None]] = {
    "an action that is a number": record(actions=[5]),
    "an action that is null": record(actions=[None]),
    "an episode that is a list": record(episode=[1]),
    "an episode that is a float": record(episode=1.0),
    "a seed that is true": record(seed=True),
    "seconds of text": record(seconds="1"),
    "negative seconds": record(seconds=-1.0),
    "huge seconds": record(seconds=HUGE),
    "huge tokens": record(details=[{"prompt_tokens": HUGE}]),
    "a huge value": record(details=[{"value": HUGE}]),
    "many dollars": record(details=[{"cost_usd": 1e308}]),
    "details of text": record(details="x"),
    "a list of lists for details": record(details=[[]]),
    "an infinite reward": line('{"rewards": [Infinity]}'),
    "a key too many": record(more=1),
    "a key too few": record(seed=...),
    "a line that is a list": line("[1, 2]"),
    "a line that is a number": line("5"),
    "a line that is null": line("null"),
    "a line of brackets": line(DEEP),
    "deep details": line('{"details": [{"x": ' + DEEP),
    "a run that is a list": text(RUN, "[]"),
    "a run that is null": text(RUN, "null"),
    "a run of brackets": text(RUN, DEEP),
    "a schema version of text": entry(RUN, schema_version="x"),
    "a spec of text": entry(RUN, spec="x"),
    "provenance of text": entry(RUN, provenance="x"),
    "provenance without git": entry(RUN, provenance={"packages": {"lmrl": "0.1.0"}}),
    "half an episode": spec(episodes=30.5),
    "episodes of a float": spec(episodes=4.0),
    "a billion episodes": spec(episodes=10**9),
    "a seed of the spec that is true": spec(seed=True),
    "no options": spec(options=None),
    "an empty each": spec(each=""),
    "an each of nothing": spec(each={"secret": 0}),
    "a key of the spec too many": spec(more=1),
    "a summary that is a list": text(SUMMARY, "[]"),
    "a summary of brackets": text(SUMMARY, DEEP),
    "a summary with a key too many": entry(SUMMARY, more=1),
    "a summary that is infinite": text(SUMMARY, '{"return_mean": Infinity}'),
}


@pytest.mark.parametrize(
    ("problem", "told"),
    [(ValueError("odd"), "odd"), (RuntimeError("odd"), "odd"), (MemoryError("odd"), "MemoryError: odd"), (KeyError("odd"), "KeyError: 'odd'")],
)  # fmt: skip
def test_what_a_strangers_file_leads_to_is_named_where_its_text_does_not_say_it(
    problem: Exception, told: str, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise problem

    monkeypatch.setattr("lmrl_benchmarks.running.verify.read_run", fail)
    assert {tuple(breaches) for cell, breaches in verify_run(finished, workers=1) if " on " in cell} == {(told,)}


PAGES = ("a huge value", "huge tokens", "provenance without git", "a line of brackets", "a summary of brackets")


@pytest.mark.parametrize("name", ODD)
def test_odd_json_costs_its_own_cell(name: str, finished: Path, tmp_path: Path) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    ODD[name](out / CELL)
    found = {cell: breaches for cell, breaches in verify_run(out) if breaches}
    assert len(found) >= 1 and all(
        "expert on Wordle" in cell or cell == "suite" for cell in found
    )  # the other cells hold
    told = [breach for breaches in found.values() for breach in breaches]
    assert all("\n" not in breach and len(breach) < 1000 for breach in told)
    if name in PAGES:  # one can be made of what verifies, and of what does not
        write_report(out, tmp_path / "page.html", load_results(out))


@pytest.mark.parametrize(
    "change",
    [
        lambda suite: suite["tasks"][0].update(kwargs="x"),
        lambda suite: suite["tasks"][0].update(each={"secret": 0}),
        lambda suite: suite["tasks"][0].update(episodes=True),
        lambda suite: suite.update(episodes=10**9),
        lambda suite: suite.update(seed=1.0),
        lambda suite: suite.update(description={"a": 1}),
        lambda suite: suite.update(more=1),
        lambda suite: suite.update(tasks=[]),
        lambda suite: suite["tasks"][0].update(kwargs={"x": json.loads("[" * 50 + "]" * 50)}),
    ],
    ids=range(9),
)
def test_odd_suites_are_refused_by_name(
    change: Callable[[dict[str, Any]], None], finished: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    whole = json.loads((out / "suite.json").read_text())
    change(whole["suite"])
    (out / "suite.json").write_text(json.dumps(whole))
    with pytest.raises(SuiteError, match=r"suite\.json") as refused:
        read_suite(out)
    assert "\n" not in str(refused.value)


# -- what arguments name


@pytest.mark.parametrize("name", ["secret.txt", "/proc/self/environ", "/dev/zero", "pipe", "../secret.txt"])
def test_verification_opens_no_file_that_a_record_names(
    name: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUMMY_TOKEN", SECRET)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.txt").write_text(SECRET)
    out = shutil.copytree(finished, tmp_path / "run")
    whole = json.loads((out / "suite.json").read_text())
    suite = json.loads(
        json.dumps(whole["suite"]).replace(
            '"id": "lmrl/Wordle-v0"', f'"id": "lmrl/Wordle-v0", "kwargs": {{"vocabulary": "{name}"}}'
        )
    )
    suite["tasks"][0]["kwargs"] = {"vocabulary": name}
    (out / "suite.json").write_text(json.dumps({**whole, "suite": suite}))
    slug = read_suite(out)[0].tasks[0].slug
    (out / "cells" / "Wordle").rename(out / "cells" / slug)
    for cell in (out / "cells" / slug).glob("*/*"):
        spec(env_kwargs={"vocabulary": name})(cell)
    assert run(["leaderboard", "verify", str(out)]) == 1
    told = "".join(capsys.readouterr())
    assert SECRET not in told and "name no files" in told


def test_what_arguments_from_elsewhere_may_name(tmp_path: Path) -> None:
    (tmp_path / "said.jsonl").write_text("")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "said.jsonl").write_text("")
    (tmp_path / "link.jsonl").symlink_to("/etc/passwd")
    assert named_file("a file", "/etc/passwd") == Path("/etc/passwd")  # a person's own command line
    with from_elsewhere(tmp_path, own={"vocabulary": ["mine.txt"]}):
        assert named_file("a recording", "said.jsonl") == tmp_path / "said.jsonl"
        assert named_file("a recording", str(tmp_path / "said.jsonl")) == tmp_path / "said.jsonl"
        assert named_file("words", "mine.txt") == Path("mine.txt")
        for name in ("../x", "deeper/said.jsonl", "link.jsonl", "/etc/passwd", "..", ".", "", "none.jsonl"):
            with pytest.raises(ForeignArgument, match="name no files and no code"):
                named_file("a recording", name)
        with pytest.raises(ForeignArgument):
            refuse("code", "os")
    refuse("code", "os")


def test_a_dataset_or_record_never_loads_code(tmp_path: Path) -> None:
    import gymnasium

    from lmrl_envs import doors

    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass P: pass\n")
    with from_elsewhere():
        for simulator in (f"{tmp_path / 'evil.py'}:P", "openai:x", "transformers:x", "replay:/dev/zero"):
            with pytest.raises(ValueError, match="name no files and no code"):
                gymnasium.make("lmrl/TwentyQuestions-v1", simulator=simulator)
        with pytest.raises(ValueError, match="name no files and no code"):
            doors.load(str(tmp_path / "evil.py"))
    assert not (tmp_path / "ran").exists()


def test_what_is_written_can_be_read(finished: Path) -> None:
    for folder in finished.glob("cells/*/*/*"):
        assert len(RecordFile(folder).read()) == 4
    for path in finished.rglob("*.json*"):
        for written in path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]:
            json.loads(written, parse_constant=pytest.fail)


@pytest.mark.parametrize("game", ["gem:math:Math12K", "textarena:Chess-v0", "textworld:9999999", "reasoning:rush_hour"])
def test_a_record_of_another_suite_names_a_game_of_the_table(game: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others of these packages are fetched from somewhere, or run code; who asks for one by hand may have it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bridges" / "lmrl_foreign"))
    from lmrl_foreign.env import ForeignEnv

    with from_elsewhere(), pytest.raises(ForeignArgument, match="name no files and no code"):
        ForeignEnv(game)
    with from_elsewhere():
        ForeignEnv("toy_text:Taxi")
