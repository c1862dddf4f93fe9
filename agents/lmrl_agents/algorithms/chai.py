"""CHAI: Q-learning over whole utterances that a language model proposes (Verma, Fu, Yang, Levine 2022, arXiv 2204.08426).

    y = r + gamma max_{i <= N} min_j Qbar_j(s', a_i),  a_1 .. a_N proposals of the language model in s'
    L = sum_j 1/2 (Q_j(s, a) - y)^2 + w (log sum_{a in A} exp Q_j(s, a) - Q_j(s, a_data)) / temperature 1

with r = 10 (p / L - 1) on a deal at p of the listed price L, -20 without one or below half of it. By ``method``:

- "prop": w = 0 (EMaQ's backup: Ghasemipour et al., arXiv 2007.11091);
- "cql": w = 1, A = 4 random utterances of the data, 4 proposals in s, 4 proposals in s';
- "brac": a price actor pi(p | s, act, words), y = r + gamma (Q(s', a') + b log mu(p')) with mu = N(.691 + .207 p_partner, 1), log mu at
  least -10 (Wu et al., arXiv 1911.11361, value penalty); ``regularise`` puts b log mu into the actor's loss instead;
- "ilql": ILQL with one "token" per turn: y = r + gamma V(s'), V the expectile of min_j Qbar_j(s, a_data).

Acting: softmax(10 Q) over the proposals at the five prices of CHAI's grid, or the actor's price (``actor_plays``). The public code's
proposals are beams and differ; ours are draws, with `accept` and `reject` added where an offer stands. Each is the act that it is read as.

The public code differs from the paper; each difference is a name in ``as_coded``: "drawn_backup" (y takes one proposal drawn from
softmax(Q), priced U(0, .3) below the agent's last), "push_down" (Q(s, a_data) is never subtracted), "next_features" (A is valued in s'),
"penalty_sign" (b log mu is subtracted: unlikely prices are rewarded), "critic_plays" (the actor is trained and never used),
"missing_price" (a missing price is 0 in training and .8 in play), "price_rise" (2 off where the agent's price rises, meant for falls).
Departures: embeddings of texts are means of the model's token embeddings of length 1, not GPT-2's last states; the price is no part of them.

    lmrl train chai --env lmrl/Negotiation-v0 --data negotiation/casual-v0 --preset nano --seed 0 --set chai.method=cql --out runs/chai

Results: docs/negotiation.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmrl_agents.learning.losses import expectile_loss
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.learning.talks import Talks, cached_talks
from lmrl_agents.models.utterances import UtteranceConfig, UtteranceValues

METHODS = ("prop", "cql", "brac", "ilql")
AS_CODED = ("drawn_backup", "push_down", "next_features", "penalty_sign", "critic_plays", "missing_price", "price_rise")


@dataclass(frozen=True)
class Config:
    """Hyperparameters; the preset's ``[chai]`` table."""

    method: str = "cql"
    """One of `METHODS`."""
    as_coded: tuple[str, ...] = ()
    """Of `AS_CODED`."""
    steps: int = 1500
    """Gradient steps."""
    batch_size: int = 256
    """Utterances of the data a step."""
    learning_rate: float = 3e-4
    """Of Adam."""
    hidden: int = 128
    """Units of a hidden layer; CHAI's code has 256."""
    discount: float = 0.99
    """gamma"""
    polyak: float = 0.005
    """Of the slow networks."""
    conservatism: float = -1.0
    """w; below 0: 1 for "cql", else 0. The code's prop has .1."""
    penalty: float = 1.0
    """b"""
    regularise: bool = False
    """Whether b log mu is in the actor's loss instead of the target."""
    entropy_target: float = 0.1
    """Of the actor; its weight is learned, from .1."""
    expectile: float = 0.8
    """tau of "ilql"."""
    floor: float = -1.0
    """Deals worth less than this count as none; below 0: half of the listed price for a seller, nothing for a buyer."""
    price_penalty: float = 0.0
    """Off the reward where the agent's price falls."""
    actor_plays: bool = True
    """Whether the trained agent takes the actor's price, where there is one."""
    candidates: int = 5
    """N"""
    top_p: float = 0.95
    """Of the language model's proposals."""
    episodes: int = 2000
    """Talks that are learned from, the first of the data; proposals are drawn once for each of their positions."""
    clip: float = 10.0
    """Largest gradient norm."""
    log_every: int = 50
    """Steps between lines of metrics."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""


# -- the formulas, each by itself


def backup(q: torch.Tensor, drawn: bool, generator: torch.Generator | None = None) -> torch.Tensor:
    """The value of a position by its proposals: the greatest, or (as coded) that of one drawn from softmax(q). float [B, K] -> [B]."""
    if not drawn:
        return q.amax(dim=1)
    one = torch.multinomial(torch.softmax(q.nan_to_num(neginf=-1e9), dim=1), 1, generator=generator)
    return q.gather(1, one)[:, 0]


def conservative(others: torch.Tensor, data: torch.Tensor, push_down: bool = False) -> torch.Tensor:
    """log sum exp of Q over other utterances less Q of the data's (as coded: not less anything). float [B, K], [B] -> []."""
    return (torch.logsumexp(others, dim=1) - (0.0 if push_down else data)).mean()


