"""Statistics: worked examples, agreement with scipy, and intervals that cover what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmrl_benchmarks.scores.comparison import (
    NotPairable,
    improvement,
    improvement_interval,
    paired,
    profile,
    profile_band,
)
from lmrl_benchmarks.scores.statistics import (
    BOOTSTRAPS,
    _parts,
    bootstrap_interval,
    bootstrap_means,
    exceeds,
    interval,
    iqm,
    mean,
    optimality_gap,
    percentile_interval,
    run_draws,
    wilson_interval,
)


def stratified_draws(scores: list[Any], seed: int = 0, n: int = BOOTSTRAPS) -> list[np.ndarray]:
    """Draws of every task, as reports make them."""
    rng = np.random.default_rng(seed)
    return [run_draws(runs, rng, n) for runs in scores]


def stratified_interval(scores: list[Any], seed: int = 0, n: int = BOOTSTRAPS) -> tuple[float, float]:
    return interval(stratified_draws(scores, seed, n))


# The worked example of rliable (the code of arXiv 2108.13264), rows there are runs; here a list per task.
RLIABLE_X = np.array([[1, 2], [2, 2], [1, 1], [2, 1]], float).T.tolist()
RLIABLE_Y = np.array([[1, 1], [2, 2], [3, 3]], float).T.tolist()


def test_aggregates_of_the_papers_code() -> None:
    for scores, expected in ((RLIABLE_X, 1.5), (RLIABLE_Y, 2.0)):
        pooled = np.concatenate(scores)
        assert mean(pooled) == expected and iqm(pooled) == expected
    assert improvement(RLIABLE_X, RLIABLE_Y) == pytest.approx(1 / 3)
    assert improvement(RLIABLE_Y, RLIABLE_X) == pytest.approx(2 / 3)


def test_iqm_by_hand() -> None:
    assert iqm(np.array([1.0, 2.0, 3.0, 100.0])) == pytest.approx(2.5)
    assert iqm(np.array([0.0, 1, 2, 3, 4, 5, 6, 50])) == pytest.approx(3.5)
    assert iqm(np.array([[8.0, 1, 2, 3, 6], [0.0, 50, 1, 5, 3]])).tolist() == [
        11 / 3,
        3.0,
    ]  # each row is ordered and cut
    assert iqm(np.array([7.0])) == 7.0 and mean(np.array([[1.0, 3.0]])).tolist() == [2.0]


def test_iqm_is_scipys_trimmed_mean() -> None:
    from scipy.stats import trim_mean

    rng = np.random.default_rng(0)
    for n in (4, 5, 11, 100):
        values = rng.normal(size=n)
        assert iqm(values) == pytest.approx(trim_mean(values, 0.25))


def test_optimality_gap_by_hand() -> None:
    # Misses 100 by 50, 0, 0 and 110: what is above the target makes up for nothing.
    assert optimality_gap(np.array([50.0, 100.0, 300.0, -10.0])) == pytest.approx(40.0)
    assert optimality_gap(np.array([[1.0, 2.0], [3.0, 3.0]]), target=2.0).tolist() == [0.5, 0.0]


def test_probability_of_improvement_is_mann_whitneys() -> None:
    from scipy.stats import mannwhitneyu

    # The example of scipy's documentation: U = 17 of 5 * 4 pairs.
    males, females = [19, 22, 16, 29, 24], [20, 11, 17, 12]
    assert improvement([males], [females]) == pytest.approx(17 / 20)
    assert improvement([[1.0, 1.0]], [[1.0, 1.0]]) == 0.5
    rng = np.random.default_rng(2)
    for _ in range(20):
        x, y = rng.integers(6, size=7), rng.integers(6, size=4)  # with ties
        assert improvement([x], [y]) == pytest.approx(mannwhitneyu(x, y).statistic / 28)
    with pytest.raises(ValueError, match="same tasks"):
        improvement([[1.0]], [[1.0], [2.0]])


def test_profile_by_hand() -> None:
    thresholds = np.array([0.0, 1.0, 1.5, 3.0])
    # Task 1: runs 1 and 2; task 2: runs 2, 2, 4 and 1. Above 1: 1/2 and 3/4.
    assert profile([[1.0, 2.0], [2.0, 2.0, 4.0, 1.0]], thresholds) == pytest.approx([1.0, 0.625, 0.625, 0.125])
    draws = stratified_draws([[1.0, 2.0], [2.0, 2.0, 4.0, 1.0]], n=4000)
    low, high = profile_band(draws, thresholds)
    assert low[0] == high[0] == 1.0
    # Above 1 both runs of task 1 are drawn with probability 1/4: the band has to reach near 1 and near 0.
    assert low[1] <= 0.25 and high[1] >= 0.95


# -- bootstrap


def test_bootstrap_interval_is_scipys() -> None:
    from scipy.stats import bootstrap

    for values in (
        np.random.default_rng(1).exponential(size=80),
        np.random.default_rng(1).integers(3, size=80).astype(float),
    ):
        low, high = bootstrap_interval(values, seed=3, n=20_000)
        theirs = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=4).confidence_interval
        # Means of 80 integers lie on a lattice of steps of 1/80.
        assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1.01 / 80)
        assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval([3.0]) == (3.0, 3.0)


def test_bootstrap_means_have_the_spread_of_a_resampled_mean() -> None:
    values = np.array([0.0, 0.0, 0.0, 1.0, 5.0])
    drawn = bootstrap_means(values, np.random.default_rng(0), n=200_000)
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.01)
    assert drawn.std() == pytest.approx(values.std() / np.sqrt(5), abs=0.01)
    coin = bootstrap_means([0.0, 0.0, 0.0, 1.0], np.random.default_rng(0), n=200_000)
    assert coin.mean() == pytest.approx(0.25, abs=0.01) and coin.std() == pytest.approx((3 / 64) ** 0.5, abs=0.01)


def test_stratified_bootstrap_keeps_tasks_apart() -> None:
    # No spread within the tasks: the difference between them is no uncertainty.
    assert stratified_interval([[1.0, 1.0], [9.0, 9.0]]) == (5.0, 5.0)
    low, high = stratified_interval([[0.0, 2.0], [10.0, 10.0]], n=4000)
    assert (low, high) == (5.0, 6.0)


def _covered(hits: int, trials: int, level: float = 0.95) -> bool:
    """Whether the share of hits is the level, within four standard errors of the simulation and the bootstrap's own lag."""
    error = (level * (1 - level) / trials) ** 0.5
    return abs(hits / trials - level) < 4 * error + 0.03


