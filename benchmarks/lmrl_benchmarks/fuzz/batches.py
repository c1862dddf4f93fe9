"""The checks of a case on a vector environment."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from lmrl_agents.playing.rollout import slot_info
from lmrl_benchmarks.fuzz.cases import Breach, Operation, check_sale, demand, expect, random_states
from lmrl_benchmarks.fuzz.language import Speaker
from lmrl_benchmarks.fuzz.rules import rules_of
from lmrl_envs.core import MAX_ACTION_LENGTH, TextEnv


class Batch:
    """Games of a vector environment; some slots are shadowed by a single environment that must answer alike.

    Args:
        id: task id.
        kwargs: arguments of the environment.
        slots: games.
    """

    SHADOWED = 2

    def __init__(self, id: str, kwargs: dict[str, Any], slots: int) -> None:
        self.id, self.slots = id, slots
        self.rules = rules_of(id, kwargs)
        self._globals = random_states()
        self.env: Any = gymnasium.make_vec(
            id, num_envs=slots, vectorization_mode="vector_entry_point", **kwargs
        ).unwrapped
        made = gymnasium.make(id, **kwargs)
        first: Any = made.unwrapped
        self.shadows: dict[int, TextEnv] = {0: first}
        if slots > 1:
            self.shadows[slots - 1] = first.sibling()
        self.actions = 0
        self.begun = np.zeros(slots, bool)
        self.seeded = np.zeros(slots, bool)
        self.over = np.ones(slots, bool)
        self.turns = np.zeros(slots, np.int64)
        self.totals = np.zeros(slots)
        self.last: list[str] = [""] * slots

    def apply(self, operation: Operation) -> None:
        """Play one operation; raises `Breach` (or whatever the environment raises) when something is wrong."""
        getattr(self, f"_{operation[0]}")(*operation[1:])

    def _reset(self, seeds: Any, mask: Sequence[int] | None, options: dict[str, Any] | None = None) -> None:
        every = mask is None
        which = np.ones(self.slots, bool) if mask is None else np.isin(np.arange(self.slots), mask)
        given = (
            list(seeds)
            if isinstance(seeds, list)
            else [None if seeds is None else seeds + i for i in range(self.slots)]
        )
        # A stream that was never seeded is no one else's: shadows could not follow.
        for slot in np.flatnonzero(which & ~self.seeded).tolist():
            if given[slot] is None:
                given[slot], seeds = slot, given
        if not which.any():
            return
        arguments = dict(options or {}) if every else {**(options or {}), "reset_mask": which}
        texts, infos = self.env.reset(seed=seeds, options=arguments)
        demand(type(texts) is tuple and len(texts) == self.slots, f"{len(texts)} observations")
        demand(all(type(t) is str for t in texts), "an opening is not a str")
        for slot in range(self.slots):
            demand(bool(which[slot]) or texts[slot] == "", "a slot that was not reset has an opening")
            demand(bool(infos["_turn"][slot]) == bool(which[slot]), "the mask of the infos is not that of the reset")
        for slot in np.flatnonzero(which).tolist():
            self.last[slot] = str(texts[slot])
            self.turns[slot], self.totals[slot] = 0, 0.0
            if slot in self.shadows:
                single = self.shadows[slot].reset(seed=given[slot], options=options)
                self._same(slot, (texts[slot], slot_info(infos, slot)), single)
        self.over &= ~which
        self.begun |= which
        self.seeded |= which

    def _step(self, actions: Sequence[str | None]) -> None:
        actions = list(actions)
        acting = np.array([action is not None for action in actions])
        if (acting & self.over).any():
            before = self.env.transcripts
            try:
                self.env.step(actions)
            except ResetNeeded:
                demand(self.env.transcripts == before, "a refused step changed a transcript")
                return
            raise Breach("a step in a slot whose game is over was played")
        was_over = self.over.copy()
        texts, rewards, terminated, truncated, infos = self.env.step(actions)
        self.actions += int(acting.sum())
        demand(type(texts) is tuple and len(texts) == self.slots, "observations are no tuple of one text a slot")
        for array, kind in ((rewards, np.float64), (terminated, np.bool_), (truncated, np.bool_)):
            demand(array.dtype == kind and array.shape == (self.slots,), f"an array of {array.dtype} {array.shape}")
        over_now = (terminated | truncated) & acting
        self._check(actions, acting, over_now, texts, rewards, terminated, truncated, infos)
        demand(
            bool(((terminated | truncated)[~acting] == was_over[~acting]).all()), "the flags of a skipped slot changed"
        )
        self.last = [
            old if action is None else text for old, text, action in zip(self.last, texts, actions, strict=True)
        ]
        for slot in np.flatnonzero(over_now).tolist():
            check_sale(slot_info(infos, slot) if "buyer" in infos else {})
        for slot, single in self.shadows.items():
            if acting[slot]:
                outcome = (texts[slot], float(rewards[slot]), bool(terminated[slot]), bool(truncated[slot]))
                self._same(slot, (*outcome, slot_info(infos, slot)), single.step(actions[slot]))  # type: ignore[arg-type]
                if over_now[slot]:
                    demand(self.env.transcript(slot) == single.transcript, f"slot {slot}: other transcripts")
        self.over = terminated | truncated | ~self.begun

    def _check(
        self,
        actions: Sequence[str | None],
        acting: np.ndarray,
        over: np.ndarray,
        texts: tuple[str, ...],
        rewards: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
        infos: dict[str, Any],
    ) -> None:
        """`cases.check_outcome`, of all slots at once."""
        rules, idle = self.rules, ~acting
        demand(all(type(text) is str for text in texts), "an observation is no str")
        demand(max(map(len, texts)) <= self.env.single_observation_space.max_length, "an observation is too long")
        demand(
            not any(text for text, action in zip(texts, actions, strict=True) if action is None),
            "a skipped slot has a text",
        )
        demand(not rewards[idle].any(), "a reward for a slot that was skipped")
        demand(bool(np.isfinite(rewards).all()), "a reward is not finite")
        if rules.rewards is not None:
            demand(set(rewards[acting].tolist()) <= rules.rewards, f"rewards {set(rewards.tolist())}")
        self.turns += acting
        self.totals += rewards
        low, high = rules.returns
        demand(bool(((self.totals >= low) & (self.totals <= high))[acting].all()), f"a return out of {rules.returns}")
        demand(not (terminated & truncated).any(), "terminated and truncated at once")
        demand(not rules.only_at_end or not rewards[acting & ~over].any(), "a reward before the end")
        if rules.limit is not None:
            demand(bool((self.turns[acting] <= rules.limit).all()), f"more than {rules.limit} actions")
            demand(bool(over[acting & (self.turns == rules.limit)].all()), f"not over after {rules.limit} actions")
            early = (truncated & acting) & ((self.turns != rules.limit) | (not rules.cut))
            demand(not early.any(), "truncated before the limit")
        for key, kind in (("turn", np.integer), ("valid", np.bool_)):
            demand(bool((infos["_" + key] == acting).all()), f"the mask of info[{key!r}] is not that of the actions")
            demand(np.issubdtype(infos[key].dtype, kind), f"info[{key!r}] is of {infos[key].dtype}")
        demand(bool((infos["turn"][acting] == self.turns[acting]).all()), "info['turn'] is wrong")
        long = [action is not None and len(action) > MAX_ACTION_LENGTH for action in actions]
        demand(not infos["valid"][long].any(), "a text longer than the action space was valid")
        told = infos.get("_success", np.zeros(self.slots, bool))
        demand(bool((told == over).all()), "success must be told at the end, and only there")

    def _same(self, slot: int, one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
        demand(
            _comparable(one) == _comparable(other), f"slot {slot} answered {one!r:.300}, a single game {other!r:.300}"
        )

    def _wrong(self, kind: str) -> None:
        before = self.env.transcripts
        if kind == "type":
            expect((TypeError, ResetNeeded), lambda: self.env.step([3] * self.slots))
            expect(ValueError, lambda: self.env.step(["x"] * (self.slots + 1)))
        elif kind == "option":
            expect(ValueError, lambda: self.env.reset(options={"no such option": 1}))
        else:
            expect(ValueError, lambda: self.env.reset(options={"reset_mask": [1] * self.slots}))
            expect(ValueError, lambda: self.env.reset(seed=[1] * (self.slots + 1)))
        demand(self.env.transcripts == before, f"what was refused ({kind}) changed a transcript")

    def finish(self) -> None:
        """After the last operation: unfinished games are compared too, states carry over, nothing global has moved."""
        rebuilt = self.env.envs
        for slot, single in self.shadows.items():
            if self.begun[slot]:
                demand(self.env.transcript(slot) == single.transcript, f"slot {slot}: other transcripts at the end")
                demand(
                    rebuilt[slot].get_state() == single.get_state(),
                    f"slot {slot}: another state than the single game's",
                )
        demand(random_states() == self._globals, "the global random state was touched")
        self.env.close()
        for single in self.shadows.values():
            single.close()

    def propose(self, rng: random.Random, speaker: Speaker) -> Operation:
        """An operation worth trying now."""
        drawn = rng.random()
        if not self.begun.all():
            return ["reset", rng.randrange(2**31), None, None]
        share = float(self.over.mean())
        if drawn < 0.02 or (share > 0.5 and drawn < 0.9):
            seeds: Any = None
            if rng.random() < 0.3:
                seeds = [rng.randrange(2**31) if rng.random() < 0.5 else None for _ in range(self.slots)]
            if rng.random() < 0.1:
                return ["reset", seeds, None, None]
            slots = [i for i in range(self.slots) if self.over[i] or rng.random() < 0.05]
            return ["reset", seeds, slots, None]
        if drawn > 0.995:
            return ["wrong", rng.choice(("type", "option", "mask"))]
        skipping = rng.choice((0.0, 0.0, 0.3))
        refused = rng.random() < 0.005  # an action in a slot whose game is over
        return [
            "step",
            [
                None if (over and not refused) or (skipping and rng.random() < skipping) else speaker.again(last)
                for over, last in zip(self.over.tolist(), self.last, strict=True)
            ],
        ]


def _comparable(outcome: tuple[Any, ...]) -> tuple[Any, ...]:
    """Infos without what the vector form cannot keep: empty dicts and lists have no slot of their own."""
    *rest, info = outcome
    return *rest, {key: value for key, value in info.items() if value not in ({}, [])}
