"""Sealed suites, and what seeds tell: nobody knows a game before it is played, and anybody can check it afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fault_tools import lmrl as command_line
from msgspec.structs import replace
from serving import Server

from lmrl_benchmarks.commands.cli import run as lmrl
from lmrl_benchmarks.running import sealing
from lmrl_benchmarks.running.cells import cells
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import EPISODES, RecordFile
from lmrl_benchmarks.running.suite import SuiteAgent, SuiteError, load_suite
from lmrl_benchmarks.serve.human_records import HumanRecords
from lmrl_envs.seeding import episode_seed, player_seed
from tests.attacks.forgery import edit

TOY = """# Mine.
name = "toy"
version = 1
description = "Two small tasks."
episodes = 25
seed = 0
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


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite, its sealed form, the secret, and a finished run of each."""
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "toy.toml").write_text(TOY)
    seal = ["leaderboard", "seal", str(folder / "toy.toml"), "--out", str(folder / "sealed.toml")]
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # of a secret drawn anew, one honest run in some dozens is a coincidence
        patch.setattr(sealing, "new_salt", lambda: "5a" * 32)
        assert lmrl([*seal, "--salt-file", str(folder / "secret")]) == 0
    assert run(folder, "toy", []) == run(folder, "sealed", ["--salt-file", str(folder / "secret")]) == 0
    return folder


def run(folder: Path, name: str, more: list[str]) -> int:
    command = ["leaderboard", "run", str(folder / f"{name}.toml"), "--out", str(folder / f"{name}-run")]
    return lmrl([*command, "--workers", "1", *more])


def told(capsys: pytest.CaptureFixture[str]) -> str:
    found = capsys.readouterr()
    return found.out + found.err


def test_a_sealed_suite_from_seal_to_verification(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    salt, out = (place / "secret").read_text().strip(), place / "sealed-run"
    suite = load_suite(str(place / "sealed.toml"))
    assert suite.name == "toy-sealed" and "# Mine." in (place / "sealed.toml").read_text()
    assert suite.commitment == sha256(salt.encode()).hexdigest()
    assert (place / "secret").stat().st_mode & 0o077 == 0
    # The games are others than the public suite's, and the secret is in no file of the run.
    for path in out.rglob("*"):
        assert not path.is_file() or salt not in path.read_text("utf-8", "replace")
    seeds = [record.seed for record in RecordFile(out / "cells/Wordle/expert/seed-0").read()]
    assert seeds == [episode_seed("evaluation", 0, k, salt) for k in range(25)]
    assert not {episode_seed("evaluation", 0, k) for k in range(25)} & set(seeds)

    # Held by one, checked by nobody else yet.
    secret = ["--salt-file", str(place / "secret")]
    capsys.readouterr()
    assert lmrl(["leaderboard", "verify", str(out)]) == 1 and "is sealed" in told(capsys)
    assert lmrl(["leaderboard", "verify", str(out), *secret]) == 0
    results, pages = tmp_path / "results", tmp_path / "pages"
    assert lmrl(["leaderboard", "submit", str(out), "--to", str(results)]) == 2
    assert lmrl(["leaderboard", "submit", str(out), "--to", str(results), *secret]) == 0
    publish = ["leaderboard", "publish", str(results), "--out", str(pages)]
    capsys.readouterr()
    assert lmrl(publish) == 1 and "not revealed yet" in told(capsys)

    # Revealed: checked by anybody.
    assert lmrl(["leaderboard", "reveal", str(place / "sealed.toml"), "--to", str(results), *secret]) == 0
    (published,) = results.glob("*.salt")
    (archive,) = results.glob("*.tar.xz")
    assert lmrl(["leaderboard", "verify", str(archive), "--salt-file", str(published)]) == 0
    assert lmrl(publish) == 0
    (page,) = (path.read_text() for path in pages.glob("toy-sealed*.html"))
    assert "A sealed suite" in page and suite.commitment in page
    assert "; sealed." in (pages / "index.html").read_text()


def test_another_salt_is_found(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither does the holder change his mind, nor does another run pass for one of the sealed suite."""
    (tmp_path / "other").write_text("0" * 64)
    other = ["--salt-file", str(tmp_path / "other")]
    for command in (
        ["run", str(place / "sealed.toml"), "--out", str(tmp_path / "run")],
        ["reveal", str(place / "sealed.toml"), "--to", str(tmp_path)],
        ["submit", str(place / "sealed-run"), "--to", str(tmp_path)],
    ):
        capsys.readouterr()
        assert lmrl(["leaderboard", *command, *other]) == 2 and "not that of suite 'toy-sealed'" in told(capsys)
    assert lmrl(["leaderboard", "verify", str(place / "sealed-run"), *other]) == 1
    assert lmrl(["leaderboard", "verify", str(place / "toy-run"), *other]) == 1  # which is not sealed
    for text in ("", "0" * 63, "0" * 65, "é" * 64, "0" * 1000):
        (tmp_path / "other").write_text(text)
        capsys.readouterr()
        assert lmrl(["leaderboard", "verify", str(place / "sealed-run"), *other]) == 2 and "no salt" in told(capsys)
    assert run(place, "sealed", []) == 2  # none at all


