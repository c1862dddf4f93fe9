"""A reward model from pairs: the score of a game is the sum of what it gives each action (Christiano et al., arXiv 1706.03741).

    L = - y log s(D) - (1 - y) log s(-D),   D = sum_t r(s_t, a_t) of the first - that of the second

r is read at the last token of each action; in a task of one turn that is the end of the answer (Ouyang et al., arXiv 2203.02155). A
margin, centring, an error rate of the labels and iterative data smoothing (``ids``: Zhu, Jordan and Jiao, arXiv 2401.16335) are settings.
Body: of the model that it starts from, head zero. The epoch that does best on one pair in ten is kept.

    lmrl prefs collect --env lmrl/Headline-v0 --out runs/pairs --labels 10000
    lmrl train reward_model --env lmrl/Headline-v0 --data runs/pairs --start runs/bc --out runs/reward

The folder is the reward ``learned:runs/reward``, in standard deviations of the pairs' games. Several, by ``--seed``: ``ensemble:A,B,C``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmrl_agents.learning.optimisation import adamw, cosine_decay, precision
from lmrl_agents.learning.preference_losses import bradley_terry, centring, smoothed
from lmrl_agents.learning.preference_pairs import LabelledPairs, Readable, episodes_of, labelled_pairs
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import fresh_model, start_policy
from lmrl_agents.models.action_ends import ActionEnds
from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.model import LanguageModel

TAKES_PAIRS = True


@dataclass(frozen=True)
class FitConfig:
    """Hyperparameters of everything that is fitted to pairs by `fit`."""

    epochs: int = 2
    """Passes over the pairs."""
    batch_size: int = 64
    """Pairs a step."""
    learning_rate: float = 1e-3
    """At its peak; a cosine down to a twentieth."""
    warmup: int = 20
    """Steps in which the learning rate grows."""
    weight_decay: float = 0.01
    """On matrices."""
    clip: float = 1.0
    """Largest gradient norm."""
    ids: float = 0.0
    """Rate at which labels move to what the model says, after every epoch (iterative data smoothing); 0: they stay."""
    keep_best: bool = True
    """Keep the epoch of the least loss on the held-out pairs, not the last."""
    bootstrap: bool = False
    """Draw the pairs with replacement, once: a member of an ensemble has its own."""
    annotators: tuple[str, ...] = ()
    """Whose labels are learned from; default: everybody's."""
    first: int = 0
    """Learn from the first so many pairs alone: a budget of labels; 0: from all."""
    hidden: int = 0
    """Width of a hidden layer in the head."""
    log_every: int = 20
    """Steps between lines of metrics."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""


@dataclass(frozen=True)
class Config(FitConfig):
    """Hyperparameters; the preset's ``[reward_model]`` table."""

    margin: float = 0.0
    """m, by which the better one has to lead, in nats."""
    centring: float = 0.0
    """Weight of (r(first) + r(second))^2."""
    error: float = 0.0
    """Share of labels that are taken for a coin's (Christiano: .1)."""


@dataclass(frozen=True)
class Reading:
    """What is read at the ends of actions, and what its sums over the two games of a pair, [2 B, K], say of a label."""

    of: Callable[[Critic, torch.Tensor], torch.Tensor]
    """States float [A, width] -> float [A, K]."""
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """Sums and labels float [B] -> float [B]."""
    chance: Callable[[torch.Tensor], torch.Tensor]
    """Sums -> the probability that the first is better, float [B]."""
    worth: Callable[[torch.Tensor], torch.Tensor]
    """float [N, K] -> float [N]: the utility of a game."""
    facts: Callable[[torch.Tensor], dict[str, Any]] = lambda sums: {}
    """What is written down of the sums over all games."""


@dataclass(frozen=True)
class Planned:
    """A loop of known length, see `lmrl_agents.learning.session.Loop`."""

    steps: int
    clip: float
    checkpoint_every: int
    log_every: int


