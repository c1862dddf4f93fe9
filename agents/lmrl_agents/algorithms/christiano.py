"""Deep reinforcement learning from preferences over stretches of games (Christiano et al., arXiv 1706.03741).

Each round: the policy plays; of many pairs of stretches of its games a labeller is asked about those on which the members of an ensemble
disagree most; each member is fitted to all labels so far; the policy learns from their mean.

    P(first) = .9 s(sum r(first) - sum r(second)) + .05,  r read at the end of each action;  L = - y log P - (1 - y) log(1 - P)
    asked: the ``queries`` of ``candidates`` times as many random pairs with the largest variance of P over the members
    reward of an action: the mean over members of (r - mean) / std over the round's actions

Each member has a bootstrap of its own (a label counts Poisson(1) times for it). Departures: the policy is a language model that learns by
`grpo`, with returns from each turn on (``credit = "turn"``), in place of TRPO or A2C; no held-out labels set the weight decay.
What was asked is in ``asked.jsonl``. A labeller may be scripted, a model (``judge:openai:MODEL``) or of a package of yours.

    lmrl train christiano --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --sample --set bc.steps=60 christiano.iterations=2 christiano.episodes=4 --out runs/christiano
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.algorithms import grpo
from lmrl_agents.algorithms.reward_model import Reading, predict_sums, scalar, sums_of
from lmrl_agents.learning.asking import Asking, Stretch
from lmrl_agents.learning.optimisation import adamw, precision
from lmrl_agents.learning.preference_losses import bradley_terry
from lmrl_agents.learning.preference_pairs import episodes_of
from lmrl_agents.learning.rewarding import Rewarding, blind
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.action_ends import ActionEnds
from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_agents.playing.collecting import fragment_of
from lmrl_agents.playing.rollout import Played


@dataclass(frozen=True)
class Config(grpo.Config):
    """Hyperparameters; the preset's ``[christiano]`` table."""

    credit: str = "turn"
    """See `grpo`."""
    labeller: str = "gold"
    """Who is asked."""
    segment: int = 8
    """Actions of a stretch; a shorter game is one."""
    queries: int = 16
    """Labels asked for in a round."""
    candidates: int = 5
    """Pairs that each query is chosen of; 1: the pairs are random."""
    budget: int = 0
    """Labels in all, after which the members are fitted no further; 0: no bound."""
    members: int = 3
    """Reward models."""
    error: float = 0.1
    """Share of labels that are taken for a coin's."""
    fit_steps: int = 20
    """Gradient steps of each member in a round."""
    fit_batch: int = 32
    """Pairs a step."""
    fit_rate: float = 1e-3
    """Learning rate of the members."""


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    model = start_policy(run)
    members = {f"member {k}": Critic.beside(model, CriticConfig(("value",), 0)) for k in range(config.members)}
    beside = {name: (one, adamw(config.fit_rate, config.weight_decay, one)) for name, one in members.items()}
    return grpo.optimise(run, config, model, partial(Preferred, config=config, model=model, members=members), beside)  # type: ignore[arg-type]


