"""The state machines of tests/fuzz find planted faults and make them small; what once broke the contract keeps it now."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.language import say, spoken, texts
from fuzz.machines import FUZZ, Batch, Case, Machine, OneGame, replay, run
from hypothesis import find, settings
from serving import environment

from lmrl_envs import check_text_env, task, task_ids
from lmrl_envs.contract.game import Breach
from lmrl_envs.core import MAX_ACTION_LENGTH
from lmrl_envs.maze.env import MazeEnv
from lmrl_envs.maze.vector import _MazeArrays
from lmrl_envs.wordle.env import WordleEnv

IDS = task_ids()
TESTS = Path(__file__).parent
CASES = sorted((TESTS / "data" / "fuzz").glob("*.json"))
WORDLE, MAZE = "lmrl/Wordle-v0", "lmrl/MazeFullyObserved-v0"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_once_broke_the_contract_keeps_it_now(path: Path) -> None:
    problem = replay(json.loads(path.read_text("utf-8")))
    if problem is not None:
        raise problem


# -- planted faults


def plant(monkeypatch: pytest.MonkeyPatch, fault: str) -> str:
    """Break a task; returns its id."""
    play, begin, state = WordleEnv._play, WordleEnv._begin, WordleEnv._get_game

    def shared(self: Any, action: str) -> Any:
        Shared.count += 1
        text, reward, terminated, truncated, info = play(self, action)
        return f"{text}{' ' * (Shared.count % 2)}", reward, terminated, truncated, info

    class Shared:
        count = 0

    def played(self: Any, action: str) -> Any:
        text, reward, terminated, truncated, info = play(self, action)
        if fault == "crash":
            action.encode("utf-8")
        elif fault == "reward":
            reward = -2.0 if action.startswith(" ") else reward
        elif fault == "cut":
            truncated = terminated
        elif fault == "leak" and "e" in action:
            info["hint"] = self._answers[self._secret].upper()[::-1]
        elif fault == "global":
            random.random()
        elif fault == "type":
            text = text if info["valid"] else None  # type: ignore[assignment]
        elif fault == "valid":
            info["valid"] = True
        return text, reward, terminated, truncated, info

    def forgets(self: Any) -> Any:
        return state(self) | {"secret": self._answers[0]}

    def unseeded(self: Any, options: Any) -> str:
        opening = begin(self, options)
        self._secret = np.random.default_rng().integers(len(self._answers))
        return opening

    if fault == "shared":
        monkeypatch.setattr(WordleEnv, "_play", shared)
    elif fault == "state":
        monkeypatch.setattr(WordleEnv, "_get_game", forgets)
    elif fault == "unseeded":
        monkeypatch.setattr(WordleEnv, "_begin", unseeded)
    elif fault == "endless":
        maze = MazeEnv._play

        def endless(self: Any, action: str) -> Any:
            text, reward, terminated, _, info = maze(self, action)
            return text, reward, terminated, False, info

        monkeypatch.setattr(MazeEnv, "_play", endless)
        return MAZE
    elif fault == "vector":
        arrays = _MazeArrays._play_arrays

        def wrong(self: Any, actions: Any, slots: Any) -> Any:
            texts, *rest = arrays(self, [a.replace("\t", "") for a in actions], slots)
            return [text.replace("above", "over") for text in texts], *rest

        monkeypatch.setattr(_MazeArrays, "_play_arrays", wrong)
        return MAZE
    else:
        monkeypatch.setattr(WordleEnv, "_play", played)
    return WORDLE


FAULTS = {
    "crash": "surrogates not allowed",
    "reward": "reward -2.0 is none of",
    "cut": "either terminated or truncated, not both",
    "leak": "shows before the end: reversed",
    "global": "global random state",
    "type": "not in observation_space",
    "valid": "longer than max_length must be invalid",
    "shared": "",
    "state": "the same game did not come twice",
    "unseeded": "",
    "endless": "not over after",
    "vector": "a single game",
}
"""Faults, and what is said of them. Two do not break the same way every time."""


def found(machine: type[Machine], id: str) -> tuple[Exception, Case]:
    """What a machine finds in a task, and the smallest case of it."""
    cases: list[Case] = []
    with pytest.raises(Exception) as problem:
        for seed in range(4):
            run(
                machine,
                id,
                seed=seed,
                settings=settings(FUZZ, stateful_step_count=20),
                ended=lambda case, actions: cases.append(case),
            )
    return problem.value, json.loads(json.dumps(cases[-1]))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_made_small_and_found_again(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = random.getstate()
    with monkeypatch.context() as patch:
        id = plant(patch, fault)
        problem, case = found(Batch if fault == "vector" else OneGame, id)
        if fault in ("shared", "unseeded"):
            assert any(replay(case) for _ in range(20))
        else:
            again = replay(case)
            assert type(again) is type(problem) and str(again) == str(problem)
            assert isinstance(again, UnicodeEncodeError if fault == "crash" else Breach)
            assert FAULTS[fault] in str(problem)
            assert len(case["operations"]) <= (102 if fault == "endless" else 8), case
    random.setstate(before)
    assert replay(case) is None, "the case breaks without the fault too"


@pytest.mark.parametrize("fault", FAULTS)
def test_the_checker_finds_it_too(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = random.getstate()
    id = plant(monkeypatch, fault)
    with pytest.raises((AssertionError, UnicodeEncodeError)):
        check_text_env(id)
    random.setstate(before)


# -- what is said, and the long run


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("id", IDS)
def test_what_is_said_is_of_the_task_and_everything_else(id: str) -> None:
    once = settings(FUZZ, max_examples=4000)
    for of_that_sort in (
        lambda text: text in spoken(id),
        lambda text: text == "",
        lambda text: len(text) > MAX_ACTION_LENGTH,
        lambda text: any("\ud800" <= char <= "\udfff" for char in text),
        lambda text: any("\x00" <= char < "\t" for char in text),
        lambda text: "gnore" in text,
    ):
        assert of_that_sort(find(texts(id), of_that_sort, settings=once))
    assert [say(id, random.Random(k)) for k in range(50)] == [say(id, random.Random(k)) for k in range(50)]
    assert len({say(id, random.Random(k)) for k in range(200)}) > 100


def test_the_long_run_tells_what_it_played_and_what_broke(tmp_path: Path) -> None:
    """`make fuzz`, with a task that breaks."""
    (tmp_path / "breaks.py").write_text(
        "from lmrl_envs.wordle.env import WordleEnv\n"
        "play = WordleEnv._play\n"
        "WordleEnv._play = lambda self, action: (action.encode('utf-8'), play(self, action))[1]\n"
    )
    command = [sys.executable, "-m", "pytest", str(TESTS / "fuzz"), "-p", "no:cacheprovider", "-p", "breaks"]
    command += ["--hypothesis-seed=3", "--fuzz-minutes=0.01", "-k", "OneGame and (Wordle-v0 or MazeFully)"]
    own = environment()
    own["PYTHONPATH"] = os.pathsep.join([str(tmp_path), own["PYTHONPATH"]])
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "UnicodeEncodeError" in done.stdout, done.stdout
    assert "as a case of tests/data/fuzz: {" in done.stdout
    told = [line for line in done.stdout.splitlines() if " actions in " in line]
    assert [line.split()[-1] for line in told] == ["passed", "failed", "all"]
    assert all(int(line.split()[0].replace(",", "")) > 50 for line in told)


@pytest.mark.parametrize("id", IDS)
def test_the_invariants_are_within_the_table(id: str) -> None:
    row = task(id)
    known = row.surface.invariants(row.kwargs)
    low, high = known.returns or row.return_range
    assert (low, high) == row.return_range
    assert known.rewards is None or all(low <= reward <= high for reward in known.rewards)
