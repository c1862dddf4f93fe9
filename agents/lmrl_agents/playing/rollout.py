"""Play episodes: many games at once, finished slots refilled at once from a fixed list of episode seeds.

A fixed list, not a fixed number of steps: with steps, short episodes would be counted too often.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium
import numpy as np

from lmrl_agents.playing.answers import actions_of, tell_finished
from lmrl_agents.playing.protocol import Action, Agent, Request
from lmrl_envs import SimulatorError, Transcript, Turn, load_task
from lmrl_envs.partners import SimulatorStopped
from lmrl_envs.seeding import Stream, episode_seed, player_seed
from lmrl_envs.vector import slot_info


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
    details: tuple[Mapping[str, Any], ...] = ()
    """What the agent told about each action (in an episode with an error also about one not played), if it told anything."""

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
    details: list[Mapping[str, Any]] = field(default_factory=list)


class _Now:
    """An executor that does at once what it is given."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        job: Future = Future()
        job.set_result(function(*arguments))
        return job

    def shutdown(self, **_: Any) -> None: ...


class Rollout:
    """Episodes of one agent on one task.

    Args:
        agent: any `Agent`.
        env_id: task id.
        env_kwargs: arguments of the environment.
        made_with: arguments that it is made with, if agents are not told all of them.
        slots: games played at once.
        options: reset options of every episode.
        repeats: how many episodes in a row start from the same seed, each with an agent's seed of its own.
        each: reset options that go round over the episodes, see `episode_options`.
        groups: parts that the slots are divided into. With 2, the simulator plays one part's step in a thread while the
            agent acts for the other; worth it where the simulator waits (for a server, an engine, another GPU). The
            episodes are the same whatever the number.
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
        each: dict[str, Any] | None = None,
        groups: int = 1,
        made_with: dict[str, Any] | None = None,
    ) -> None:
        if groups < 1:
            raise ValueError(f"groups={groups} must be at least 1")
        self.agent, self.env_id, self.env_kwargs = agent, env_id, dict(env_kwargs or {})
        self.made_with = dict(self.env_kwargs if made_with is None else made_with)
        self.row = load_task(env_id)
        self.minimum = self.row.return_range[0]
        self.options, self.each = dict(options or {}), dict(each or {})
        self.slots, self.repeats, self.groups = slots, repeats, groups

    def play(
        self, episodes: Sequence[int], base_seed: int, stream: Stream = "evaluation", salt: str = ""
    ) -> Iterator[Played]:
        """Play the given episode numbers; yields each as it finishes (not in order). For ``salt`` see `episode_seed`."""
        if not episodes:
            return
        count = min(self.slots, len(episodes))
        self.env: Any = gymnasium.make_vec(
            self.row.id, num_envs=count, vectorization_mode="vector_entry_point", **self.made_with
        )
        self._live: list[_Slot | None] = [None] * count
        # In training every seed explores by itself; in an evaluation no agent is told what names its game.
        own_seed = player_seed if stream == "evaluation" else partial(episode_seed, "agent", base_seed)
        self._waiting = [
            _Slot(n, episode_seed(stream, base_seed, n // self.repeats, salt), own_seed(n)) for n in reversed(episodes)
        ]
        parts = [part.tolist() for part in np.array_split(np.arange(count), min(self.groups, count))]
        # One thread, whatever the number of parts: simulators serve one call at a time, in an order that is known.
        stepper = _Now() if len(parts) == 1 else ThreadPoolExecutor(1, "simulator")
        try:
            turns = deque((part, stepper.submit(self._advance, part, {})) for part in parts)
            while turns:
                part, job = turns.popleft()
                over, problem = job.result()
                yield from self._tell(over)
                if problem is not None:
                    raise problem
                acting = [i for i in part if self._live[i] is not None]
                if acting:
                    turns.append((part, stepper.submit(self._advance, part, self._ask(acting))))
        finally:
            stepper.shutdown(wait=True, cancel_futures=True)
            self.env.close()

    def _tell(self, over: list[Played]) -> list[Played]:
        if over:
            tell_finished(self.agent, [played.episode for played in over])
        return over

    def _ask(self, acting: list[int]) -> dict[int, Action]:
        """What the agent does, by slot."""
        slots = [self._slot(i) for i in acting]
        started = time.perf_counter()
        actions = actions_of(self.agent, [self._request(slot) for slot in slots])
        share = (time.perf_counter() - started) / len(acting)
        for slot, action in zip(slots, actions, strict=True):
            slot.seconds += share
            slot.details.append(action.details)
        return dict(zip(acting, actions, strict=True))

    def _advance(self, part: list[int], answers: dict[int, Action]) -> tuple[list[Played], SimulatorError | None]:
        """Play the actions of a part of the slots, and start new games in the empty ones.

        Returns:
            what is over, and the error that kept new games from starting.
        """
        over = [self._finish(i, False, False, {}, a.error) for i, a in answers.items() if a.error is not None]
        actions = {i: answer.text for i, answer in answers.items() if answer.error is None}
        limit = self.env.single_action_space.max_length
        for i, outcome in self._step([actions.get(i) for i in range(len(self._live))]).items():
            if isinstance(outcome, str):
                over.append(self._finish(i, False, False, {}, outcome))
                continue
            text, reward, terminated, truncated, info = outcome
            slot = self._slot(i)
            slot.valid += bool(info["valid"])
            slot.actions.append(actions[i][: limit + 1])
            slot.transcript = Transcript((*slot.transcript, Turn(actions[i][:limit], True, reward), Turn(text, False)))
            if terminated or truncated:
                over.append(self._finish(i, terminated, truncated, info, None))
        try:
            self._refill(part)
        except SimulatorError as problem:
            return over, problem
        return over, None

    def _refill(self, part: list[int]) -> None:
        mask = np.zeros(len(self._live), bool)
        seeds: list[int | None] = [None] * len(self._live)
        for i in part:
            if self._live[i] is None and self._waiting:
                slot = self._live[i] = self._waiting.pop()
                seeds[i] = slot.seed
                mask[i] = True
        # One call for all, unless episodes have options of their own.
        masks = [mask] if not self.each else [np.arange(len(mask)) == i for i in np.flatnonzero(mask)]
        for mask in masks:
            slots = np.flatnonzero(mask).tolist()
            if not slots:
                continue
            options = episode_options(self.options, self.each, self._slot(slots[0]).episode)
            openings, _ = self.env.reset(seed=seeds, options={**options, "reset_mask": mask})
            for i in slots:
                self._slot(i).transcript = Transcript.from_texts([openings[i]], [])

    def _slot(self, i: int) -> _Slot:
        slot = self._live[i]
        assert slot is not None
        return slot

    def _request(self, slot: _Slot) -> Request:
        return Request(
            env_id=self.env_id,
            episode=slot.episode,
            seed=slot.agent_seed,
            transcript=slot.transcript,
            instructions=self.env.instructions,
            env_kwargs=self.env_kwargs,
        )

    def _step(self, batch: list[str | None]) -> dict[int, Any]:
        """Outcome per acting slot; a failing simulator spoils only the game it failed in."""
        acting = [i for i, action in enumerate(batch) if action is not None]
        if not acting:
            return {}
        try:
            texts, rewards, terminated, truncated, infos = self.env.step(batch)
        except SimulatorStopped:
            raise
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

    def _finish(self, i: int, terminated: bool, truncated: bool, info: dict[str, Any], error: str | None) -> Played:
        slot = self._slot(i)
        self._live[i] = None
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
            options=episode_options(self.options, self.each, slot.episode),
            details=tuple(slot.details) if any(slot.details) else (),
        )


def episode_options(options: dict[str, Any], each: dict[str, Any], episode: int) -> dict[str, Any]:
    """The reset options of an episode: the common ones, and of every list in ``each`` the value whose turn it is.

    A number n stands for the list 0 to n - 1.
    """
    turns = {key: episode % v if isinstance(v, int) else v[episode % len(v)] for key, v in each.items()}
    return {**options, **turns}
