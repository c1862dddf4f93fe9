"""Any game of another suite as a `TextEnv`: its state is its seed and the actions so far."""

from __future__ import annotations

import contextlib
import importlib
import random
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from lmrl_envs import TextEnv
from lmrl_envs.core import Outcome
from lmrl_envs.files.arguments import refuse
from lmrl_envs.surface import Invariants, Surface
from lmrl_envs.vector import vector_of
from lmrl_foreign import GAMES


class Said(NamedTuple):
    """What a game answers."""

    text: str
    reward: float
    terminated: bool
    truncated: bool
    valid: bool
    success: bool = False


class Source(Protocol):
    """A game of another suite."""

    instructions: str

    def start(self, seed: int) -> str:
        """Begin; the opening text."""
        ...

    def play(self, action: str) -> Said:
        """Play any text."""
        ...


@contextlib.contextmanager
def room(seed: int, turn: int) -> Iterator[None]:
    """Global random numbers of a game's own, while this lasts."""
    before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002  (it is theirs that is kept)
    random.seed(f"{seed}/{turn}")
    np.random.seed((seed + turn) % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)  # noqa: NPY002


class ForeignEnv(TextEnv):
    """A game of another suite.

    Args:
        game: ``source:name``.
        render_mode: ``ansi`` or None.
    """

    game_fields = {"seed": int}

    def __init__(self, game: str, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        source, _, name = game.partition(":")
        if source not in ("toy_text", "reasoning", "textarena", "gem", "textworld"):
            raise ValueError(f"game={game!r} is of no known source")
        if game not in GAMES:  # what others of these packages fetch, or run, is for who asks for it
            refuse("a game that is none of the table's", game)
        self.game = game
        self._make = importlib.import_module(f"lmrl_foreign.{source}").Game
        self._name = name
        with room(0, 0):
            self.instructions = self._make(name).instructions
        self._seed, self._success = 0, False
        self._source: Source | None = None

    def _begin(self, options: Mapping[str, Any]) -> str:
        self._seed = int(self.np_random.integers(2**31))
        return self._open()

    def _open(self) -> str:
        self._success = False
        with room(self._seed, 0):
            source = self._make(self._name)
            opening = source.start(self._seed)
        self._source = source
        return opening

    def _play(self, action: str) -> Outcome:
        assert self._source is not None
        said = self._answer(action, self.turn + 1)
        return said.text, float(said.reward), said.terminated, said.truncated, {"valid": said.valid}

    def _answer(self, action: str, turn: int) -> Said:
        with room(self._seed, turn):
            said = self._source.play(action)  # type: ignore[union-attr]
        self._success = said.success
        return said

    def _reveal(self) -> dict[str, Any]:
        return {"success": self._success}

    def _get_game(self) -> dict[str, Any]:
        return {"seed": self._seed}

    def _set_game(self, state: Mapping[str, Any]) -> None:
        if not 0 <= state["seed"] < 2**31:
            raise ValueError(f"seed={state['seed']} is out of range")
        self._seed = state["seed"]
        texts, rewards, said = [self._open()], [], None
        for turn, action in enumerate(self._texts[1::2], start=1):
            if said is not None and (said.terminated or said.truncated):
                raise ValueError("the game ends before its last action")
            said = self._answer(action if len(action) < self.action_space.max_length else "", turn)
            texts += [action, said.text]
            rewards.append(float(said.reward))
        over = said is not None and (said.terminated or said.truncated)
        if texts != self._texts or rewards != self._rewards or self._live == over:
            raise ValueError("the actions lead to other texts")


ForeignVectorEnv = vector_of(ForeignEnv)


class ForeignSurface(Surface):
    """Plain, but for what the sources do with rewards and ends."""

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(hidden=())


SURFACE = ForeignSurface()