def test_stratified_intervals_cover() -> None:
    # 8 tasks of other means and spreads, 10 runs each; the truth of the pooled mean is known.
    rng = np.random.default_rng(11)
    centres, spreads = np.arange(8) * 10.0, 1.0 + np.arange(8)
    hits = 0
    for trial in range(400):
        scores = rng.normal(centres[:, None], spreads[:, None], size=(8, 10))
        low, high = stratified_interval(list(scores), seed=trial, n=500)
        hits += low <= centres.mean() <= high
    assert _covered(hits, 400), hits / 400


def test_episode_intervals_cover() -> None:
    rng = np.random.default_rng(12)
    hits = 0
    for trial in range(400):
        returns = -rng.geometric(0.3, size=200).astype(float)
        low, high = bootstrap_interval(returns, seed=trial, n=500)
        hits += low <= -1 / 0.3 <= high
    assert _covered(hits, 400), hits / 400


def test_improvement_intervals_cover() -> None:
    # X ~ N(1, 1), Y ~ N(0, 1) on each of 6 tasks: P(X > Y) = Phi(1 / sqrt 2) = .7602.
    rng = np.random.default_rng(13)
    hits = 0
    for trial in range(300):
        x, y = rng.normal(1.0, 1.0, size=(6, 10)), rng.normal(0.0, 1.0, size=(6, 10))
        low, high = improvement_interval(
            stratified_draws(list(x), 2 * trial, 400), stratified_draws(list(y), 2 * trial + 1, 400)
        )
        hits += low <= 0.7602 <= high
    assert _covered(hits, 300), hits / 300


def test_few_runs_are_too_few() -> None:
    """Why the report marks intervals over fewer than five seeds: with two runs they cover far less than 95 %."""
    rng = np.random.default_rng(14)
    hits = 0
    for trial in range(300):
        low, high = stratified_interval([rng.normal(size=2)], seed=trial, n=300)
        hits += low <= 0.0 <= high
    assert hits / 300 < 0.7


def test_interval_of_any_aggregate() -> None:
    draws = stratified_draws([[50.0, 150.0], [100.0, 100.0]], n=4000)
    assert interval(draws, optimality_gap) == (0.0, 25.0)


# -- pairs


