"""The gold-reward laboratory: the lazy reader's hump, a cell of every method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from lmrl_benchmarks.experiments import shared
from lmrl_benchmarks.experiments.gold_lab import METHODS, run, run_way
from lmrl_benchmarks.experiments.grid import checked
from lmrl_benchmarks.experiments.shared import Settings

HEADLINE = "lmrl/Headline-v0"


def test_a_reader_who_does_not_check_is_pleased_by_invention() -> None:
    """No reward model and no error of learning, and still a hump: best of n by gold rises, by a lazy reader it falls again."""
    settings = {"env": HEADLINE, "method": "reader", "prompts": 40, "samples": 128}
    gold, lazy = (run({**settings, "reader": name}) for name in ("gold", "lazy:check=.2"))
    rising = [point[1] for point in gold["curves"]["gold"]]
    assert rising == sorted(rising) and rising[-1] > 0.95 and gold["numbers"]["over-optimised"] == 0
    assert gold["curves"]["gold"][1][0] == pytest.approx(0.1931**0.5, abs=1e-4)
    hump, told = [point[1] for point in lazy["curves"]["gold"]], lazy["numbers"]
    assert hump.index(max(hump)) in (2, 3, 4) and told["peak"] > told["start"] + 0.15
    assert told["end"] < told["peak"] - 0.15 and told["over-optimised"] == 1 and told["b"] > 0
    assert told["wrong at the end"] > 2 * told["wrong at the peak"] > 2 * gold["numbers"]["wrong at the end"]
    thought = [point[1] for point in lazy["curves"]["optimised"]]
    assert thought == sorted(thought) and abs(thought[0]) < 1e-9 < 1 < thought[-1]  # in deviations of the start
    assert gold["curves"]["roof"] == gold["curves"]["gold"] == lazy["curves"]["roof"]  # the same answers, by gold
    assert gold["numbers"]["wins over the start"] > 0.95 and 0.3 < told["wins from"] < told["wins to"] < 0.7


@pytest.mark.parametrize("method", METHODS)
def test_a_cell_of_every_method(method: str) -> None:
    settings: dict[str, Any] = {
        "env": HEADLINE, "data": "headline/suboptimal-v0", "episodes": 60, "method": method, "prompts": 4, "samples": 8, "pairs": 30,
        "width": 16, "model": {"model.layers": 1, "model.heads": 1, "reward_model.epochs": 1},
        "start": {"model.layers": 1, "model.width": 16, "model.heads": 1, "bc.steps": 4, "bc.batch_size": 16},
        "policy": {"ppo.iterations": 4, "ppo.episodes": 4, "dpo.steps": 2, "dpo.batch_size": 4, "online_dpo.iterations": 1,
                   "online_dpo.episodes": 4},
    }  # fmt: skip
    found = run(settings)
    made = shared._made.cache_info()
    run({**settings, "kl": 0.5, "beta": 0.2})
    assert shared._made.cache_info().misses == made.misses  # the clone, pairs and reward models of cells are shared
    shared._made.cache_clear()
    shared._sampled.cache_clear()
    shared._played_by_start.cache_clear()
    assert checked(found) == checked(run(settings))  # equal settings, equal cells
    told = found["numbers"]
    assert {"start", "peak", "end", "KL at the end", "wrong at the end"} <= told.keys()
    assert 0 <= told["wins from"] <= told["wins over the start"] <= told["wins to"] <= 1
    assert ("proxy at the end" in told) == ("optimised" in found["curves"]) == (method in ("reader", "best of n", "rl"))
    assert ("reliability" in found["curves"]) == (method == "best of n") and found["curves"]["roof"][0][0] == 0
    assert len(found["curves"]["gold"]) == {"dpo": 2, "online dpo": 2}.get(method, 4)


def test_accuracy_stands_beside_what_bounds_it() -> None:
    """Of a careful reader (both known from 3,000 pairs of another seed); by gold itself answers are ordered as by gold."""
    s = Settings(HEADLINE, "best of n", prompts=30, samples=8, pairs=1500, seed=1)
    samples = shared.samples_of(s)
    told = shared.agreements(s, samples.gold, samples)
    assert told["labels agree with gold"] == pytest.approx(0.855, abs=0.03)  # where gold is no tie
    assert told["Bayes"] == pytest.approx(0.832, abs=0.02)  # over all labels; those of ties are coins
    assert told["reward model agrees with gold"] == 1
    reader, gold = shared.load_labeller(s.reader), shared.load_gold(shared.labelled(s))[: shared.READ_TWICE]
    chance = np.array([reader.probability(sum(pair.first), sum(pair.second)) for pair in gold])
    assert told["annotators agree"] == pytest.approx(np.mean(chance**2 + (1 - chance) ** 2), abs=0.04)
    assert shared.agreements(s, -samples.gold, samples)["reward model agrees with gold"] == 0
    assert "Bayes" not in shared.agreements(replace(s, reader="lazy:check=.2"), samples.gold, samples)


def test_a_way_has_settings_of_its_own() -> None:
    own = {"env": HEADLINE, "method": "reader", "prompts": 4, "samples": 8}
    ways = {"kind": {"reader": "lazy:check=0"}, "gold": {"reader": "gold", "policy": {"dpo.steps": 2}}}
    given = {**own, "ways": ways, "policy": {"dpo.batch_size": 4}}
    assert (
        run_way({**given, "way": "kind"}) == run({**own, "reader": "lazy:check=0"}) != run_way({**given, "way": "gold"})
    )
    with pytest.raises(ValueError, match="is not one of kind, gold"):
        run_way({**given, "way": "odd"})


def test_cells_that_are_none() -> None:
    for settings in ({"env": HEADLINE, "method": "luck"}, {"env": HEADLINE}, {"env": HEADLINE, "method": "rl", "x": 1}):
        with pytest.raises(ValueError):
            run(settings)
    with pytest.raises(ValueError, match="only a reader"):
        run({"env": HEADLINE, "method": "reader", "reader": "groups:1*hype=1", "prompts": 1, "samples": 2})
