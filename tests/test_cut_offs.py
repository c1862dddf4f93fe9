"""Recordings that were cut off are no finished games: returns, critics' start and filters; and what follows exactly for the maze."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from lmrl_agents.algorithms import filtered_bc, mc
from lmrl_agents.learning.offline import mean_value, share_of_the_cut
from lmrl_agents.learning.returns import returns_to_go
from lmrl_agents.models.steps import StepStore
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_datasets import load_dataset
from lmrl_envs import task


def store(*games: tuple[list[float], bool]) -> StepStore:
    """Games of one-token actions: rewards, and whether the game was cut off."""
    episodes = []
    for i, (rewards, cut) in enumerate(games):
        seen = [(10 + i, k) for k in range(len(rewards) + cut)]
        actions = [(20 + k,) for k in range(len(rewards))]
        episodes.append(TokenEpisode(seen, actions, rewards, terminated=not cut, truncated=cut))
    return StepStore.of(episodes, TextFormat(max_tokens=64, max_action_tokens=4), 0)


def test_what_was_not_seen_of_a_cut_off_game_counts_by_its_distance() -> None:
    steps = store(([-1.0, -1.0, 0.0], False), ([-1.0, -1.0], True))
    assert steps.cut_off.tolist() == [False] * 3 + [True] * 2
    assert share_of_the_cut(steps, 0.5).tolist() == [0, 0, 0, 0.25, 0.5]
    # Seen: -1.5, -1, 0, -1.5, -1 (mean -1); unseen: .15 of the mean value on average: v = -1 + .15 v.
    assert returns_to_go(steps.reward, steps.last, 0.5).tolist() == [-1.5, -1, 0, -1.5, -1]
    assert mean_value(steps, 0.5, (-100.0, 0.0)) == pytest.approx(-1 / 0.85)
    assert mean_value(steps, 0.5, (-1.1, 0.0)) == -1.1


def test_returns_go_on_after_a_cut_with_the_value_there() -> None:
    steps = store(([-1.0, 0.0], False), ([-1.0, -1.0], True), ([-2.0], True))
    returns, shares = returns_to_go(steps.reward, steps.last, 0.5), share_of_the_cut(steps, 0.5)
    asked = []

    def value_after(ends: np.ndarray) -> np.ndarray:
        asked.append(ends.tolist())
        return -10.0 * ends  # -30 after step 3, -40 after step 4

    goals = mc.goals_of(steps, np.array([4, 2, 0, 3, 2]), returns, shares, value_after)
    assert asked == [[3, 4]]  # each end once, and no finished game's
    assert goals.tolist() == [-2 - 20, -1.5 - 7.5, -1, -1 - 15, -1.5 - 7.5]
    assert mc.goals_of(steps, np.array([2]), returns, 0 * shares, value_after).tolist() == [-1.5]


def test_filters_leave_cut_off_games_out() -> None:
    steps = store(([-1.0] * 4 + [0.0], False), ([-1.0], True), ([-1.0] * 8 + [0.0], False))
    Config = filtered_bc.Config
    kept, least = filtered_bc.chosen_steps(steps, Config(share=0.4), 0)
    assert set(steps.episode[kept]) == {0}
    assert least == -4
    kept, least = filtered_bc.chosen_steps(steps, Config(share=0.4, cut_offs="score"), 0)
    assert set(steps.episode[kept]) == {1}
    kept, _ = filtered_bc.chosen_steps(steps, Config(unit="turn", share=0.2), 0)
    assert 1 not in steps.episode[kept]
    kept, _ = filtered_bc.chosen_steps(steps, Config(unit="success"), 0, np.array([False, False, True]))
    assert set(steps.episode[kept]) == {2}
    with pytest.raises(ValueError, match="no episode of the data succeeds"):
        filtered_bc.chosen_steps(steps, Config(unit="success"), 0, np.zeros(3, bool))
    # Data of nothing but cut-offs are scored by what was seen: there is nothing else.
    only = store(([-1.0, -1.0], True), ([-1.0], True))
    assert set(only.episode[filtered_bc.chosen_steps(only, Config(share=0.5), 0)[0]]) == {1}


# -- the maze, exactly

Table = dict[tuple[Any, str], float]


def counted(
    name: str,
) -> tuple[dict[Any, dict[str, list[tuple[float, Any]]]], list[list[tuple[Any, str, float]]], list[Any]]:
    """Transitions by state and move, games as (state, move, reward), and the state each was cut off in (None: finished)."""
    seen: dict[Any, dict[str, list[tuple[float, Any]]]] = defaultdict(lambda: defaultdict(list))
    games, cuts = [], []
    for episode in load_dataset(name, sample=True):
        transcript = episode.transcript
        places = [_place(text) for text in transcript.observations]
        game = []
        for k, (move, reward) in enumerate(zip(transcript.actions, transcript.rewards, strict=True)):
            done = episode.terminated and k == len(transcript.actions) - 1
            seen[places[k]][move].append((reward, None if done else places[k + 1]))
            game.append((places[k], move, reward))
        games.append(game)
        cuts.append(None if episode.terminated else places[-1])
    return seen, games, cuts


def _place(text: str) -> Any:
    found = re.search(r"position is at position (\d+), (\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def greedy_return(q: Table, seen: Any, starts: list[Any]) -> float:
    """Mean return over all starts of the moves of the greatest value among those the data takes at least one time in fifty."""
    policy = {}
    for place, moves in seen.items():
        total = sum(map(len, moves.values()))
        allowed = [move for move in moves if len(moves[move]) >= 0.02 * total]
        policy[place] = max(allowed, key=lambda move: q[place, move])
    returns = []
    for start in starts:
        place, total = start, 0.0
        for _ in range(100):
            reward, place = seen[place][policy[place]][0]
            total += reward
            if place is None:
                break
        returns.append(total)
    return float(np.mean(returns))


@pytest.mark.parametrize(("name", "censored"), [("maze/mixed-v0", -12.0), ("maze/stitch-v0", -40.0)])
def test_one_step_of_improvement_is_optimal_once_cut_offs_are_bootstrapped(name: str, censored: float) -> None:
    """The data policy's Q, with what follows after cut-offs, is enough on both mazes; without it, MC's returns mislead."""
    seen, games, cuts = counted(name)
    starts = [place for place in seen if place is not None]
    assert len(starts) == 25
    # Exact policy evaluation of the data's policy, whose moves are counts and whose transitions are always the same.
    shares = {place: {move: len(found) for move, found in moves.items()} for place, moves in seen.items()}
    row = {place: i for i, place in enumerate(seen)}
    chances, paid = np.zeros((len(row), len(row))), np.zeros(len(row))
    for place, moves in shares.items():
        for move, count in moves.items():
            reward, to = seen[place][move][0]
            chance = count / sum(moves.values())
            paid[row[place]] += chance * reward
            if to in row:
                chances[row[place], row[to]] += chance
    value = np.linalg.solve(np.eye(len(row)) - chances, paid)
    q: Table = {
        (place, move): found[0][0] + (value[row[found[0][1]]] if found[0][1] in row else 0.0)
        for place, moves in seen.items()
        for move, found in moves.items()
    }
    optimum = task("lmrl/MazeFullyObserved-v0").reference
    assert optimum is not None
    assert greedy_return(q, seen, starts) == pytest.approx(optimum.optimum, abs=1e-9)
    # What Monte-Carlo returns say when a cut-off recording is taken for a finished game.
    sums: dict[Any, list[float]] = defaultdict(list)
    for game in games:
        ahead = 0.0
        for place, move, reward in reversed(game):
            ahead += reward
            sums[place, move].append(ahead)
    mean = {key: float(np.mean(returns)) for key, returns in sums.items()}
    assert greedy_return(mean, seen, starts) < censored
    assert sum(cut is not None for cut in cuts) > 0.8 * len(cuts)
