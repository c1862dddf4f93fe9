"""What holds in a vector environment: its games are those of single environments, whatever is skipped, reset or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from lmrl_envs.contract.game import Checked, CheckedGame, demand, expect, whole_word
from lmrl_envs.vector import slot_info

REFUSED = ("type", "option", "mask", "count")
"""What `CheckedBatch.refuse` tries."""


class CheckedBatch(Checked):
    """Games of a vector environment, each beside a `CheckedGame` that must answer alike.

    Args:
        vector: the vector environment that is played.
        single: an environment made with the same arguments; its siblings are the single games.
        leaks: see `CheckedGame`.
    """

    def __init__(
        self,
        vector: gymnasium.vector.VectorEnv,
        single: gymnasium.Env[Any, Any],
        leaks: Callable[[str, str], list[str]] = whole_word,
    ) -> None:
        self.vector: Any = vector.unwrapped
        self.games = [CheckedGame(single, leaks=leaks) for _ in range(vector.num_envs)]

    @property
    def over(self) -> list[bool]:
        """Of each slot: whether its game has ended or never begun."""
        return [game.over for game in self.games]

    # -- operations

    def reset(
        self,
        seeds: int | Sequence[int | None] | None,
        slots: Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Begin games in all slots, or in ``slots``. A slot's first game is seeded: its stream is no one else's."""
        count = len(self.games)
        chosen = list(range(count)) if slots is None else sorted({slot % count for slot in slots})
        given = [seeds + i for i in range(count)] if isinstance(seeds, int) else list(seeds or [None] * count)
        given = [i if seed is None and not self.games[i].seen else seed for i, seed in enumerate(given)]
        arguments: Any = seeds if isinstance(seeds, int) or given == [None] * count else given
        mask = np.isin(np.arange(count), chosen)
        texts, infos = self.vector.reset(
            seed=arguments, options=(options or {}) | ({} if slots is None else {"reset_mask": mask})
        )
        demand(type(texts) is tuple and len(texts) == count, "the openings are no tuple of one text a slot")
        demand(infos["_turn"].tolist() == mask.tolist(), "the mask of the infos is not that of the reset")
        for slot, game in enumerate(self.games):
            if mask[slot]:
                game.reset(given[slot], options)
                self._check_alike(slot, (texts[slot], slot_info(infos, slot)))
            else:
                demand(texts[slot] == "", "a slot that was not reset has an opening")

    def step(self, actions: Sequence[str | None]) -> None:
        """Play an action in each slot, None skips; one for a game that is over must be refused, and nothing played."""
        over = self.over
        if any(was and action is not None for was, action in zip(over, actions, strict=True)):
            before = self.vector.transcripts
            expect(ResetNeeded, "a step in a slot whose game is over", lambda: self.vector.step(actions))
            demand(self.vector.transcripts == before, "a refused step changed a transcript")
            return
        texts, rewards, terminated, truncated, infos = self.vector.step(actions)
        acting = [action is not None for action in actions]
        demand(type(texts) is tuple and len(texts) == len(actions), "observations are no tuple of one text a slot")
        for array, kind in ((rewards, np.float64), (terminated, np.bool_), (truncated, np.bool_)):
            demand(array.dtype == kind and array.shape == (len(actions),), f"an array of {array.dtype} {array.shape}")
        for key, kind in (("turn", np.integer), ("valid", np.bool_)):
            demand(infos[f"_{key}"].tolist() == acting, f"the mask of info[{key!r}] is not that of the actions")
            demand(np.issubdtype(infos[key].dtype, kind), f"info[{key!r}] is of {infos[key].dtype}")
        for slot, (game, action) in enumerate(zip(self.games, actions, strict=True)):
            flags = bool(terminated[slot]), bool(truncated[slot])
            if action is None:
                demand(texts[slot] == "" and rewards[slot] == 0, "a skipped slot has a text or a reward")
                demand(any(flags) == over[slot], "the flags of a skipped slot changed")
                continue
            game.step(action)
            self._check_alike(slot, (texts[slot], float(rewards[slot]), *flags, slot_info(infos, slot)))
            if game.over:
                self._check_transcript(slot)

    def refuse(self, kind: str) -> None:
        """Try what must be refused and change nothing: one of `REFUSED`."""
        count, before = len(self.games), self.vector.transcripts
        if kind == "type":
            expect(TypeError, "an action that is no text", lambda: self.vector.step([3] * count))
        elif kind == "option":
            expect(ValueError, "an unknown option", lambda: self.vector.reset(options={"no such option": 1}))
        elif kind == "mask":
            expect(ValueError, "a mask of ints", lambda: self.vector.reset(options={"reset_mask": [1] * count}))
        else:
            expect(ValueError, "an action too many", lambda: self.vector.step(["x"] * (count + 1)))
            expect(ValueError, "a seed too many", lambda: self.vector.reset(seed=[1] * (count + 1)))
        demand(self.vector.transcripts == before, f"what was refused ({kind}) changed a transcript")

    def finish(self) -> None:
        """After the last operation: games that go on are compared too, and their states carry over to single ones."""
        rebuilt = self.vector.envs
        for slot, game in enumerate(self.games):
            if game.seen:
                game.finish()
                self._check_transcript(slot)
                demand(
                    rebuilt[slot].get_state() == game.env.get_state(),
                    f"slot {slot} has another state than a single game",
                )

    # -- checks

    def _check_alike(self, slot: int, outcome: tuple[Any, ...]) -> None:
        single = self.games[slot].seen[-1]
        demand(
            _comparable(outcome) == _comparable(single),
            f"slot {slot} answered {outcome!r:.300}, a single game {single!r:.300}",
        )

    def _check_transcript(self, slot: int) -> None:
        demand(
            self.vector.transcript(slot) == self.games[slot].env.transcript,
            f"slot {slot} has another transcript than a single game",
        )


def _comparable(outcome: tuple[Any, ...]) -> tuple[Any, ...]:
    """Infos without what the vector form cannot keep: empty dicts and lists have no slot of their own."""
    *rest, info = outcome
    return *rest, {key: value for key, value in info.items() if value not in ({}, [])}
