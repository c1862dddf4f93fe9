"""Pages of experiments: every figure that cells told of and no other, known peaks, reliability and win rates by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmrl_agents.algorithms.reward_model import accuracy
from lmrl_benchmarks.experiments import grid
from lmrl_benchmarks.experiments.figures import figures
from lmrl_benchmarks.experiments.page import as_text, shown, write_page
from lmrl_benchmarks.experiments.shared import won
from lmrl_benchmarks.experiments.told import labels, mean_curve, reliability_of
from lmrl_benchmarks.scores.comparison import wins
from lmrl_benchmarks.scores.overoptimisation import best_of_n_means, in_deviations, standings

TOML = """name = "planted <i>"
kind = "experiment"
version = 1
description = "All & <b>everything</b>."
run = "nowhere:run"
[grid]
method = ["best of n", "<script>$x^$"]
pairs = [300, 3000]
seed = [0, 1]
"""


def planted(out: Path, result: Any, toml: str = TOML) -> str:
    """The page of an experiment whose cells are given."""
    (out / "cells").mkdir(parents=True)
    (out / "experiment.toml").write_text(toml)
    own = grid.find(str(out / "experiment.toml"))
    assert own is not None
    for cell in own.cells():
        kept = {"cell": cell, "result": result(cell)}
        (out / "cells" / f"{grid.cell_name(cell)}.json").write_text(json.dumps(kept))
    return write_page(own, out, out / "page.html").read_text()


def hump(cell: dict[str, Any]) -> dict[str, Any]:
    """Gold .3 + d (.8 - .2 d): its peak of 1.1 is at 2, and at 3 it is back at .9. One seed stopped early."""
    points = 13 - 2 * (cell["seed"] if cell["pairs"] == 3000 else 0)
    d = np.arange(points) / 4

    def along(values: Any) -> list[list[float]]:
        return np.stack([d, np.broadcast_to(values, d.shape)], axis=1).tolist()

    numbers = {
        "start": 0.3, "peak": 1.1, "end": 0.9, "KL at the end": 9.0, "accuracy": 0.7, "labels agree with gold": 0.85, "Bayes": 0.83,
        "annotators agree": 0.75,
    }  # fmt: skip
    curves = {"gold": along(0.3 + d * (0.8 - 0.2 * d)), "optimised": along(d), "roof": along(0.3 + d),
              "reliability": [[0.25, 0.3, 40], [0.75, 0.7, 60]], "something else": along(1.0)}  # fmt: skip
    return {"numbers": numbers, "curves": curves}


def test_a_page_has_a_figure_for_all_that_was_told(tmp_path: Path) -> None:
    page = planted(tmp_path, hump)
    for title in (
        "Gold and proxy",
        "The frontier",
        "Over labels spent",
        "Accuracy and its ceilings",
        "Reliability",
        "Curves",
    ):
        assert f"<h2>{title}</h2>" in page and f'aria-label="{title}"' in page
    assert page.count("<svg") == 6 and page.count("peak 1.10") == 4
    assert page.count("\N{MINUS SIGN}0.20") == 2  # where both seeds went to 3; where one stopped at 2.5 the mean does
    assert page.count("\N{MINUS SIGN}0.05") == 2
    for name in ("roof", "fit d (a - b d)", "fit d (a - b log d)", "proxy, in standard deviations of the start", "Bayes",
                 "annotators agree", "gold at the end", "(200 labels)"):  # fmt: skip
        assert name in page
    assert "<script" not in page and "<b>" not in page and "<i>" not in page and "&lt;script&gt;$x^$" in page


def test_what_was_not_told_is_not_drawn(tmp_path: Path) -> None:
    one = planted(tmp_path / "numbers", lambda cell: {"numbers": {"y": 1.0}})
    assert "<svg" not in one and one.count("<td>1 ± 0</td>") == 4
    two = planted(tmp_path / "curve", lambda cell: {"numbers": {}, "curves": {"gold": [[1, 1.0], [2, 3.0]]}})
    assert two.count("<svg") == 1 and "<h2>Curves</h2>" in two  # gold over something else than KL
    points = planted(tmp_path / "points", lambda cell: {"numbers": {"gold": 1.0, "KL": 4.0}})
    assert points.count("<svg") == 2 and "<h2>The frontier</h2>" in points and "<h2>Over labels spent</h2>" in points
    before_and_after = {"gold": [[0, 0.3], [2, 0.6]], "roof": [[0, 0.3], [1, 0.8]]}
    straight = planted(
        tmp_path / "straight", lambda cell: {"numbers": {"KL at the end": 4.0}, "curves": before_and_after}
    )
    assert (
        straight.count("<svg") == 1 and "roof: the best of n by gold" in straight and "Gold and proxy" not in straight
    )
    assert figures({}, ["x"]) == [] and len(figures({(): [hump({"pairs": 0, "seed": 0})]}, [])) == 4


def test_a_number_that_a_cell_does_not_tell_is_no_number(tmp_path: Path) -> None:
    def told(cell: dict[str, Any]) -> dict[str, Any]:
        kind = "a" if cell["pairs"] == 300 else "b"
        wide = {f"{kind} {place}": 1 / 3 + 1e-17 * cell["seed"] for place in range(10)}
        return {"numbers": {"harmed": 0.0, **wide}}

    page = planted(tmp_path, told)
    assert (
        "nan" not in page
        and "e-" not in re.findall("<td>0.333 (.*?)</td>", page)[0]
        and "red" not in re.findall(r'<td class="(\w+)">', page)
    )
    own = grid.find(str(tmp_path / "experiment.toml"))
    assert own is not None
    text = as_text(own, tmp_path)
    assert text.count("\n  a 3: 0.333 ± 0") == 2 and "nan" not in text
    assert text.split("\n")[0] == "method best of n, pairs 300, seeds 2"


def test_settings_are_told_as_settings_and_mixes_as_weights() -> None:
    assert (
        shown({"reward_model.epochs": 6, "reward_model.keep_best": False})
        == "reward_model.epochs 6, reward_model.keep_best False"
    )
    assert shown({"question": 0.3, "laughter": 1}) == "0.3 question + 1 laughter"


def test_groups_are_called_by_what_differs() -> None:
    groups: dict[tuple[str, ...], list[Any]] = {("rl", "16", "300"): [], ("rl", "32", "300"): []}
    assert list(labels(groups, ["method", "width", "pairs"]).values()) == ["width 16", "width 32"]
    assert list(labels({("rl", "16"): []}, ["method", "width"]).values()) == ["rl, width 16"]


def test_a_mean_goes_as_far_as_all_seeds_do() -> None:
    found = mean_curve([np.array([[0.0, 0.0], [1.0, 2.0], [9.0, 9.0]]), np.array([[0.0, 1.0], [3.0, 4.0]])])
    assert found.tolist() == [[0.0, 0.5], [2.0, 3.0]]


def test_who_foretells_what_comes_is_on_the_diagonal() -> None:
    rng = np.random.default_rng(0)
    chance = rng.random(60_000)
    told = accuracy(chance, (rng.random(60_000) < chance).astype(float))
    foretold, observed, count = np.array(told["reliability"]).T
    assert len(foretold) == 10 and observed == pytest.approx(foretold, abs=0.03) and count.sum() == 60_000
    assert told["calibration_error"] < 0.02 and told["accuracy"] == pytest.approx(0.75, abs=0.01)
    boastful = accuracy(np.array([0.9, 0.9, 0.9, 0.9, 0.1]), np.array([1.0, 0.0, 0.0, 1.0, 0.0]))
    assert boastful["reliability"] == [[pytest.approx(0.1), 0.0, 1], [pytest.approx(0.9), 0.5, 4]]
    assert boastful["calibration_error"] == pytest.approx((0.4 * 4 + 0.1) / 5)


def test_held_out_labels_of_seeds_are_one_heap() -> None:
    """By hand: the tenth of .2 has (.2, 0, 1 label) and (.28, .5, 3 labels); tenths that a seed has not are another's."""
    seeds = [
        {"curves": {"reliability": [[0.2, 0.0, 1]]}},
        {"curves": {"reliability": [[0.28, 0.5, 3], [1.0, 1.0, 2]]}},
        {"curves": {}},
    ]
    assert reliability_of(seeds) == pytest.approx(np.array([[0.26, 0.375, 4], [1.0, 1.0, 2]]))
    assert reliability_of([{"curves": {"reliability": [[0.5, 0.5], [0.55, 0.7]]}}]) == pytest.approx(
        np.array([[0.525, 0.6, 2]])
    )


