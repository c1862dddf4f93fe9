"""What a round's chosen games are imitated with: steps of cloning on a pool of episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmrl_agents.learning.losses import mean, surprise
from lmrl_agents.learning.online import OnlineConfig, steps_of
from lmrl_agents.learning.optimisation import batch_indices, precision
from lmrl_agents.learning.session import Session
from lmrl_agents.models.chunks import read
from lmrl_agents.models.tokens import TokenEpisode


@dataclass(frozen=True)
class ImitationConfig(OnlineConfig):
    """Hyperparameters of algorithms that imitate some of what was played."""

    updates: int = 8
    """Gradient steps a round."""
    batch_size: int = 64
    """Rows a step."""


def imitate(session: Session, config: ImitationConfig, pool: Sequence[TokenEpisode], round_: int) -> float:
    """Clone a pool of games; returns the last loss."""
    steps, model, rate = steps_of(session, pool, config), session.policy, config.rate(round_)
    last = 0.0
    for update in range(config.updates):
        number = round_ * config.updates + update
        groups = session.shard(batch_indices(session.run.seed, number, steps.groups, config.batch_size))
        for part, more in session.parts(steps, groups):
            batch = steps.clone_batch(part).to(session.run.device)
            with precision(session.run):
                (cost,) = read(
                    model,
                    lambda logits, token: (surprise(logits / config.temperature, token),),
                    model.action_states(batch),
                    batch.token,
                )
                loss = mean(cost, batch.weight)
            session.update("policy", loss, rate, batch, more)
            last = loss.item()
    return last
