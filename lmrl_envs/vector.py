"""Batched play: many games of one task behind one `gymnasium.vector.VectorEnv`.

Sub-environments are never reset behind the caller's back (``AutoresetMode.DISABLED``): reset the finished ones with
``reset(options={"reset_mask": mask})``. Games end raggedly, so ``step`` takes None for a slot that is to be left alone.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from lmrl_envs.core import (
    MAX_ACTION_LENGTH,
    MAX_OBSERVATION_LENGTH,
    FreeText,
    PartnerTextEnv,
    TextEnv,
    Transcript,
)

LONGEST_LOG = 4096
"""Steps that a batch over arrays keeps in its log; beyond that, each conversation is written out."""

Texts = tuple[str, ...]
Step = tuple[Texts, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


class TextVectorEnv(VectorEnv):
    """A batch of games of ``env_class``, with one call to the simulator per step.

    Observations are tuples of ``num_envs`` strings; rewards are float64 ``[num_envs]``; terminated and truncated are
    bool ``[num_envs]``; infos follow Gymnasium's vector form (arrays with ``_key`` masks). With the same seeds the
    games are those of single environments, text by text.

    Subclasses set ``env_class`` (`vector_of` makes one); a task whose rules can be written over arrays derives from `ArrayTextVectorEnv`.
    """

    env_class: ClassVar[type[TextEnv]]
    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4, "autoreset_mode": AutoresetMode.DISABLED}

    def __init__(self, num_envs: int = 1, *, render_mode: str | None = None, **kwargs: Any) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs} must be at least 1")
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.single_observation_space = FreeText(MAX_OBSERVATION_LENGTH)
        self.single_action_space = FreeText(MAX_ACTION_LENGTH)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._prototype = self.env_class(render_mode=render_mode, **kwargs)
        self._terminated = np.ones(num_envs, bool)
        self._truncated = np.zeros(num_envs, bool)
        self._build()

    # -- Gymnasium

    def reset(  # type: ignore[override]
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Texts, dict[str, Any]]:
        """Start new games in all slots, or in those of ``options["reset_mask"]`` (bool ``[num_envs]``).

        Args:
            seed: one seed per slot, or an int ``s`` for ``s, s + 1, ...``; None lets each slot's stream go on.
            options: ``reset_mask``, and the task's own reset options (the same for every slot that is reset).

        Returns:
            observations (the opening text in reset slots, "" in the others) and infos.
        """
        options = dict(options or {})
        mask = np.array(options.pop("reset_mask", [True] * self.num_envs))
        if mask.dtype != bool or mask.shape != (self.num_envs,):
            raise ValueError(
                f"reset_mask must be a bool array of shape ({self.num_envs},), got {mask.dtype} {mask.shape}"
            )
        slots = np.flatnonzero(mask).tolist()
        if seed is None:
            seeds: Sequence[int | None] | None = None
        elif isinstance(seed, int | np.integer):
            seeds = range(int(seed), int(seed) + self.num_envs)
        else:
            seeds = [None if value is None else int(value) for value in seed]
            if len(seeds) != self.num_envs:
                raise ValueError(f"{len(seeds)} seeds for {self.num_envs} environments")
        openings, details = self._begin_slots(slots, seeds, options)
        self._terminated = self._terminated & ~mask
        self._truncated = self._truncated & ~mask
        infos = _infos(np.zeros(self.num_envs, np.int64), np.ones(self.num_envs, bool), mask)
        for slot, info in zip(slots, details, strict=False):
            if len(info) > 2:
                own = {key: value for key, value in info.items() if key not in ("turn", "valid")}
                infos = self._add_info(infos, own, slot)
        return self._in_place(slots, openings), infos

    def step(self, actions: Sequence[str | None]) -> Step:  # type: ignore[override]
        """Play one action per slot; None leaves a slot as it is (observation "", reward 0, flags unchanged).

        Raises:
            TypeError: an action is neither ``str`` nor None.
            gymnasium.error.ResetNeeded: an action for a slot whose game is over. Nothing has been played then.
        """
        if len(actions) != self.num_envs:
            raise ValueError(f"{len(actions)} actions for {self.num_envs} environments")
        over, acting = self._terminated | self._truncated, None
        if set(map(type, actions)) != {str}:
            for action in actions:
                if action is not None and not isinstance(action, str):
                    raise TypeError(f"an action is a str (or None to skip a slot), got {type(action).__name__}")
            acting = np.fromiter((action is not None for action in actions), bool, self.num_envs)
            over &= acting
        if over.any():
            raise ResetNeeded(f"the games of slots {np.flatnonzero(over).tolist()} are over: reset them, or pass None")
        return self._play_slots(actions, acting)

    @property
    def transcripts(self) -> tuple[Transcript, ...]:
        """The conversation of every slot."""
        return tuple(self.transcript(slot) for slot in range(self.num_envs))

    @property
    def instructions(self) -> str:
        """The task explained to a language model."""
        return self._prototype.instructions

    def render(self) -> tuple[str | None, ...]:  # type: ignore[override]
        """One drawing per slot."""
        return tuple(env.render() for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        self._prototype.close()

    def _in_place(self, slots: Iterable[int], texts: Sequence[str]) -> Texts:
        """The texts of these slots among those of all, "" for the others."""
        placed = [""] * self.num_envs
        for slot, text in zip(slots, texts, strict=True):
            placed[slot] = text
        return tuple(placed)

    # -- the general implementation: one TextEnv per slot

    def _build(self) -> None:
        self.envs: list[TextEnv] = [self._prototype, *(self._prototype.sibling() for _ in range(self.num_envs - 1))]

    def transcript(self, slot: int) -> Transcript:
        """The conversation of one slot."""
        return self.envs[slot].transcript

    def _begin_slots(
        self, slots: Sequence[int], seeds: Sequence[int | None] | None, options: dict[str, Any]
    ) -> tuple[list[str], list[dict[str, Any]]]:
        """Start games in slots; returns their opening texts, and their infos where they tell more than turn and valid."""
        begun = [self.envs[slot].reset(seed=None if seeds is None else seeds[slot], options=options) for slot in slots]
        return [text for text, _ in begun], [info for _, info in begun]

    def _play_slots(self, actions: Sequence[str | None], acting: np.ndarray | None) -> Step:
        slots = range(self.num_envs) if acting is None else np.flatnonzero(acting).tolist()
        played = [(slot, self.envs[slot], actions[slot]) for slot in slots]
        admitted = [env._admit(action) for _, env, action in played]  # type: ignore[arg-type]
        if isinstance(self._prototype, PartnerTextEnv):
            requests = [env._ask(action) for (_, env, _), action in zip(played, admitted, strict=True)]  # type: ignore[attr-defined]
            asked = [request for request in requests if request is not None]
            replies = iter(self._prototype.partner.reply(asked) if asked else ())
            before = [env._get_game() for _, env, _ in played]
            try:
                outcomes = [
                    env._answer(action, None if request is None else next(replies))  # type: ignore[attr-defined]
                    for (_, env, _), action, request in zip(played, admitted, requests, strict=True)
                ]
            except Exception:
                # One unusable reply must not leave the other games half a turn ahead of their conversations.
                for (_, env, _), game in zip(played, before, strict=True):
                    env._set_game(game)
                raise
        else:
            outcomes = [env._play(action) for (_, env, _), action in zip(played, admitted, strict=True)]

        texts = [""] * self.num_envs
        rewards = np.zeros(self.num_envs)
        infos: dict[str, Any] = {}
        for (slot, env, action), outcome in zip(played, outcomes, strict=True):
            text, reward, terminated, truncated, info = env._record(action, *outcome)  # type: ignore[arg-type]
            texts[slot], rewards[slot] = text, reward
            self._terminated[slot], self._truncated[slot] = terminated, truncated
            infos = self._add_info(infos, info, slot)
        if not played:  # the infos have the same form when every slot is skipped
            nobody = np.zeros(self.num_envs, bool)
            infos = _infos(np.zeros(self.num_envs, np.int64), nobody.copy(), nobody)
        return tuple(texts), rewards, self._terminated.copy(), self._truncated.copy(), infos


def vector_of(env_class: type[TextEnv]) -> type[TextVectorEnv]:
    """The vector form of an environment without one of its own: ``WordVectorEnv = vector_of(WordEnv)``, in the same module."""
    name = env_class.__name__.removesuffix("Env") + "VectorEnv"
    about = f"Many games of `{env_class.__name__}` at once, with one call to the partner per step."
    return type(name, (TextVectorEnv,), {"env_class": env_class, "__module__": env_class.__module__, "__doc__": about})


class ArrayTextVectorEnv(TextVectorEnv):
    """A batch of games whose rules run over arrays: about a microsecond per game and step, bookkeeping included.

    A task implements `_begin_game(slot, rng, options)`, called for each reset, and `_play_arrays(actions, slots)`.
    Conversations are kept as one log of whole steps and cut into transcripts when somebody asks for one.
    """

    def _build(self) -> None:
        self._rng: list[np.random.Generator | None] = [None] * self.num_envs
        self._rng_seeds: list[int | None] = [None] * self.num_envs
        self._openings = [""] * self.num_envs
        self._turns = np.zeros(self.num_envs, np.int64)
        self._born = np.zeros(self.num_envs, np.int64)
        self._log: list[tuple[Sequence[str | None], Texts, np.ndarray]] = []
        self._log_start = 0
        # What was said before the slot's part of the log: of games that go on, or wait, while others come and go.
        self._before: dict[int, tuple[list[str], list[float]]] = {}

    @property
    def envs(self) -> list[TextEnv]:
        """Single environments in the state of each slot (rebuilt at every call; for rendering and inspection)."""
        return [self._single(slot) for slot in range(self.num_envs)]

    @envs.setter
    def envs(self, value: list[TextEnv]) -> None:
        raise AttributeError("the games of an array environment live in its arrays")

    @abstractmethod
    def _begin_game(self, slot: int, rng: np.random.Generator, options: dict[str, Any]) -> str:
        """Start a game in ``slot``; returns the opening text."""

    @abstractmethod
    def _play_arrays(
        self, actions: list[str], slots: np.ndarray | None
    ) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Play ``actions`` in ``slots`` (None: all, in order), whose turn counts in ``self._turns`` include this one.

        Returns texts, rewards, terminated, truncated, valid, all of len(actions), and a dict of arrays of the same
        length that is shown for the games that ended now.
        """

    @abstractmethod
    def _game_state(self, slot: int) -> dict[str, Any]:
        """The slot's game in the form of the task's `TextEnv._get_game`."""

    def _single(self, slot: int) -> TextEnv:
        env = self._prototype.sibling()
        transcript = self.transcript(slot)
        if self._rng[slot] is None:
            return env
        env._np_random, env._np_random_seed = self._rng[slot], self._rng_seeds[slot]
        env._texts = [turn.text for turn in transcript]
        env._rewards = list(transcript.rewards)
        env._live = not (self._terminated[slot] or self._truncated[slot])
        env._set_game(self._game_state(slot))
        return env.clone()

    def transcript(self, slot: int) -> Transcript:
        """The conversation of one slot."""
        if self._rng[slot] is None:
            return Transcript()
        texts, rewards = self._said(slot)
        return Transcript.from_texts(texts, rewards)

    def _said(self, slot: int) -> tuple[list[str], list[float]]:
        before = self._before.get(slot)
        texts, rewards = ([self._openings[slot]], []) if before is None else (list(before[0]), list(before[1]))
        for actions, replies, step_rewards in self._log[self._born[slot] - self._log_start :]:
            action = actions[slot]
            if action is not None:
                texts += (action[:MAX_ACTION_LENGTH], replies[slot])
                rewards.append(float(step_rewards[slot]))
        return texts, rewards

    def _cut_log(self) -> None:
        """A slot that is not reset keeps the whole log alive: give every slot its own part of it, and begin anew."""
        self._before = {slot: self._said(slot) for slot in range(self.num_envs) if self._rng[slot] is not None}
        self._log_start += len(self._log)
        self._log.clear()
        self._born[:] = self._log_start

    def _begin_slots(
        self, slots: Sequence[int], seeds: Sequence[int | None] | None, options: dict[str, Any]
    ) -> tuple[list[str], list[dict[str, Any]]]:
        unknown = options.keys() - self.env_class.option_keys
        if unknown:
            self._prototype.reset(options=options)  # raises the task's own error
        now = self._log_start + len(self._log)
        openings = []
        for slot in slots:
            rng = self._rng[slot]
            seed = None if seeds is None else seeds[slot]
            if rng is None or seed is not None:
                rng, self._rng_seeds[slot] = seeding.np_random(seed)
                self._rng[slot] = rng
            opening = self._begin_game(slot, rng, options)
            self._openings[slot] = opening
            self._before.pop(slot, None)
            openings.append(opening)
        if len(slots) == self.num_envs:
            self._born[:] = now
            self._turns[:] = 0
            self._log.clear()
            self._log_start = now
        elif slots:
            self._born[slots] = now
            self._turns[slots] = 0
            oldest = int(self._born.min())
            if oldest > self._log_start:
                del self._log[: oldest - self._log_start]
                self._log_start = oldest
        return openings, []

    def _play_slots(self, actions: Sequence[str | None], acting: np.ndarray | None) -> Step:
        if acting is None:
            slots, everyone = None, np.ones(self.num_envs, bool)
            played: list[str] = list(actions)  # type: ignore[arg-type]
            self._turns += 1
        else:
            slots, everyone = np.flatnonzero(acting), acting
            played = list(itertools.compress(actions, acting.tolist()))  # type: ignore[arg-type]
            self._turns[slots] += 1
        if played and max(map(len, played)) > MAX_ACTION_LENGTH:
            played = [action if len(action) <= MAX_ACTION_LENGTH else "" for action in played]
        texts, rewards, terminated, truncated, valid, revealed = self._play_arrays(played, slots)
        if slots is not None:
            observations = self._in_place(slots.tolist(), texts)
            rewards = _placed(rewards, slots, self.num_envs)
            valid = _placed(valid, slots, self.num_envs)
            revealed = {key: _placed(value, slots, self.num_envs) for key, value in revealed.items()}
            self._terminated[slots], self._truncated[slots] = terminated, truncated
        else:
            observations = tuple(texts)
            self._terminated, self._truncated = terminated, truncated
        infos = _infos(self._turns.copy(), valid, everyone)
        ended = (self._terminated | self._truncated) & everyone
        if ended.any():
            for key, value in revealed.items():
                infos[key] = _placed(value[ended], ended, self.num_envs)
                infos["_" + key] = ended
        # Copies: the caller may keep using its list of actions and our arrays.
        self._log.append((tuple(actions), observations, rewards.copy()))
        if len(self._log) >= LONGEST_LOG:
            self._cut_log()
        return observations, rewards, self._terminated.copy(), self._truncated.copy(), infos


def _placed(values: np.ndarray, where: np.ndarray, count: int) -> np.ndarray:
    """An array of ``count``: ``values`` at the places ``where`` (numbers or a mask), None or zero elsewhere."""
    placed = np.full(count, None) if values.dtype == object else np.zeros(count, values.dtype)
    placed[where] = values
    return placed


def _infos(turn: np.ndarray, valid: np.ndarray, told: np.ndarray) -> dict[str, Any]:
    """What every info tells, of the slots of the mask ``told``."""
    return {"turn": turn, "_turn": told, "valid": valid, "_valid": told}


def slot_info(infos: dict[str, Any], slot: int) -> dict[str, Any]:
    """The info of one slot out of a vector environment's."""
    found: dict[str, Any] = {}
    for key, value in infos.items():
        if not key.startswith("_") and infos.get(f"_{key}", np.zeros(slot + 1, bool))[slot]:
            found[key] = slot_info(value, slot) if isinstance(value, dict) else _item(value[slot])
    return found


def _item(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
