"""Losses, returns and advantages in numbers that were worked out by hand: each operator of each formula changes one of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lmrl_agents.learning.losses import (
    chosen,
    clipped_policy_loss,
    clipped_value_loss,
    expectile_loss,
    kl_estimates,
    mean,
    policy_gradient_loss,
    squared_error,
    surprise,
)
from lmrl_agents.learning.returns import generalized_advantages, group_advantages, returns_to_go

LOG2 = math.log(2)


def floats(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (mean(floats(2, 6), floats(1, 3)), 5.0),
        (squared_error(floats(1, 3), floats(2, 1), floats(1, 3)), (1 + 4 * 3) / 8),
        (expectile_loss(floats(0, 2, 1), floats(2, 1, 1.5), 0.75, floats(1, 3, 4)), (0.75 * 4 + 0.25 * 3 + 0.75) / 16),
        (policy_gradient_loss(floats(-1, -3), floats(2, -1), floats(1, 3)), (2 - 3 * 3) / 4),
        (surprise(floats(0, LOG2, 0)[None], torch.tensor([1])), LOG2),
        # V as it is is further from R; the lower end of the clip; the upper end
        (clipped_value_loss(floats(3, 0, 3), floats(1, 1, 1), floats(2, 0, 3), 0.5, floats(1, 1, 2)), (1 + 0.25 + 2 * 2.25) / 8),
        # ratios 2, 2, 1/2, 1/2 at clip 1/4: only where it would go further the better way is it cut
        (clipped_policy_loss(floats(1, 1, -1, -1) * LOG2, floats(0, 0, 0, 0), floats(1, -1, 1, -1), 0.25, floats(1, 2, 4, 8)),
         (-1.25 * 1 + 2 * 2 - 0.5 * 4 + 0.75 * 8) / 15),
        (clipped_policy_loss(floats(LOG2), floats(-LOG2), floats(-3), 0.25, floats(1)), 12.0),
        (clipped_policy_loss(floats(LOG2), floats(-LOG2), floats(3), 0.25, floats(1)), -3.75),
    ],
)  # fmt: skip
def test_losses(loss: torch.Tensor, expected: float) -> None:
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_estimates_of_the_divergence_of_one_token() -> None:
    found = kl_estimates(floats(0.5).log(), floats(0.25).log())
    assert [k.item() for k in found] == pytest.approx([LOG2, LOG2**2 / 2, 0.5 - 1 + LOG2])


def test_chosen_tokens_and_entropy() -> None:
    logs, entropy = chosen(torch.tensor([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]).log() + 3, torch.tensor([0, 2]))
    assert logs.tolist() == pytest.approx([-LOG2, 0.0], abs=1e-6)
    assert entropy[0].item() == pytest.approx(1.5 * LOG2)


def test_advantages_of_cut_episodes_begin_with_the_value_after() -> None:
    last, final = np.array([True, False, True]), np.array([4.0, 9.0, 0.0])
    found, fitted = generalized_advantages(np.array([1.0, 2, 3]), np.array([0.5, 0.25, 0.125]), last, final, 0.5, 0.25)
    later = 3 - 0.125
    expected = [1 + 0.5 * 4 - 0.5, 2 + 0.5 * 0.125 - 0.25 + 0.5 * 0.25 * later, later]
    assert found.tolist() == pytest.approx(expected)
    assert fitted.tolist() == pytest.approx([expected[0] + 0.5, expected[1] + 0.25, expected[2] + 0.125])


def test_returns() -> None:
    rewards, last = np.array([1.0, 2.0, 4.0]), np.array([False, True, True])
    assert returns_to_go(rewards, last, 0.5).tolist() == [2.0, 2.0, 4.0]
    assert returns_to_go(rewards, last, 0.5, np.array([7.0, 8.0, -2.0])).tolist() == [4.0, 6.0, 3.0]


RETURNS, GROUPS = [1.0, 3.0, 0.0, 4.0, 8.0, 5.0], [0, 0, 1, 1, 1, 2]
CENTRED = np.array([-1.0, 1.0, -4.0, 0.0, 4.0, 0.0])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, CENTRED / (np.array([math.sqrt(2)] * 2 + [4.0] * 3 + [0.0]) + 1e-4)),
        ({"scale": "none"}, CENTRED),
        ({"scale": "none", "leave_one_out": True}, CENTRED * [2, 2, 1.5, 1.5, 1.5, 1]),
        ({"scale": "batch"}, CENTRED / (math.sqrt(41.5 / 5) + 1e-4)),
    ],
)
def test_advantages_within_groups(settings: dict, expected: np.ndarray) -> None:
    assert group_advantages(RETURNS, GROUPS, **settings).tolist() == pytest.approx(expected.tolist(), rel=1e-9)


def test_a_group_of_equals_has_no_advantage() -> None:
    small = group_advantages([1.0, 1.0 + 1e-4], [0, 0])  # the 1e-4 stands beside the standard deviation
    assert small.tolist() == pytest.approx(
        [-0.5e-4 / (1e-4 / math.sqrt(2) + 1e-4), 0.5e-4 / (1e-4 / math.sqrt(2) + 1e-4)]
    )
    with pytest.raises(ValueError, match="scale='std' is not known"):
        group_advantages([1.0], [0], "std")
