"""Every game of another suite that can be played here keeps the contract, and its records replay."""

from __future__ import annotations

import os
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import lmrl_envs
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.verify import verify_records
from lmrl_benchmarks.scores.references import scale_of
from lmrl_datasets import generate, load_dataset
from lmrl_envs.tasks import register_task
from lmrl_foreign import ROWS

GAMES = int(os.environ.get("LMRL_GAMES", "50"))
SLOW = "TextWorld-QuestLong"
SOURCE = os.environ.get("LMRL_SOURCE", "")  # toy_text, reasoning, textarena, gem or textworld: which must be there

for row in ROWS:
    register_task(row)
IDS = [row.id for row in ROWS if row.kwargs["game"].startswith(SOURCE)]


def test_there_are_over_twenty_games_of_five_sources() -> None:
    assert len(ROWS) >= 20 and len({row.kwargs["game"].partition(":")[0] for row in ROWS}) == 5 and IDS


def here(id: str) -> None:
    try:
        gymnasium.make(id).close()
    except gymnasium.error.DependencyNotInstalled as problem:
        if SOURCE:
            raise
        pytest.skip(str(problem))


@pytest.mark.parametrize("id", IDS)
def test_the_contract_holds(id: str) -> None:
    here(id)
    lmrl_envs.check_text_env(id, episodes=2)


@pytest.mark.parametrize("id", IDS)
def test_better_players_earn_more_and_records_replay(id: str, tmp_path: Path) -> None:
    here(id)
    means, doubts = {}, {}
    for agent in ("random", "expert"):
        summary = evaluate(EvaluationSpec(id, agent, GAMES), tmp_path / agent)
        assert summary["errors"] == 0 and list(verify_records(tmp_path / agent)) == []
        means[agent] = summary["return_mean"]
        doubts[agent] = summary["return_ci95"][1] - summary["return_ci95"][0]
    assert means["expert"] >= means["random"], means
    scale = scale_of(id, {})  # measured on other games of the task
    if scale is None:
        assert SLOW in id  # a step takes 70 ms: nobody measured enough games
    for agent, reference in (("random", scale.random), ("expert", scale.optimum)) if scale else ():
        by_chance = 2 * doubts[agent] + 0.15 * (scale.optimum - scale.random)
        assert abs(means[agent] - reference) < by_chance, (agent, means[agent], reference)
    low, high = lmrl_envs.task(id).return_range
    assert low <= means["random"] and means["expert"] <= high


@pytest.mark.parametrize("id", [IDS[0], IDS[-1]])
def test_datasets_replay(id: str, tmp_path: Path) -> None:
    here(id)
    data = load_dataset(generate(f"{lmrl_envs.task(id).family}/suboptimal-v0", tmp_path / "data", episodes=20))
    data.verify(replay=True)
    assert np.isfinite(data.returns).all()
