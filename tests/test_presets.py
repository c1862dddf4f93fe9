"""The preset ``paper`` against Table 3 of LMRL-Gym (arXiv 2311.18232)."""

from __future__ import annotations

import pytest

from lmrl_agents.presets import load_preset

TABLE_3 = {
    # filter; MC: rate, batch, beta, gamma, conservatism; ILQL: the same and tau; PPO: rate, games, KL, cloning
    "lmrl/TwentyQuestions-v1": (
        0.1,
        (1e-4, 128, 16, 0.99, 1e-3),
        (1e-4, 128, 4, 0.99, 1e-3, 0.7),
        (1e-6, 2048, 0.01, 0),
    ),
    "lmrl/GuessMyCity-v1": (0.1, (1e-4, 128, 16, 0.99, 1e-3), (1e-4, 128, 4, 0.99, 1e-3, 0.7), (1e-6, 2048, 0.01, 0)),
    "lmrl/CarDealer-v1": (0.1, (1e-4, 128, 16, 0.99, 1e-3), (1e-4, 128, 4, 0.99, 1e-3, 0.7), (1e-6, 2048, 0.01, 0)),
    **dict.fromkeys(
        ("lmrl/MazeFullyObserved-v0", "lmrl/MazePartiallyObserved-v0"),
        ("success", (1e-4, 128, 16, 0.99, 0.5), (1e-4, 128, 16, 0.99, 0.5, 0.99), (1e-6, 512, 0.1, 0)),
    ),
    **dict.fromkeys(
        ("lmrl/TextNavFullyObserved-v0", "lmrl/TextNavPartiallyObserved-v0"),
        ("success", (1e-4, 128, 4, 0.99, 1e-3), (1e-4, 128, 1, 0.99, 1e-3, 0.7), (5e-6, 4000, 0.01, 0)),
    ),
    "lmrl/Chess-v0": ("success", (1e-4, 64, 8, 0.99, 1e-4), (1e-4, 128, 8, 0.99, 1e-4, 0.7), (1e-5, 1024, 0.01, 0)),
    "lmrl/ChessEndgames-v0": ("success", (1e-4, 64, 8, 0.99, 1), (1e-4, 128, 8, 0.99, 1, 0.7), (1e-5, 512, 0.01, 0)),
    "lmrl/Wordle-v0": (0.3, (3e-5, 32, 64, 1, 0.01), (3e-5, 32, 32, 0.99, 0.01, 0.7), (3e-5, 512, 0.001, 10)),
}


@pytest.mark.parametrize("id", TABLE_3)
def test_paper_is_table_3(id: str) -> None:
    tables = load_preset("paper", id)
    kept, mc, ilql, ppo = TABLE_3[id]

    def told(table: str, *more: str) -> tuple:
        own = tables[table]
        assert own["discount_unit"] == "token" and own["support"] == 0, (
            "no filter of support, and a discount for each token"
        )
        (beta,) = own["betas"]
        keys = ("discount", "conservatism", *more)
        return own["learning_rate"], own["batch_size"], beta, *(own[key] for key in keys)

    assert told("mc") == mc and told("ilql", "expectile") == ilql
    own = tables["filtered_bc"]
    assert (own["unit"] if "unit" in own else own["share"]) == kept
    own = tables["ppo"]
    assert (own["learning_rate"], own["episodes"], own["kl_weight"], own.get("pretraining_weight", 0)) == ppo
    assert (own["decay"], own["discount"], own["kl_stop"], own["kl_limit"]) == (0.95, 0.99, 0, 0)
    assert (tables["bc"]["learning_rate"], tables["bc"]["batch_size"]) == (1e-4, 128)
    assert tables["model"].get("dropout", 0) == 0