def test_chosen_games_do_not_pass_as_held_ones(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = Path(shutil.copytree(place / "sealed-run", tmp_path / "run"))
    (out / "digests.json").unlink()
    folder = out / "cells/Wordle/expert/seed-0"
    shutil.rmtree(folder)
    spec = EvaluationSpec("lmrl/Wordle-v0", "expert", 25, 0)
    evaluate(spec, folder)  # the public games
    edit(folder / "run.json", lambda r: r["spec"].update(commitment=load_suite(str(place / "sealed.toml")).commitment))
    capsys.readouterr()
    assert lmrl(["leaderboard", "verify", str(out), "--salt-file", str(place / "secret")]) == 1
    assert "expert on Wordle, seed 0: episode 0 was played with another seed than the spec's" in told(capsys)
    assert lmrl(["leaderboard", "verify", str(place / "sealed-run")]) == 1
    assert ", 1 breaches" in told(capsys)  # without the salt nothing is known of the seeds, and nothing said of each


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TOY.replace('name = "toy"', '"name" = "toy"'), "on a line of its own"),
        (TOY.replace("version = 1\n", f'version = 1\ncommitment = "{"0" * 64}"\n'), "sealed already"),
        (TOY.replace("version = 1\n", 'version = 1\ncommitment = "0"\n'), "commitment"),
    ],
)
def test_what_cannot_be_sealed_is_told(text: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "toy.toml").write_text(text)
    command = ["leaderboard", "seal", str(tmp_path / "toy.toml"), "--salt-file", str(tmp_path / "s"), "--out"]
    assert lmrl([*command, str(tmp_path / "sealed.toml")]) == 2
    assert re.search(why, told(capsys)) and not (tmp_path / "s").exists() and not (tmp_path / "sealed.toml").exists()


def test_bundled_suites_can_be_sealed_and_seals_are_not_overwritten(tmp_path: Path) -> None:
    command = ["leaderboard", "seal", "quick", "--salt-file", str(tmp_path / "s"), "--out", str(tmp_path / "mine.toml")]
    assert lmrl(command) == 0 and load_suite(str(tmp_path / "mine.toml")).name == "quick-sealed"
    before = (tmp_path / "s").read_text()
    assert lmrl(command) == 1 and (tmp_path / "s").read_text() == before


