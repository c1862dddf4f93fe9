"""A case is a task with its arguments and a list of operations, all JSON-able; playing it checks the contract after each.

Every operation may come at any moment, so that a case stays one when operations are taken out of it. Single environments:

* ``["reset", seed, options]``; seed None goes on with the random stream;
* ``["step", action]``; before the first reset and after the end it must be refused;
* ``["fork", actions]``: a clone, and a sibling that is given the saved state, play the same actions and must agree, and
  the original must not notice;
* ``["swap"]``: go on with a sibling that is given the state, through JSON;
* ``["wrong", kind]``: what must be refused and change nothing (a non-str, an unknown option, a state of another task).

Vector environments (``slots`` above 0): ``["reset", seeds, mask, options]``, ``["step", actions]`` (None skips),
``["wrong", kind]``. Every game that ends is compared with the same actions in an environment that has seen nothing else.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from lmrl_benchmarks.exploits.leaks import shown_forms
from lmrl_benchmarks.fuzz.language import Speaker
from lmrl_benchmarks.fuzz.rules import Rules, rules_of
from lmrl_envs.core import MAX_ACTION_LENGTH, TextEnv, Transcript

Operation = list[Any]
Case = dict[str, Any]
WRONG = ("type", "option", "value", "state", "version")


class Breach(AssertionError):
    """The contract is broken; the message says how."""


def demand(condition: bool, breach: str) -> None:
    """Raise `Breach` unless ``condition`` holds."""
    if not condition:
        raise Breach(breach)


def random_states() -> str:
    """A digest of the global random states, which nothing may touch."""
    name, keys, *rest = np.random.get_state()  # type: ignore[misc]  # noqa: NPY002
    return hashlib.sha256(f"{random.getstate()}{name}{keys.tobytes()!r}{rest}".encode()).hexdigest()  # type: ignore[union-attr]


def check_outcome(
    rules: Rules, turn: int, so_far: float, text: Any, reward: Any, terminated: Any, truncated: Any, info: Any
) -> None:
    """One answer of an environment to the ``turn``-th action of a game whose return is ``so_far`` with it."""
    demand(type(text) is str, f"the observation is a {type(text).__name__}")
    demand(type(reward) is float and math.isfinite(reward), f"the reward is {reward!r}")
    demand(type(terminated) is bool and type(truncated) is bool, "terminated and truncated must be bool")
    demand(not (terminated and truncated), "terminated and truncated at once")
    demand(rules.rewards is None or reward in rules.rewards, f"the reward {reward!r} is none of {rules.rewards}")
    low, high = rules.returns
    demand(low <= so_far <= high, f"the return {so_far!r} is not within {rules.returns}")
    over = terminated or truncated
    demand(not rules.only_at_end or over or reward == 0, f"a reward of {reward!r} before the end")
    if rules.limit is not None:
        demand(turn <= rules.limit, f"{turn} actions, the limit is {rules.limit}")
        demand(over or turn < rules.limit, f"not over after {turn} actions")
        demand(not truncated or (rules.cut and turn == rules.limit), f"truncated after {turn} actions")
    demand(type(info) is dict and type(info.get("valid")) is bool, "info needs valid (bool)")
    demand(type(info.get("turn")) is int and info["turn"] == turn, f"info['turn'] is {info.get('turn')!r}, not {turn}")
    demand(("success" in info) == over, "success must be told at the end, and only there")
    demand(not over or type(info["success"]) is bool, "success must be bool")


def check_sale(info: dict[str, Any]) -> None:
    """Car Dealer: nobody pays more than the budget or the list price."""
    if "buyer" in info and info["decision"] == "accept":
        most = min(info["buyer"]["budget"], info["car"]["msrp"])
        demand(0 < info["price"] <= most, f"sold for {info['price']}, the most is {most}")


class Game:
    """The checks of a case on a single environment.

    Args:
        id: task id.
        kwargs: arguments of the environment.
    """

    def __init__(self, id: str, kwargs: dict[str, Any]) -> None:
        self.id, self.kwargs = id, kwargs
        self.rules = rules_of(id, kwargs)
        self.made: Any = gymnasium.make(id, **kwargs)
        self.env: TextEnv = self.made.unwrapped
        self.judge: TextEnv = gymnasium.make(id, **kwargs).unwrapped  # type: ignore[assignment]
        self.actions = 0
        self.over = True
        self.seen: list[tuple[Any, ...]] = []
        """What was answered in this game: opening, then outcomes."""
        self.said: list[str] = []
        self.origin: tuple[Any, ...] = ()
        self._globals = random_states()

    def apply(self, operation: Operation) -> None:
        """Play one operation; raises `Breach` (or whatever the environment raises) when something is wrong."""
        getattr(self, f"_{operation[0]}")(*operation[1:])

    def _reset(self, seed: int | None, options: dict[str, Any] | None = None) -> None:
        before = json.loads(json.dumps(self.env.get_state()))
        text, info = self.env.reset(seed=seed, options=options)
        demand(type(text) is str and self.env.observation_space.contains(text), "the opening is not in the space")
        demand(info.get("turn") == 0 and info.get("valid") is True, f"the first info is {info!r:.200}")
        demand(self.env.transcript == Transcript.from_texts([text], []), "the transcript is not the opening alone")
        self.over, self.said, self.seen, self.total = False, [], [(text, info)], 0.0
        self.origin = (before, seed, options)

    def _step(self, action: str) -> None:
        if self.over:
            before = self.env.transcript
            try:
                self.env.step(action)
            except ResetNeeded:
                demand(self.env.transcript == before, "a refused step changed the transcript")
                return
            raise Breach("a step after the end, or before the first reset, was played")
        text, reward, terminated, truncated, info = outcome = self.env.step(action)
        self.actions += 1
        self.total += reward if isinstance(reward, float) else 0.0
        self.said.append(action)
        self.seen.append(outcome)
        check_outcome(self.rules, len(self.said), self.total, *outcome)
        demand(self.env.observation_space.contains(text), f"an observation of {len(text)} characters")
        demand(len(action) <= MAX_ACTION_LENGTH or not info["valid"], "a text longer than the action space was valid")
        if terminated or truncated:
            self.over = True
            self._ended(info)

    def _ended(self, info: dict[str, Any]) -> None:
        check_sale(info)
        transcript = self.env.transcript
        texts = [self.seen[0][0], *(outcome[0] for outcome in self.seen[1:])]
        demand(list(transcript.observations) == texts, "the transcript's observations differ from what was answered")
        demand(
            list(transcript.actions) == [a[:MAX_ACTION_LENGTH] for a in self.said], "the transcript's actions differ"
        )
        demand(list(transcript.rewards) == [o[1] for o in self.seen[1:]], "the transcript's rewards differ")
        hidden = {key: value for key, value in self.env._reveal().items() if isinstance(value, str)}
        told = "\n".join([*texts[:-1], repr(self.made), *(t for o in self.seen[1:-1] for t in _texts(o[4]))])
        for key in ("secret",) if self.kwargs.get("reveal_country") else ("secret", "country"):
            if key in hidden and not _said(hidden[key], self.said):
                leaks = shown_forms(hidden[key], told)
                demand(not leaks, f"the hidden {key} {hidden[key]!r} shows before the end: {leaks}")
        self._judged()

    def _judged(self) -> None:
        """The same game in an environment that has seen nothing of the rest."""
        before, seed, options = self.origin
        self.judge.set_state(before)
        again: list[tuple[Any, ...]] = [self.judge.reset(seed=seed, options=options)]
        again += [self.judge.step(action) for action in self.said]
        for turn, (one, other) in enumerate(zip(self.seen, again, strict=True)):
            demand(one == other, f"played again, turn {turn} is {other!r:.300} and was {one!r:.300}")
        demand(
            _plain(self.judge.get_state()) == _plain(self.env.get_state()), "played again, the state differs at the end"
        )

    def _fork(self, actions: Sequence[str]) -> None:
        before = _plain(self.env.get_state())
        twin, other = self.env.clone(), self.env.sibling()
        other.set_state(json.loads(before))
        demand(_plain(twin.get_state()) == before, "a clone's state differs")
        demand(_plain(other.get_state()) == before, "a restored state differs from the saved one")
        for action in actions:
            if not twin._live:
                break
            one, two = twin.step(action), other.step(action)
            demand(one == two, f"a clone answered {one!r:.300}, a restored state {two!r:.300}")
        demand(
            _plain(twin.get_state()) == _plain(other.get_state()), "clone and restored state end in different states"
        )
        demand(twin.reset()[0] == other.reset()[0], "clone and restored state draw different next games")
        demand(_plain(self.env.get_state()) == before, "playing a copy changed the original")

    def _swap(self) -> None:
        state = self.env.get_state()
        self.env = self.env.sibling()
        self.env.set_state(json.loads(json.dumps(state)))
        self.made = self.env

    def _wrong(self, kind: str) -> None:
        before = _plain(self.env.get_state())
        if kind == "type":
            for action in (None, 3, b"x", ["x"], np.str_):
                expect(TypeError, lambda action=action: self.env.step(action))  # type: ignore[arg-type]
        elif kind == "option":
            expect(ValueError, lambda: self.env.reset(options={"no such option": 1}))
        elif kind == "value":
            for key in sorted(self.env.option_keys):
                for value in (object(), float("nan"), "\ud800", -1, [], {"x": 1}):
                    if key == "replies" and value == []:  # none is a list of replies too
                        continue
                    expect(ValueError, lambda key=key, value=value: self.env.reset(options={key: value}))
            self.over = True  # a failed reset leaves no game
            return
        else:
            state = self.env.get_state() | ({"task": "Other"} if kind == "state" else {"version": -1})
            expect(ValueError, lambda: self.env.set_state(state))
        demand(_plain(self.env.get_state()) == before, f"what was refused ({kind}) changed the state")

    def finish(self) -> None:
        """After the last operation: an unfinished game is judged too, and nothing global has moved."""
        if not self.over:
            self._judged()
        demand(random_states() == self._globals, "the global random state was touched")
        self.made.close()
        self.judge.close()

    def propose(self, rng: random.Random, speaker: Speaker) -> Operation:
        """An operation worth trying now."""
        drawn = rng.random()
        if self.over and drawn < 0.9:
            return ["reset", rng.randrange(2**31) if rng.random() < 0.5 else None, None]
        if drawn < 0.97 or not self.seen:
            return ["step", speaker.say(self.seen[-1][0] if self.seen else "")]
        kind = rng.randrange(10)
        if kind < 5:
            return ["fork", [speaker.say(self.seen[-1][0]) for _ in range(rng.choice((1, 2, 8)))]]
        if kind < 7:
            return ["swap"]
        if kind < 8:
            return ["reset", rng.randrange(2**31) if rng.random() < 0.5 else None, None]
        return ["wrong", rng.choice(WRONG)]


def _said(hidden: str, said: Sequence[str]) -> bool:
    return hidden.lower() in " ".join(said).lower()


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON-able value, but for the keys, which are the same in every game."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for held in value.values():
            yield from _texts(held)
    elif isinstance(value, list | tuple):
        for held in value:
            yield from _texts(held)


def _plain(state: Any) -> str:
    return json.dumps(state, sort_keys=True)


def expect(kind: type[BaseException] | tuple[type[BaseException], ...], act: Any) -> None:
    """Demand that ``act()`` raises ``kind``."""
    try:
        act()
    except kind:
        return
    raise Breach(f"{kind} was not raised")
