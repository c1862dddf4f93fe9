"""Views of a `TextEnv` for language models, candidates to choose from, and a recorder of trajectories."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
from gymnasium.spaces import Dict, Sequence
from gymnasium.utils import RecordConstructorArgs

from lmrl_envs.core import MAX_OBSERVATION_LENGTH, FreeText, TextEnv, Transcript

Message = dict[str, str]


def _text_env(env: gymnasium.Env[Any, Any]) -> TextEnv:
    base = env.unwrapped
    if not isinstance(base, TextEnv):
        raise TypeError(f"this wrapper needs a TextEnv, got {type(base).__name__}")
    return base


class ChatObservation(gymnasium.Wrapper[Any, str, str, str], RecordConstructorArgs):
    """Observations as chat messages: the whole conversation, as a tuple of ``{"role", "content"}``.

    The environment speaks as ``user``, the agent as ``assistant``; the task's `instructions` are the ``system`` message.
    A message tuple is never changed afterwards, so it may be kept.
    """

    def __init__(self, env: gymnasium.Env[str, str], instructions: bool = True) -> None:
        RecordConstructorArgs.__init__(self, instructions=instructions)
        super().__init__(env)
        base = _text_env(env)
        text = FreeText(MAX_OBSERVATION_LENGTH)
        self.observation_space = Sequence(Dict(role=FreeText(16), content=text))
        self._system: tuple[Message, ...] = ({"role": "system", "content": base.instructions},) if instructions else ()
        self._messages: tuple[Message, ...] = ()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        text, info = self.env.reset(seed=seed, options=options)
        self._messages = (*self._system, {"role": "user", "content": text})
        return self._messages, info

    def step(self, action: str) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        text, reward, terminated, truncated, info = self.env.step(action)
        said = action[: self.env.action_space.max_length]  # type: ignore[attr-defined]
        self._messages += ({"role": "assistant", "content": said}, {"role": "user", "content": text})
        return self._messages, reward, terminated, truncated, info


class TranscriptObservation(gymnasium.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Observations as one string: the whole conversation, texts joined by ``separator``."""

    def __init__(self, env: gymnasium.Env[str, str], separator: str = "\n") -> None:
        RecordConstructorArgs.__init__(self, separator=separator)
        super().__init__(env)
        _text_env(env)
        # A conversation is as long as its texts: bounded by turns, not by one text's limit.
        self.observation_space = FreeText(2**31 - 1)
        self._separator = separator
        self._conversation = ""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        self._conversation, info = self.env.reset(seed=seed, options=options)
        return self._conversation, info

    def step(self, action: str) -> tuple[str, Any, bool, bool, dict[str, Any]]:
        text, reward, terminated, truncated, info = self.env.step(action)
        said = action[: self.env.action_space.max_length]  # type: ignore[attr-defined]
        self._conversation += self._separator + said + self._separator + text
        return self._conversation, reward, terminated, truncated, info


class Offers:
    """What some of a task's policies offer to say, see `Candidates`. The same seed and conversation give the same offers.

    Args:
        id: of the task.
        seed: of the providers, and of what of theirs is offered.
        kwargs: of the task's environment.
        providers, chance, noise, least: see `Candidates`.

    Raises:
        ValueError: there is no such provider, or no such chance.
    """

    def __init__(
        self,
        id: str,
        seed: int,
        kwargs: Mapping[str, Any] | None = None,
        providers: Iterable[str] = ("random", "suboptimal", "expert"),
        chance: float = 0.55,
        noise: float = 0.3,
        least: int = 2,
    ) -> None:
        from lmrl_envs.tasks import make_policy

        if not (0 < chance <= 1 and 0 <= noise <= 1 and least >= 1):
            raise ValueError(
                f"chance={chance}, noise={noise}, least={least}: shares in [0, 1], and at least one candidate"
            )
        self._chance, self._noise, self._least = chance, noise, least
        self._random = random.Random(seed)
        self._players = [make_policy(id, name, seed=seed + i, **(kwargs or {})) for i, name in enumerate(providers)]

    def next(self, transcript: Transcript) -> tuple[str, ...]:
        """What may be said now; to be asked at every turn of a game, in order."""
        rng = self._random
        lines = list(
            dict.fromkeys(line for line in (player.act(transcript) for player in self._players) if line is not None)
        )
        own = [
            line if rng.random() >= self._noise else rng.choice(lines) for line in lines if rng.random() < self._chance
        ]
        own += [line for line in rng.sample(lines, len(lines)) if line not in own][
            : max(0, self._least - len(set(own)))
        ]
        return tuple(dict.fromkeys(own))


