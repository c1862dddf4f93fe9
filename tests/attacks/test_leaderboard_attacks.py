"""The leaderboard under attack: what a forger writes is found, and costs nobody else anything."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmrl_benchmarks.commands.cli import run as lmrl
from lmrl_benchmarks.reporting import publish as publishing
from lmrl_benchmarks.reporting import submission
from lmrl_benchmarks.reporting.submission import MANIFEST, pack
from lmrl_benchmarks.running.cells import SUITE, cells, evaluation_of
from lmrl_benchmarks.running.evaluation import evaluate
from lmrl_benchmarks.running.manifest import kept_files, write_manifest
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import SuiteAgent, load_suite
from lmrl_benchmarks.running.verify import LONG, Checked, verify_records, verify_run
from lmrl_envs.files import provenance, write_json
from tests.attacks.forgery import TOY, as_json, edit, edit_records, repack, write_agent

WORDLE, MAZE = "cells/Wordle/expert/seed-0", "cells/MazeFullyObserved/expert/seed-0"


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two scripted agents, which verifies."""
    folder = tmp_path_factory.mktemp("honest")
    (folder / "toy.toml").write_text(TOY)
    suite = load_suite(str(folder / "toy.toml"))
    assert run_suite(suite, folder / "run", agents=suite.only(["random", "expert"]), workers=1) == {}
    (folder / "run" / "training/Wordle/bc-nano/seed-0").mkdir(parents=True)
    (folder / "run" / "training/Wordle/bc-nano/seed-0/metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    write_manifest(folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def archive(honest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(honest, tmp_path_factory.mktemp("archives"))


@pytest.fixture
def out(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "run"))


@pytest.fixture
def suite(honest: Path):
    return load_suite(str(honest.parent / "toy.toml"))


def verify(out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = lmrl(["leaderboard", "verify", str(out)])
    told = capsys.readouterr()
    return status, told.out + told.err


# -- games of one's own choice

EASY = {
    "lmrl/Wordle-v0": {"secret": ["crane"]},
    "lmrl/MazeFullyObserved-v0": {"start": [[7, 6]]},
}


def test_an_agent_does_not_choose_its_games(out: Path, suite, capsys: pytest.CaptureFixture[str]) -> None:
    write_agent(out, suite, "super-agent")
    assert verify(out, capsys)[0] == 0
    shutil.rmtree(out / "cells/Wordle/super-agent")
    shutil.rmtree(out / "cells/MazeFullyObserved/super-agent")
    for entry in suite.tasks:
        only = type(suite)(**{**{k: getattr(suite, k) for k in suite.__struct_fields__}, "tasks": (entry,)})
        write_agent(out, only, "super-agent", each=EASY[entry.id])
    status, told = verify(out, capsys)
    assert status == 1 and "super-agent on Wordle, seed 0: run.json: each is" in told
    assert "super-agent on MazeFullyObserved, seed 0: run.json: each is" in told


SPECS: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "options": ("options", lambda s: s.update(options={"secret": "crane"})),
    "a number for the list of all options": ("each", lambda s: s.update(each={"index": 1})),
    "no options": ("options", lambda s: s.pop("options")),
    "another key": ("difficulty", lambda s: s.update(difficulty="easy")),
    "an argument": ("env_kwargs", lambda s: s.update(env_kwargs={"feedback": "paired"})),
    "an argument of the default's value": ("env_kwargs", lambda s: s.update(env_kwargs={"feedback": "plain"})),
    "a seed that equals it in Python": ("seed", lambda s: s.update(seed=True)),
    "a seed that is no integer": ("seed", lambda s: s.update(seed=1.0)),
    "fewer episodes": ("episodes", lambda s: s.update(episodes=1)),
    "episodes that are no integer": ("episodes", lambda s: s.update(episodes=20.0)),
    "another task": ("env_id", lambda s: s.update(env_id="lmrl/MazePartiallyObserved-v0")),
    "another agent": ("agent", lambda s: s.update(agent="suboptimal")),
    "arguments of the agent": ("agent_kwargs", lambda s: s.update(agent_kwargs={"temperature": 0})),
    "a commitment": ("commitment", lambda s: s.update(commitment="0" * 64)),
}