def log_density(price: torch.Tensor, partner: torch.Tensor) -> torch.Tensor:
    """log mu: the data's prices by the partner's, a Gaussian of deviation 1, at least -10."""
    return (-0.5 * (price - 0.691 - 0.207 * partner).square() - 0.9189385).clamp(min=-10.0)


def penalised(q: torch.Tensor, density: torch.Tensor, weight: float, as_coded: bool = False) -> torch.Tensor:
    """What BRAC's target takes for Q: likely prices are worth more (as coded: less)."""
    return q - weight * density if as_coded else q + weight * density


def drawn_price(own: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """The code's price of a proposal: up to .3 below the agent's last."""
    return own - 0.3 * uniform


def rewards_of(returns: np.ndarray, success: np.ndarray, floor: float) -> np.ndarray:
    """CHAI's reward of a whole talk by what the deal is worth as a share of the listed price."""
    return np.where(success & (returns >= floor) & (returns <= 1.5), 10.0 * (returns - 1.0), -20.0)


def price_moves(own: np.ndarray, price: np.ndarray, penalty: float, as_coded: bool) -> np.ndarray:
    """What is taken off where a price is below the agent's last (as coded: above it, and 2)."""
    moved = np.nan_to_num(price - own)
    return 2.0 * (moved > 1e-9) if as_coded else penalty * (moved < -1e-9)


# -- training


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of language model and values."""
    config = run.config(Config)
    wrong = {config.method} - set(METHODS) or set(config.as_coded) - set(AS_CODED)
    if wrong:
        raise ValueError(
            f"{', '.join(sorted(wrong))}: choose method of {', '.join(METHODS)} and as_coded of {', '.join(AS_CODED)}"
        )
    model = start_policy(run).eval().requires_grad_(False)
    talks = cached_talks(run, model, config.episodes, config.candidates, config.top_p)
    # What the code puts in training and what it puts in play differ; so do the networks' inputs then.
    sizes = UtteranceConfig(
        talks.width, talks.kinds, talks.answers, config.hidden, config.method == "ilql", config.method == "brac"
    )
    torch.manual_seed(run.seed)
    values = UtteranceValues(sizes, initial=-6.0)
    learner = _Learner(run, config, talks, values)
    modules: dict[str, torch.nn.Module] = {"utterances": values, "target": learner.target}
    optimizers = {"values": torch.optim.Adam(learner.critics, config.learning_rate)}
    if values.actor is not None:
        optimizers["actor"] = torch.optim.Adam([*values.actor.parameters(), values.actor_entropy], config.learning_rate)
    session = Session(run, model, config, modules, optimizers)
    for step in session:
        batch: Any = learner.batch(step)  # a session asks for weight and length alone
        loss, facts = learner.loss(batch)
        norm = session.update("values", loss, config.learning_rate, batch)
        if values.actor is not None:
            actor_loss, told = learner.actor_loss(batch)
            session.update("actor", actor_loss, config.learning_rate, batch)
            facts |= told
        learner.target.follow(values, config.polyak)
        session.note = f"loss {loss.item():.3f}"
        session.log(loss=loss.item(), gradient_norm=norm, **facts)
    plays = config.method == "brac" and config.actor_plays and "critic_plays" not in config.as_coded
    decoding = {"candidates": config.candidates, "top_p": config.top_p, "actor": plays}
    return session.finish(learner.target, decoding=decoding, method=config.method, as_coded=list(config.as_coded))  # type: ignore[arg-type]


@dataclass
class Batch:
    """Some utterances of the data."""

    index: torch.Tensor
    """int64 [B], positions."""
    weight: torch.Tensor
    length: torch.Tensor
    random: torch.Generator


class _Learner:
    """The losses over `Talks`; every random number follows from seed and step, so that a run that was stopped goes on as it was."""

    def __init__(self, run: TrainingRun, config: Config, talks: Talks, values: UtteranceValues) -> None:
        self.run, self.config, self.talks, self.values = run, config, talks, values
        self.target = values.target()
        self.critics = [p for name, p in values.named_parameters() if not name.startswith("actor")]
        floor = config.floor if config.floor >= 0 else 0.5 * talks.sells
        reward = np.where(talks.last, rewards_of(talks.returns, talks.success, floor), 0.0)
        coded = "price_rise" in config.as_coded
        reward = reward - price_moves(talks.own, talks.price, config.price_penalty, coded)
        self.reward = torch.tensor(reward, dtype=torch.float32)
        missing = 0.0 if "missing_price" in config.as_coded else values.config.missing
        self.states = talks.states(missing)
        self.offered = tuple(
            part.flatten(1) for part in (talks.offered_acts, talks.offered_prices(missing), talks.offered_words)
        )
        self.goes_on = torch.tensor(~talks.last, dtype=torch.float32)
        self.following = torch.arange(len(talks.last)) + self.goes_on.long()
        self.partner = self.states[:, 3]

    def batch(self, step: int) -> Batch:
        random = torch.Generator().manual_seed((self.run.seed * 1_000_003 + step) % 2**63)
        index = torch.randint(len(self.reward), (self.config.batch_size,), generator=random)
        ones = torch.ones(self.config.batch_size)
        return Batch(index, ones, ones, random)

    def said(self, index: torch.Tensor) -> torch.Tensor:
        """The data's utterances, float [B, 1, A]."""
        talks = self.talks
        return self.values.actions(talks.act_ids[index], talks.prices[index], talks.words[talks.word_ids[index]])[
            :, None
        ]

    def proposed(
        self, index: torch.Tensor, random: torch.Generator, number: int | None = None, priced: bool = True
    ) -> torch.Tensor:
        """Proposals in positions at one price of the grid each, float [B, N, A]; all prices of each where no number is asked for.

        ``priced``: whether they keep these prices; else they are what they are between both sides', for a price from elsewhere.
        """
        acts, prices, words = (part[index] for part in self.offered)
        drawn = "drawn_backup" in self.config.as_coded
        middle = torch.arange(2, acts.shape[1], 5).expand(len(index), -1)
        cells = torch.arange(acts.shape[1]).expand(len(index), -1) if priced and not drawn else middle
        if number is not None:
            cells = cells.gather(1, torch.randint(cells.shape[1], (len(index), number), generator=random))
        acts, prices, words = (part.gather(1, cells) for part in (acts, prices, words))
        if drawn:
            uniform = torch.rand(prices.shape, generator=random)
            prices = torch.where(prices.isnan(), prices, drawn_price(self.states[index, 1][:, None], uniform))
        return self.values.actions(acts, prices, self.talks.words[words])

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        config, index, values = self.config, batch.index, self.values
        states, following = self.states[index], self.following[index]
        with torch.no_grad():
            y = self.reward[index] + config.discount * self.goes_on[index] * self._after(following, batch.random)
        said = self.said(index)
        heads = [q[:, 0] for q in values.q(states, said)]
        loss = sum((0.5 * (q - y).square().mean() for q in heads), torch.zeros(()))
        facts = {"target": float(y.mean()), "value": float(heads[0].detach().mean())}
        if values.v is not None:
            with torch.no_grad():
                slow = self.target.least_q(states, said)[:, 0]
            loss = loss + expectile_loss(values.v(states)[:, 0], slow, config.expectile, batch.weight)
        weight = config.conservatism if config.conservatism >= 0 else float(config.method == "cql")
        if weight:
            loss = loss + weight * self._conservatism(batch, heads)
        return loss, facts

    def _after(self, following: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """What the following positions are worth."""
        config, states = self.config, self.states[following]
        if self.target.v is not None:
            return self.target.v(states)[:, 0]
        if self.target.actor is None:
            q = self.target.least_q(states, self.proposed(following, random))
            return backup(q, "drawn_backup" in config.as_coded, random)
        actions = self.proposed(following, random, config.candidates, priced=False)
        priced, prices, _ = self._acted(self.values, states, actions, random)
        q = self.target.least_q(states, priced)
        if not config.regularise:
            density = log_density(prices, self.partner[following][:, None])
            density = torch.where(actions[..., -1] > 0, torch.zeros(()), density)
            q = penalised(q, density, config.penalty, "penalty_sign" in config.as_coded)
        return backup(q, False)

    def _acted(
        self, values: UtteranceValues, states: torch.Tensor, actions: torch.Tensor, random: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Utterances at the actor's prices, these, and their log-density."""
        noise = torch.randn(actions.shape[:2], generator=random)
        prices, density = values.price(states, actions, noise)
        none = actions[..., -1] > 0
        shown = torch.where(none, torch.zeros(()), prices)
        return torch.cat([actions[..., :-2], shown[..., None], actions[..., -1:]], dim=-1), prices, density

    def _conservatism(self, batch: Batch, heads: list[torch.Tensor]) -> torch.Tensor:
        config, index, random = self.config, batch.index, batch.random
        following = self.following[index]
        anywhere = torch.randint(len(self.reward), (len(index), 4), generator=random)
        drawn = self.said(anywhere.flatten())[:, 0].view(len(index), 4, -1)
        others = torch.cat([drawn, self.proposed(index, random, 4), self.proposed(following, random, 4)], dim=1)
        where = following if "next_features" in config.as_coded else index
        push_down = "push_down" in config.as_coded
        return sum(
            (
                conservative(q, data, push_down)
                for q, data in zip(self.values.q(self.states[where], others), heads, strict=True)
            ),
            torch.zeros(()),
        )

    def actor_loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Entropy-regularised: alpha log pi - Q, and alpha by how far the entropy is from its target."""
        config, index = self.config, batch.index
        states = self.states[index]
        actions = self.proposed(index, batch.random, config.candidates, priced=False)
        priced, prices, density = self._acted(self.values, states, actions, batch.random)
        blank = (actions[..., -1] == 0).float()
        worth = self.target.least_q(states, priced)
        if config.regularise:
            likely = log_density(prices, self.partner[index][:, None])
            worth = penalised(worth, likely, config.penalty, "penalty_sign" in config.as_coded)
        entropy = self.values.actor_entropy
        weight = entropy.exp()
        many = blank.sum().clamp(min=1.0)
        loss = ((weight.detach() * density - worth) * blank).sum() / many
        off = (density.detach() * blank).sum() / many + config.entropy_target
        return loss - entropy * off, {
            "actor_price": float((prices.detach() * blank).sum() / many),
            "entropy": -float(off),
        }