def test_pairing_removes_what_the_games_share() -> None:
    rng = np.random.default_rng(5)
    hard = rng.normal(0.0, 10.0, size=400)  # how hard the game is, for everybody
    x = {seed: float(value) + 1.0 for seed, value in enumerate(hard)}
    y = {
        seed: float(value) + float(noise)
        for seed, (value, noise) in enumerate(zip(hard, rng.normal(0, 1, 400), strict=True))
    }
    found = paired(x, y)
    assert found.low < 1.0 < found.high and found.low > 0.5 and found.episodes == 400
    assert found.difference == pytest.approx(np.mean([x[s] - y[s] for s in x]))
    back = paired(y, x)
    assert back.difference == pytest.approx(-found.difference) and back.wins == pytest.approx(1 - found.wins)


def test_paired_by_hand() -> None:
    found = paired({1: 0.0, 2: 0.0, 3: 1.0}, {3: 0.0, 2: 0.0, 1: 1.0})
    assert (found.difference, found.wins) == (0.0, 0.5)
    same = paired({1: 2.0, 2: 2.0}, {1: 1.0, 2: 1.0})
    assert (same.difference, same.low, same.high, same.wins) == (1.0, 1.0, 1.0, 1.0)


def test_other_seeds_are_not_paired() -> None:
    with pytest.raises(NotPairable, match="of 2 and 2 evaluation seeds 1 are the same"):
        paired({1: 0.0, 2: 0.0}, {2: 0.0, 3: 0.0})
    assert paired({1: 0.0, 2: 3.0}, {2: 1.0}).difference == 2.0  # who played fewer is compared on what both played
    with pytest.raises(NotPairable, match="no episodes"):
        paired({}, {})


def test_paired_intervals_cover() -> None:
    rng = np.random.default_rng(15)
    hits = 0
    for trial in range(300):
        hard = rng.normal(size=100)
        x, y = hard + rng.exponential(1.0, 100), hard + rng.exponential(0.5, 100)
        found = paired(dict(enumerate(x)), dict(enumerate(y)), seed=trial, n=400)
        hits += found.low <= 0.5 <= found.high
    assert _covered(hits, 300), hits / 300


def test_ends_of_intervals_by_hand() -> None:
    assert percentile_interval(np.arange(1001.0)) == (25.0, 975.0)
    assert [_parts(10, 4_000_000 // 3), _parts(9, 4_000_000 // 3), _parts(2, 10**9)] == [
        [3, 3, 3, 1],
        [3, 3, 3],
        [1, 1],
    ]
    assert wilson_interval(0, 0) == (0.0, 1.0)
    # Wilson's formula at z = 2 for 1 of 4: (1/4 + 1/2 -+ 2 sqrt(3/64 + 1/16)) / 2, that is 0.375 -+ 0.359... / 1
    half = 2 * (3 / 64 + 1 / 16) ** 0.5 / 2
    middle = (0.25 + 0.5) / 2
    assert wilson_interval(1, 4, 2.0) == pytest.approx((middle - half, middle + half))
    for n in range(1, 200):  # exactly, with no sliver by rounding (as for 125 and 161)
        assert wilson_interval(0, n)[0] == 0.0 and wilson_interval(n, n)[1] == 1.0
    assert wilson_interval(0, 10)[1] == pytest.approx(0.27753, abs=1e-5)
    assert wilson_interval(10, 10)[0] == pytest.approx(1 - 0.27753, abs=1e-5)


def test_above_the_optimum_by_more_than_chance() -> None:
    assert not exceeds(np.full(16, 3.0), 2.0)  # each by 1: 16 / sqrt(16) is 4, and no more
    assert exceeds(np.full(17, 3.0), 2.0) and exceeds(np.full(17, 4.0), 2.0) and exceeds(np.full(17, 2.5), 2.0)
    assert exceeds(np.full(17, 2.01), 2.0)  # however little
    assert not exceeds(np.full(17, 1.0), 2.0) and not exceeds(np.full(17, 2.0), 2.0)
    assert not exceeds(np.array([3.0] * 17 + [-8.0]), 2.0)


def test_intervals_are_the_same_on_every_page() -> None:
    """2,000 resamples from seed 0 unless something else is asked for."""
    values = np.random.default_rng(5).normal(size=37)
    assert bootstrap_interval(values) == bootstrap_interval(values, 0, 2000)
    assert bootstrap_interval(values) not in (bootstrap_interval(values, 1), bootstrap_interval(values, 0, 1999))
