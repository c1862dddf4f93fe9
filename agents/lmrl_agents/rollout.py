"""Play episodes: many games at once, finished slots refilled at once from a fixed list of episode seeds.

A fixed list, not a fixed number of steps: with steps, short episodes would be counted too often.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

from lmrl_agents.api import Agent, Request
from lmrl_envs import SimulatorError, Transcript, Turn, task
from lmrl_envs.seeding import Stream, episode_seed

MAX_ACTION_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Played:
    """One finished episode of an evaluation."""

    episode: int
    seed: int
    transcript: Transcript
    actions: tuple[str, ...]
    """The actions as they were sent, cut one character after what an environment keeps: a replay is too long again."""
    terminated: bool
    truncated: bool
    success: bool
    info: dict[str, Any]
    valid_actions: int
    seconds: float
    """Time that the agent spent on this episode (its share of each batch)."""
    error: str | None = None
    """What went wrong; the episode then scores the task's minimum."""
    options: dict[str, Any] = field(default_factory=dict)

    def score(self, minimum: float) -> float:
        """The episode's return, or the task's minimum if it ended in an error."""
        return minimum if self.error is not None else self.transcript.episode_return


@dataclass
class _Slot:
    episode: int
    seed: int
    agent_seed: int
    seconds: float = 0.0
    valid: int = 0
    transcript: Transcript = field(default_factory=Transcript)
    actions: list[str] = field(default_factory=list)


