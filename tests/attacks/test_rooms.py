"""An agent in a room of its own: whatever it does to its process costs its own games or its own cell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import bad_agents
import pytest
from fault_tools import lmrl
from serving import environment

from lmrl_agents import AgentError, AgentStopped, Request
from lmrl_agents.playing import room_process
from lmrl_agents.playing.answers import QUIT
from lmrl_agents.playing.conformance import sample_requests
from lmrl_agents.playing.room import Room, RoomSettings, close, open_agent
from lmrl_benchmarks.reporting.submission import pack
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import EPISODES, SUMMARY, RecordFile
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import load_suite
from lmrl_benchmarks.running.verify import verify_run
from lmrl_envs import Transcript

MAZE, CITY = "lmrl/MazeFullyObserved-v0", "lmrl/GuessMyCity-v1"
FILE = bad_agents.__file__
SETTINGS = RoomSettings(patience=20.0, memory=1.0)


def spec(name: str) -> str:
    return f"{FILE}:{name}"


def played(name: str, out: Path, settings: RoomSettings = SETTINGS, episodes: int = 4, **how: Any) -> dict[str, Any]:
    agent = open_agent(spec(name), {}, settings)
    try:
        return evaluate(EvaluationSpec(MAZE, spec(name), episodes, 0), out, agent=agent, **how)
    finally:
        close(agent)


def records(out: Path) -> list[str]:
    return [replace_seconds(record) for record in RecordFile(out).read()]


def replace_seconds(record: Any) -> str:
    return "".join(
        f"{name}={getattr(record, name)!r}" for name in record.__class__.__annotations__ if name != "seconds"
    )


@pytest.mark.parametrize(
    ("name", "patience", "why"),
    [
        ("ExitsHard", 20.0, r"its process ended \(exit status 0\)"),
        ("Killed", 20.0, r"its process was killed \(SIGKILL"),
        ("Hangs", 0.3, r"no answer within 0\.3 s \(--patience\)"),
        ("Drips", 0.3, r"no answer within 0\.3 s \(--patience\)"),
        ("Spins", 0.3, r"no answer within 0\.3 s \(--patience\)"),
        ("Grows", 60.0, r"its process used \d\.\d GB \(most: 0\.4, --memory\)"),
        ("ClosesDescriptors", 20.0, r"its process ended"),
        ("Forks", 20.0, r"its process ended \(exit status 4\)"),
        ("ForksFree", 20.0, r"its process ended \(exit status 4\)"),
        ("Forges", 20.0, r"its process breaks the protocol"),
        ("Claims", 20.0, r"its process breaks the protocol"),
    ],
)
def test_a_process_that_is_lost_again_and_again_stops_the_run(
    name: str, patience: float, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AgentStopped, match=why):
        played(name, tmp_path / "out", RoomSettings(patience=patience, memory=0.4))
    assert not list((tmp_path / "out").glob("[!.]*"))  # nothing is scored, and another agent may have the folder
    assert re.search(why, caplog.text)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Leaks", r"its process used \d\.\d GB \(most: 0\.4, --memory\)"),
        ("HandsOver", r"its process ended \(exit status 0\)"),
    ],
)
def test_a_process_that_always_answers_soon_is_looked_at(name: str, why: str, caplog: pytest.LogCaptureFixture) -> None:
    agent = open_agent(spec(name), {}, RoomSettings(patience=20.0, memory=0.4))
    try:
        for _ in range(100):
            assert [action.error for action in agent.act_with_details(sample_requests(MAZE)[:1])] == [None]
    finally:
        close(agent)
    assert re.search(why, caplog.text)


@pytest.mark.parametrize(
    ("name", "why"),
    [("Exits", "SystemExit: 0"), ("Interrupts", "KeyboardInterrupt"), ("CoroutineExits", "SystemExit: 0")],
)
def test_what_only_asks_for_the_end_fails_its_games(name: str, why: str, tmp_path: Path) -> None:
    assert played(name, tmp_path)["errors"] == 4
    assert {record.error for record in RecordFile(tmp_path).read()} == {QUIT + why}


def test_a_game_that_kills_is_an_error_and_the_others_are_played(tmp_path: Path) -> None:
    assert played("OneGame", tmp_path / "bad")["errors"] == 1
    played("Good", tmp_path / "good")
    bad, good = ({record.episode: record for record in RecordFile(tmp_path / name).read()} for name in ("bad", "good"))
    assert bad[2].error == f"{QUIT}its process ended (exit status 3)"
    assert all(bad[k].actions == good[k].actions for k in (0, 1, 3))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ExitsWhenMade", "cannot be loaded: SystemExit: 0"),
        ("ExitsHardWhenMade", r"cannot be loaded: its process ended \(exit status 0\)"),
        ("SlotsText", "slots must be a number of games"),
        ("DescribeCycle", r"describe\(\) gives what JSON cannot hold"),
        ("FingerExits", "fingerprint raised SystemExit"),
        ("NoSuch", "has no 'NoSuch'"),
    ],
)
def test_what_cannot_be_had_is_told_before_anything_is_played(name: str, why: str) -> None:
    with pytest.raises(AgentError, match=f"agent '.*{name}'.*{why}"):
        open_agent(spec(name), {}, SETTINGS)


def test_what_it_is_given_to_keep_is_a_folder_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="keep_in raised OSError: no room"):
        played("KeepInRaises", tmp_path)
    assert (tmp_path / ".agent").is_dir() and not (tmp_path / EPISODES).exists()


def test_where_pipes_cannot_be_waited_for_patience_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    played("Good", tmp_path / "polls")
    monkeypatch.setattr(room_process, "_POLLS", False)
    played("Good", tmp_path / "good")
    assert records(tmp_path / "good") == records(tmp_path / "polls")
    with pytest.raises(AgentStopped, match=r"no answer within 0\.3 s \(--patience\)"):
        played("Hangs", tmp_path / "hangs", RoomSettings(patience=0.3))
    with pytest.raises(AgentStopped, match=r"its process ended \(exit status 0\)"):
        played("ExitsHard", tmp_path / "exits")


def test_threads_that_it_leaves_hold_nobody_up(tmp_path: Path) -> None:
    agent = open_agent(spec("LeavesThread"), {}, SETTINGS)
    assert isinstance(agent, Room)
    agent.act(sample_requests(MAZE, 2))
    process = agent._process
    assert process is not None
    close(agent)
    assert process._popen.poll() is not None  # its thread sleeps for another 30 s


def test_it_reaches_no_environment(tmp_path: Path) -> None:
    found = []
    for settings in (SETTINGS, replace(SETTINGS, in_process=True)):
        out = tmp_path / str(settings.in_process)
        played("Peeks", out, settings, episodes=1)
        found.append(RecordFile(out).read()[0].actions[0])
    assert found == ["none", "env"]


def test_agents_of_this_package_play_here() -> None:
    assert not isinstance(open_agent("expert"), Room)


# -- the same games


def test_records_are_the_same_in_the_room_and_in_process(tmp_path: Path) -> None:
    summaries = [
        played("DetailsNumpy", tmp_path / str(inside), replace(SETTINGS, in_process=inside), 12, slots=slots)
        for inside, slots in ((True, 64), (False, 5))
    ]
    assert records(tmp_path / "True") == records(tmp_path / "False")
    assert (tmp_path / "False" / SUMMARY).exists() and summaries[0]["return_mean"] == summaries[1]["return_mean"]


ECHO = """
from hashlib import sha256
class Echo:
    def act(self, requests):
        return [sha256(repr((r.env_id, r.episode, r.seed, tuple(r.transcript), type(r.transcript), r.instructions, dict(r.env_kwargs)))
            .encode("utf-8", "surrogatepass")).hexdigest() for r in requests]
