"""Dynamic planning: Q-learning over candidates that change each turn, as they were logged (Cohen et al. 2022, arXiv 2208.02294).

    y = r                                                    "supervised": the best next line, and no further
    y = r + gamma Qbar(s', a')                               "sarsa": what the logged speaker went on with
    y = r + gamma max_{a in C(s')} Qbar(s', a)               "q", over the next turn's own candidates C(s')
    L = 1/2 (Q(s, a) - y)^2 + alpha (log sum_{c in C(s)} exp Q(s, c) - Q(s, a))      "cql": alpha > 0; "bc": the second part alone

The data's last info holds what was offered at each turn (``offered``: `lmrl_envs.wrappers.Candidates`, recipes with ``candidates``). A
turn whose candidates were not logged is an error: there is nothing to take the maximum over. A game that was cut off teaches nothing of
its last turn, unless nothing beyond it is asked for.

    lmrl train planning --env lmrl/Chat-v0 --data chat/candidates-v0 --sample --set planning.method=q --out runs/planning

Acting: the best of the candidates, which the agent's own providers (those of the data) offer, or the caller (`PlanningAgent.choose`).
Results: docs/kl-control.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import fresh_model, start_policy
from lmrl_agents.models.planning_values import PlanningConfig, PlanningValues, Talks, TextTable, padded
from lmrl_datasets.schema import Episode

TAKES_REWARD = True

METHODS = ("bc", "supervised", "sarsa", "q", "cql")


@dataclass(frozen=True)
class Config:
    """Hyperparameters; the preset's ``[planning]`` table."""

    method: str = "q"
    """One of `METHODS`."""
    steps: int = 1200
    """Gradient steps."""
    batch_size: int = 64
    """Games a step; all their turns are learned from."""
    learning_rate: float = 2e-3
    """Of Adam."""
    width: int = 32
    """Of a token's embedding."""
    hidden: int = 48
    """Of the state."""
    discount: float = 1.0
    """gamma, per turn."""
    polyak: float = 0.02
    """Of the slow network."""
    conservatism: float = 0.1
    """alpha of "cql"."""
    clip: float = 1.0
    """Largest gradient norm."""
    log_every: int = 50
    """Steps between lines of metrics."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""


class Unlogged(TrainingError):
    """A turn whose candidates were not logged."""


# -- the formulas, each by itself


def targets(method: str, rewards: torch.Tensor, q: torch.Tensor, taken: torch.Tensor, last: torch.Tensor, discount: float) -> torch.Tensor:  # fmt: skip
    """y of every turn.

    Args:
        method: one of `METHODS`.
        rewards: float [B, T].
        q: slow values of the candidates, float [B, T, K], -inf where there is none.
        taken: int64 [B, T], which one was said.
        last: bool [B, T], the game ends with it.
        discount: gamma.
    """
    if method in ("bc", "supervised"):
        return rewards
    after = q.gather(2, taken[..., None])[..., 0] if method == "sarsa" else q.amax(dim=2)
    after = F.pad(after[:, 1:], (0, 1)).masked_fill(last, 0.0)
    return rewards + discount * after


def loss_of(method: str, q: torch.Tensor, taken: torch.Tensor, y: torch.Tensor, counts: torch.Tensor, alpha: float) -> torch.Tensor:  # fmt: skip
    """The loss over the turns that count, bool [B, T]; see `targets`."""
    q, taken, y = q[counts], taken[counts], y[counts]
    said = q.gather(1, taken[:, None])[:, 0]
    squares = 0.5 * (said - y).square().mean()
    if method not in ("bc", "cql"):
        return squares
    gap = (torch.logsumexp(q, dim=1) - said).mean()
    return gap if method == "bc" else squares + alpha * gap


# -- training


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the values, beside the language model whose tokenizer they read with."""
    config = run.config(Config)
    if config.method not in METHODS:
        raise ValueError(f"planning.method={config.method!r}: choose of {', '.join(METHODS)}")
    data = run.load_data()
    model = start_policy(run) if run.start is not None else fresh_model(run, data)
    model.eval().requires_grad_(False)
    table = TextTable(model.tokenizer)
    logged = Logged(data, table)
    run.save_facts(
        episodes=len(logged.said), turns=int(logged.here.sum()), candidates=float(logged.offers[logged.here].mean())
    )
    ids = table.ids()
    torch.manual_seed(run.seed)
    values = PlanningValues(PlanningConfig(len(model.tokenizer), config.width, config.hidden)).to(run.device)
    target = values.target()
    optimizers = {"values": torch.optim.Adam(values.parameters(), config.learning_rate)}
    session = Session(run, model, config, {"planning": values, "target": target}, optimizers)
    for step in session:
        rows = np.random.default_rng((run.seed, step)).integers(len(logged.said), size=config.batch_size)
        batch = logged.batch(rows, ids).to(run.device)
        with torch.no_grad():
            y = targets(config.method, batch.rewards, target(batch.talks), batch.taken, batch.last, config.discount)
        counts = batch.here if config.method in ("bc", "supervised") else batch.known
        loss = loss_of(config.method, values(batch.talks), batch.taken, y, counts, config.conservatism)
        measured: Any = Measured(torch.ones(1), batch.here.sum()[None])
        norm = session.update("values", loss, config.learning_rate, measured)
        target.follow(values, config.polyak)
        session.note = f"loss {loss.item():.3f}"
        session.log(loss=loss.item(), gradient_norm=norm, target=float(y[counts].mean()))
    providers = dict(data.manifest["recipe"].get("candidates", {}))
    return session.finish(target, decoding=providers, method=config.method)  # type: ignore[arg-type]