def body_of(run: TrainingRun, data: LabelledPairs) -> LanguageModel:
    """The model that is started from: the run's, or an untrained one with a tokenizer of the pairs' texts."""
    if run.start is not None:
        return start_policy(run)
    return fresh_model(run, [Readable(side.shown) for side in data.sides])  # type: ignore[arg-type]


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)

    def loss(sums: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        first, second = sums[::2, 0], sums[1::2, 0]
        found = bradley_terry(first - second, labels, config.margin, config.error)
        return found + centring(first, second, config.centring) if config.centring else found

    return fit(run, config, CriticConfig(("value",), config.hidden), scalar(loss))


def scalar(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Reading:
    """One number an action: Bradley-Terry's."""
    return Reading(
        of=lambda critic, states: critic.value(states)[:, None],
        loss=loss,
        chance=lambda sums: torch.sigmoid(sums[::2, 0] - sums[1::2, 0]),
        worth=lambda sums: sums[:, 0],
    )


def sums_of(critic: Critic, ends: ActionEnds, sides: np.ndarray, reading: Reading) -> tuple[torch.Tensor, Any]:
    """Sum of what is read at the ends of these sides' actions, float [B, K], and the batch that was read."""
    batch, owner = ends.batch(sides)
    batch, owner = batch.to(critic.device), owner.to(critic.device)
    each = reading.of(critic, critic.states(batch))[batch.state]
    return torch.zeros(len(sides), each.shape[1], device=critic.device).index_add_(0, owner, each), batch


def sides_of(data: LabelledPairs, items: np.ndarray) -> np.ndarray:
    """The first and second sides of some labels' pairs, in turn: int64 [2 B]."""
    return np.stack([2 * data.pair[items], 2 * data.pair[items] + 1], axis=1).ravel()


@torch.inference_mode()
def predict_sums(
    critic: Critic, ends: ActionEnds, sides: np.ndarray, reading: Reading, size: int = 256
) -> torch.Tensor:
    """`sums_of` many sides, float64 [B, K] on the CPU."""
    parts = [sums_of(critic, ends, sides[k : k + size], reading)[0].cpu() for k in range(0, len(sides), size)]
    return torch.cat(parts).double()


def fit(run: TrainingRun, config: FitConfig, heads: CriticConfig, reading: Reading) -> Path:
    """Fit a critic to the run's pairs; returns the folder of the model."""
    data = labelled_pairs(run, config.annotators, config.first)
    model = body_of(run, data)
    critic = Critic.beside(model, heads)
    ends = ActionEnds(episodes_of(data.sides, model.tokenizer, model.form), model.form, model.tokenizer.pad)
    items, held = data.split()
    if config.bootstrap:
        items = np.random.default_rng((run.seed, 1)).choice(items, len(items))
    size = max(1, -(-len(items) // config.batch_size))
    best = critic.target()
    modules: dict[str, torch.nn.Module] = {"critic": critic, "best": best}
    state: dict[str, Any] = {"least": None, "labels": data.label.tolist() if config.ids else []}
    planned = Planned(config.epochs * size, config.clip, config.checkpoint_every, config.log_every)
    optimizers = {"critic": adamw(config.learning_rate, config.weight_decay, critic)}
    session = Session(run, model, planned, modules, optimizers, state)
    critic.train()
    for step in session:
        epoch, place = divmod(step, size)
        order = np.random.default_rng((run.seed, epoch)).permutation(items)
        which = order[place * config.batch_size : (place + 1) * config.batch_size]
        given = np.array(state["labels"]) if config.ids else data.label
        labels = torch.tensor(given[which], dtype=torch.float32, device=critic.device)
        with precision(run):
            sums, batch = sums_of(critic, ends, sides_of(data, which), reading)
            loss = reading.loss(sums, labels).mean()
        rate = cosine_decay(step, planned.steps, config.learning_rate, config.warmup)
        session.update("critic", loss, rate, batch)
        session.note = f"loss {loss.item():.3f}"
        session.log(loss=loss.item())
        if place == size - 1:
            _epoch_over(session, config, critic, best, data, ends, items, held, reading)
    chosen = best if config.keep_best and state["least"] is not None else critic
    sums = predict_sums(chosen, ends, np.arange(len(data.sides)), reading)
    worth = reading.worth(sums)
    turns = float(np.mean(np.diff(ends.start)))
    scale = {"mean": float(worth.mean()) / turns, "std": max(float(worth.std(correction=0)), 1e-6)}
    told = accuracy(reading.chance(sums[sides_of(data, held)]).numpy(), data.label[held])
    return session.finish(chosen, reward_scale=scale, **told, **reading.facts(sums))


def _epoch_over(
    session: Session, config: FitConfig, critic: Critic, best: Critic, data: LabelledPairs, ends: ActionEnds,
    items: np.ndarray, held: np.ndarray, reading: Reading,
) -> None:  # fmt: skip
    """Validate, keep the best, smooth the labels."""
    critic.eval()
    state = session.state

    def gaps(which: np.ndarray) -> torch.Tensor:
        return torch.logit(reading.chance(predict_sums(critic, ends, sides_of(data, which), reading)), eps=1e-12)

    if len(held):
        loss = float(bradley_terry(gaps(held), torch.tensor(data.label[held])).mean())
        session.log(evaluation_loss=loss)
        if state["least"] is None or loss < state["least"]:
            state["least"] = loss
            best.load_state_dict(critic.state_dict())
    if config.ids:
        used = np.unique(items)
        labels = np.array(state["labels"])
        labels[used] = smoothed(torch.tensor(labels[used]), gaps(used), config.ids).numpy()
        state["labels"] = labels.tolist()
    critic.train()


def accuracy(chance: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """On held-out labels: the share on the model's side (ties left out), the expected calibration error, and what it is the sum of.

    Args:
        chance: that the first is better, by the model, float [N].
        labels: float [N].
    """
    told = labels != 0.5
    if not told.any():
        return {}
    bins = reliability(chance, labels)
    return {
        "accuracy": float(np.mean((chance > 0.5)[told] == (labels > 0.5)[told])),
        "calibration_error": sum(count * abs(foretold - observed) for foretold, observed, count in bins) / len(labels),
        "reliability": bins,
    }


def reliability(chance: np.ndarray, labels: np.ndarray) -> list[list[float]]:
    """For each tenth of foretold probability that came up: its mean, the mean of the labels, and how many they are."""
    bins = np.minimum((chance * 10).astype(int), 9)
    return [
        [float(chance[bins == k].mean()), float(labels[bins == k].mean()), int(np.sum(bins == k))]
        for k in np.unique(bins)
    ]
