"""What datasets cover: by hand on small ones, and what the shipped ones are for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from lmrl_datasets import Dataset, load_dataset, read_jsonl
from lmrl_datasets.coverage import coverage, in_words
from lmrl_datasets.reading.finding import samples
from lmrl_envs import Transcript, make_policy, task, task_ids
from lmrl_envs.maze.rules import MOVES, named_maze

MAZE = "lmrl/MazeFullyObserved-v0"


def maze_episodes(tmp_path: Path, games: Sequence[tuple[tuple[int, int], str]]) -> Dataset:
    """A dataset of games: (start, moves as letters)."""
    moves = {"u": "move up", "d": "move down", "l": "move left", "r": "move right"}
    env: Any = gymnasium.make(MAZE).unwrapped
    lines = []
    for number, (start, letters) in enumerate(games):
        env.reset(seed=number, options={"start": list(start)})
        info: dict[str, Any] = {}
        terminated = truncated = False
        for letter in letters:
            _, _, terminated, truncated, info = env.step(moves[letter])
        episode = {
            "env_id": MAZE,
            "seed": number,
            "options": {"start": list(start)},
            "observations": env.transcript.observations,
            "actions": env.transcript.actions,
            "rewards": env.transcript.rewards,
            "terminated": terminated,
            "truncated": not terminated,
            "stopped": not (terminated or truncated),
            "success": info.get("success", False),
        }
        lines.append(json.dumps(episode))
    (tmp_path / "games.jsonl").write_text("\n".join(lines) + "\n")
    return load_dataset(read_jsonl(tmp_path / "games.jsonl", tmp_path / "games", "maze/byhand-v0"))


def test_facts_of_a_handful_of_games(tmp_path: Path) -> None:
    # From (6, 6) two of six go down; from (5, 6), above it, all go down and stop there: nobody walks the whole way.
    data = maze_episodes(
        tmp_path, [((6, 6), "dd"), ((6, 6), "dd"), *[((6, 6), "uuuuu")] * 4, ((5, 6), "d"), ((5, 6), "d")]
    )
    data.verify(replay=True)
    facts = coverage(data)
    assert facts["start_states"] == facts["openings"] == 2 and facts["start_states_solved"] == 1
    assert facts["best_return"] == -1  # two moves, the last of them free
    # Up from (6, 6), then up from (5, 6) and (4, 6)... hits the wall above (5, 6): 5 moves, none of them best.
    assert facts["actions_judged"] == 26 and facts["best_action_share"] == pytest.approx(6 / 26)
    assert facts["repeated_share"] == pytest.approx(24 / 26)  # (7, 6) is seen twice only
    assert facts["majority_best_share"] == 0 and facts["best_seen_share"] == 1
    returns = facts["returns"]
    assert facts["starts_played"] == 2 and facts["starts_improved"] == 1
    assert returns["majority"] == -100 and returns["stitcher"] == returns["expert"] == pytest.approx(-1.5)
    assert returns["best_episode"] == (-1 + -5) / 2  # from (5, 6) none was finished: it counts as the lowest return
    assert any("Greedy BC is not optimal" in line for line in in_words(facts))


def test_optimal_majorities_are_called_so(tmp_path: Path) -> None:
    facts = coverage(maze_episodes(tmp_path, [((6, 6), "dd")] * 5 + [((6, 6), "udd")] * 0 + [((7, 6), "d")] * 5))
    assert facts["majority_best_share"] == 1 and facts["returns"]["majority"] == facts["returns"]["expert"]
    assert any("already optimal" in line for line in in_words(facts))


@pytest.mark.parametrize(
    ("name", "optimal_copy"),
    [("maze/mixed-v0", True), ("maze/stitch-v0", False), ("text_nav/mixed-v0", True), ("text_nav/stitch-v0", False)],
)
def test_stitching_data_have_the_wrong_majority_and_all_that_is_needed(name: str, optimal_copy: bool) -> None:
    facts = load_dataset(name, sample=True).manifest["coverage"]
    returns = facts["returns"]
    assert returns["stitcher"] == pytest.approx(returns["expert"])
    assert facts["best_seen_share"] > 0.95
    assert (returns["majority"] == pytest.approx(returns["expert"])) is optimal_copy
    if not optimal_copy:
        assert facts["majority_best_share"] < 0.5
        assert returns["majority_of_successes"] < returns["stitcher"]


@pytest.mark.parametrize("name", samples())
def test_every_sample_has_its_facts(name: str) -> None:
    data = load_dataset(name, sample=True)
    facts = data.manifest["coverage"]
    assert 1 <= facts["start_states_solved"] <= facts["start_states"] <= facts["episodes"] == len(data)
    has_expert = task(data.env_id).reference.optimum_is == "exact"
    assert (facts["best_action_share"] is not None) >= has_expert
    assert len(list(in_words(facts))) >= 3


@pytest.mark.parametrize("id", [id for id in task_ids() if not task(id).extra or task(id).extra == "textworld"])
def test_experts_call_their_own_actions_best(id: str) -> None:
    judge: Any = make_policy(id, "expert")
    if not hasattr(judge, "is_best"):
        pytest.skip("the expert's own action is the only one that counts")
    env: Any = gymnasium.make(id).unwrapped
    known = 0
    for seed in range(1 if id == "lmrl/Chess-v0" else 4):
        env.reset(seed=seed)
        expert, over = make_policy(id, "expert", seed=seed), False
        while not over and env.turn < 12:
            action = expert.act(env.transcript)
            verdict = judge.is_best(env.transcript, action)
            assert verdict is not False, (env.transcript.as_text(), action)
            known += verdict is True
            assert not judge.is_best(env.transcript, "no such action")
            _, _, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
    assert known or id == "lmrl/Chess-v0"


def test_ties_are_known() -> None:
    maze, medium = make_policy(MAZE, "expert", layout="medium"), named_maze("medium")
    judge: Any = maze
    tied = 0
    for cell in medium.starts:
        one = Transcript.from_texts([medium.position_text[cell]], [])
        best = [way for way in MOVES if judge.is_best(one, way)]
        assert best and all(medium.distance[medium.next_cell[way][cell]] < medium.distance[cell] for way in best)
        tied += len(best) > 1
    assert tied
    blind: Any = make_policy("lmrl/MazePartiallyObserved-v0", "expert")
    stem = Transcript.from_texts(["There are walls to your right, to your left."], [])
    assert blind.is_best(stem, "move up") is False or blind.is_best(stem, "move down") is False
    questions: Any = make_policy("lmrl/TwentyQuestions-v1", "expert")
    opening = Transcript.from_texts(["Questions:"], [])
    assert not questions.is_best(opening, "Is it a dog?") and not questions.is_best(
        opening, "Is it an octopus's garden?"
    )
    city: Any = make_policy("lmrl/GuessMyCity-v1", "expert", answers="open")
    assert (
        city.is_best(opening, "What are its most famous landmarks?")
        and city.is_best(opening, "Is it in Asia?") is False
    )
    assert city.is_best(opening, "Is it Paris?") is False
    city = make_policy("lmrl/GuessMyCity-v1", "expert")
    assert city.is_best(opening, city.act(opening)) and not city.is_best(opening, "Is it in Tasmania?")
    assert not city.is_best(opening, "Is it Paris?") and not city.is_best(opening, "Is it where I live?")
