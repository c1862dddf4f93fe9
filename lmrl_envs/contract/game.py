"""What holds in a game, checked at every operation."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from lmrl_envs.core import MAX_ACTION_LENGTH, TextEnv, Transcript, iterate_turns
from lmrl_envs.surface import PLAIN, Invariants, Surface
from lmrl_envs.tasks import task, task_ids

REFUSED = ("type", "option", "value", "state", "version")
"""What `CheckedGame.refuse` tries."""

IMPOSSIBLE: tuple[Any, ...] = (object(), float("nan"), "\ud800", -1, [object()], {"x": 1})
"""Values that no reset option has."""
HOSTILE: tuple[dict[str, Any], ...] = (
    {"texts": None}, {"texts": [1]}, {"texts": []}, {"rewards": [float("nan")]}, {"rewards": "x"}, {"live": 1}, {"random": {}},
    {"random_seed": "x"}, {"game": 5}, {"game": None}, {"game": {"no such field": 1}}, {"more": 1},
)  # fmt: skip
"""What makes a state of no game, whatever the task."""


class Breach(AssertionError):
    """The contract is broken; the message says how, in one line."""


def demand(condition: bool, breach: str) -> None:
    """Raise `Breach` unless ``condition`` holds."""
    if not condition:
        raise Breach(breach)


def expect(error: type[Exception], what: str, act: Callable[[], Any]) -> None:
    """Demand that ``act()`` raises ``error``."""
    try:
        act()
    except error:
        return
    except Exception as other:
        raise Breach(f"{what} must raise {error.__name__}, not {type(other).__name__}: {other}") from other
    raise Breach(f"{what} must raise {error.__name__}")


def whole_word(hidden: str, text: str) -> list[str]:
    """Whether a name shows in plain words: "Japanese" does not tell the hidden "Japan", and short words are chance."""
    found = re.search(rf"(?<!\w){re.escape(hidden.lower())}(?!\w)", text.lower())
    return ["plain"] if found and len(hidden) >= 4 else []


class Checked:
    """Something that is played through `apply`, which also sees that no global random state moves."""

    def apply(self, operation: str, *arguments: Any) -> None:
        """Do one operation, by its name.

        Raises:
            Breach: the contract is broken. An environment that crashes raises what it raises.
        """
        before = _global_random_states()
        getattr(self, operation)(*arguments)
        demand(before == _global_random_states(), "the global random state was touched; use self.np_random only")


class CheckedGame(Checked):
    """Games of one environment. Every operation may come at any time, before the first reset and after the end too.

    Args:
        env: the environment, wrapped or not; siblings of it are played, itself it is left alone.
        judge: an equal one that sees nothing else, in whose sibling every game is played again; by default ``env``.
        leaks: names the forms in which a text (the second argument) shows a hidden name (the first).
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        judge: gymnasium.Env[Any, Any] | None = None,
        leaks: Callable[[str, str], list[str]] = whole_word,
    ) -> None:
        self.shown, self.leaks = repr(env), leaks
        self.env: TextEnv = env.unwrapped.sibling()  # type: ignore[attr-defined]
        self.judge: TextEnv = (env if judge is None else judge).unwrapped.sibling()  # type: ignore[attr-defined]
        self.surface, self.invariants = _known_of(env)
        self.limit = self.surface.turn_limit(self.env)
        self.over = True
        self.said: list[str] = []
        self.seen: list[tuple[Any, ...]] = []
        """What was answered in this game: the opening and its info, then outcomes."""
        self._origin: tuple[Any, ...] = ()

    # -- operations

    def reset(self, seed: int | None, options: dict[str, Any] | None = None) -> None:
        """Begin a game; without a seed the random stream goes on."""
        before = _as_json(self.env.get_state())
        text, info = self.env.reset(seed=seed, options=options)
        demand(
            type(text) is str and self.env.observation_space.contains(text), "the opening is not in observation_space"
        )
        demand(info.get("turn") == 0 and info.get("valid") is True, "reset info needs turn 0 and valid True")
        demand(self.env.transcript == Transcript.from_texts([text], []), "the transcript is not the opening alone")
        self.over, self.said, self.seen = False, [], [(text, info)]
        self._origin = (before, seed, options)

    def step(self, action: str) -> None:
        """Play an action; before the first reset and after the end it must be refused."""
        if self.over:
            before = self.env.transcript
            expect(ResetNeeded, "a step after the end or before the first reset", lambda: self.env.step(action))
            demand(self.env.transcript == before, "a refused step changed the transcript")
            return
        outcome = self.env.step(action)
        self.said.append(action)
        self.seen.append(outcome)
        self._check_outcome(*outcome)
        if self.over:
            self._check_end(outcome[-1])

    def clone(self, actions: Sequence[str]) -> None:
        """A clone, and a sibling given the saved state, play alike, and the original does not notice."""
        before = _as_json(self.env.get_state())
        twin, other = self.env.clone(), self.env.sibling()
        other.set_state(json.loads(before))
        demand(twin is not self.env and _as_json(twin.get_state()) == before, "a clone has another state")
        demand(_as_json(other.get_state()) == before, "a restored state differs from the saved one")
        for action in actions:
            if not twin._live:
                break
            one, two = twin.step(action), other.step(action)
            demand(one == two, f"a clone answered {one!r:.300}, a restored state {two!r:.300}")
        demand(_as_json(twin.get_state()) == _as_json(other.get_state()), "clone and restored state part")
        demand(twin.reset() == other.reset(), "clone and restored state draw different next games")
        demand(_as_json(self.env.get_state()) == before, "playing a copy changed the original")

    def restore(self) -> None:
        """Go on in a sibling that is given the state, through JSON."""
        state = _as_json(self.env.get_state())
        self.env = self.env.sibling()
        self.env.set_state(json.loads(state))

    def refuse(self, kind: str) -> None:
        """Try what must be refused and change nothing: one of `REFUSED`."""
        before = _as_json(self.env.get_state())
        if kind == "type":
            for wrong in (None, 3, b"bytes", ["move up"], np.str_):
                expect(TypeError, f"the action {wrong!r}", lambda wrong=wrong: self.env.step(wrong))  # type: ignore[arg-type]
        elif kind == "option":
            expect(ValueError, "an unknown option", lambda: self.env.reset(options={"no such option": 1}))
        elif kind == "value":
            for key in sorted(self.env.option_keys):
                for value in IMPOSSIBLE:
                    options = {key: value}
                    expect(ValueError, f"options={options}", lambda options=options: self.env.reset(options=options))
            self.over = self.over or bool(self.env.option_keys)  # a failed reset leaves no game
            return
        else:
            state = self.env.get_state() | ({"task": "Other"} if kind == "state" else {"version": -1})
            expect(ValueError, f"a state of another {kind}", lambda: self.env.set_state(state))
            own = self.env.get_state()
            for change in HOSTILE if own["texts"] else ():
                expect(ValueError, f"a state with {change}", lambda change=change: self.env.set_state(own | change))  # type: ignore[arg-type]
        demand(_as_json(self.env.get_state()) == before, f"what was refused ({kind}) changed the state")

    def finish(self) -> None:
        """After the last operation: a game that goes on is played again too."""
        if not self.over:
            self._play_again()

    # -- checks

    def _check_outcome(self, text: Any, reward: Any, terminated: Any, truncated: Any, info: Any) -> None:
        turn, action, known = len(self.said), self.said[-1], self.invariants
        demand(
            type(text) is str and self.env.observation_space.contains(text),
            f"observation {text!r:.80} is not in observation_space",
        )
        demand(type(reward) is float and math.isfinite(reward), f"reward {reward!r} is not a finite float")
        demand(type(terminated) is bool and type(truncated) is bool, "terminated and truncated must be bool")
        demand(not (terminated and truncated), "an episode is either terminated or truncated, not both")
        self.over = over = terminated or truncated
        demand(known.rewards is None or reward in known.rewards, f"reward {reward!r} is none of {known.rewards}")
        low, high = known.returns or (-math.inf, math.inf)
        total = sum(outcome[1] for outcome in self.seen[1:])
        demand(low <= total <= high, f"the return {total!r} is not within {known.returns}")
        demand(over or not known.only_at_end or reward == 0, f"a reward of {reward!r} before the end")
        if self.limit is not None:
            demand(turn <= self.limit, f"{turn} actions, the limit is {self.limit}")
            demand(over or turn < self.limit, f"not over after {turn} actions, the limit")
            demand(not truncated or (known.truncates and turn == self.limit), f"truncated after {turn} actions")
        demand(type(info) is dict and type(info.get("valid")) is bool, "info['valid'] must be bool")
        demand(
            type(info.get("turn")) is int and info["turn"] == turn, f"info['turn'] is {info.get('turn')!r}, not {turn}"
        )
        demand(
            len(action) <= MAX_ACTION_LENGTH or not info["valid"], "an action longer than max_length must be invalid"
        )
        demand(over or "success" not in info, "info tells success before the end")
        demand(not over or type(info.get("success")) is bool, "the last info needs success (bool)")

    def _check_end(self, info: dict[str, Any]) -> None:
        breach = self.surface.breach(info)
        demand(breach is None, str(breach))
        texts = iterate_turns([seen[0] for seen in self.seen], [action[:MAX_ACTION_LENGTH] for action in self.said])
        played = Transcript.from_texts(texts, [outcome[1] for outcome in self.seen[1:]])
        transcript = self.env.transcript
        demand(isinstance(transcript, Transcript), "transcript is not a Transcript")
        demand(transcript == played, "the transcript differs from what was said, answered and rewarded")
        self._check_leaks()
        self._play_again()

    def _check_leaks(self) -> None:
        """What only the last info tells is in no earlier info, and its names in no earlier text."""
        revealed, said = self.env._reveal(), " ".join(self.said).lower()
        early = [seen[-1] for seen in self.seen[:-1]]
        keys = sorted(revealed.keys() & set().union(*early))
        demand(not keys, f"info shows {keys} before the end")
        told = "\n".join([*(seen[0] for seen in self.seen[:-1]), *_texts(early), self.shown, repr(self.env)])
        for key in revealed if self.invariants.hidden is None else self.invariants.hidden:
            hidden = revealed.get(key)
            if isinstance(hidden, str) and hidden and hidden.lower() not in said:
                forms = self.leaks(hidden, told)
                demand(not forms, f"the hidden {key} {hidden!r} shows before the end: {', '.join(forms)}")

    def _play_again(self) -> None:
        """The same game in an environment that has seen nothing of the rest."""
        before, seed, options = self._origin
        self.judge.set_state(json.loads(before))
        again: Iterator[tuple[Any, ...]] = (self.judge.step(action) for action in self.said)
        for turn, seen in enumerate(self.seen):
            try:
                other = next(again) if turn else self.judge.reset(seed=seed, options=options)
            except ResetNeeded:
                raise Breach("the same game did not come twice: it ended earlier") from None
            demand(other == seen, f"the same game did not come twice: turn {turn} is {other!r:.300}, was {seen!r:.300}")
        demand(
            _as_json(self.judge.get_state()) == _as_json(self.env.get_state()),
            "the same game, played again, ends in another state",
        )


def _known_of(env: gymnasium.Env[Any, Any]) -> tuple[Surface, Invariants]:
    """What is known of an environment's task; nothing if it is not registered."""
    if env.spec is None or env.spec.id not in task_ids():
        return PLAIN, Invariants()
    row = task(env.spec.id)
    known = row.surface.invariants(env.spec.kwargs)
    return row.surface, known if known.returns is not None else replace(known, returns=row.return_range)


def _global_random_states() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()  # type: ignore[misc]  # noqa: NPY002
    return random.getstate(), name, keys.tobytes(), *rest  # type: ignore[union-attr]


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON-able value, but for keys, which are the same in every game."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for held in value.values() if isinstance(value, dict) else value:
            yield from _texts(held)


def _as_json(state: Any) -> str:
    return json.dumps(state, sort_keys=True)
