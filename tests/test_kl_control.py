"""KL-control, batch Q-learning and DBCQ against closed forms: on the tree of tests/test_losses.py, and by enumeration."""

from __future__ import annotations

import math

import pytest
import torch
from test_losses import FIRST, GOES_ON, NEXT, SECOND, STATE, TOKEN, WEIGHT, R, minimise

from lmrl_agents.algorithms.batch_q import dropping, largest_after
from lmrl_agents.algorithms.dbcq import expected_best
from lmrl_agents.algorithms.kl_control import Config, backup, reward_of
from lmrl_agents.learning.losses import squared_error
from lmrl_agents.models.critic import Critic, CriticConfig, value_of
from lmrl_agents.models.guided import GREEDY, GuidedPolicy, best_of_draws
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.steps import StepBatch
from lmrl_agents.models.tokenizer import train_tokenizer
from lmrl_agents.models.tokens import TextFormat

PRIOR = torch.log(torch.stack([FIRST, *SECOND]))
C = 2.0


def solved(method: str, c: float = C, **settings: float | bool) -> torch.Tensor:
    """The fixed point on the tree, float [3, 2]."""
    config = Config(form=method, reward_scale=c, **settings)
    table = torch.zeros(3, 2, requires_grad=True)

    def loss() -> torch.Tensor:
        with torch.no_grad():
            own = torch.log_softmax(table[STATE], dim=1)
            y = reward_of(R, value_of(PRIOR[STATE], TOKEN), value_of(own, TOKEN), config)
            y = y + GOES_ON * backup(table, PRIOR, method, config.soft)[NEXT]
        return squared_error(value_of(table[STATE], TOKEN), y, WEIGHT)

    minimise(loss, [table], steps=1500)
    return table.detach()


def test_g_is_the_prior_tilted_by_the_reward() -> None:
    g = solved("g")
    assert g[0].tolist() == pytest.approx([0.230706, 0.323215], abs=1e-4)
    policy = torch.softmax(PRIOR + g, dim=1)
    utterances = (policy[0][:, None] * policy[1:]).flatten()
    exact = (FIRST[:, None] * SECOND).flatten() * torch.exp(R[2:] / C)
    assert utterances.tolist() == pytest.approx((exact / exact.sum()).tolist(), abs=1e-4)
    assert utterances.tolist() == pytest.approx([0.324046, 0.356175, 0.207468, 0.112311], abs=1e-4)
    assert policy[1].tolist() == pytest.approx([0.47638, 0.52362], abs=1e-4)


def test_psi_is_g_with_the_prior_in_it() -> None:
    psi = solved("psi")
    assert psi[0].tolist() == pytest.approx([-0.125969, -0.880758], abs=1e-4)
    assert (psi - solved("g") - PRIOR).abs().max() < 2e-4
    assert solved("q")[0].tolist() == pytest.approx([-0.772966, -1.313411], abs=1e-4)


@pytest.mark.parametrize(("penalty", "second"), [(1.0, 0.48819), (0.5, 0.45062)])
def test_what_the_public_code_solves_is_another_problem(penalty: float, second: float) -> None:
    acting = torch.softmax(solved("klq_coded", penalty=penalty)[1], 0)
    assert acting.tolist() == pytest.approx([second, 1 - second], abs=1e-4)
    closed = torch.softmax((R[2:4] / C + penalty * PRIOR[1]) / (1 + penalty), 0)
    assert acting.tolist() == pytest.approx(closed.tolist(), abs=1e-4)


@pytest.mark.parametrize(
    ("c", "reward", "divergence"),
    [(0.1, 3.0, 2.813), (0.5, 2.793, 2.301), (1.0, 1.733, 0.827), (2.0, 0.866, 0.174), (4.0, 0.506, 0.037)],
)
def test_the_frontier_of_reward_and_divergence(c: float, reward: float, divergence: float) -> None:
    """Backups from the end: exact without a fit."""
    second = R[2:].view(2, 2) / c
    first = torch.logsumexp(PRIOR[1:] + second, dim=1)
    policy = torch.softmax(PRIOR + torch.stack([first, *second]), dim=1)
    utterances = (policy[0][:, None] * policy[1:]).flatten()
    prior = (FIRST[:, None] * SECOND).flatten()
    assert (utterances * R[2:]).sum().item() == pytest.approx(reward, abs=1e-3)
    assert (utterances * (utterances / prior).log()).sum().item() == pytest.approx(divergence, abs=1e-3)


