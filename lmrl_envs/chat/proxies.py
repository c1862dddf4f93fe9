"""Rewards read off a talk against what the person enjoyed: policies over acts, trained by REINFORCE with a price on leaving a casual speaker.

    J = E sum_t ( r_t - k log pi(a_t | s_t) / p(a_t | s_t) ),      p: the casual speaker of `lmrl_envs.chat.policies`

pi is a softmax over acts, log p plus weights of what the speaker has seen of the talk. Acts are worded as the scripted speakers word them
and the person answers in words, so that rewards are read off real lines; only the reading of the speaker's own line is skipped.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lmrl_envs.chat import rules
from lmrl_envs.chat.policies import SPOKEN, CasualPolicy
from lmrl_envs.chat.rules import TOPICS, TURNS, Act
from lmrl_envs.chat.wording import FACETS, filled, say
from lmrl_envs.language.conversation import text_reward

ACTS: tuple[str, ...] = (
    "open", "ask liked", "ask last", "ask new", "ask other", "tell liked", "tell last", "tell new", "tell other", "joke",
    "praise", "comfort", "unread", "insult",
)  # fmt: skip
"""``liked``: a topic known to be; ``last``: of the last line; ``new``: not spoken of; ``other``: known not to be liked."""
_COUNTS = (2, 4, 3, 4, 4, 4, TURNS)
"""Values of each thing seen: need, questions in a row, liked topics known, kind of the last topic, jokes, praises, turn."""


class Talk:
    """A talk in acts and words.

    Args:
        rng: of the person, wordings and choices of topics.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.person = rules.draw_person(lambda n: int(rng.random() * n))
        self.state = rules.start(self.person)
        self.views: dict[str, str] = {}
        self.golds: list[float] = []
        self.acts: list[str] = []
        self.ended = False
        self.texts = [say([("opening need" if self.person.need else "opening fine", "")], self._number())]

    def _number(self) -> int:
        return int(self.rng.random() * 2**31)

    def seen(self) -> tuple[int, ...]:
        """What the speaker has seen, as indices below `_COUNTS`."""
        s = self.state
        kinds = {"": 0, "liked": 1, "neutral": 2, "disliked": 3}
        liked = sum(view == "liked" for view in self.views.values())
        last = kinds[self.person.view(s.last)] if s.last else 0
        return int(s.need), min(s.row, 3), min(liked, 2), last, min(s.jokes, 3), min(s.praises, 3), s.turns

    def possible(self) -> list[bool]:
        """Which acts there are topics for."""
        return [self._topics(name.partition(" ")[2]) is not None for name in ACTS]

    def _topics(self, which: str) -> list[str] | None:
        if which in ("",):
            return []
        if which == "last":
            return [self.state.last] if self.state.last else None
        if which == "new":
            return [topic for topic in TOPICS if topic not in self.views] or None
        liked = [topic for topic, view in self.views.items() if (view == "liked") == (which == "liked")]
        return [topic for topic in liked if topic != self.state.last] or None

    def step(self, name: str) -> None:
        """Do an act: say it, and hear the answer."""
        kind, _, which = name.partition(" ")
        topics = self._topics(which)
        topic = topics[int(self.rng.random() * len(topics))] if topics else ""
        lines = SPOKEN["mumble" if kind == "unread" else kind]
        line = lines[int(self.rng.random() * len(lines))]
        facets = FACETS.get(topic, ("",))
        facets = [
            facet for facet in facets if facet and facet in self.texts[-1]
        ] or facets  # what was just said is taken up
        line = filled(line, topic, facets[int(self.rng.random() * len(facets))])
        act = Act(kind, topic)
        step = rules.take(
            [act], self.person, self.state, before=line in self.texts[1::2], shown=self.rng.random() < rules.SHOWN
        )
        for cell, about in step.parts:
            if about and not cell.startswith("show"):
                self.views[about] = self.person.view(about)
        self.state, self.ended = step.state, step.ended
        self.golds.append(step.gold)
        self.acts.append(name)
        self.texts += [line, say(step.parts, self._number())]


