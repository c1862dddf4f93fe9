"""Best of n and the KL-regularised optimum on answers that can be listed: hand-computed numbers, and enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lmrl_agents.playing.best_of_n import best_of_n, best_of_n_kl, kl, kl_regularised_optimum


@pytest.mark.parametrize(("n", "divergence", "gold"), [(2, 0.140638, 0.26), (4, 0.559751, 0.0644), (16, 1.469645, -0.457791)])  # fmt: skip
def test_three_answers_by_hand(n: int, divergence: float, gold: float) -> None:
    reference = [0.5, 0.3, 0.2]
    policy = best_of_n(reference, [1, 2, 3], n)
    assert n != 2 or policy == pytest.approx([0.25, 0.39, 0.36])
    assert kl(policy, reference) == pytest.approx(divergence, abs=1e-6)
    assert policy @ [0.2, 1, -0.5] == pytest.approx(gold, abs=1e-6)


def test_ties_and_answers_that_are_never_given_as_by_enumeration() -> None:
    reference, scores = np.array([0.4, 0.1, 0.0, 0.3, 0.2]), np.array([1.0, 3.0, 9.0, 3.0, -2.0])
    for n in (1, 2, 3):
        counted = np.zeros(5)
        for drawn in itertools.product(range(5), repeat=n):
            best = [answer for answer in drawn if scores[answer] == max(scores[a] for a in drawn)]
            for answer in best:
                counted[answer] += reference[list(drawn)].prod() / len(best)
        assert best_of_n(reference, scores, n) == pytest.approx(counted)


def test_the_divergence_without_ties_is_a_bound_that_many_answers_approach() -> None:
    assert [best_of_n_kl(n) for n in (1, 2, 4, 8, 16, 256)] == pytest.approx(
        [0, 0.1931, 0.6363, 1.2044, 1.8351, 4.5491], abs=1e-4
    )
    many = np.full(20_000, 1 / 20_000)
    for n in (2, 16):
        found = kl(best_of_n(many, np.arange(20_000), n), many)
        assert found < best_of_n_kl(n) and found == pytest.approx(best_of_n_kl(n), abs=1e-3)


def test_the_optimum_by_hand_and_better_than_all_others() -> None:
    reference, rewards = np.array([0.5, 0.3, 0.2]), np.array([1.0, 0.0, 2.0])
    for coefficient, policy, mean, divergence, value in (
        (0.5, [0.247720, 0.020115, 0.732165], 1.712050, 0.721790, 1.351155),
        (1.0, [0.433268, 0.095634, 0.471098], 1.375464, 0.232212, 1.143252),
    ):
        found, best = kl_regularised_optimum(reference, rewards, coefficient)
        assert found == pytest.approx(policy, abs=1e-6) and best == pytest.approx(value, abs=1e-6)
        assert found @ rewards == pytest.approx(mean, abs=1e-6)
        assert kl(found, reference) == pytest.approx(divergence, abs=1e-6)
        for other in np.random.default_rng(0).dirichlet([1, 1, 1], 2000):
            assert other @ rewards - coefficient * kl(other, reference) <= best
    assert kl_regularised_optimum(reference, rewards * 1e6, 0.01)[0] == pytest.approx([0, 0, 1])


def test_refusals() -> None:
    for wrong in (
        lambda: best_of_n([0.5, 0.5], [1], 2),
        lambda: best_of_n([0.5, 0.6], [1, 2], 2),
        lambda: best_of_n([0.5, 0.5], [1, 2], 0),
        lambda: best_of_n_kl(0),
        lambda: kl_regularised_optimum([0.5, 0.5], [1, 2], 0.0),
    ):
        with pytest.raises(ValueError):
            wrong()
    assert kl([0.5, 0.5], [1, 0]) == float("inf")
