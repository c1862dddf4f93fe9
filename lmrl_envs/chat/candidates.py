"""Dynamic planning (Cohen et al. 2022, arXiv 2208.02294): what may be said is another set of candidates each turn, and is logged.

    y = r                                        "supervised": the best next line, and no further
    y = r + gamma Q(s', a')                      "sarsa": what the logged speaker went on with
    y = r + gamma max over the next turn's own candidates of Q(s', .)     "q", and "cql" with alpha (log sum exp over the turn's own
                                                 candidates of Q(s, .) - Q(s, a)) added to the loss

Talks are of `lmrl_envs.chat.proxies`, by acts; Q is linear in what the speaker has seen, for each act. Acting: the best of the candidates.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lmrl_envs.chat.proxies import _COUNTS, ACTS, Talk, prior_log
from lmrl_envs.chat.rules import TURNS

METHODS = ("random", "speaker", "bc", "supervised", "sarsa", "q", "cql")
OFFERED = 0.35
"""How often an act that is possible is offered; at least two are."""
_STARTS = np.cumsum([0, *_COUNTS[:-1]])
_WIDTH = sum(_COUNTS)


class Step(NamedTuple):
    """A logged turn."""

    seen: tuple[int, ...]
    candidates: tuple[int, ...]
    """Indices into `ACTS`: what could have been said."""
    act: int
    reward: float
    goes_on: bool
    """Whether the next step of the log is the same talk's."""


class Unlogged(ValueError):
    """A step whose candidates were not logged: there is nothing to plan over."""


def offers(talk: Talk, rng: random.Random) -> tuple[int, ...]:
    """The candidates of a turn."""
    possible = [i for i, ok in enumerate(talk.possible()) if ok and ACTS[i] not in ("unread", "insult")]
    chosen = [i for i in possible if rng.random() < OFFERED]
    more = [i for i in rng.sample(possible, len(possible)) if i not in chosen]
    return tuple(chosen + more[: max(0, 2 - len(chosen))])


def features(steps: Sequence[Step]) -> np.ndarray:
    """One-hot of what was seen, float [N, F]."""
    found = np.zeros((len(steps), _WIDTH))
    for row, step in enumerate(steps):
        found[row, _STARTS + np.array(step.seen)] = 1.0
    return found


def logged(talks: int, rng: random.Random) -> list[Step]:
    """Talks of a speaker who takes what a casual one would, as far as it is offered."""
    steps: list[Step] = []
    for _ in range(talks):
        talk = Talk(rng)
        while not talk.ended:
            seen, candidates = talk.seen(), offers(talk, rng)
            act = _speaker(talk, candidates, rng)
            talk.step(ACTS[act])
            steps.append(Step(seen, candidates, act, talk.golds[-1], not talk.ended))
    return steps


def _speaker(talk: Talk, candidates: Sequence[int], rng: random.Random) -> int:
    weights = np.exp(prior_log(talk, talk.possible()))[list(candidates)] + 1e-3
    return candidates[int(np.searchsorted(np.cumsum(weights / weights.sum()), rng.random() * (1 - 1e-9)))]


def masks(steps: Sequence[Step], acts: int) -> np.ndarray:
    """0 where an act was a candidate, else -inf, float [N, A].

    Raises:
        Unlogged: a step has no candidates, or did what was none of them.
    """
    found = np.full((len(steps), acts), -np.inf)
    for row, step in enumerate(steps):
        if step.act not in step.candidates:
            raise Unlogged(f"step {row} did act {step.act}, and its logged candidates are {step.candidates}")
        found[row, list(step.candidates)] = 0.0
    return found


def targets(method: str, steps: Sequence[Step], q: np.ndarray, mask: np.ndarray, gamma: float) -> np.ndarray:
    """y of every step, float [N]; Q and mask float [N, A], a step's successor the next row."""
    rewards = np.array([step.reward for step in steps])
    if method == "supervised":
        return rewards
    on = np.array([step.goes_on for step in steps])
    taken = q[np.arange(len(steps)), [step.act for step in steps]]
    after = taken if method == "sarsa" else (q + mask).max(axis=1)
    return rewards + gamma * np.where(on, np.roll(after, -1), 0.0)


def fit(
    method: str, steps: Sequence[Step], x: np.ndarray, acts: int, gamma: float = 1.0, alpha: float = 0.1, rounds: int = TURNS
) -> np.ndarray:  # fmt: skip
    """Q's weights, float [F, A]: rounds of regression on the targets of the round before; "bc" fits the speaker."""
    mask, did = masks(steps, acts), np.array([step.act for step in steps])
    weights = np.zeros((x.shape[1], acts))
    if method == "bc":
        return _descend(weights, x, lambda q: _softmax(q + mask) - np.eye(acts)[did], 300)
    for _ in range(1 if method == "supervised" else rounds):
        y = targets(method, steps, x @ weights, mask, gamma)
        if method == "cql":
            weights = _descend(weights, x, lambda q, y=y: _cql_gradient(q, y, mask, did, alpha), 60)
            continue
        weights = np.zeros_like(weights)
        for act in range(acts):
            own = x[did == act]
            gram = own.T @ own + 1e-6 * np.eye(x.shape[1])
            weights[:, act] = np.linalg.solve(gram, own.T @ y[did == act])
    return weights


def _cql_gradient(q: np.ndarray, y: np.ndarray, mask: np.ndarray, did: np.ndarray, alpha: float) -> np.ndarray:
    gradient = alpha * _softmax(q + mask)
    rows = np.arange(len(y))
    gradient[rows, did] += q[rows, did] - y - alpha
    return gradient


def _softmax(values: np.ndarray) -> np.ndarray:
    own = np.exp(values - values.max(axis=1, keepdims=True))
    return own / own.sum(axis=1, keepdims=True)


def _descend(
    weights: np.ndarray, x: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray], steps: int
) -> np.ndarray:
    """Down a loss's mean by Adam, from its gradient by Q."""
    m, v, weights = np.zeros_like(weights), np.zeros_like(weights), weights.copy()
    for t in range(1, steps + 1):
        g = x.T @ gradient(x @ weights) / len(x)
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        weights -= 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
    return weights


def run(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Gold of one method on new talks, offered as the logged ones were."""
    method, rng = settings["method"], random.Random(settings["seed"])
    steps = logged(settings["talks"], rng)
    weights = None if method in ("random", "speaker") else fit(method, steps, features(steps), len(ACTS))
    golds = []
    for _ in range(settings["evaluated"]):
        talk = Talk(rng)
        while not talk.ended:
            candidates = offers(talk, rng)
            if method == "speaker":
                act = _speaker(talk, candidates, rng)
            elif weights is None:
                act = rng.choice(candidates)
            else:
                own = features([Step(talk.seen(), candidates, candidates[0], 0.0, False)])[0] @ weights
                act = max(candidates, key=lambda i: own[i])
            talk.step(ACTS[act])
        golds.append(sum(talk.golds))
    return {
        "numbers": {
            "gold": float(np.mean(golds)),
            "candidates": float(np.mean([len(step.candidates) for step in steps])),
        }
    }