class Preferred(Rewarding):
    """The ensemble: asks, learns and rewards, see the module."""

    def __init__(self, session: Session, config: Config, model: LanguageModel, members: dict[str, Critic]) -> None:
        super().__init__(session, config.episodes * config.group_size)
        self.config, self.model, self.members = config, model, members
        self.asking = Asking(config.labeller, session)
        self.reading: Reading = scalar(
            lambda sums, labels: bradley_terry(sums[::2, 0] - sums[1::2, 0], labels, error=config.error)
        )

    def give(self, games: Sequence[Played]) -> list[list[float]]:
        """See `Rewarding.give`."""
        left = self.config.budget - len(self.asking.asked) if self.config.budget else self.config.queries
        if left > 0:
            self.asking.ask(self._chosen(games, min(left, self.config.queries)))
            self._fit()
        run = self.session.run
        whole = [
            TokenEpisode.from_transcript(
                blind(g, run).transcript, g.terminated, False, self.model.tokenizer, self.model.form
            )
            for g in games
        ]
        ends = ActionEnds(whole, self.model.form, self.model.tokenizer.pad)
        rewards = np.mean([standardised(_each(one, ends)) for one in self.members.values()], axis=0)
        return [part.tolist() for part in np.split(rewards, ends.start[1:-1])]

    def _chosen(self, games: Sequence[Played], count: int) -> list[tuple[Stretch, Stretch]]:
        """The pairs that are asked about."""
        config, rng = self.config, np.random.default_rng((self.run.seed, self.session.done, 7))
        wanted = count * max(1, config.candidates)
        sides: list[Stretch] = []
        for number in rng.integers(len(games), size=2 * wanted):
            played = games[number]
            start = int(rng.integers(max(1, len(played.actions) - config.segment + 1)))
            sides.append((played, start, min(len(played.actions), start + config.segment)))
        pairs = list(zip(sides[::2], sides[1::2], strict=True))
        if config.candidates <= 1:
            return pairs
        ends = self._ends([fragment_of(*side)[0] for side in sides])
        every = np.arange(len(sides))
        told = [self.reading.chance(predict_sums(one, ends, every, self.reading)) for one in self.members.values()]
        spread = torch.stack(told).mul(1 - config.error).var(dim=0, correction=0).numpy()
        return [pairs[k] for k in np.argsort(-spread, kind="stable")[:count]]

    def _fit(self) -> None:
        """Fit every member to all labels."""
        config, session = self.config, self.session
        asked = [row for row in self.asking.asked if row.label.label is not None]
        if not asked:
            return
        ends = self._ends([side for row in asked for side in (row.pair.first, row.pair.second)])
        labels = np.array([row.label.label for row in asked], float)
        for number, (name, member) in enumerate(self.members.items()):
            rng = np.random.default_rng((self.run.seed, session.done, number))
            own = bootstrap(len(asked), self.run.seed, number)
            losses = []
            for _ in range(config.fit_steps if len(own) else 0):
                items = rng.choice(own, config.fit_batch)
                with precision(self.run):
                    sums, batch = sums_of(
                        member, ends, np.stack([2 * items, 2 * items + 1], axis=1).ravel(), self.reading
                    )
                    given = torch.tensor(labels[items], dtype=torch.float32, device=member.device)
                    loss = self.reading.loss(sums, given).mean()
                session.update(name, loss, config.fit_rate, batch)
                losses.append(loss.item())
            session.log(**{f"{name.replace(' ', '_')}_loss": float(np.mean(losses or [0.0]))})
        session.log(labels=float(len(asked)))

    def _ends(self, sides: Sequence) -> ActionEnds:
        form, tokenizer = self.model.form, self.model.tokenizer
        return ActionEnds(episodes_of(sides, tokenizer, form), form, tokenizer.pad)


def bootstrap(size: int, seed: int, member: int) -> np.ndarray:
    """Which labels a member learns from, each Poisson(1) times whatever came after it: int64 [about N]."""
    counts = np.random.default_rng((seed, member, 11)).poisson(1.0, size)
    return np.repeat(np.arange(size), counts)


def standardised(values: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1; all 0 where all are equal."""
    return (values - values.mean()) / max(float(values.std()), 1e-6)


@torch.inference_mode()
def _each(member: Critic, ends: ActionEnds, size: int = 256) -> np.ndarray:
    """What a member gives each action, one episode after the other."""
    found = []
    for k in range(0, len(ends.start) - 1, size):
        batch, _ = ends.batch(np.arange(k, min(k + size, len(ends.start) - 1)))
        batch = batch.to(member.device)
        found.append(member.value(member.states(batch))[batch.state].cpu().numpy().astype(float))
    return np.concatenate(found)
