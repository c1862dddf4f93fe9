"""TAMER: what a watcher would say of an action is predicted, and the action that he would like best is taken (Knox and Stone, 2009).

    L = sum over feedback h of (h - sum_t c_t H(s_t, a_t))^2,   c_t: the share of the feedback that is action t's (`lmrl_agents.learning.feedback`)

H of an action is the mean over its tokens of a Q head's values. Acting: softmax of ``beta`` H over tokens that the starting policy supports;
nothing is discounted, since a watcher looks ahead himself. H is linear in the features of the starting policy, whose transformer stays as it
is; `deep_tamer` trains a whole network from a memory.

    lmrl train tamer --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --sample --set bc.steps=60 tamer.iterations=3 tamer.episodes=8 --out runs/tamer
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmrl_agents.learning.feedback import PERSON, FeedbackConfig, Told, coached_rounds, told_of
from lmrl_agents.learning.online import steps_of
from lmrl_agents.learning.optimisation import adamw, precision
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.guided import GuidedPolicy
from lmrl_agents.models.steps import StepBatch, StepStore
from lmrl_agents.models.tokens import TokenEpisode

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""H float [A] of some games' actions, feedback float [S] and its shares float [S, A] to a scalar."""


@dataclass(frozen=True)
class Config(FeedbackConfig):
    """Hyperparameters; the preset's ``[tamer]`` table."""

    episodes: int = 16
    """Games a round."""
    learning_rate: float = 1e-2
    """At the start."""
    beta: float = 8.0
    """Sharpness of play."""
    support: float = 0.01
    """Tokens less likely than this under the starting policy are never taken."""
    memory: int = 1
    """Rounds whose feedback is learned from."""
    updates: int = 8
    """Gradient steps a round."""
    batch_size: int = 16
    """Games a step."""
    hidden: int = 0
    """Width of a hidden layer in the head."""


def tamer_loss(h: torch.Tensor, feedback: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Mean over feedback that reaches some action of (h - sum_t c_t H_t)^2."""
    reaches = (shares.sum(dim=1) > 0).float()
    return (reaches * (feedback - shares @ h).square()).sum() / reaches.sum().clamp(min=1.0)


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    return optimise(run, run.config(Config), tamer_loss, frozen_features=True)


def optimise(run: TrainingRun, config: Config, loss_of: Loss, frozen_features: bool) -> Path:
    """Play, take feedback, fit H; returns the folder of policy and H.

    Args:
        run: what is trained.
        config: how.
        loss_of: of H's actions.
        frozen_features: train H's head alone.
    """
    model = start_policy(run)
    model.requires_grad_(False).eval()
    critic = Critic.beside(model, CriticConfig(("q1",), config.hidden))
    if frozen_features:
        critic.trunk.requires_grad_(False)
    optimizers = {"critic": adamw(config.learning_rate, config.weight_decay, critic)}
    state: dict[str, Any] = {"remembered": []}
    session = Session(run, model, config, {"critic": critic}, optimizers, state)
    session.acting = GuidedPolicy(model, critic, config.beta, config.support, "values")
    remembered = [[_again(game, config) for game in games] for games in state["remembered"]]
    for round_, fresh in coached_rounds(session, config):
        is_person = config.feedback.startswith(PERSON)
        remembered = [fresh] if is_person else [*remembered, fresh][-config.memory :]
        later = [] if is_person else remembered[max(0, len(remembered) - config.memory + 1) :]
        state["remembered"] = [[asdict(episode) for episode, _ in games] for games in later]
        pool = [game for games in remembered for game in games]
        steps, losses = steps_of(session, [episode for episode, _ in pool], config), []
        begin: list[int] = np.searchsorted(steps.episode, np.arange(len(pool) + 1)).tolist()
        for update in range(config.updates):
            games = np.random.default_rng((run.seed, round_, update)).integers(len(pool), size=config.batch_size)
            batch, owner, feedback, shares = batch_of(steps, begin, [told for _, told in pool], np.unique(games))
            batch = batch.to(run.device)
            with precision(run):
                q = critic.values_of(critic.states(batch)[batch.state], batch.token)[0]
                h = mean_of(q, owner.to(run.device))
                loss = loss_of(h, feedback.to(run.device), shares.to(run.device))
            session.update("critic", loss, config.rate(round_), batch)
            losses.append(loss.item())
        session.log(loss=float(np.mean(losses)))
    decoding = {"beta": config.beta, "support": config.support, "rule": "values", "draws": 1}
    return session.finish(critic, decoding=decoding)


def _again(game: dict[str, Any], config: FeedbackConfig) -> tuple[TokenEpisode, Told]:
    episode = TokenEpisode.from_json(game)
    return episode, told_of(episode.rewards, config)


def batch_of(
    steps: StepStore, begin: Sequence[int], told: Sequence[Told], games: np.ndarray
) -> tuple[StepBatch, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The tokens of some games, the action of each (int64 [N]), all feedback on them (float [S]) and its shares (float [S, A])."""
    which = np.concatenate([np.arange(begin[g], begin[g + 1]) for g in games])
    own = [told[g] for g in games]
    first = dict(zip(games.tolist(), np.cumsum([0, *(one.shares.shape[1] for one in own[:-1])]).tolist(), strict=True))
    owner = [first[e] + t for e, t in zip(steps.episode[which].tolist(), steps.turn[which].tolist(), strict=True)]
    shares = torch.block_diag(*(torch.tensor(one.shares, dtype=torch.float32) for one in own))
    values = torch.tensor(np.concatenate([one.values for one in own]), dtype=torch.float32)
    return steps.batch(which, successors=False), torch.tensor(owner), values, shares


def mean_of(values: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """Mean of the values of each owner: float [N], int64 [N] -> float [A]."""
    size = int(owner.max()) + 1
    sums = torch.zeros(size, device=values.device).index_add(0, owner, values)
    return sums / torch.bincount(owner, minlength=size).clamp(min=1)