def test_people_play_the_held_games(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    salt, out = (place / "secret").read_text().strip(), Path(shutil.copytree(place / "sealed-run", tmp_path / "run"))
    suite = load_suite(str(place / "sealed.toml"))
    with pytest.raises(SuiteError, match="is sealed"):
        HumanRecords(out, suite.tasks)
    records = HumanRecords(out, suite.tasks, salt)
    assert records.take(suite.tasks[0]) == (0, episode_seed("evaluation", 0, 0, salt))
    (cell, _) = cells(suite, [SuiteAgent("human")])
    games = RecordFile(out / "cells/Wordle/random/seed-0").read()
    played = [replace(record, seconds=record.seconds + 10) for record in games]  # the same moves, by a person
    for record in played[:3]:
        records.add(suite.tasks[0], record)
    assert RecordFile(cell.folder(out)).read() == played[:3]
    assert lmrl(["leaderboard", "verify", str(out), "--salt-file", str(place / "secret")]) == 0
    capsys.readouterr()
    assert lmrl(["serve", "--out", str(out), "--port", "0", "--env", "lmrl/Wordle-v0"]) == 2
    assert "is sealed" in told(capsys)


# -- contamination

MEMORY = """
import gymnasium as gym
from lmrl_envs import make_policy
from lmrl_envs.seeding import episode_seed

class Agent:
    '''Has the answers of the public games by heart, and plays as the expert where they are wrong.'''

    def act(self, requests):
        actions = []
        for request in requests:
            if request.env_id == "lmrl/Wordle-v0" and len(request.transcript) == 1:
                env = gym.make(request.env_id).unwrapped
                env.reset(seed=episode_seed("evaluation", 0, request.episode))
                actions.append(env.get_state()["game"]["secret"])
            else:
                actions.append(make_policy(request.env_id, "expert").act(request.transcript))
        return actions
"""


def test_contamination_is_measured(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "memory.py").write_text(MEMORY)
    for name in ("toy", "sealed"):
        shutil.copytree(place / f"{name}-run", tmp_path / f"{name}-run")
        shutil.copy(place / f"{name}.toml", tmp_path)
    own = ["--agents", f"expert,{tmp_path}/memory.py:Agent"]
    assert run(tmp_path, "toy", own) == run(tmp_path, "sealed", [*own, "--salt-file", str(place / "secret")]) == 0
    capsys.readouterr()
    command = ["leaderboard", "contamination", str(tmp_path / "toy-run"), str(tmp_path / "sealed-run")]
    assert lmrl(command) == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in told(capsys).splitlines() if "│" in line]
    by_name = {(row[0], row[1]): row for row in rows}
    knowing, honest = by_name["Wordle", "memory.py-Agent"], by_name["Wordle", "expert"]
    assert knowing[2] == "0" and float(knowing[3]) < -1 and knowing[6].endswith("*")
    assert not honest[6].endswith("*") and not by_name["MazeFullyObserved", "memory.py-Agent"][6].endswith("*")
    assert lmrl([*command, "--json"]) == 0
    said = {(row["task"], row["agent"]): row for row in json.loads(told(capsys))}
    assert said["Wordle", "memory.py-Agent"]["public"] == 0 and said["Wordle", "expert"]["low"] <= 0
    assert lmrl([*command[:2], *command[:1:-1]]) == 2  # the other way about
    edit(tmp_path / "toy-run/cells/Wordle/expert/seed-0/run.json", lambda r: r["spec"].update(agent_fingerprint="x"))
    assert lmrl(command) == 0 and "they are not the same agents" in told(capsys)


# -- what a seed tells

BASES = range(2000)


def test_no_request_names_its_game(tmp_path: Path) -> None:
    """An agent that tries base seeds on what it is told finds none, and is told the same whatever the base is."""
    seen: list[list[tuple[int, int]]] = []

    class Curious:
        def act(self, requests: list[Any]) -> list[str]:
            seen[-1] += [(request.episode, request.seed) for request in requests]
            return ["crane"] * len(requests)

    for base in (777, 1234):
        seen.append([])
        evaluate(EvaluationSpec("lmrl/Wordle-v0", "curious", 5, base), tmp_path / str(base), agent=Curious())
    assert set(seen[0]) == set(seen[1]) == {(k, player_seed(k)) for k in range(5)}
    streams = ("agent", "evaluation", "policy", "train", "validation", "data")
    named = {episode_seed(stream, base, 0) for stream in streams for base in BASES}
    assert player_seed(0) not in named and len({player_seed(k) for k in range(1000)}) == 1000
    assert json.loads((tmp_path / "777" / EPISODES).read_text().splitlines()[0])["seed"] in named


# -- the whole way, as commands in processes of their own