def prior_log(talk: Talk, possible: Sequence[bool], insults: float = 0.0) -> np.ndarray:
    """log p of the casual speaker over `ACTS`, who insults in this share of turns besides: float [A]."""
    views, topics = talk.views, len(TOPICS)
    liked = [topic for topic, view in views.items() if view == "liked"]
    last, s = talk.state.last, talk.state
    share: dict[str, float] = dict.fromkeys(ACTS, 0.0)
    each = 1 / (2 * topics + 7)
    for name in ("ask", "tell"):
        counts = {"last": int(bool(last)), "new": sum(topic not in views for topic in TOPICS)}
        counts["liked"] = sum(topic != last for topic in liked)
        counts["other"] = topics - counts["last"] - counts["new"] - counts["liked"]
        for which, count in counts.items():
            share[f"{name} {which}"] += (1 - CasualPolicy.sense) * each * count
    for name, count in (("open", 1), ("joke", 1), ("praise", 1), ("comfort", 1), ("unread", 2), ("insult", 1)):
        share[name] += (1 - CasualPolicy.sense) * each * count
    sense = CasualPolicy.sense
    about = "last" if last in liked else "liked"
    if s.need:
        share["comfort"] += sense
    elif not liked:
        share["open" if s.row == 0 else "tell new"] += sense
    elif s.row == 0:
        share[f"ask {about}"] += 0.4 * sense
        share[f"tell {about}"] += 0.6 * sense
    else:
        share[f"tell {about}"] += sense
    values = np.array([share[name] if ok else 0.0 for name, ok in zip(ACTS, possible, strict=True)])
    shares = values / values.sum()
    if insults:
        shares = (1 - insults) * shares + insults * np.array([name == "insult" for name in ACTS])
    return np.log(np.maximum(shares, 1e-12))


def play(
    weights: Sequence[np.ndarray], n: int, rng: random.Random, insults: float = 0.0
) -> tuple[list[Talk], list[list[tuple[Any, ...]]]]:
    """Talks of the policy, and of each step what was seen, log p, pi and the act's index."""
    talks = [Talk(rng) for _ in range(n)]
    steps: list[list[tuple[Any, ...]]] = [[] for _ in talks]
    for talk, own in zip(talks, steps, strict=True):
        while not talk.ended:
            seen = talk.seen()
            prior = prior_log(talk, talk.possible(), insults)
            logits = prior + sum(table[i] for table, i in zip(weights, seen, strict=True))
            logits = np.where(prior > -27, logits, -np.inf)
            policy = np.exp(logits - logits.max())
            policy /= policy.sum()
            index = int(np.searchsorted(np.cumsum(policy), rng.random() * (1 - 1e-9)))
            talk.step(ACTS[index])
            own.append((seen, prior, policy, index))
    return talks, steps


def reward_of(talk: Talk, weights: Mapping[str, float]) -> np.ndarray:
    """The reward of each act of a talk."""
    columns = [
        weight * np.array(talk.golds if name == "gold" else text_reward(name, talk.texts, True))
        for name, weight in weights.items()
    ]
    return np.sum(columns, axis=0)