def test_soft_and_hard_backups_by_hand() -> None:
    values, log_prior = torch.tensor([[0.0, 2.0]]), torch.log(torch.tensor([[0.75, 0.25]]))
    assert backup(values, log_prior, "g").item() == pytest.approx(math.log(0.75 + 0.25 * math.e**2), abs=1e-6)
    assert backup(values, log_prior, "psi").item() == pytest.approx(math.log(1 + math.e**2), abs=1e-6)
    assert backup(values, log_prior, "klq_coded", soft=True).item() == pytest.approx(math.log(1 + math.e**2), abs=1e-6)
    assert backup(values, log_prior, "g", support=0.3).item() == pytest.approx(math.log(0.75), abs=1e-6)
    assert backup(values, log_prior, "klq_coded").item() == backup(values, log_prior, "q").item() == 2.0


@pytest.mark.parametrize(("draws", "value"), [(1, 0.9), (2, 1.47), (5, 2.31339), (10, 2.784275), (1000, 3.0)])
def test_the_best_of_some_draws(draws: int, value: float) -> None:
    q, prior = torch.tensor([[3.0, 0.0, 1.0]]), torch.tensor([[0.2, 0.5, 0.3]])
    assert expected_best(q, prior, draws).item() == pytest.approx(value, abs=1e-5)
    chances = best_of_draws(q, prior, draws)
    assert chances.sum().item() == pytest.approx(1) and chances[0, 1].item() == pytest.approx(0.5**draws)


# -- networks


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    tokenizer = train_tokenizer(["go left", "go right"], min_count=1)
    torch.manual_seed(0)
    return LanguageModel.create(
        ModelConfig(layers=1, width=16, heads=1, max_positions=32), tokenizer, TextFormat(), 0
    ).eval()


def batch_of(rows: int) -> StepBatch:
    tokens = torch.arange(4 * rows).view(rows, 4) % 8
    each = torch.arange(rows)
    return StepBatch(
        tokens,
        torch.full((rows,), 4),
        each,
        torch.full((rows,), 3),
        each,
        each,
        each,
        torch.ones(rows),
        torch.ones(rows),
        torch.ones(rows),
        torch.ones(rows),
    )


def test_one_pass_has_no_dropout_and_many_are_a_lower_bound(model: LanguageModel) -> None:
    critic = Critic.beside(model, CriticConfig(("q1",)))
    torch.nn.init.normal_(critic.heads["q1"].weight)
    target, batch = critic.target(), batch_of(6)
    once = largest_after(target, batch, 1, 0.5)
    assert torch.equal(once, largest_after(target, batch, 1, 0.5))
    assert torch.allclose(once, largest_after(target, batch, 3, 0.0))  # a rate of 0: every pass is the same
    torch.manual_seed(0)
    few = largest_after(target, batch, 2, 0.5)
    torch.manual_seed(0)
    many = largest_after(target, batch, 8, 0.5)
    assert (many <= few).all() and (many < few).any() and not torch.equal(few, once)
    assert not target.trunk.training and not any(m.p for m in target.trunk.modules() if isinstance(m, torch.nn.Dropout))
    with dropping(target.trunk, 0.5):
        assert any(m.p == 0.5 and m.training for m in target.trunk.modules() if isinstance(m, torch.nn.Dropout))


def test_how_values_and_policy_act_together(model: LanguageModel) -> None:
    critic = Critic.beside(model, CriticConfig(("q1",)))
    torch.nn.init.normal_(critic.heads["q1"].weight)
    states = [torch.randn(5, 16), torch.randn(5, 16)]
    prior, q = torch.softmax(model.logits(states[:1]), 1), critic.least_q(states[1])

    def acting(beta: float, **rule: str | int) -> torch.Tensor:
        return torch.softmax(GuidedPolicy(model, critic, beta, 0.0, **rule).logits(states), 1)

    assert torch.allclose(acting(0.0), prior, atol=1e-6)
    assert torch.allclose(acting(1.0, rule="values"), torch.softmax(q, 1), atol=1e-6)
    assert (
        torch.equal(acting(GREEDY, rule="values").argmax(1), q.argmax(1))
        and (acting(GREEDY, rule="values").amax(1) > 0.99).all()
    )
    assert torch.allclose(acting(1.0, rule="best_of", draws=1), prior.double(), atol=1e-6)
    assert torch.allclose(acting(1.0, rule="best_of", draws=7), best_of_draws(q, prior, 7), atol=1e-6)
    with pytest.raises(ValueError, match="tilt, values, best_of"):
        acting(1.0, rule="worst_of")
