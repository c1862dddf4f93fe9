"""Online filtered behaviour cloning: play, keep the best games, imitate them, again (Abdulhai et al., arXiv 2311.18232).

    L = - sum_t m_t log pi(x_t | x_<t) / sum_t m_t over the best ``share`` of the games of the last ``memory`` rounds

With one gradient step a round this is REINFORCE with reward 1 for a kept game and 0 for others, and no baseline.

Departures from LMRL-Gym: ties are broken by the seed; games of earlier rounds may be kept (``memory``).

    lmrl train online_filtered_bc --env lmrl/Wordle-v0 --data wordle/mixed-v0 --preset nano --seed 0 --out runs/online-bc

Maze (fully observed, `nano`, seeds 0 to 2, sampled): -8.88, -44.7, -22.3; optimum -6.65, cloning -37. More: docs/results.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmrl_agents.algorithms.filtered_bc import best
from lmrl_agents.learning.imitation import ImitationConfig, imitate
from lmrl_agents.learning.online import rounds
from lmrl_agents.learning.optimisation import adamw
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.distributed import gathered
from lmrl_agents.models.tokens import TokenEpisode

TAKES_REWARD = True


@dataclass(frozen=True)
class Config(ImitationConfig):
    """Hyperparameters; the preset's ``[online_filtered_bc]`` table."""

    episodes: int = 128
    """Games a round."""
    share: float = 0.3
    """Part of the games that is imitated."""
    memory: int = 1
    """Rounds whose games are remembered."""


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    model = start_policy(run)
    optimizer = adamw(config.learning_rate, config.weight_decay, model)
    state: dict[str, Any] = {"remembered": []}
    session = Session(run, model, config, {"policy": model}, {"policy": optimizer}, state)
    remembered = [[TokenEpisode.from_json(game) for game in games] for games in state["remembered"]]
    for round_, episodes in rounds(session, config):
        # The best of all processes' games are imitated by each; `Session.shard` gives each its part of a batch.
        remembered = [*remembered, gathered(episodes)][-config.memory :]
        later = remembered[max(0, len(remembered) - config.memory + 1) :]
        state["remembered"] = [[asdict(game) for game in games] for games in later]
        pool = [episode for games in remembered for episode in games]
        scores = [sum(episode.rewards) for episode in pool]
        kept = best(scores, config.share, run.seed + round_).tolist()
        loss = imitate(session, config, [pool[i] for i in kept], round_)
        session.log(loss=loss, least_return=min(scores[i] for i in kept))
    return session.finish()