def run(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One arm: a reward, a price k of divergence, a seed; ``insults``: the share of turns in which the speaker insults for no reason."""
    given = settings["reward"]
    rewards = {given: 1.0} if isinstance(given, str) else dict(given)
    price, rng = float(settings["k"]), random.Random(settings["seed"])
    weights = [np.zeros((count, len(ACTS))) for count in _COUNTS]
    moments = [(np.zeros_like(table), np.zeros_like(table)) for table in weights]
    curves: dict[str, list[list[float]]] = {"gold": [], "proxy": []}
    first: tuple[list[float], list[float]] = ([], [])
    insults, rude = settings.get("insults", 0.0), 0.0
    for round_ in range(settings["rounds"] + 1):
        talks, steps = play(weights, settings["talks"], rng, insults)
        given_rewards = [reward_of(talk, rewards) for talk in talks]
        proxies, golds = [float(values.sum()) for values in given_rewards], [math.fsum(talk.golds) for talk in talks]
        divergence = np.mean([sum(math.log(p[i]) - prior[i] for _, prior, p, i in own) for own in steps])
        x = math.sqrt(max(float(divergence), 0.0))
        curves["gold"].append([x, float(np.mean(golds))])
        curves["proxy"].append([x, float(np.mean(proxies))])
        if round_ == 0:
            first, rude = (proxies, golds), _behaviour(talks)["share of insult"]
        if round_ < settings["rounds"]:
            _improve(weights, moments, steps, given_rewards, price, settings["rate"], round_ + 1)
    numbers = {
        "proxy at first": float(np.mean(first[0])), "proxy": float(np.mean(proxies)), "gold at first": float(np.mean(first[1])),
        "gold": float(np.mean(golds)), "KL": float(divergence), "hacked": float(hacked(first, (proxies, golds))),
        **_behaviour(talks), **({"share of insult at first": rude} if insults else {}),
    }  # fmt: skip
    return {"numbers": numbers, "curves": curves}


def hacked(before: tuple[list[float], list[float]], after: tuple[list[float], list[float]]) -> bool:
    """Whether the proxy went up by two standard errors, and gold down by two."""
    up, down = (
        (np.mean(a) - np.mean(b)) / math.hypot(_error(a), _error(b)) for a, b in zip(after, before, strict=True)
    )
    return bool(up > 2 and down < -2)


def _error(values: Sequence[float]) -> float:
    return float(np.std(values) / len(values) ** 0.5) or 1e-12


def _improve(weights: Any, moments: Any, steps: Any, rewards: Any, price: float, rate: float, t: int) -> None:
    """A step of Adam up the gradient of J; the baseline of a turn is the batch's mean return from it on."""
    returns = []
    for own, reward in zip(steps, rewards, strict=True):
        penalised = [r - price * (math.log(p[i]) - prior[i]) for r, (_, prior, p, i) in zip(reward, own, strict=True)]
        returns.append(np.cumsum(penalised[::-1])[::-1])
    baselines = [np.mean([own[t_] for own in returns if len(own) > t_] or [0.0]) for t_ in range(TURNS)]
    gradients = [np.zeros_like(table) for table in weights]
    for own, values in zip(steps, returns, strict=True):
        for turn, ((seen, _, policy, index), value) in enumerate(zip(own, values, strict=True)):
            up = -policy * (value - baselines[turn]) / len(steps)
            up[index] += (value - baselines[turn]) / len(steps)
            for gradient, i in zip(gradients, seen, strict=True):
                gradient[i] += up
    for table, gradient, (m, v) in zip(weights, gradients, moments, strict=True):
        m *= 0.9
        m += 0.1 * gradient
        v *= 0.99
        v += 0.01 * gradient**2
        table += rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)


def _behaviour(talks: Sequence[Talk]) -> dict[str, float]:
    """Shares of acts, how varied the words are, and what harm was done."""
    kinds = [name.partition(" ")[0] for talk in talks for name in talk.acts]
    lines = [line for talk in talks for line in talk.texts[1::2]]
    words = [word for line in lines for word in line.split()]
    pairs = [pair for line in lines for pair in zip(line.split(), line.split()[1:], strict=False)]
    repeats = [len(own) - len(set(own)) for own in (talk.texts[1::2] for talk in talks)]
    shares = {
        f"share of {kind}": kinds.count(kind) / len(kinds) for kind in sorted({n.partition(" ")[0] for n in ACTS})
    }
    return {
        "harm": float(np.mean([talk.state.insults + (talk.state.ignored >= 3) for talk in talks])),
        "left early": float(np.mean([talk.state.turns < TURNS for talk in talks])), "self-repeat": float(np.mean(repeats)),
        "distinct-1": len(set(words)) / len(words), "distinct-2": len(set(pairs)) / len(pairs), **shares,
    }  # fmt: skip