@dataclass
class Measured:
    """What a session asks of a batch."""

    weight: torch.Tensor
    length: torch.Tensor


class Batch(NamedTuple):
    """Some games: conversations, rewards, which candidate was said, ends, turns that are there, those whose future is known: [B, T]."""

    talks: Talks
    rewards: torch.Tensor
    taken: torch.Tensor
    last: torch.Tensor
    here: torch.Tensor
    known: torch.Tensor

    def to(self, device: str) -> Batch:
        """The same on a device."""
        rest = (self.rewards, self.taken, self.last, self.here, self.known)
        return Batch(self.talks.to(device), *(part.to(device) for part in rest))


class Logged:
    """Games with what was offered at each turn, as rows of texts.

    Args:
        episodes: of the data.
        table: takes their texts.

    Raises:
        Unlogged: a turn's candidates were not logged, or what was said is none of them.
    """

    def __init__(self, episodes: Iterable[Episode], table: TextTable) -> None:
        said, heard, offered, taken, rewards, cut = [], [], [], [], [], []
        for episode in episodes:
            sets = episode.info.get("offered", ())
            if len(sets) < len(episode.actions):
                raise Unlogged(
                    f"episode {episode.episode_id}: candidates of {len(sets)} turns were logged, of {len(episode.actions)}; "
                    "play through lmrl_envs.wrappers.Candidates, or take data of a recipe with candidates"
                )
            sets = sets[: len(episode.actions)]
            for turn, (action, own) in enumerate(zip(episode.actions, sets, strict=True)):
                if action not in own:
                    raise Unlogged(
                        f"episode {episode.episode_id}, turn {turn + 1}: {action[:60]!r} is none of the candidates that were logged"
                    )
            said.append([table.row(text) for text in ("", *episode.actions[:-1])])
            heard.append([table.row(text) for text in episode.observations[:-1]])
            offered.append([[table.row(text) for text in own] for own in sets])
            taken.append([list(own).index(action) for action, own in zip(episode.actions, sets, strict=True)])
            rewards.append(list(episode.rewards))
            cut.append(not episode.terminated)
        turns, most = max(map(len, said)), max(len(own) for sets in offered for own in sets)
        self.said, self.heard, self.taken = padded(said, 0), padded(heard, 0), padded(taken, 0)
        self.offered = torch.stack(
            [padded([*sets, *[[0]] * (turns - len(sets)), [0] * most], 0)[:-1] for sets in offered]
        )
        self.offers = torch.tensor([[*map(len, sets), *[1] * (turns - len(sets))] for sets in offered]).float()
        self.rewards = torch.tensor([[*own, *[0.0] * (turns - len(own))] for own in rewards])
        length = torch.tensor([len(own) for own in said])
        self.here = torch.arange(turns) < length[:, None]
        self.last = torch.arange(turns) == length[:, None] - 1
        self.known = self.here & ~(self.last & torch.tensor(cut)[:, None])

    def batch(self, rows: np.ndarray, ids: torch.Tensor) -> Batch:
        """The games of these rows; ``ids`` are the table's."""
        index = torch.from_numpy(rows)
        turns = int(self.here[index].sum(dim=1).max())
        said, heard, offered = (part[index, :turns] for part in (self.said, self.heard, self.offered))
        open = torch.arange(offered.shape[2]) < self.offers[index, :turns, None]
        used, inverse = torch.unique(
            torch.cat([said.flatten(), heard.flatten(), offered.flatten()]), return_inverse=True
        )
        own = ids[used]
        own = own[:, : max(1, int((own >= 0).sum(dim=1).max()))]
        which = inverse.split([said.numel(), heard.numel(), offered.numel()])
        own_said, own_heard, own_offered = (
            part.view(like.shape) for part, like in zip(which, (said, heard, offered), strict=True)
        )
        rewards, taken, last, here, known = (
            part[index, :turns] for part in (self.rewards, self.taken, self.last, self.here, self.known)
        )
        return Batch(Talks(own, own_said, own_heard, own_offered, open), rewards, taken, last, here, known)