def test_a_sealed_suite_by_the_command_line_alone(tmp_path: Path) -> None:
    """Sealed, played by agents and, through the server, by a person; submitted, revealed, verified by somebody without the secret."""
    holder, anybody = tmp_path / "holder", tmp_path / "anybody"
    holder.mkdir()
    anybody.mkdir()
    (holder / "toy.toml").write_text(TOY.replace("episodes = 25", "episodes = 3"))
    secret = ["--salt-file", holder / "secret"]

    def done(*command: object) -> str:
        found = command_line("leaderboard", *command)
        assert found.returncode == 0, found.stderr
        return found.stdout + found.stderr

    def refused(why: str, *command: object) -> None:
        found = command_line("leaderboard", *command)
        assert found.returncode in (1, 2) and why in found.stdout + found.stderr, (found.stdout, found.stderr)

    done("seal", holder / "toy.toml", "--out", holder / "sealed.toml", *secret)
    salt = (holder / "secret").read_text().strip()
    run = ["run", holder / "sealed.toml", "--out", holder / "run", "--workers", 1]
    refused("is sealed", *run)
    done(*run, *secret)
    with pytest.raises(RuntimeError, match="is sealed"):
        Server("--out", holder / "run", "--env", "lmrl/Wordle-v0")
    (holder / "other").write_text("1" * 64)
    with pytest.raises(RuntimeError, match="not that of suite"):
        Server("--out", holder / "run", "--env", "lmrl/Wordle-v0", "--salt-file", holder / "other")
    with Server("--out", holder / "run", "--env", "lmrl/Wordle-v0", *secret) as server:
        shown = server.http.get("/").text + server.http.get("/api/tasks").text
        for number in range(3):
            game = server.begin("Wordle", mode="ranked")
            shown += json.dumps(game)
            while not game["over"]:
                game = server.act(game, ["crane", "about", "world"][number])
                shown += json.dumps(game)
        assert salt not in shown + server.stderr()
        server.stop()
    played = RecordFile(holder / "run/cells/Wordle/human/seed-0").read()
    assert [record.seed for record in played] == [episode_seed("evaluation", 0, k, salt) for k in range(3)]
    expert = RecordFile(holder / "run/cells/Wordle/expert/seed-0").read()
    assert [r.info["secret"] for r in played] == [r.info["secret"] for r in expert]  # the held games, the same for all

    refused("is sealed", "submit", holder / "run", "--to", anybody)
    done("submit", holder / "run", "--to", anybody, *secret)
    (archive,) = anybody.glob("*.tar.xz")
    refused("is sealed", "verify", archive)
    refused("not that of suite", "verify", archive, "--salt-file", holder / "other")
    refused("not revealed yet", "publish", anybody, "--out", tmp_path / "pages")
    refused("not that of suite", "reveal", holder / "sealed.toml", "--salt-file", holder / "other", "--to", anybody)
    done("reveal", holder / "sealed.toml", *secret, "--to", anybody)
    (holder / "secret").unlink()
    (salt_file,) = anybody.glob("*.salt")
    assert "0 breaches" in done("verify", archive, "--salt-file", salt_file)
    done("publish", anybody, "--out", tmp_path / "pages")
    (page,) = (path.read_text() for path in (tmp_path / "pages").glob("toy-sealed*.html"))
    assert 'data-agent="human"' in page and 'data-agent="expert"' in page

    # A salt that was published is no secret any more: another suite under it is another suite.
    salt_file.write_text("2" * 64 + "\n")
    refused("not that of suite", "publish", anybody, "--out", tmp_path / "other")


def test_a_salt_that_was_revealed_seals_nothing_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither does seal take a salt that is there already, nor does a suite of another name or version fit it."""
    (tmp_path / "toy.toml").write_text(TOY)
    seal = ["leaderboard", "seal", str(tmp_path / "toy.toml"), "--salt-file", str(tmp_path / "secret"), "--out"]
    assert lmrl([*seal, str(tmp_path / "one.toml")]) == 0
    before = (tmp_path / "secret").read_text()
    assert lmrl([*seal, str(tmp_path / "two.toml")]) == 1
    assert not (tmp_path / "two.toml").exists() and (tmp_path / "secret").read_text() == before
    text = (tmp_path / "one.toml").read_text()
    other = text.replace(commitment := sha256(before.strip().encode()).hexdigest(), "0" * 64)
    assert commitment in text and other != text
    (tmp_path / "two.toml").write_text(other)
    assert run(tmp_path, "two", ["--salt-file", str(tmp_path / "secret")]) == 2
    for odd in ("", "0" * 63, "G" * 64, "0" * 64 + "\\n"):
        (tmp_path / "two.toml").write_text(text.replace(commitment, odd))
        capsys.readouterr()
        status = run(tmp_path, "two", ["--salt-file", str(tmp_path / "secret")])
        assert status == 2 and ("commitment" in (said := told(capsys)) or "is not sealed" in said)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "gone", "two lines", "upper case"])
def test_what_is_no_salt_file_is_told(
    place: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "salt"
    salt = (place / "secret").read_text().strip()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "two lines":
        path.write_text(f"{salt}\n{salt}\n")
    elif kind == "upper case":
        path.write_text(salt.upper())
    for command in (
        ["leaderboard", "verify", str(place / "sealed-run")],
        ["leaderboard", "submit", str(place / "sealed-run"), "--to", str(tmp_path)],
        ["leaderboard", "reveal", str(place / "sealed.toml"), "--to", str(tmp_path)],
        ["serve", "--out", str(place / "sealed-run"), "--port", "0"],
    ):
        capsys.readouterr()
        assert lmrl([*command, "--salt-file", str(path)]) == 2, command
        said = told(capsys)
        assert "holds no salt" in said and salt not in said and salt.upper() not in said