class Candidates(gymnasium.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Actions to choose from, other ones each turn: what some providers offer (Cohen et al. 2022, arXiv 2208.02294).

    ``info["candidates"]`` is the tuple of what may be said next, at ``reset`` and at every ``step`` that does not end the game;
    ``info["logged"]``, from the first step on, whether what was said was one of them. Any other text is legal all the same. At the end
    ``info["offered"]`` holds the candidates of every turn: what `lmrl train planning` learns from.

    Args:
        env: a `TextEnv`.
        providers: names of the task's policies.
        chance: how often a provider offers something.
        noise: how often what it offers is another provider's.
        least: candidates that there are in any case, if the providers have so many things to say.

    Raises:
        ValueError: there is no such provider, or no such chance.
    """

    def __init__(
        self,
        env: gymnasium.Env[str, str],
        providers: tuple[str, ...] = ("random", "suboptimal", "expert"),
        chance: float = 0.55,
        noise: float = 0.3,
        least: int = 2,
    ) -> None:
        RecordConstructorArgs.__init__(self, providers=providers, chance=chance, noise=noise, least=least)
        super().__init__(env)
        self._base, spec = _text_env(env), _text_env(env).spec
        if spec is None:
            raise ValueError("candidates come from a task's own policies: make the environment by its id")
        kwargs = {key: value for key, value in spec.kwargs.items() if key != "render_mode"}
        self._make: Callable[[int], Offers] = lambda seed: Offers(
            spec.id, seed, kwargs, providers, chance, noise, least
        )
        self._seeds = random.Random(0)
        self._offers = self._make(0)
        self._offered: list[tuple[str, ...]] = [()]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        text, info = self.env.reset(seed=seed, options=options)
        # A stream of its own: which candidates there are changes nothing about the game.
        own = self._seeds.getrandbits(32) if seed is None else seed
        self._seeds, self._offers = random.Random(own), self._make(own)
        self._offered = [self._offers.next(self._base.transcript)]
        return text, {**info, "candidates": self._offered[-1]}

    def step(self, action: str) -> tuple[str, Any, bool, bool, dict[str, Any]]:
        text, reward, terminated, truncated, info = self.env.step(action)
        info["logged"] = action in self._offered[-1]
        if terminated or truncated:
            info["offered"] = tuple(self._offered)
        else:
            self._offered.append(self._offers.next(self._base.transcript))
            info["candidates"] = self._offered[-1]
        return text, reward, terminated, truncated, info


@dataclass(frozen=True)
class Trajectory:
    """One recorded episode."""

    transcript: Transcript
    terminated: bool
    truncated: bool
    seed: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def episode_return(self) -> float:
        """The undiscounted sum of rewards."""
        return self.transcript.episode_return


class RecordTrajectories(gymnasium.Wrapper[Any, str, Any, str], RecordConstructorArgs):
    """Hand every finished episode to ``on_episode``, or collect them in ``trajectories``.

    An episode cut short by ``reset`` or ``close`` is handed over too, neither terminated nor truncated.
    """

    def __init__(self, env: gymnasium.Env[Any, str], on_episode: Callable[[Trajectory], None] | None = None) -> None:
        RecordConstructorArgs.__init__(self, on_episode=on_episode)
        super().__init__(env)
        self._base = _text_env(env)
        self.trajectories: list[Trajectory] = []
        self._on_episode = on_episode or self.trajectories.append
        self._open = False
        self._seed: int | None = None
        self._options: dict[str, Any] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._finish(False, False, {})
        result = self.env.reset(seed=seed, options=options)
        self._open, self._seed, self._options = True, seed, dict(options or {})
        return result

    def step(self, action: str) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        result = self.env.step(action)
        _, _, terminated, truncated, info = result
        if terminated or truncated:
            self._finish(terminated, truncated, info)
        return result

    def close(self) -> None:
        self._finish(False, False, {})
        super().close()

    def _finish(self, terminated: bool, truncated: bool, info: dict[str, Any]) -> None:
        if self._open and self._base.turn:
            transcript = self._base.transcript
            self._on_episode(Trajectory(transcript, terminated, truncated, self._seed, self._options, dict(info)))
        self._open = False
