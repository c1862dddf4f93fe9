"""Implicit language Q-learning (Snell et al., arXiv 2206.11871; Abdulhai et al., arXiv 2311.18232, section 5).

For a decision x_t in state s_t with successor s' (1[goes on] is 0 after termination, 1 after a cut-off):

    y   = r_t + gamma 1[goes on] V(s')
    L_Q = sum_i 1/2 (Q_i(s_t, x_t) - y)^2
    L_V = 1/2 |tau - 1[u < 0]| u^2,   u = min_i Qbar_i(s_t, x_t) - V(s_t)
    L_C = sum_i - log softmax(Q_i(s_t, .))[x_t]
    L   = L_Q + L_V + alpha L_C,      Qbar moves by `polyak` of its way to Q after every step

Acting: pi(x | s) ~ pi_data(x | s) exp(beta min_i Qbar_i(s, x)), over tokens that pi_data supports.

Departures: the critic has a transformer of its own, so that values cannot spoil the policy; tokens that decide nothing
(`decisions`) are left out of the backup and of the discount; a cut-off episode bootstraps from its last state (LMRL-Gym
treats it as ended); acting uses the slow target, as Snell's code does; beta is chosen on validation seeds.

    lmrl train ilql --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --preset nano --seed 0 --out runs/ilql-maze

Maze, fully observed, `nano`, suite learning-maze, seeds 0 to 2, sampled at beta 8: -6.71, -6.71, -6.72 (optimum on these games
-6.71; cloning of equal time -36 to -37); on maze/stitch-v0 -6.97, -6.98, -7.00 (optimum -6.97, cloning of more time, at its
best temperature, -81). Text-Nav: 1.00, 1.00, 1.00 of the games won (cloning .34 to .40), on text_nav/stitch-v0 .84, .97, 1.00
(cloning of more time .26 to .28, filtered .93). There it was .29 to .78 when the policy it starts from was cloned for 400 steps
instead of 1,500: that policy gave enough probability (`support`) to commands that are refused, which no data hold and whose values
nothing corrects. Endgames: .78, .78, .74
(cloning of more time .35 to .40, at its best temperature .75 to .84). All scores: docs/results.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from lmrl_agents.learning.losses import cross_entropy, expectile_loss, squared_error
from lmrl_agents.learning.offline import OfflineConfig, critic_of, finish, load, optimizer_of
from lmrl_agents.learning.returns import returns_to_go
from lmrl_agents.learning.run import TrainingRun, batch_indices, learning_rate, precision, shard_if_asked
from lmrl_agents.learning.session import Session
from lmrl_agents.models.critic import GuidedPolicy


@dataclass(frozen=True)
class Config(OfflineConfig):
    """Hyperparameters; the preset's ``[ilql]`` table."""

    expectile: float = 0.8
    """tau"""
    polyak: float = 0.03
    """How far the targets move at each step."""


def ilql_loss(
    q: list[torch.Tensor],
    value: torch.Tensor,
    target_q: torch.Tensor,
    next_value: torch.Tensor,
    token: torch.Tensor,
    reward: torch.Tensor,
    goes_on: torch.Tensor,
    weight: torch.Tensor,
    *,
    discount: float,
    expectile: float,
    conservatism: float,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss L above and its parts.

    Args:
        q: of each head, float [N, V].
        value: V(s), float [N].
        target_q: min_i Qbar_i(s, x), float [N].
        next_value: V(s'), float [N]; no gradient goes through it.
        token: int64 [N].
        reward: float [N].
        goes_on: float [N].
        weight: float [N].
        discount: gamma.
        expectile: tau.
        conservatism: alpha.
    """
    y = reward + discount * goes_on * next_value.detach()
    loss_q = sum((squared_error(head.gather(1, token[:, None])[:, 0], y, weight) for head in q), torch.zeros(()))
    loss_v = expectile_loss(value, target_q.detach(), expectile, weight)
    loss_c = sum((cross_entropy(head, token, weight) for head in q), torch.zeros(()))
    return loss_q + loss_v + conservatism * loss_c, {"loss_q": loss_q, "loss_v": loss_v, "loss_c": loss_c}


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of policy and critic."""
    config = run.config(Config)
    model, data = load(run)
    critic = critic_of(model, ("value", "q1", "q2"), config, returns_to_go(data.reward, data.last, config.discount))
    target = critic.target()
    shard_if_asked(run, model, critic, target)
    optimizer = optimizer_of(critic, config)
    session = Session(
        run,
        model,
        config.steps,
        {"critic": critic, "target": target},
        {"critic": optimizer},
        checkpoint_every=config.checkpoint_every,
        log_every=config.log_every,
    )
    critic.train()
    for step in session:
        groups = session.shard(batch_indices(run.seed, step, data.groups, config.batch_size))
        batch = data.batch(*data.distinct(data.steps_of(groups))[:2]).to(run.device)
        with precision(run):
            states = critic.states(batch)
            values = critic.value(states)
            with torch.no_grad():
                slow = target.least_q(target.states(batch)[batch.state])
                slow = slow.gather(1, batch.token[:, None])[:, 0]
            loss, parts = ilql_loss(
                critic.q(states[batch.state]),
                values[batch.state],
                slow,
                values[batch.next_state],
                batch.token,
                batch.reward,
                batch.goes_on,
                batch.weight,
                discount=config.discount,
                expectile=config.expectile,
                conservatism=config.conservatism,
            )
        rate = learning_rate(step, config.steps, config.learning_rate)
        norm = session.update(
            "critic", loss, rate, config.clip, weight=float(batch.weight.sum()), tokens=int(batch.length.sum())
        )
        target.follow(critic, config.polyak)
        session.note = f"loss {loss.item():.3f}"
        session.log(
            loss=loss.item(),
            gradient_norm=norm,
            value=values[batch.state].mean().item(),
            **{name: part.item() for name, part in parts.items()},
        )
        if config.evaluate_every and (step + 1) % config.evaluate_every == 0:
            policy = GuidedPolicy(model, target, config.evaluation_beta, config.support)
            session.validate(policy, config.validation_episodes)
    facts = {"steps": config.steps, "cpu_seconds": round(session.seconds, 1)}
    return finish(run, config, model, target, facts)