def test_wins_count_ties_half() -> None:
    assert wins([1.0, 2.0, 0.0, 0.1 + 0.2], [1.0, 1.0, 3.0, 0.3]).tolist() == [0.5, 1.0, 0.0, 0.5]
    gold = np.array([[0.0, 1.0, 1.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
    assert standings(gold).tolist() == [[0.125, 0.5, 0.5, 0.875], [0.5] * 4]
    told = best_of_n_means(gold, standings(gold), [1, 4])
    assert told == pytest.approx(np.array([[0.5, 0.875], [0.5, 0.5]]))  # the start against itself is even
    assert won(np.full(20, 0.5)) == {"wins over the start": 0.5, "wins from": 0.5, "wins to": 0.5}
    told = won(np.repeat([1.0, 0.5, 0.0], [60, 20, 20]))
    assert (
        told["wins over the start"] == pytest.approx(0.7)
        and 0.58 < told["wins from"] < 0.66 < 0.74 < told["wins to"] < 0.82
    )


def test_a_proxy_is_told_in_deviations_of_the_start() -> None:
    assert in_deviations(np.array([3.0, 5.0]), np.array([1.0, 5.0])).tolist() == [0.0, 1.0]
    assert in_deviations(np.array([3.0]), np.array([2.0, 2.0])).tolist() == [1.0]
