"""Monte-Carlo returns: regress on what followed, tilt the data's policy by it (Abdulhai et al., arXiv 2311.18232).

    G_t = r_t + gamma G_{t+1}
    L   = 1/2 (Q(s_t, x_t) - G_t)^2 + alpha (- log softmax(Q(s_t, .))[x_t])

Acting: pi(x | s) ~ pi_data(x | s) exp(beta Q(s, x)), over tokens that pi_data supports. Q is that of the data's policy:
one step of improvement, no stitching.

Departures: see `ilql`; equal decisions of a batch are regressed on the mean of their returns, which has the same gradient.
Nothing follows after a cut-off: its return is what was seen.

    lmrl train mc --env lmrl/Wordle-v0 --data wordle/mixed-v0 --preset nano --seed 0 --out runs/mc-wordle

Maze, fully observed, `nano`, suite learning-maze, seeds 0 to 2, sampled: -7.20, -8.78, -8.49 (optimum on these games -6.71;
cloning of equal time -36 to -37); on maze/stitch-v0 -13.1, -16.2, -20.0 (cloning of more time -81).
Text-Nav: .91, .88, .98 of the games won (cloning .34 to .40), on text_nav/stitch-v0 .99, .95, .96 (.26 to .28).
Endgames: .65, .65, .69 (cloning of more time .35 to .40, at its best temperature .75 to .84). All scores: docs/results.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.learning.losses import cross_entropy, squared_error
from lmrl_agents.learning.offline import OfflineConfig, critic_of, finish, load, optimizer_of
from lmrl_agents.learning.returns import returns_to_go
from lmrl_agents.learning.run import TrainingRun, batch_indices, learning_rate, precision, shard_if_asked
from lmrl_agents.learning.session import Session
from lmrl_agents.models.critic import GuidedPolicy


@dataclass(frozen=True)
class Config(OfflineConfig):
    """Hyperparameters; the preset's ``[mc]`` table."""

    polyak: float = 0.03
    """How far the average of the weights that acts moves at each step."""


def mc_loss(
    q: torch.Tensor, token: torch.Tensor, returns: torch.Tensor, weight: torch.Tensor, conservatism: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss L above and its parts: q float [N, V], token int64 [N], returns and weight float [N]."""
    loss_q = squared_error(q.gather(1, token[:, None])[:, 0], returns, weight)
    loss_c = cross_entropy(q, token, weight)
    return loss_q + conservatism * loss_c, {"loss_q": loss_q, "loss_c": loss_c}


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of policy and critic."""
    config = run.config(Config)
    model, data = load(run)
    returns = returns_to_go(data.reward, data.last, config.discount)
    critic = critic_of(model, ("q1",), config, returns)
    average = critic.target()
    shard_if_asked(run, model, critic, average)
    optimizer = optimizer_of(critic, config)
    session = Session(
        run,
        model,
        config.steps,
        {"critic": critic, "average": average},
        {"critic": optimizer},
        checkpoint_every=config.checkpoint_every,
        log_every=config.log_every,
    )
    critic.train()
    for step in session:
        groups = session.shard(batch_indices(run.seed, step, data.groups, config.batch_size))
        steps = data.steps_of(groups)
        distinct, counts, kind = data.distinct(steps, successors=False)
        means = np.bincount(kind, returns[steps]) / counts
        batch = data.batch(distinct, counts, successors=False).to(run.device)
        with precision(run):
            q = critic.q(critic.states(batch)[batch.state])[0]
            goal = torch.tensor(means, dtype=torch.float32, device=q.device)
            loss, parts = mc_loss(q, batch.token, goal, batch.weight, config.conservatism)
        rate = learning_rate(step, config.steps, config.learning_rate)
        norm = session.update(
            "critic", loss, rate, config.clip, weight=float(batch.weight.sum()), tokens=int(batch.length.sum())
        )
        average.follow(critic, config.polyak)
        session.note = f"loss {loss.item():.3f}"
        session.log(loss=loss.item(), gradient_norm=norm, **{name: part.item() for name, part in parts.items()})
        if config.evaluate_every and (step + 1) % config.evaluate_every == 0:
            policy = GuidedPolicy(model, average, config.evaluation_beta, config.support)
            session.validate(policy, config.validation_episodes)
    facts = {"steps": config.steps, "cpu_seconds": round(session.seconds, 1)}
    return finish(run, config, model, average, facts)