class Rollout:
    """Episodes of one agent on one task.

    Args:
        agent: any `Agent`.
        env_id: task id.
        env_kwargs: arguments of the environment.
        slots: games played at once.
        options: reset options of every episode.
        repeats: how many episodes in a row start from the same seed, each with an agent's seed of its own.
    """

    def __init__(
        self,
        agent: Agent,
        env_id: str,
        env_kwargs: dict[str, Any] | None = None,
        *,
        slots: int = 64,
        options: dict[str, Any] | None = None,
        repeats: int = 1,
    ) -> None:
        self.agent, self.env_id, self.env_kwargs = agent, env_id, dict(env_kwargs or {})
        self.minimum = task(env_id).return_range[0]
        self.options = dict(options or {})
        self.slots, self.repeats = slots, repeats

    def play(self, episodes: Sequence[int], base_seed: int, stream: Stream = "evaluation") -> Iterator[Played]:
        """Play the given episode numbers; yields each as it finishes (not in order)."""
        if not episodes:
            return
        waiting = list(reversed(episodes))
        count = min(self.slots, len(waiting))
        self.env: Any = gymnasium.make_vec(
            self.env_id, num_envs=count, vectorization_mode="vector_entry_point", **self.env_kwargs
        )
        try:
            live: list[_Slot | None] = [None] * count
            while True:
                self._refill(live, waiting, base_seed, stream)
                acting = [i for i, slot in enumerate(live) if slot is not None]
                if not acting:
                    return
                yield from self._turn(live, acting)
        finally:
            self.env.close()

    def _refill(self, live: list[_Slot | None], waiting: list[int], base_seed: int, stream: Stream) -> None:
        empty = [i for i, slot in enumerate(live) if slot is None]
        mask = np.zeros(len(live), bool)
        seeds: list[int | None] = [None] * len(live)
        for i in empty[: len(waiting)]:
            episode = waiting.pop()
            seeds[i] = episode_seed(stream, base_seed, episode // self.repeats)
            live[i] = _Slot(episode, seeds[i], episode_seed("agent", base_seed, episode))  # type: ignore[arg-type]
            mask[i] = True
        if mask.any():
            openings, _ = self.env.reset(seed=seeds, options={**self.options, "reset_mask": mask})
            for i in np.flatnonzero(mask).tolist():
                live[i].transcript = Transcript.from_texts([openings[i]], [])  # type: ignore[union-attr]

    def _turn(self, live: list[_Slot | None], acting: list[int]) -> Iterator[Played]:
        requests = [self._request(live[i]) for i in acting]  # type: ignore[arg-type]
        started = time.perf_counter()
        actions, errors = self._act(requests)
        share = (time.perf_counter() - started) / len(acting)
        batch: list[str | None] = [None] * len(live)
        for i, action, error in zip(acting, actions, errors, strict=True):
            live[i].seconds += share  # type: ignore[union-attr]
            if error is None:
                batch[i] = action
            else:
                yield self._finish(live, i, False, False, {}, error)
        for i, outcome in self._step(batch).items():
            if isinstance(outcome, str):
                yield self._finish(live, i, False, False, {}, outcome)
                continue
            text, reward, terminated, truncated, info = outcome
            slot = live[i]
            assert slot is not None
            slot.valid += bool(info["valid"])
            limit = self.env.single_action_space.max_length
            said = batch[i][:limit]  # type: ignore[index]
            slot.actions.append(batch[i][: limit + 1])  # type: ignore[index]
            slot.transcript = Transcript((*slot.transcript, Turn(said, True, reward), Turn(text, False)))
            if terminated or truncated:
                yield self._finish(live, i, terminated, truncated, info, None)

    def _request(self, slot: _Slot) -> Request:
        return Request(
            env_id=self.env_id,
            episode=slot.episode,
            seed=slot.agent_seed,
            transcript=slot.transcript,
            instructions=self.env.instructions,
            env_kwargs=self.env_kwargs,
        )

    def _act(self, requests: list[Request]) -> tuple[list[str], list[str | None]]:
        """Actions and errors; when a batch fails, every request is tried alone, so that one cannot spoil the others."""
        try:
            actions = list(self.agent.act(requests))
            if len(actions) != len(requests):
                raise TypeError(f"act() returned {len(actions)} actions for {len(requests)} requests")
        except Exception as problem:
            if len(requests) == 1:
                return [""], [f"{type(problem).__name__}: {problem}"]
            alone = [self._act([request]) for request in requests]
            return [a[0][0] for a in alone], [a[1][0] for a in alone]
        return actions, [_wrong(action) for action in actions]

    def _step(self, batch: list[str | None]) -> dict[int, Any]:
        """Outcome per acting slot; a failing simulator spoils only the game it failed in."""
        acting = [i for i, action in enumerate(batch) if action is not None]
        if not acting:
            return {}
        try:
            texts, rewards, terminated, truncated, infos = self.env.step(batch)
        except SimulatorError as problem:
            if len(acting) == 1:
                return {acting[0]: f"SimulatorError: {problem}"}
            outcomes = {}
            for i in acting:
                alone: list[str | None] = [None] * len(batch)
                alone[i] = batch[i]
                outcomes.update(self._step(alone))
            return outcomes
        return {
            i: (texts[i], float(rewards[i]), bool(terminated[i]), bool(truncated[i]), slot_info(infos, i))
            for i in acting
        }

    def _finish(
        self,
        live: list[_Slot | None],
        i: int,
        terminated: bool,
        truncated: bool,
        info: dict[str, Any],
        error: str | None,
    ) -> Played:
        slot = live[i]
        assert slot is not None
        live[i] = None
        return Played(
            episode=slot.episode,
            seed=slot.seed,
            transcript=slot.transcript,
            actions=tuple(slot.actions),
            terminated=terminated,
            truncated=truncated,
            success=bool(info.get("success", False)),
            info=info,
            valid_actions=slot.valid,
            seconds=slot.seconds,
            error=error,
            options=self.options,
        )


def slot_info(infos: dict[str, Any], slot: int) -> dict[str, Any]:
    """The info of one slot out of a vector environment's."""
    found: dict[str, Any] = {}
    for key, value in infos.items():
        if not key.startswith("_") and infos.get(f"_{key}", np.zeros(slot + 1, bool))[slot]:
            found[key] = slot_info(value, slot) if isinstance(value, dict) else _item(value[slot])
    return found


def _item(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _wrong(action: Any) -> str | None:
    if not isinstance(action, str):
        return f"TypeError: the agent returned {type(action).__name__}, not str"
    if len(action) > MAX_ACTION_CHARACTERS:
        return f"ValueError: the agent returned {len(action)} characters"
    return None
