"""Learning a maze from what people say, on tables: comparisons of stretches of play, and feedback on every move.

Experiments of `lmrl leaderboard run maze-from-preferences` and `feedback`: nothing is a network here, so that what goes wrong is the labels' or the
rule's fault. Policies are judged exactly: the mean return over all starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lmrl_envs.maze.rules import ACTIONS, MAX_MOVES, Maze, named_maze

DISCOUNT = 0.95


class Table:
    """A maze as arrays: states are cells, the goal absorbs.

    Args:
        maze: the layout.
    """

    def __init__(self, maze: Maze) -> None:
        number = {cell: k for k, cell in enumerate(maze.cells)}
        self.goal, self.starts = number[maze.goal], np.array([number[cell] for cell in maze.starts])
        self.next = np.array([[number[maze.next_cell[a][cell]] for a in ACTIONS] for cell in maze.cells])
        self.next[self.goal] = self.goal
        self.distance = np.array([maze.distance[cell] for cell in maze.cells])
        self.reward = np.where(self.next == self.goal, 0.0, -1.0)
        self.size = len(maze.cells)

    def value_iteration(self, reward: np.ndarray, rounds: int = 400) -> np.ndarray:
        """Q of the best policy, float [S, A]."""
        q = np.zeros_like(reward)
        for _ in range(rounds):
            q = reward + DISCOUNT * q.max(axis=1)[self.next]
        return q

    def mean_return(self, policy: np.ndarray) -> float:
        """Exact undiscounted return of a policy float [S, A] over all starts, of games of `MAX_MOVES` moves at most."""
        where, total = np.zeros(self.size), 0.0
        where[self.starts] = 1 / len(self.starts)
        for _ in range(MAX_MOVES):
            moves = where[:, None] * policy
            moves[self.goal] = 0.0
            total += float((moves * self.reward).sum())
            where = np.bincount(self.next.ravel(), moves.ravel(), minlength=self.size)
        return total

    def advantages(self, policy: np.ndarray) -> np.ndarray:
        """A of a policy under the maze's own reward, float [S, A]."""
        reward = np.where(np.arange(self.size)[:, None] == self.goal, 0.0, self.reward)
        step = np.zeros((self.size, self.size))
        np.add.at(step, (np.arange(self.size)[:, None], self.next), policy)
        values = np.linalg.solve(np.eye(self.size) - DISCOUNT * step, (policy * reward).sum(axis=1))
        return reward + DISCOUNT * values[self.next] - values[:, None]


def greedy(q: np.ndarray) -> np.ndarray:
    """The policy that shares between the largest of q, float [S, A]."""
    best = np.isclose(q, q.max(axis=1, keepdims=True), atol=1e-9)
    return best / best.sum(axis=1, keepdims=True)


# -- comparisons (Christiano et al., arXiv 1706.03741)

STEPS, MEMBERS, CANDIDATES, ASKED_AT_ONCE, ERROR = 8, 3, 5, 8, 0.1