@pytest.mark.parametrize("what", SPECS)
def test_the_whole_spec_is_the_suites(out: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    key, change = SPECS[what]
    edit(out / WORDLE / "run.json", lambda run: change(run["spec"]) and None)
    write_manifest(out)
    status, told = verify(out, capsys)
    assert status == 1 and "expert on Wordle, seed 0: " in told and key in told
    assert "4 cells checked" in told and "expert on MazeFullyObserved" not in told  # the others were checked as well


@pytest.mark.parametrize("temperature", [0, False, "0.0", None])
def test_what_is_equal_in_python_is_not_equal(
    out: Path, suite, temperature: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write_agent(out, suite, "bc")
    edit(out / "cells/Wordle/bc/seed-1/run.json", lambda r: r["spec"]["agent_kwargs"].update(temperature=temperature))
    write_manifest(out)
    status, told = verify(out, capsys)
    assert status == 1 and "bc on Wordle, seed 1: run.json: agent_kwargs is" in told


@pytest.mark.parametrize("number", [1.0, True, 0.5, -1, 10**30, "1", None])
def test_numbers_of_episodes_are_integers(out: Path, number: Any, capsys: pytest.CaptureFixture[str]) -> None:
    edit_records(out / WORDLE, lambda records: records[1].update(episode=number))
    write_manifest(out)
    status, told = verify(out, capsys)
    assert status == 1 and "expert on Wordle, seed 0: " in told and "Traceback" not in told
    assert "expert on MazeFullyObserved" not in told and "4 cells checked" in told


@pytest.mark.parametrize("name", ["super-agent", "expert"])
def test_only_people_are_people(out: Path, suite, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(out / f"cells/Wordle/{name}", ignore_errors=True)
    shutil.rmtree(out / f"cells/MazeFullyObserved/{name}", ignore_errors=True)
    write_agent(out, suite, name, agent="human", episodes=1)
    status, told = verify(out, capsys)
    assert status == 1 and "episodes is 1, the suite says 20" in told and "human" in told


def test_the_name_of_people_is_for_people(out: Path, suite, capsys: pytest.CaptureFixture[str]) -> None:
    write_agent(out, suite, "human", agent="human", episodes=2)
    assert verify(out, capsys)[0] == 0
    shutil.rmtree(out / "cells/Wordle/human")
    assert verify(out, capsys)[0] == 0  # people need not play all
    for folder in out.glob("cells/*/human"):
        shutil.rmtree(folder)
    write_agent(out, suite, "human", agent="expert", episodes=2)
    assert verify(out, capsys)[0] == 1


# -- more games than were played


def test_one_seed_is_not_ten(out: Path, suite, capsys: pytest.CaptureFixture[str]) -> None:
    write_agent(out, suite, "super-agent")
    for seed in range(1, 10):
        shutil.copytree(out / "cells/Wordle/super-agent/seed-0", out / f"cells/Wordle/super-agent/seed-{seed}")
    write_manifest(out)
    status, told = verify(out, capsys)
    assert status == 1 and "cells/Wordle/super-agent/seed-9: the suite has no such cell" in told


def took(folder: Path, seconds: Callable[[dict[str, Any]], float]) -> None:
    """Give the games of a cell other times."""
    edit_records(folder, lambda records: [record.update(seconds=seconds(record)) for record in records] and None)
    records = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    edit(folder / "summary.json", lambda s: s.update(seconds=sum(record["seconds"] for record in records)))


def test_a_training_seed_is_not_copied(out: Path, suite, capsys: pytest.CaptureFixture[str]) -> None:
    folders = write_agent(out, suite, "bc")
    for k, folder in enumerate(folders):  # times that come out alike on no machine
        took(folder, lambda record, k=k: 1 + k + record["episode"] / 100)
    write_manifest(out)
    assert len(folders) == 6 and verify(out, capsys)[0] == 0  # the same games, played anew: as greedy agents may
    lmrl(["leaderboard", "report", str(out), "--html", str(out.parent / "page.html")])
    row = next(x for x in (out.parent / "page.html").read_text().splitlines() if 'data-agent="bc"' in x)
    assert "*=" in row  # all the same: one seed, whose interval is over episodes
    (copied,) = (folder for folder in folders if folder.parts[-3:] == ("Wordle", "bc", "seed-2"))
    shutil.copy(copied.parent / "seed-0/episodes.jsonl", copied)
    shutil.copy(copied.parent / "seed-0/summary.json", copied)
    write_manifest(out)
    status, told = verify(out, capsys)
    assert (
        status == 1 and "bc on Wordle, seed 2: these are the games of bc on Wordle, seed 0, action for action" in told
    )
    took(copied, lambda record: record["seconds"] + (record["episode"] < 9))
    write_manifest(out)
    assert verify(out, capsys)[0] == 1  # most are
    took(copied, lambda record: record["seconds"] + (record["episode"] >= 9))
    for seed in (0, 2):  # other times, but the same weights
        edit(copied.parent / f"seed-{seed}/run.json", lambda run: run["spec"].update(agent_fingerprint="abc"))
    write_manifest(out)
    status, told = verify(out, capsys)
    assert status == 1 and told.count("action for action") == 1
    edit(copied.parent / "seed-2/run.json", lambda run: run["spec"].update(agent_fingerprint="abd"))
    took(copied, lambda record: record["seconds"] + 0.5)
    for kwargs, copies in (
        ({"temperature": 0.0}, 0),
        ({"temperature": 1.0}, 1),
    ):  # other weights that draw do not play alike
        edit(copied.parent / "seed-2/run.json", lambda run, kwargs=kwargs: run["spec"].update(agent_kwargs=kwargs))
        write_manifest(out)
        assert verify(out, capsys)[1].count("action for action") == copies, kwargs


def test_records_of_another_agent_are_known_again(out: Path, suite, capsys: pytest.CaptureFixture[str]) -> None:
    write_agent(out, suite, "super-agent", player="random")
    for name in ("Wordle", "MazeFullyObserved"):
        for file in ("episodes.jsonl", "summary.json"):
            shutil.copy(out / f"cells/{name}/expert/seed-0/{file}", out / f"cells/{name}/super-agent/seed-0/{file}")
    write_manifest(out)
    status, told = verify(out, capsys)
    assert status == 1 and "super-agent on Wordle, seed 0: these are the games of expert on Wordle, seed 0" in told


GAMES = {k: (bytes([k]), 1.0 + k) for k in range(4)}
HALF = GAMES | {k: (b"other", 1.0 + k) for k in (2, 3)}


def timed(*seconds: float, other: int | None = None) -> dict[int, tuple[bytes, float]]:
    """Four games that took so long (one number: each), one of which may be another."""
    times = seconds * 4 if len(seconds) == 1 else seconds
    return {k: (b"other" if k == other else bytes([k]), times[k]) for k in range(4)}


@pytest.mark.parametrize(
    ("one", "other", "same_agent", "is_copy"),
    [
        (GAMES, GAMES, False, True),
        (GAMES, HALF, True, False),  # half of the games
        (GAMES, HALF | {2: GAMES[2]}, False, True),  # more than half
        ({k: (game, 0.0) for k, (game, _) in GAMES.items()}, {k: (game, 0.0) for k, (game, _) in GAMES.items()}, False, False),
        (GAMES, {k: (game, seconds + 1) for k, (game, seconds) in GAMES.items()}, False, False),
        (GAMES, {k: (game, seconds + 1) for k, (game, seconds) in GAMES.items()}, True, False),  # nobody says with which weights
        ({}, GAMES, True, False),
        (timed(LONG), timed(LONG, other=3), True, False),  # so quick that three of four are chance
        (timed(2 * LONG), timed(2 * LONG, other=3), True, True),
        (timed(LONG, LONG, 1, 1), timed(LONG, LONG, 1, 1, other=3), True, False),  # half of them are
        (timed(LONG, 1, 1, 1), timed(LONG, 1, 1, 1, other=3), True, True),
        (timed(LONG), timed(LONG), True, False),  # as two seeds that play alike may in all: twenty games in a batch have three times
        (timed(LONG), timed(LONG), False, True),
        (timed(LONG), timed(LONG, other=3), False, False),
        (timed(2 * LONG), timed(2 * LONG), True, True),
    ],
)  # fmt: skip
def test_what_a_copy_is(one: Any, other: Any, same_agent: bool, is_copy: bool) -> None:
    assert Checked(games=one).copy_of(Checked(games=other), same_agent) is is_copy


@pytest.mark.parametrize(
    ("fingerprint", "is_sampled", "is_copy"), [("a", False, True), ("b", False, False), ("b", True, True)]
)
def test_equal_games_of_two_seeds_are_a_copy_where_they_could_differ(
    fingerprint: str, is_sampled: bool, is_copy: bool
) -> None:
    """Greedy agents with other weights may play alike; with the same weights, or drawing, they do not."""
    slower = {k: (game, seconds + 1) for k, (game, seconds) in GAMES.items()}
    one = Checked(games=GAMES, fingerprint="a", is_sampled=is_sampled)
    assert one.copy_of(Checked(games=slower, fingerprint=fingerprint), True) is is_copy
    assert not one.copy_of(Checked(games=slower, fingerprint=fingerprint), False)  # two agents may


def test_a_cell_that_failed_at_first_and_was_played_is_a_cell(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(out / "problems.json", lambda problems: {"eval expert Wordle seed 0": "needs a server"})
    write_manifest(out)
    assert verify(out, capsys)[0] == 0
    (out / WORDLE / "summary.json").unlink()
    write_manifest(out)
    status, told = verify(out, capsys)
    assert status == 1 and "expert on Wordle, seed 0: not finished: needs a server" in told
    edit(out / "problems.json", lambda problems: {"eval random Wordle seed 0": "needs a server"})
    write_manifest(out)
    status, told = verify(out, capsys)
    assert status == 1 and "not finished" not in told and "summary.json" in told
    shutil.rmtree(out / "cells/Wordle/random")
    write_manifest(out)
    assert (
        "random on Wordle, seed 0: missing: the suite has this cell, the run has not (needs a server)"
        in verify(out, capsys)[1]
    )


def test_a_part_of_a_run_is_submitted_as_one(out: Path, suite, tmp_path: Path, capsys) -> None:
    """What was not run is named in the archive, by verify and on the page; nothing else may be missing or named."""
    write_agent(out, suite, "bc")
    shutil.rmtree(out / "cells/MazeFullyObserved/bc")
    shutil.rmtree(out / "cells/Wordle/bc/seed-2")
    (out / "cells/Wordle/bc/seed-1/summary.json").unlink()  # is being played
    write_manifest(out)
    results = tmp_path / "results"
    submit = ["leaderboard", "submit", str(out), "--to", str(results)]
    assert lmrl(submit) != 0 and not results.exists()
    assert "bc on Wordle, seed 2: missing" in (told := capsys.readouterr().err) and "(--part)" in told
    assert lmrl([*submit, "--part"]) == 0
    (part,) = results.iterdir()
    capsys.readouterr()
    status, told = verify(part, capsys)
    assert status == 0 and told == "5 cells checked (a part: 5 more were not submitted), 0 breaches\n"
    status, told, _, found = pages(results, capsys)
    (page,) = found.values()
    lacking = [f"eval bc {name}" for name in ("Wordle seed 1", "Wordle seed 2", "MazeFullyObserved seed 0")]
    assert status == 0 and all(f'{name}</td><td class="left">not submitted, be it' in page for name in lacking)
    assert "eval bc Wordle seed 0" not in page
    changes = {
        "which is no cell that is not there": lambda names: [*names, "cells/Wordle/bc/seed-0"],
        "cells/Wordle/bc/seed-9, which is no cell": lambda names: [*names, "cells/Wordle/bc/seed-9"],
        "bc on Wordle, seed 1: missing: the suite has this cell": lambda names: names[1:],
        "part.json: not_run: Expected array": lambda names: {"not_run": 1},
    }
    for why, change in changes.items():
        other = repack(
            part,
            tmp_path / "other.tar.xz",
            {"part.json": as_json(lambda told, c=change: {"not_run": c(told["not_run"])})},
        )
        status, told = verify(other, capsys)
        assert status == 1 and why in told, told


def test_tasks_and_seeds_that_were_chosen_are_told(out: Path, suite, tmp_path: Path, capsys) -> None:
    """The lucky seeds and the easy task alone, as a part, on a page where nobody played more."""
    write_agent(out, suite, "bc")
    for folder in (*out.glob("cells/*/[er]*"), out / "cells/MazeFullyObserved/bc", out / "cells/Wordle/bc/seed-1"):
        shutil.rmtree(folder)
    write_manifest(out)
    assert lmrl(["leaderboard", "submit", str(out), "--to", str(tmp_path / "results"), "--part"]) == 0
    (page,) = pages(tmp_path / "results", capsys)[3].values()
    assert '<td data-value="1">1 <span class="none">of 2</span></td>' in page, "tasks"
    assert '<td>2 <span class="none">of 3</span></td>' in page, "seeds"


def test_missing_and_doubled_games_are_told(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(records: list[dict[str, Any]]) -> None:
        del records[7], records[3]
        records.append(records[5])

    edit_records(out / WORDLE, change)
    write_manifest(out)
    told = verify(out, capsys)[1]
    assert "2 of 20 episodes are missing, the first is 3" in told
    assert told.count("is recorded more than once") == 1 and "episode 6 is recorded more than once" in told


@pytest.mark.parametrize("name", ["cells/Wordle/агент/seed-0", "cells/Wordle/a b/seed-0", "cells/Wordle/expert/seed-x"])
def test_no_folder_is_passed_over(out: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(out / WORDLE, out / name)
    status, told = verify(out, capsys)
    assert status == 1 and "the suite has no such cell" in told
    assert lmrl(["leaderboard", "submit", str(out), "--to", str(out.parent / "results")]) == 2


# -- sums


def again(summary: dict[str, Any]) -> dict[str, Any]:
    """As another machine may sum: other last digits, and another order of keys."""

    def of(value: Any) -> Any:
        if isinstance(value, dict):
            return dict(sorted(value.items(), reverse=True))
        return [of(item) for item in value] if isinstance(value, list) else value * (1 + 1e-12)

    return {key: of(value) if isinstance(value, float | list | dict) else value for key, value in summary.items()}


SUMS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "as another machine sums": (again, ""),
    "an older run": (lambda s: s.pop("records_sha256") and None, ""),
    "a mean": (lambda s: s.update(return_mean=s["return_mean"] + 1e-6), "summary: return_mean is"),
    "a half more": (lambda s: s.update(length_mean=s["length_mean"] * 1.5), "summary: length_mean is"),
    "a share": (lambda s: s.update(success_rate=s["success_rate"] - 0.01), "summary: success_rate is"),
    "an end": (lambda s: s.update(return_ci95=[s["return_ci95"][0] - 0.1, s["return_ci95"][1]]), "summary: return_ci95 is"),
    "a number that is not there": (lambda s: s.update(optimised_mean=1.0), "summary: optimised_mean is 1.0, the records give None"),
    "ends that are not there": (lambda s: s.update(optimised_ci95=[0.0, 1.0]), "summary: optimised_ci95 is [0.0, 1.0], the records give None"),
    "a number that is gone": (lambda s: s.update(normalized_score=None), "summary: normalized_score is None, the records give"),
    "a reference": (lambda s: s["reference"].update(optimum=0.0), "summary: reference is"),
    "a hash": (lambda s: s.update(records_sha256="0" * 64), "has been changed since it was written"),
}  # fmt: skip


@pytest.mark.parametrize("what", SUMS)
def test_sums_are_those_of_the_records(out: Path, what: str) -> None:
    change, why = SUMS[what]
    edit(out / MAZE / "summary.json", change)
    found = list(verify_records(out / MAZE))
    assert len(found) == bool(why) and all(why in breach for breach in found), found


def test_every_game_is_replayed_unless_less_is_asked_for(out: Path) -> None:
    def change(records: list[dict[str, Any]]) -> None:
        records[3]["observations"][0] += " "

    edit_records(out / MAZE, change)
    assert [breach for breach in verify_records(out / MAZE) if breach.startswith("episode 3 (seed ")]
    assert not list(verify_records(out / MAZE, every=2))


def test_specs_are_compared_whatever_the_order_of_their_keys(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(
        TOY.replace("20", "1").replace(
            '"lmrl/Wordle-v0"', '"lmrl/Wordle-v0"\nkwargs = { feedback = "plain", vocabulary = "common" }'
        )
    )
    suite, run = load_suite(str(tmp_path / "toy.toml")), tmp_path / "run"
    run.mkdir()
    write_json(run / SUITE, {"suite": suite.as_dict(), "digest": suite.digest, "provenance": provenance()})
    folder, _ = write_agent(run, suite, "expert")
    edit(folder / "run.json", lambda r: r["spec"].update(env_kwargs=dict(reversed(r["spec"]["env_kwargs"].items()))))
    assert list(json.loads((folder / "run.json").read_text())["spec"]["env_kwargs"]) == ["vocabulary", "feedback"]
    write_manifest(run)
    assert not [breach for _, found in verify_run(run) for breach in found]


# -- knowing what is hidden

CHEAT = """
import lmrl_envs, gymnasium as gym
from lmrl_envs.seeding import episode_seed

class Agent:
    def act(self, requests):
        actions = []
        for request in requests:
            env = gym.make(request.env_id).unwrapped
            env.reset(seed=episode_seed("evaluation", 1, request.episode))
            actions.append(env.get_state()["game"]["secret"])
        return actions
"""


def test_who_beats_the_optimum_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What no verification finds: the seeds of a public suite are public. The page says so, and marks what cannot be."""
    text = TOY.replace(
        '[[tasks]]\nid = "lmrl/MazeFullyObserved-v0"\ndata = { name = "maze/mixed-v0", sample = true }\n', ""
    )
    (tmp_path / "one.toml").write_text(text)
    (tmp_path / "cheat.py").write_text(CHEAT)
    arguments = [
        "--out",
        str(tmp_path / "run"),
        "--agents",
        f"random,expert,{tmp_path}/cheat.py:Agent",
        "--workers",
        "1",
    ]
    assert lmrl(["leaderboard", "run", str(tmp_path / "one.toml"), *arguments]) == 0
    assert "! above the exact optimum by more than chance" in " ".join(capsys.readouterr().out.split())
    assert verify(tmp_path / "run", capsys)[0] == 0
    page = (tmp_path / "run/report.html").read_text()
    rows = {
        name: next(x for x in page.splitlines() if f'data-agent="{name}"' in x) for name in ("expert", "cheat.py-Agent")
    }
    mark = 'title="above the exact optimum by more than chance"'
    assert mark in rows["cheat.py-Agent"] and mark not in rows["expert"]
    assert "A public suite" in page and "can be computed" in page and "(claimed)" in page


# -- damage


def test_damage_to_any_file_is_found(honest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A flipped bit in the middle of every file: descriptions, provenance and curves are no replay's business."""
    names = kept_files(honest)
    assert {Path(name).name for name in names} >= {"suite.json", "problems.json", "run.json", "metrics.jsonl"}
    for name in names:
        out = Path(shutil.copytree(honest, tmp_path / "run", dirs_exist_ok=True))
        data = bytearray((out / name).read_bytes())
        data[len(data) // 2] ^= 1
        (out / name).write_bytes(data)
        status, told = verify(out, capsys)
        assert status != 0 and Path(name).name in told, name
        shutil.copy(honest / name, out / name)


def test_what_was_verified_is_what_is_packed(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    really = submission.verify_run

    def edited_meanwhile(folder: Path, *rest: Any, **options: Any):
        yield from really(folder, *rest, **options)
        edit_records(out / WORDLE, lambda records: [record.update(rewards=[1000.0]) for record in records] and None)
        edit_records(folder / WORDLE, lambda records: None)

    monkeypatch.setattr(submission, "verify_run", edited_meanwhile)
    packed = pack(out, tmp_path / "results")
    assert verify(packed, capsys)[0] == 0


def test_a_failed_game_tells_nothing(out: Path, suite, capsys: pytest.CaptureFixture[str]) -> None:
    class Failing:
        def act(self, requests: list[Any]) -> list[str]:
            raise RuntimeError("never")

    for cell in cells(suite, [SuiteAgent(name="failing")]):
        evaluate(evaluation_of(suite, cell), cell.folder(out), agent=Failing())
    write_manifest(out)
    assert verify(out, capsys)[0] == 0
    edit_records(out / "cells/Wordle/failing/seed-0", lambda records: records[0].update(info={"secret": "crane"}))
    write_manifest(out)
    status, told = verify(out, capsys)
    assert status == 1 and "an episode that failed is recorded with what is told at the end" in told


# -- the published pages


def pages(results: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str, dict[str, str]]:
    """Status of publish, what it printed, the index, and the other pages by name."""
    target = results.parent / "pages"
    shutil.rmtree(target, ignore_errors=True)
    status = lmrl(["leaderboard", "publish", str(results), "--out", str(target)])
    told = capsys.readouterr()
    found = {path.name: path.read_text() for path in target.glob("*.html")}
    return status, told.out + told.err, found.pop("index.html", ""), found


def rewards(data: bytes) -> bytes:
    lines = [json.loads(line) for line in data.splitlines()]
    for line in lines:
        line["rewards"] = [1000.0 for _ in line["rewards"]]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


FORGED: dict[str, tuple[str, dict[str, Callable[[bytes], bytes | None]]]] = {
    "rewards of 1000": ("breaches", {f"{WORDLE}/episodes.jsonl": rewards}),
    "an easier suite under the digest of the honest one": (
        "submission.json has another suite_digest",
        {"suite.json": as_json(lambda s: s["suite"].update(episodes=2))},
    ),
    "another description under the digest": (
        "suite.json has been changed",
        {"suite.json": as_json(lambda s: s.update(digest="0" * 16))},
    ),
    "agents that it has not": ("another agents", {MANIFEST: as_json(lambda m: m.update(agents=["expert"]))}),
    "another commit": (
        "another provenance",
        {MANIFEST: as_json(lambda m: m["provenance"].update(git={"commit": "0" * 40, "dirty": False}))},
    ),
    "the name of a suite that ships": (
        "has the name of the suite 'quick'",
        {
            "suite.json": as_json(lambda s: s["suite"].update(name="quick", description="The official one.")),
            MANIFEST: as_json(lambda m: m.update(suite="quick")),
        },
    ),
    "provenance without git": ("git", {"suite.json": as_json(lambda s: s["provenance"].pop("git") and None)}),
    "a number that no float holds": (
        "64 bits",
        {
            f"{WORDLE}/episodes.jsonl": lambda data: data.replace(
                b'"info":{', b'"info":{"value":' + b"9" * 400 + b",", 1
            )
        },
    ),
    "a file of no run": ("is no file of a run", {"notes.txt": lambda data: b"hello"}),
    "no suite": ("holds no leaderboard run", {"suite.json": lambda data: None}),
    "half a line at the end": ("episodes.jsonl", {f"{WORDLE}/episodes.jsonl": lambda data: data + b'{"episode": 20'}),
    "nested curves": (
        "metrics.jsonl",
        {"training/Wordle/bc-nano/seed-0/metrics.jsonl": lambda data: b"[" * 200 + b"]" * 200 + b"\n"},
    ),
}


@pytest.mark.parametrize("what", FORGED)
def test_publish_believes_nothing(archive: Path, tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A forged archive beside the honest one, first by its name: it is on no page, which says why, and costs nothing else."""
    why, changes = FORGED[what]
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(archive, results / "honest.tar.xz")
    forged = repack(archive, results / "aaa.tar.xz", changes)
    if what in ("an easier suite under the digest of the honest one", "the name of a suite that ships"):
        # With a digest that fits its suite, the forger's manifest still tells the honest one's.
        digest = _digest_of(forged, tmp_path)
        told = {"suite.json": as_json(lambda s: s.update(digest=digest))}
        if "name" in what:
            told[MANIFEST] = as_json(lambda m: m.update(suite_digest=digest))
        repack(forged, results / "aaa.tar.xz", told)
    status, told, index, found = pages(results, capsys)
    assert status == 1 and "lmrl: aaa.tar.xz: " in told and why in told, told
    assert len(found) == 1 and "Not shown" in index and "aaa.tar.xz" in index
    (page,) = found.values()
    assert not re.search(r"(?<![\d.])1000", page.split("<section")[2]) and 'data-agent="expert"' in page
    assert verify(results / "aaa.tar.xz", capsys)[0] != 0


def _digest_of(archive: Path, tmp_path: Path) -> str:
    import tarfile

    from lmrl_benchmarks.running.suite import suite_from

    with tarfile.open(archive) as members:
        return suite_from(json.load(members.extractfile("suite.json"))["suite"]).digest  # type: ignore[arg-type]


def test_an_honest_suite_of_ones_own_stands_beside(archive: Path, tmp_path: Path, capsys) -> None:
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(archive, results / "honest.tar.xz")
    status, _, index, found = pages(results, capsys)
    assert status == 0 and len(found) == 1 and "A suite of somebody" in index and "Not shown" not in index
    assert 'href="./toy-v1-' in index


def test_nobody_is_lost_to_a_name(honest: Path, suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Five runs that bring agents of one name, of 80 letters: each is shown, none under the name itself."""
    name, results = "a" * 80, tmp_path / "results"
    for k in range(5):
        out = Path(shutil.copytree(honest, tmp_path / f"run-{k}"))
        shutil.rmtree(out / "cells")
        write_agent(out, suite, name, player="expert" if k else "random")
        results.mkdir(exist_ok=True)
        shutil.move(pack(out, tmp_path / "packed"), results / f"{k}.tar.xz")
    status, told, _, found = pages(results, capsys)
    (page,) = found.values()
    assert status == 0 and "5 runs, 5 agents" in told
    assert page.count(f'<tr data-task="Wordle" data-agent="{"a" * 60}') == 5 and f'data-agent="{name}"' not in page


def test_an_honest_name_is_not_taken(archive: Path, honest: Path, suite, tmp_path: Path, capsys) -> None:
    """A forger whose `expert` is another's games does not get the name by coming first in the alphabet."""
    out = Path(shutil.copytree(honest, tmp_path / "run"))
    for name in ("Wordle", "MazeFullyObserved"):
        shutil.rmtree(out / f"cells/{name}/expert")
        shutil.rmtree(out / f"cells/{name}/random")
    write_agent(out, suite, "expert", player="random")
    results = tmp_path / "results"
    results.mkdir()
    shutil.move(pack(out, tmp_path / "packed"), results / "0.tar.xz")
    shutil.copy(archive, results / "1.tar.xz")
    status, _, _, found = pages(results, capsys)
    (page,) = found.values()
    assert status == 0 and page.count('<tr data-task="Wordle" data-agent="expert+') == 2
    assert 'data-task="Wordle" data-agent="expert"' not in page and 'data-agent="random"' in page


def test_an_archive_that_no_page_can_be_made_of_costs_itself_only(
    archive: Path, out: Path, suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(archive, results / "good.tar.xz")
    write_agent(out, suite, "odd")
    shutil.move(pack(out, tmp_path / "packed"), results / "odd.tar.xz")
    really = publishing.load_results

    def failing(folder: Path):
        if any(folder.glob("cells/*/odd")):
            raise KeyError("boards")
        return really(folder)

    monkeypatch.setattr(publishing, "load_results", failing)
    status, told, index, found = pages(results, capsys)
    assert status == 1 and "lmrl: odd.tar.xz: no page can be made of it: KeyError: 'boards'" in told
    assert len(found) == 1 and "good.tar.xz" in index


def test_what_is_no_plain_file_is_no_archive(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link can be handed in like a file; nobody reads on where it leads."""
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(archive, results)
    (results / "zero.tar.xz").symlink_to("/dev/zero")
    os.mkfifo(results / "pipe.tar.xz")
    (results / "folder.tar.xz").mkdir()
    found = publishing.publish(results, tmp_path / "pages")
    assert found.pages[0].archives == (archive.name,)
    assert {name: why.rpartition(": ")[2] for name, why in found.refused.items()} == dict.fromkeys(
        ("zero.tar.xz", "pipe.tar.xz", "folder.tar.xz"), "no plain file"
    )


def test_archives_are_verified_once(archive: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    results, target = tmp_path / "results", tmp_path / "pages"
    results.mkdir()
    shutil.copy(archive, results / "a.tar.xz")
    command = ["leaderboard", "publish", str(results), "--out", str(target)]
    assert lmrl(command) == 0
    really, asked = publishing.verify_run, []
    monkeypatch.setattr(publishing, "verify_run", lambda *a, **k: (asked.append(a), really(*a, **k))[1])
    assert lmrl(command) == 0 and not asked
    monkeypatch.setattr(publishing, "_code", lambda: "edited")  # other code verifies anew
    assert lmrl(command) == 0 and len(asked) == 1
    assert lmrl(command) == 0 and len(asked) == 1
    repack(archive, results / "a.tar.xz", {f"{WORDLE}/episodes.jsonl": rewards})  # another file of the same name
    assert lmrl(command) == 1 and len(asked) == 2


def test_who_submits_more_of_a_run_is_shown_once(archive: Path, out: Path, suite, tmp_path: Path, capsys) -> None:
    """A run that went on holds the cells of its first submission: the same records under the same name are one agent."""
    write_agent(out, suite, "later", player="suboptimal")
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(archive, results / "first.tar.xz")
    shutil.move(pack(out, tmp_path / "packed"), results / "second.tar.xz")
    status, told, _, found = pages(results, capsys)
    assert status == 0 and "2 runs, 3 agents" in told and 'data-agent="expert"' in "".join(found.values())


def test_nobody_describes_anothers_runs(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A description is not in the suite's digest: the first archive by its name has no say over the others."""
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(archive, results / "honest.tar.xz")
    repack(
        archive, results / "aaa.tar.xz", {"suite.json": as_json(lambda s: s["suite"].update(description="Buy this."))}
    )
    status, _, index, found = pages(results, capsys)
    assert status == 0 and "Buy this" not in index + "".join(found.values())


def test_nobody_tells_of_anothers_agents(out: Path, suite, tmp_path: Path, capsys) -> None:
    """A run whose agents are others has neither words nor curves for an agent that it does not hold, though it comes first."""
    results = tmp_path / "results"
    curve = '{"step": 1, "evaluation_return": -1.0}\n{"step": 2, "evaluation_return": -2.0}\n'
    (out / "training/Wordle/bc-nano/seed-0/metrics.jsonl").write_text(curve)
    edit(out / "problems.json", lambda problems: {"eval bc Wordle seed 7": "was caught cheating"})
    write_manifest(out)
    shutil.move(pack(out, tmp_path / "packed"), (results.mkdir(), results / "aaa.tar.xz")[1])
    shutil.rmtree(out / "training")
    (out / "problems.json").unlink()
    for folder in out.glob("cells/*/*"):
        shutil.rmtree(folder)
    write_agent(out, suite, "bc")
    shutil.move(pack(out, tmp_path / "packed", part=True), results / "honest.tar.xz")
    status, told, _, found = pages(results, capsys)
    (page,) = found.values()
    assert status == 0 and 'data-agent="bc"' in page, told
    assert "caught cheating" not in page and 'href="#learning"' not in page


@pytest.mark.parametrize(
    ("seconds", "alike", "is_copy"), [(5e-6, 15, False), (5e-6, 20, True), (0.5, 15, True), (0.5, 10, False)]
)
def test_quick_games_that_come_out_alike_are_no_copy(seconds: float, alike: int, is_copy: bool) -> None:
    """Agents that are one program play the same, and in microseconds often as long; elsewhere equal times are no chance."""
    one = Checked(games={k: (b"up", seconds) for k in range(20)})
    other = Checked(games={k: (b"up", seconds if k < alike else seconds + 1e-6) for k in range(20)})
    assert one.copy_of(other, same_agent=False) == is_copy


def test_the_matrix_runs_no_code_of_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether an algorithm's file has changed since is looked up among those that packages bring."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("open('evil', 'w')\n\ndef learn(run):\n    pass\n")
    text = TOY.replace('train = "bc"', 'train = "evil.py:learn"').replace("[0, 1, 2]", "[0]").replace("20", "2")
    (tmp_path / "toy.toml").write_text(text)
    suite, run = load_suite("toy.toml"), tmp_path / "run"
    run.mkdir()
    write_json(run / SUITE, {"suite": suite.as_dict(), "digest": suite.digest, "provenance": provenance()})
    write_agent(run, suite, "bc")
    assert pack(run, tmp_path / "results").is_file()
    empty = "".join(f'["{entry.id}"]\nall = "nobody tried"\n' for entry in load_suite("matrix").tasks)
    (tmp_path / "results/empty.toml").write_text(empty)
    assert lmrl(["leaderboard", "matrix", "results", "--out", "page.md"]) == 0
    assert "evil.py:learn" in (tmp_path / "page.md").read_text() and not (tmp_path / "evil").exists()


def test_no_file_that_a_link_leads_to_is_packed(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run's folder from elsewhere: what its links name on this machine would go into an archive, and be published."""
    (tmp_path / "credentials.json").write_text('{"token": "dummy-secret-123"}')
    (out / MAZE / "agent.json").unlink(missing_ok=True)
    (out / MAZE / "agent.json").symlink_to(tmp_path / "credentials.json")
    assert lmrl(["leaderboard", "submit", str(out), "--to", str(tmp_path / "results")]) == 2
    assert f"{MAZE}/agent.json is missing" in capsys.readouterr().err
    (out / "digests.json").unlink()
    assert lmrl(["leaderboard", "submit", str(out), "--to", str(tmp_path / "results")]) == 0
    (archive,) = (tmp_path / "results").iterdir()
    submission.unpack(archive, tmp_path / "there")
    assert not [path for path in (tmp_path / "there").rglob("*") if path.is_file() and b"dummy" in path.read_bytes()]
