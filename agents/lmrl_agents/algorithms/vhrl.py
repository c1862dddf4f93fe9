"""VHRL: a manager decides what an utterance is to do, a worker words it, both by REINFORCE (Saleh et al. 2020, arXiv 1909.07547).

    L = - E_k ( alpha log p(z_k | c_k) + beta 1/|a_k| sum_t log pi(w_t | w_<t, z_k, c_k) ) R_k,   R_k = sum_{j >= k} gamma^(j - k) r_j

R is made mean 0, deviation 1 over all utterances of a round. z is the first token of an action: a latent of as many values as data begin
utterances with. In a view whose actions begin with what they do, that is a code of acts (Chat: ``text.view=acts``, "ask: what ...").
Manager and worker are two networks, clones of the data at first. ``mode``:

- "joint": both learn; "worker": alpha = 0; "manager": beta = 0, the worker's words stay what they were, bit for bit;
- "decoupled": by turns, a round each, each time with a new state of the optimizer.

Departures: the paper's z is a Gaussian vector of a variational model, here one of the tokens; the worker reads z as its first token.
With networks of their own alpha and beta only rescale gradients, which Adam takes no notice of.

    lmrl train vhrl --env lmrl/Chat-v0 --data chat/casual-v0 --sample --set text.view=acts --out runs/vhrl

Results: docs/kl-control.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmrl_agents.learning.online import OnlineConfig, floats, minibatches, new_logprobs, rounds, steps_of
from lmrl_agents.learning.optimisation import adamw, precision
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.adapters import copied
from lmrl_agents.models.steps import StepStore
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_agents.playing.managed import Hierarchy

TAKES_REWARD = True

MODES = ("joint", "worker", "manager", "decoupled")


@dataclass(frozen=True)
class Config(OnlineConfig):
    """Hyperparameters; the preset's ``[vhrl]`` table."""

    mode: str = "joint"
    """One of `MODES`."""
    alpha: float = 1.0
    """Weight of the manager's part; .001 in the public code."""
    beta: float = 1.0
    """Of the worker's."""
    discount: float = 0.9
    """gamma, per utterance."""
    batch_size: int = 2048
    """Action tokens a minibatch."""


# -- the formulas, each by itself


def utterance_returns(rewards: Sequence[Sequence[float]], discount: float) -> list[np.ndarray]:
    """R of every utterance of some games, mean 0 and deviation 1 over all of them."""
    found = []
    for own in rewards:
        left = np.zeros(len(own))
        for k in reversed(range(len(own))):
            left[k] = own[k] + (discount * left[k + 1] if k + 1 < len(own) else 0.0)
        found.append(left)
    every = np.concatenate(found)
    return [(own - every.mean()) / max(float(every.std()), 1e-6) for own in found]


def shares(episode: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of tokens in order: whether each is an utterance's first, bool [N], and 1/|a| of its words (0 for the first), float [N]."""
    first = np.append(True, (episode[1:] != episode[:-1]) | (turn[1:] != turn[:-1]))
    of = np.cumsum(first) - 1
    words = np.maximum(np.bincount(of) - 1, 1)[of]
    return first, np.where(first, 0.0, 1.0 / words)


def losses(
    manager: torch.Tensor, worker: torch.Tensor, first: torch.Tensor, share: torch.Tensor, returns: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The manager's and the worker's part of L without their weights: log-probabilities, `shares` and R of tokens, [N] each."""
    count = first.sum().clamp(min=1)
    own = -(torch.where(first, manager, 0.0) * returns).sum() / count
    return own, -(share * worker * returns).sum() / count


# -- training


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of both models."""
    config = run.config(Config)
    if config.mode not in MODES:
        raise ValueError(f"vhrl.mode={config.mode!r}: choose of {', '.join(MODES)}")
    model = start_policy(run)
    manager = copied(model)
    parts = {"manager": manager, "worker": model}
    optimizers = {name: adamw(config.learning_rate, config.weight_decay, part) for name, part in parts.items()}
    session = Session(run, model, config, {"policy": model, "manager": manager}, optimizers)
    hierarchy: Any = Hierarchy(model, manager)
    session.acting = hierarchy
    for round_, episodes in rounds(session, config):
        learns = _learners(config, round_)
        if config.mode == "decoupled":
            optimizers[learns[0]].state.clear()
        steps = steps_of(session, episodes, config)
        first, share = shares(steps.episode, steps.turn)
        goals = _returns_of(episodes, steps, config.discount)
        facts: dict[str, float] = {}
        for index, batch, more in minibatches(steps, config.batch_size, (run.seed, round_), run.device, [0]):
            place = index.cpu().numpy()
            starts = torch.from_numpy(first[place]).to(run.device)
            share_of, goal = floats(share[place], run.device), floats(goals[place], run.device)
            with precision(run):
                by_manager, by_worker = (new_logprobs(part, batch, config.temperature)[0] for part in parts.values())
                each = dict(zip(parts, losses(by_manager, by_worker, starts, share_of, goal), strict=True))
            for name in learns:
                weight = config.alpha if name == "manager" else config.beta
                session.update(name, weight * each[name], config.rate(round_), batch, more)
                facts[f"{name}_loss"] = each[name].item()
        session.log(**facts)
    saved: Any = hierarchy
    return session.finish(saved, mode=config.mode)


def _learners(config: Config, round_: int) -> list[str]:
    """Who learns in a round."""
    if config.mode == "decoupled":
        return [("manager", "worker")[round_ % 2]]
    return ["manager", "worker"] if config.mode == "joint" else [config.mode]


def _returns_of(episodes: Sequence[TokenEpisode], steps: StepStore, discount: float) -> np.ndarray:
    """R of the utterance that each token is of, float [N]."""
    returns = utterance_returns([episode.rewards for episode in episodes], discount)
    return np.array([returns[e][k] for e, k in zip(steps.episode, steps.turn, strict=True)])