def from_preferences(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One run: ``labels`` comparisons of two stretches of 8 random moves, three tables of what
    a cell is worth to come to fitted to them, the best policy by their mean.

    Settings: labels; noise (share of labels that are a coin's); selection ("disagreement" or "random"); by ("return" or "regret": what a stretch is
    worth, rewards or advantages of the best policy); seed; layout.
    """
    rng, table = np.random.default_rng(int(settings["seed"])), Table(named_maze(settings.get("layout", "double_t")))
    best = table.value_iteration(np.where(np.arange(table.size)[:, None] == table.goal, 0.0, table.reward))
    worth = best - best.max(axis=1, keepdims=True) if settings["by"] == "regret" else table.reward.copy()
    worth[table.goal] = 0.0

    def stretches(count: int) -> tuple[np.ndarray, np.ndarray]:
        """How often each cell is come to, float [count, S], and what that is worth."""
        state, counts, sums = rng.choice(table.starts, count), np.zeros((count, table.size)), 0.0
        for _ in range(STEPS):
            move = rng.integers(len(ACTIONS), size=count)
            sums = sums + worth[state, move]
            state = table.next[state, move]
            counts[np.arange(count), state] += 1
        return counts, np.asarray(sums)

    gaps, labels = np.zeros((0, table.size)), np.zeros(0)
    members = rng.normal(0, 0.1, (MEMBERS, table.size))
    start = members.copy()
    while len(labels) < int(settings["labels"]):
        wanted = min(ASKED_AT_ONCE, int(settings["labels"]) - len(labels))
        (one, mine), (other, theirs) = stretches(wanted * CANDIDATES), stretches(wanted * CANDIDATES)
        spread = _sure((one - other) @ members.T).var(axis=1)
        asked = (
            np.argsort(-spread, kind="stable")[:wanted]
            if settings["selection"] == "disagreement"
            else np.arange(wanted)
        )
        lead = (mine - theirs)[asked]
        said = np.where(np.abs(lead) < 1e-9, 0.5, (lead > 0).astype(float))
        coin = rng.random(wanted) < float(settings["noise"])
        said = np.where(coin, (rng.random(wanted) < 0.5).astype(float), said)
        gaps, labels = np.concatenate([gaps, (one - other)[asked]]), np.concatenate([labels, said])
        members = np.stack([_fitted(gaps, labels, start[k], rng.poisson(1.0, len(labels))) for k in range(MEMBERS)])
    rewards = [(m - m.mean()) / max(m.std(), 1e-9) for m in members]
    q = table.value_iteration(np.mean(rewards, axis=0)[table.next])
    found = table.mean_return(greedy(q))
    optimum = -float(np.mean(table.distance[table.starts] - 1))
    return {"numbers": {"return": found, "at the optimum": float(found > optimum - 0.05), "optimum": optimum}}


def _sure(gap: np.ndarray) -> np.ndarray:
    return (1 - ERROR) / (1 + np.exp(-gap)) + ERROR / 2


def _fitted(gaps: np.ndarray, labels: np.ndarray, start: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Least cross-entropy under the error rate, with a pull to the start: gradient descent with momentum."""
    table, speed = start.copy(), np.zeros_like(start)
    for _ in range(300):
        s = 1 / (1 + np.exp(-(gaps @ table)))
        chance = (1 - ERROR) * s + ERROR / 2
        slope = weights * (chance - labels) / (chance * (1 - chance)) * (1 - ERROR) * s * (1 - s)
        speed = 0.9 * speed - 0.05 * (gaps.T @ slope / max(weights.sum(), 1) + 0.01 * (table - start))
        table = table + speed
    return table


# -- feedback (TAMER, COACH and Q-learning)

RATE, EPISODES, SHARPNESS = 0.2, 150, 8.0
COACH_RATE = 0.5
"""COACH's steps shrink with the chance of any other move, so that at .2 it is short of the optimum after 150 games (-7.3 to -7.7)."""
TRACE, LONGEST = 0.9, 40
"""Of COACH with a trace: lambda per move, and how many moves back it is followed."""


def from_feedback(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One run of 150 games of a learner under one kind of feedback.

    Settings: learner ("tamer", "coach", "coach with a trace", "q"); feedback ("task": 1 at the goal; "action": 1 for a step nearer, else -1; "improvement": the sign of how
    much better a move is than those made there lately; "advantage": of the present policy); delay (moves, or [least, most]); credit ("present",
    "true" or "window": to the present move, the one that is meant, or moves 0 to 4 back alike); wrong (share of wrong signs); seed; layout.
    """
    table, rng = Table(named_maze(settings.get("layout", "double_t"))), np.random.default_rng(int(settings["seed"]))
    learner, kind, credit = settings["learner"], settings["feedback"], settings.get("credit", "true")
    delay = settings.get("delay", 0)
    least, most = (delay, delay) if isinstance(delay, int) else delay
    weights, usual = np.zeros((table.size, len(ACTIONS))), np.full(table.size, np.nan)
    judge = _judge(table, kind, usual)
    policy, curve = _policy(weights, learner), []
    for episode in range(EPISODES):
        state, trace = int(rng.choice(table.starts)), []
        advantages = table.advantages(policy) if kind == "advantage" else None
        pending: list[tuple[int, int, float]] = []
        for now in range(MAX_MOVES + most):
            if state != table.goal and now < MAX_MOVES:
                move = int(rng.choice(len(ACTIONS), p=_policy(weights[state : state + 1], learner)[0]))
                after = int(table.next[state, move])
                value = advantages[state, move] if advantages is not None else judge(state, move)
                if rng.random() < float(settings.get("wrong", 0)):
                    value = -value
                trace.append((state, move, after))
                pending.append((now + int(rng.integers(least, most + 1)), now, float(value)))
                state = after
            for due in [one for one in pending if one[0] == now]:
                _learn(weights, learner, trace, due, now, credit)
            pending = [one for one in pending if one[0] > now]
            if not pending and (state == table.goal or now >= MAX_MOVES):
                break
        policy = _policy(weights, learner)
        if (episode + 1) % 10 == 0:
            shown = policy if learner.startswith("coach") else greedy(weights)
            curve.append([float(episode + 1), table.mean_return(shown)])
    at = {int(x): y for x, y in curve}
    return {"numbers": {"return at 30": at[30], "return at 150": at[150]}, "curves": {"return": curve}}


def _policy(weights: np.ndarray, learner: str) -> np.ndarray:
    """Softmax of preferences for coach, of what is valued for the others (as good as greedy, ties are shared)."""
    scaled = weights if learner.startswith("coach") else SHARPNESS * weights
    share = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)


def _judge(table: Table, kind: str, usual: np.ndarray) -> Callable[[int, int], float]:
    """What is said of a move; ``usual`` is what was made of each state lately, and is changed."""
    if kind not in ("task", "action", "improvement", "advantage"):
        raise ValueError(f"feedback={kind!r} is not known; choose task, action, improvement or advantage")

    def said(state: int, move: int) -> float:
        after = int(table.next[state, move])
        if kind == "task":
            return float(after == table.goal)
        nearer = float(table.distance[state] - table.distance[after])
        if kind == "action":
            return 1.0 if nearer > 0 else -1.0
        before = usual[state]
        usual[state] = nearer if np.isnan(before) else 0.8 * before + 0.2 * nearer
        return 0.0 if np.isnan(before) or abs(nearer - before) < 0.05 else float(np.sign(nearer - before))

    return said


def _learn(
    weights: np.ndarray,
    learner: str,
    trace: list[tuple[int, int, int]],
    due: tuple[int, int, float],
    now: int,
    credit: str,
) -> None:
    """Take one number of feedback: to the moves that it is credited to."""
    _, meant, value = due
    last = min(now, len(trace) - 1)
    places = {"present": [last], "true": [meant], "window": list(range(max(0, last - 4), last + 1))}[credit]
    for place in places:
        state, move, after = trace[place]
        if learner.startswith("coach"):
            for back in range(min(place + 1, LONGEST if learner.endswith("trace") else 1)):
                state, move, _ = trace[place - back]
                share = _policy(weights[state : state + 1], learner)[0]
                weights[state] += COACH_RATE / len(places) * value * TRACE**back * (np.eye(len(share))[move] - share)
        else:
            ahead = DISCOUNT * weights[after].max() if learner == "q" else 0.0
            weights[state, move] += RATE / len(places) * (value + ahead - weights[state, move])
