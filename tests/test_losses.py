"""Losses, returns and advantages against numbers worked out by hand or in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lmrl_agents.algorithms.cql import cql_loss, supported_max
from lmrl_agents.algorithms.filtered_bc import best
from lmrl_agents.algorithms.ilql import Config, ilql_loss
from lmrl_agents.algorithms.mc import mc_loss
from lmrl_agents.algorithms.ppo import adapt
from lmrl_agents.learning.losses import (
    chosen,
    clipped_policy_loss,
    clipped_value_loss,
    expectile_loss,
    kl_estimates,
    mean,
    policy_gradient_loss,
    surprise,
)
from lmrl_agents.learning.online import normalize
from lmrl_agents.learning.returns import generalized_advantages, group_advantages, returns_to_go
from lmrl_agents.models.critic import least, taken
from lmrl_agents.models.steps import StepBatch, StepStore, decisions
from lmrl_agents.models.tokenizer import train_tokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_envs import Transcript

# A tree: two tokens make an utterance. p(a1) = [.7, .3], p(a2 | a1) as below, reward only at the end, discount 1.
FIRST = torch.tensor([0.7, 0.3])
SECOND = torch.tensor([[0.6, 0.4], [0.2, 0.8]])
REWARD = torch.tensor([[0.0, 1.0], [3.0, -1.0]])
# Steps: (state 0, a1) twice, then (state 1 + a1, a2) four times.
STATE = torch.tensor([0, 0, 1, 1, 2, 2])
TOKEN = torch.tensor([0, 1, 0, 1, 0, 1])
NEXT = torch.tensor([1, 2, 0, 0, 0, 0])
GOES_ON = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
R = torch.cat([torch.zeros(2), REWARD.flatten()])
WEIGHT = torch.cat([FIRST, (FIRST[:, None] * SECOND).flatten()])


def minimise(loss_of, parameters, steps: int = 1000) -> None:
    optimizer = torch.optim.Adam(parameters, lr=0.1, foreach=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    ("expectile", "values"),
    [
        (0.5, (0.22, 0.4, -0.2)),
        (0.7, (0.58775, 0.60870, 0.47368)),
        (0.9, (1.58145, 0.85714, 1.76923)),
        (0.99, (2.80184, 0.98507, 2.84466)),
    ],
)
def test_ilql_reaches_the_fixed_points_of_the_tree(expectile: float, values: tuple[float, ...]) -> None:
    tables = [torch.zeros(3, 2, requires_grad=True) for _ in range(2)]
    v = torch.zeros(3, requires_grad=True)
    none = torch.zeros(0)  # rows and states are for networks
    batch = StepBatch(none, none, none, none, STATE, TOKEN, NEXT, GOES_ON, R, WEIGHT, torch.ones_like(R))
    config = Config(discount=1.0, expectile=expectile, conservatism=0.0)

    def loss() -> torch.Tensor:
        heads = [taken(table[STATE], TOKEN) for table in tables]
        slow = least([head.value for head in heads])
        return ilql_loss(heads, v[STATE], slow, v[NEXT], batch, config)[0]

    minimise(loss, [*tables, v])
    assert v.detach().tolist() == pytest.approx(values, abs=3e-3)
    assert tables[0].detach()[1:].flatten().tolist() == pytest.approx(REWARD.flatten().tolist(), abs=1e-3)
    if expectile == 0.7:  # acting after a1 = 1 with beta 1
        tilted = torch.softmax(torch.log(SECOND[1]) + tables[0].detach()[2], 0)
        assert tilted.tolist() == pytest.approx([0.93174, 0.06826], abs=1e-4)


@pytest.mark.parametrize(("backup", "first"), [("sarsa", (0.4, -0.2)), ("max", (1.0, 3.0))])
def test_cql_without_conservatism_reaches_the_fixed_points_of_the_tree(backup: str, first: tuple[float, float]) -> None:
    table = torch.zeros(3, 2, requires_grad=True)
    prior = torch.stack([FIRST, *SECOND])

    def loss() -> torch.Tensor:
        with torch.no_grad():
            after = (prior * table).sum(1) if backup == "sarsa" else supported_max(table, prior, 0.1)
        return cql_loss([taken(table[STATE], TOKEN)], R + GOES_ON * after[NEXT], WEIGHT, 0.0)[0]

    minimise(loss, [table])
    assert table.detach()[0].tolist() == pytest.approx(first, abs=1e-3)


def test_the_largest_value_is_taken_among_supported_tokens() -> None:
    q = torch.tensor([[1.0, 9.0, 2.0], [5.0, 4.0, 3.0]])
    prior = torch.tensor([[0.7, 0.01, 0.29], [0.004, 0.003, 0.003]])
    assert supported_max(q, prior, 0.02).tolist() == [2.0, 5.0]  # in the second row only the likeliest is left


def test_monte_carlo_reaches_the_mean_returns_of_the_tree() -> None:
    table = torch.zeros(3, 2, requires_grad=True)
    returns = torch.cat([(SECOND * REWARD).sum(1), REWARD.flatten()])
    minimise(lambda: mc_loss(taken(table[STATE], TOKEN), returns, WEIGHT, 0.0)[0], [table])
    assert table.detach()[0].tolist() == pytest.approx([0.4, -0.2], abs=1e-3)


@pytest.mark.parametrize(("weight", "expected"), [(0.1, (1.04507, 0.05902, 1.55253)), (0.0, (1.0, 0.0, 2.0))])
def test_conservatism_in_one_state(weight: float, expected: tuple[float, ...]) -> None:
    p, y, tokens = torch.tensor([0.6, 0.3, 0.1]), torch.tensor([1.0, 0.0, 2.0]), torch.arange(3)
    q = torch.zeros(1, 3, requires_grad=True)
    minimise(lambda: cql_loss([taken(q.expand(3, 3), tokens)], y, p, weight)[0], [q])
    assert q.detach()[0].tolist() == pytest.approx(expected, abs=1e-3)
    gap = p * (q.detach()[0] - y) + weight * (torch.softmax(q.detach()[0], 0) - p)
    assert gap.abs().max() < 1e-3


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.9])
def test_the_expectile_of_a_fair_coin_is_tau(tau: float) -> None:
    v = torch.zeros(1, requires_grad=True)
    coin, one = torch.tensor([0.0, 1.0]), torch.ones(2)
    minimise(lambda: expectile_loss(v.expand(2), coin, tau, one), [v])
    assert v.item() == pytest.approx(tau, abs=1e-3)


def test_cross_entropy_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]))
    loss = mean(surprise(logits, torch.tensor([0, 1, 0])), torch.tensor([1.0, 1.0, 2.0]))
    assert loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.8) + 2 * math.log(0.2)) / 4, rel=1e-6)


def test_generalised_advantages_by_hand() -> None:
    rewards, values = np.array([0.0, 0.0, 1.0]), np.array([0.5, 0.2, 0.4])
    last, final = np.array([False, False, True]), np.zeros(3)
    advantages, returns = generalized_advantages(rewards, values, last, final, 0.9, 0.8)
    assert advantages == pytest.approx([0.10624, 0.592, 0.6])
    assert returns == pytest.approx([0.60624, 0.792, 1.0])
    # Two episodes one after the other do not touch each other; a cut-off one bootstraps.
    twice, _ = generalized_advantages(
        np.tile(rewards, 2), np.tile(values, 2), np.tile(last, 2), np.array([0, 0, 0, 0, 0, 2.0]), 0.9, 0.8
    )
    assert twice[:3] == pytest.approx(advantages)
    assert twice[5] == pytest.approx(1 + 0.9 * 2 - 0.4)


def test_returns_start_anew_at_each_end() -> None:
    rewards, last = np.array([0.0, 0.0, -1.0, 2.0]), np.array([False, False, True, True])
    assert returns_to_go(rewards, last, 0.5) == pytest.approx([-0.25, -0.5, -1.0, 2.0])
    assert returns_to_go(rewards, last, 0.5, np.array([0, 0, 4.0, 0])) == pytest.approx([0.25, 0.5, 1.0, 2.0])


def test_a_discount_is_counted_in_turns_or_in_tokens() -> None:
    talk = Transcript.from_texts(["go", "move up", "a wall", "move left", "done"], [-1.0, -2.0])
    tokenizer = train_tokenizer([turn.text for turn in talk], min_count=1)
    form = TextFormat()
    episode = TokenEpisode.from_transcript(talk, True, False, tokenizer, form)
    steps = StepStore.of([episode], form, tokenizer.pad)  # move, up, end; move, left, end

    def returns(unit: str) -> list[float]:
        return returns_to_go(steps.reward, steps.last, 0.5 ** steps.count_time(unit).time).tolist()

    assert returns("turn") == [-2, -2, -2, -2, -2, -2]  # -1 + .5 (-2), and -2
    assert returns("token") == returns("decision") == [-0.3125, -0.625, -1.25, -0.5, -1, -2]
    assert steps.count_time("turn").batch(np.arange(6)).time.tolist() == [0, 0, 1, 0, 0, 1]
    with pytest.raises(ValueError, match="discount_unit='word'"):
        steps.count_time("word")
    deciding = decisions(episode.actions)
    steps = StepStore.of([episode], form, tokenizer.pad, deciding)  # up, left
    assert returns("turn") == returns("decision") == [-2, -2]


def test_the_clipped_loss_by_hand() -> None:
    old = torch.zeros(4)
    new = torch.log(torch.tensor([0.5, 1.5, 0.5, 1.5]))
    each = [
        clipped_policy_loss(new[i : i + 1], old[:1], a, 0.2, torch.ones(1)).item()
        for i, a in enumerate(torch.tensor([[1.0], [1.0], [-1.0], [-1.0]]))
    ]
    assert each == pytest.approx([-0.5, -1.2, 0.8, 1.5])
    higher = [
        clipped_policy_loss(new[i : i + 1], old[:1], a, 0.2, torch.ones(1), above=0.28).item()
        for i, a in enumerate(torch.tensor([[1.0], [1.0], [-1.0], [-1.0]]))
    ]
    assert higher == pytest.approx([-0.5, -1.28, 0.8, 1.5])
    values = clipped_value_loss(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([1.0]), 0.2, torch.ones(1))
    assert values.item() == pytest.approx(0.5 * 0.8**2)


def test_at_ratio_one_the_clipped_gradient_is_the_policy_gradient() -> None:
    logits = torch.tensor([[0.3, -0.2, 0.1], [0.0, 1.0, -1.0]], requires_grad=True)
    tokens, advantages, weights = torch.tensor([2, 1]), torch.tensor([1.5, -0.5]), torch.tensor([1.0, 3.0])
    plain = torch.autograd.grad(policy_gradient_loss(chosen(logits, tokens)[0], advantages, weights), logits)[0]
    logprobs = chosen(logits, tokens)[0]
    clipped = torch.autograd.grad(clipped_policy_loss(logprobs, logprobs.detach(), advantages, 0.2, weights), logits)[0]
    assert torch.allclose(plain, clipped, atol=1e-7)


@pytest.mark.parametrize("baseline", [0.0, 3.0])
def test_the_policy_gradient_is_the_gradient_of_the_mean_return(baseline: float) -> None:
    """All utterances of the tree, weighted by their probability: no sampling noise is left."""
    first, second = torch.zeros(1, 2, requires_grad=True), torch.zeros(2, 2, requires_grad=True)
    p1, p2 = torch.softmax(first[0], 0), torch.softmax(second, 1)
    exact = torch.autograd.grad((p1[:, None] * p2 * REWARD).sum(), [first, second])
    a1, a2 = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    weight = (p1[a1] * p2[a1, a2]).detach()
    logprobs = torch.cat([chosen(first.expand(4, 2), a1)[0], chosen(second[a1], a2)[0]])
    advantages = (REWARD[a1, a2] - baseline).repeat(2)
    # Each utterance has two tokens: the mean over tokens is half of the sum.
    loss = 2 * policy_gradient_loss(logprobs, advantages, weight.repeat(2))
    sampled = torch.autograd.grad(loss, [first, second])
    for a, b in zip(exact, sampled, strict=True):
        assert torch.allclose(a, -b, atol=1e-6)


def test_estimates_of_the_divergence() -> None:
    pi, reference = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.4, 0.4, 0.2])
    k1, k2, k3 = ((pi * k).sum().item() for k in kl_estimates(pi.log(), reference.log()))
    assert (k1, k2, k3) == pytest.approx((0.183787, 0.181677, 0.183787), abs=1e-6)


def test_the_adaptive_weight_follows_zieglers_rule() -> None:
    assert adapt(0.15, 100.0, 6.0, 512, 1e4) == pytest.approx(0.151536)
    assert adapt(0.15, 6.0, 6.0, 512, 1e4) == 0.15
    assert adapt(0.15, 0.0, 6.0, 512, 1e4) == pytest.approx(0.148464)


def test_group_advantages_by_hand() -> None:
    one = [1.0, 0.0, 0.0, 0.0]
    assert group_advantages(one, [0] * 4) == pytest.approx([1.4997] + [-0.4999] * 3, abs=1e-4)
    assert group_advantages(one, [0] * 4, "none") == pytest.approx([0.75] + [-0.25] * 3)
    assert group_advantages(one, [0] * 4, "none", True) == pytest.approx([1.0] + [-1 / 3] * 3)
    assert group_advantages([2.0, 2.0, 5.0, 5.0], [0, 0, 1, 1]) == pytest.approx([0.0] * 4)
    with pytest.raises(ValueError, match="scale"):
        group_advantages(one, [0] * 4, "unit")


def test_noise_at_the_optimum_is_not_blown_up() -> None:
    assert np.abs(normalize(np.array([1e-3, -1e-3]), 0.1)).max() == pytest.approx(1e-2)
    assert normalize(np.array([1.0, 3.0]), 0.1) == pytest.approx([-1.0, 1.0])


def test_the_best_part_with_ties() -> None:
    scores = [1.0, 5.0, 5.0, 5.0, 0.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    kept = best(scores, 0.2, seed=0)
    assert len(kept) == 2 and set(kept) <= {1, 2, 3}
    assert {tuple(best(scores, 0.2, seed=s)) for s in range(30)} == {(1, 2), (1, 3), (2, 3)}
    assert best(scores, 1.0, seed=3).tolist() == list(range(10))
    assert best([1, 2, 3, 4], 0.5, 0, groups=["a", "a", "b", "b"]).tolist() == [1, 3]
    with pytest.raises(ValueError, match="share"):
        best(scores, 0.0, 0)