"""


def test_requests_arrive_as_they_were_sent(tmp_path: Path) -> None:
    """In any order, new games and old ones, games that went back, odd texts; also after the process was lost."""
    (tmp_path / "echo.py").write_text(ECHO)
    there = open_agent(f"{tmp_path}/echo.py:Echo", {}, SETTINGS)
    here = open_agent(f"{tmp_path}/echo.py:Echo", {}, RoomSettings(in_process=True))
    assert isinstance(there, Room) and there._process is not None
    odd = Transcript.from_texts(["\ud800 \x00\u202e", "\N{GRINNING FACE}" * 30_000, "", "a", "b"], [-1.5, 0.0])
    requests = [
        *sample_requests(MAZE, 8),
        *sample_requests(CITY, 8, reveal_country=True),
        Request(MAZE, 99, 2**63 - 1, odd),
    ]
    batches = [
        requests,
        requests[::-1],
        requests[:3],
        [replace(r, transcript=Transcript(r.transcript[:1])) for r in requests],
        requests,
    ]
    for k, batch in enumerate(batches):
        assert there.act(batch) == here.act(batch)
        there.finished([r.episode for r in batch[:2]])
        if k == 2:
            there._process._popen.kill()
    close(there)


# -- through the command line


def test_eval_names_an_agent_that_leaves_and_exits_with_1(tmp_path: Path) -> None:
    order = ["eval", "--env", MAZE, "--episodes", 3, "--out"]
    left = lmrl(*order, tmp_path / "a", "--agent", spec("ExitsWithWords"))
    assert left.returncode == 1 and "3 of 3 games ended in an error" in left.stderr and "no GPU found" in left.stderr
    evil = lmrl(*order, tmp_path / "c", "--agent", spec("EscapingError"))
    assert evil.returncode == 1 and evil.stderr.count("\n") == 1 and "\x1b" not in evil.stderr
    hung = lmrl(*order, tmp_path / "b", "--agent", spec("Hangs"), "--patience", "0.5")
    assert (
        hung.returncode == 1 and "no answer within 0.5 s (--patience)" in hung.stderr and "Traceback" not in hung.stderr
    )


SUITE = f"""
name = "mini"
version = 1
episodes = 3
seed = 7
training_seeds = [0]
tasks = [{{ id = "{MAZE}" }}]
"""


def test_bad_agents_cost_a_leaderboard_run_their_own_cells(tmp_path: Path) -> None:
    (tmp_path / "mini.toml").write_text(SUITE)
    bad = ("Exits", "ExitsHard", "Hangs", "SlotsText", "TextRaises", "DescribeRaises")
    agents = ",".join(["random", *map(spec, bad), "expert"])
    order = [
        "leaderboard",
        "run",
        tmp_path / "mini.toml",
        "--agents",
        agents,
        "--out",
        tmp_path / "run",
        "--workers",
        2,
    ]
    for _ in range(2):  # and so it is when the command is given again
        done = lmrl(*order, "--patience", 1)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        for name in bad:
            (line,) = [
                line for line in done.stderr.splitlines() if line.startswith(f"lmrl: eval bad_agents.py-{name} ")
            ]
            assert len(line) < 400
        assert {"random", "expert"} <= {
            word for line in done.stdout.splitlines() for word in line.replace("│", " ").split()
        }
        assert (tmp_path / "run" / "report.html").exists()
    whole = {path.parent.parent.name for path in (tmp_path / "run").glob(f"cells/*/*/*/{SUMMARY}")}
    assert whole == {"random", "expert", "bad_agents.py-Exits", "bad_agents.py-TextRaises"}


_PARENT = """
import sys
from lmrl_agents.playing.room import open_agent
from lmrl_agents.playing.conformance import sample_requests
open_agent(sys.argv[1]).act(sample_requests("lmrl/MazeFullyObserved-v0", 1))
"""


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "spins.py").write_text(
        f"import os\nclass S:\n    def act(self, requests):\n        open({str(tmp_path)!r} + f'/pid-{{os.getpid()}}', 'w').close()\n"
        "        while True:\n            pass\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, f"{tmp_path}/spins.py:S"], env=environment())
    until = time.monotonic() + 60
    while not (found := list(tmp_path.glob("pid-*"))) and time.monotonic() < until:
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    pid = int(found[0].name[4:])
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < until:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{pid}")


def test_no_code_of_an_agent_runs_in_the_runs_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor that of the packages around its module; and what its exceptions say is no terminal's to obey."""
    (tmp_path / "around").mkdir()
    (tmp_path / "around" / "__init__.py").write_text("import os\nhere = os.getpid()\n")
    text = (
        "import around\nclass Agent:\n    def act(self, requests):\n        return [str(around.here)] * len(requests)\n"
    )
    (tmp_path / "around" / "agent.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    agent = open_agent("around.agent:Agent", {}, SETTINGS)
    (said,) = agent.act(sample_requests(MAZE, 1))
    close(agent)
    assert int(said) != os.getpid() and "around" not in sys.modules
    with pytest.raises(AgentError, match=r"no agent 'around\.nothing:Agent'"):
        open_agent("around.nothing:Agent", {}, SETTINGS)


ILL = """
import os
class A:
    def keep_in(self, folder):
        (folder / "kept").write_text("mine")
    def act(self, requests):
        if os.path.exists({marker!r}):
            raise RuntimeError("the server is ill")
        return ["move up"] * len(requests)
"""


def test_a_run_plays_failed_episodes_again_when_asked(tmp_path: Path) -> None:
    """And what an agent keeps for itself is no part of what is submitted."""
    marker = tmp_path / "ill"
    marker.touch()
    (tmp_path / "agent.py").write_text(ILL.format(marker=str(marker)))
    (tmp_path / "mini.toml").write_text(SUITE)
    suite = load_suite(str(tmp_path / "mini.toml"))
    out, agents = tmp_path / "run", suite.only([f"{tmp_path}/agent.py:A"])
    (why,) = run_suite(suite, out, agents=agents, workers=1).values()
    assert "all 3 games ended in an error; in game 0: RuntimeError: the server is ill" in why
    marker.unlink()
    assert list(run_suite(suite, out, agents=agents, workers=1).values()) == [why]
    assert run_suite(suite, out, agents=agents, workers=1, retry_errors=True) == {}
    assert run_suite(suite, out, agents=agents, workers=1) == {}
    assert [breach for _, found in verify_run(out) for breach in found] == []
    assert list(out.glob("cells/*/*/*/.agent/kept"))
    with tarfile.open(pack(out, tmp_path)) as archive:
        assert not [name for name in archive.getnames() if ".agent" in name]


@pytest.mark.parametrize(
    "settings", [{"patience": 0}, {"patience": float("nan")}, {"patience": float("inf")}, {"memory": -1}]
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be above 0 s"):
        RoomSettings(**settings)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ["--agent", "random", "--env-arg", "size=3"],
            "has no argument 'size'; known: layout, max_moves, observability",
        ),
        (["--agent", "random", "--agent-arg", "size=3"], "agent 'random' has no argument 'size'; known: none"),
        (["--agent", spec("Good"), "--agent-arg", "size=3"], "Good' has no argument 'size'; known: none"),
    ],
)
def test_arguments_that_are_none_are_told_with_those_that_are(arguments: list[str], why: str, tmp_path: Path) -> None:
    done = lmrl("eval", "--env", MAZE, "--episodes", 1, "--out", tmp_path / "out", *arguments)
    assert done.returncode == 2 and why in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_brief_waits_are_looked_through_and_a_busy_machine_is_slept_on(monkeypatch: pytest.MonkeyPatch) -> None:
    hear, tell = os.pipe()
    watch, now, slept = room_process.Watch(hear), [100.0], []
    looks: list[tuple[float, bool]] = []  # seconds that a look takes; whether something comes in it

    def clock() -> float:
        step, comes = looks.pop(0) if looks else (0.0, False)
        now[0] += step
        if comes:
            os.write(tell, b"x")
        return now[0]

    monkeypatch.setattr(room_process.time, "perf_counter", clock)

    def wait(*seen: tuple[float, bool], sleeps: float = 0.0) -> bool:
        """One wait; whether it slept."""
        looks[:] = [(0.0, False), *seen]

        def take() -> None:
            looks.clear()
            slept.append(not watch._poll.poll(0))
            now[0] += sleeps
            os.write(tell, b"x") if slept[-1] else None
            os.read(hear, 10)

        watch.wait(take)
        return slept[-1]

    quick = (room_process.GAP / 2, False)
    assert wait(sleeps=1.0) and wait(sleeps=room_process.BRIEF / 2)  # the first waits are slept through
    assert not wait(quick, quick, (room_process.GAP / 2, True))  # the last one was brief
    assert not wait((room_process.GAP / 2, True))
    assert wait(quick, (room_process.GAP * 2, False))  # others had the processor
    assert wait() and wait()  # for a second it is slept
    now[0] += 1.1 * room_process.REST
    assert not wait((room_process.GAP / 2, True))
    assert wait(*[quick] * 61)  # in vain: longer than a brief wait
    assert wait()
    os.close(hear)
    os.close(tell)
