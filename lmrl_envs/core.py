"""The environment contract: text spaces, the transcript, and the base class of every task.

A task is a game of alternating texts. The environment speaks first (the opening text), then agent and environment take
turns. ``TextEnv`` keeps the whole conversation once, as two flat lists; everything an agent, a dataset or a language
model sees is a view of it (`Transcript`).
"""

from __future__ import annotations

import copy
import json
import random
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeAlias

import gymnasium
import numpy as np
from gymnasium.error import CustomSpaceError, ResetNeeded
from gymnasium.spaces import Text
from gymnasium.vector.utils import create_shared_memory

from lmrl_envs.files import printable
from lmrl_envs.files.states import check_envelope, check_fields

MAX_ACTION_LENGTH = 8192
"""Characters of an action that are kept; a longer action is invalid (and is kept cut)."""

MAX_OBSERVATION_LENGTH = 65536

PRINTABLE = "".join(map(chr, range(32, 127)))

Outcome: TypeAlias = tuple[str, float, bool, bool, dict[str, Any]]
"""What a game answers to an action: text, reward, terminated, truncated, info (with at least ``valid``)."""


class FreeText(Text):
    """The space of all strings up to ``max_length`` characters, of any Unicode.

    Gymnasium's own `Text` allows alphanumerics only, checks every character, and comes back from shared memory as
    zeros; this one contains every ``str`` that is short enough, samples printable ASCII, and refuses shared memory.
    """

    def __init__(self, max_length: int, *, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(max_length, min_length=0, charset=PRINTABLE, seed=seed)

    def __deepcopy__(self, memo: dict[int, Any]) -> FreeText:
        """Gymnasium copies a space for each slot of a batch; the tables of characters, which never change, are shared."""
        twin = copy.copy(self)
        twin._np_random = copy.deepcopy(self._np_random, memo)
        return twin

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a ``str`` of at most ``max_length`` characters."""
        return isinstance(x, str) and len(x) <= self.max_length

    @property
    def is_np_flattenable(self) -> bool:
        """False: texts have no fixed-size array form."""
        return False

    def __repr__(self) -> str:
        return f"FreeText({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FreeText) and self.max_length == other.max_length


@create_shared_memory.register(FreeText)
def _refuse_shared_memory(space: FreeText, n: int = 1, ctx: Any = None) -> Any:
    raise CustomSpaceError(
        "Text observations cannot travel through shared memory; pass shared_memory=False, as in "
        'gym.make_vec(id, num_envs, vectorization_mode="async", vector_kwargs={"shared_memory": False})'
    )


class Turn(NamedTuple):
    """One text of a conversation. Only actions carry rewards: ``reward`` is 0.0 on environment texts."""

    text: str
    is_action: bool
    reward: float = 0.0


class Transcript(tuple[Turn, ...]):
    """A conversation so far: environment and agent texts in turn, the environment's opening text first.

    It is a plain tuple of `Turn`; slices and sums are tuples again, wrap them in ``Transcript(...)`` to get the views.
    """

    __slots__ = ()

    @classmethod
    def from_texts(cls, texts: Iterable[str], rewards: Sequence[float]) -> Transcript:
        """Build from alternating texts (environment first) and one reward per action."""
        return cls(
            Turn(text, True, rewards[i // 2]) if i % 2 else Turn(text, False, 0.0) for i, text in enumerate(texts)
        )

    @property
    def observations(self) -> tuple[str, ...]:
        """The environment's texts."""
        return tuple(turn.text for turn in self if not turn.is_action)

    @property
    def actions(self) -> tuple[str, ...]:
        """The agent's texts."""
        return tuple(turn.text for turn in self if turn.is_action)

    @property
    def rewards(self) -> tuple[float, ...]:
        """One reward per action."""
        return tuple(turn.reward for turn in self if turn.is_action)

    @property
    def episode_return(self) -> float:
        """The undiscounted sum of rewards."""
        return float(sum(turn.reward for turn in self))

    def printable(self) -> Transcript:
        """The conversation as a terminal may show it: see `printable`."""
        return Transcript(turn._replace(text=printable(turn.text)) for turn in self)

    def as_text(self, separator: str = "\n") -> str:
        """The whole conversation as one string."""
        return separator.join(turn.text for turn in self)

    def as_messages(self, instructions: str = "") -> list[dict[str, str]]:
        """Chat messages: ``instructions`` as the system message, the environment as user, the agent as assistant."""
        messages = [{"role": "system", "content": instructions}] if instructions else []
        messages += [{"role": "assistant" if turn.is_action else "user", "content": turn.text} for turn in self]
        return messages


class TextEnv(gymnasium.Env[str, str]):
    """Base class of all tasks: a `gymnasium.Env` of strings that keeps its transcript and can be saved and cloned.

    A task implements five hooks and never touches the bookkeeping:

    * `_begin(options)` starts a game and returns the opening text. All randomness comes from ``self.np_random``.
    * `_play(action)` plays one action and returns an `Outcome`. It must accept every string.
    * `_reveal()` returns ``success`` and what was hidden, for the ``info`` of the last step.
    * `_get_game()` / `_set_game(state)` save and restore the game as JSON-able values.

    `_begin` and `_set_game` must *replace* the attributes that hold a game, never change them in place: clones and
    siblings are shallow copies that share them until then.

    Subclasses also set `instructions` (the task explained to a language model) and `option_keys` (what
    ``reset(options=...)`` understands).
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}
    observation_space: FreeText  # type: ignore[assignment]
    action_space: FreeText  # type: ignore[assignment]
    instructions: str = ""
    option_keys: frozenset[str] = frozenset()
    state_version: int = 1
    """Raised when the meaning of `get_state` changes, so that an old state is refused and not misread."""
    game_fields: Mapping[str, Any] | None = None
    """Types of what `_get_game` gives, by key (``str``, ``list[str]``, ...); a state of other types is refused."""

    def __init__(self, *, render_mode: str | None = None) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode={render_mode!r} is not supported; choose one of {self.metadata['render_modes']}"
            )
        self.render_mode = render_mode
        self.observation_space = FreeText(MAX_OBSERVATION_LENGTH)
        self.action_space = FreeText(MAX_ACTION_LENGTH)
        self._texts: list[str] = []
        self._rewards: list[float] = []
        self._live = False

    # -- what a task implements

    @abstractmethod
    def _begin(self, options: Mapping[str, Any]) -> str: ...

    @abstractmethod
    def _play(self, action: str) -> Outcome: ...

    @abstractmethod
    def _reveal(self) -> dict[str, Any]: ...

    @abstractmethod
    def _get_game(self) -> dict[str, Any]: ...

    @abstractmethod
    def _set_game(self, state: Mapping[str, Any]) -> None: ...

    # -- Gymnasium

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start a game; returns the opening text.

        Args:
            seed: seeds ``np_random``; without it the random stream goes on.
            options: pins what is otherwise drawn (see `option_keys` of the task).

        Raises:
            ValueError: an unknown option or an impossible value.
        """
        if seed is not None:
            super().reset(seed=seed)
        if options:
            unknown = options.keys() - self.option_keys
            if unknown:
                raise ValueError(
                    f"unknown reset option {sorted(map(str, unknown))}; this task knows {sorted(self.option_keys) or 'none'}"
                )
        self._live = False
        # If this fails, there is no game: what was drawn for the new one no longer fits the old conversation.
        self._texts, self._rewards = [], []
        opening = self._begin(options or {})
        self._texts = [opening]
        self._live = True
        return opening, {"turn": 0, "valid": True}

    def step(self, action: str) -> Outcome:
        """Play ``action``; returns only the new text, the reward, terminated, truncated and info.

        Raises:
            TypeError: ``action`` is not a ``str``.
            gymnasium.error.ResetNeeded: the episode is over or has not begun.
        """
        return self._record(action, *self._play(self._admit(action)))

    def _admit(self, action: str) -> str:
        """Check that ``action`` can be played now; returns what the game is given."""
        if not isinstance(action, str):
            raise TypeError(f"an action is a str, got {type(action).__name__}")
        if not self._live:
            raise ResetNeeded("the episode is over or has not begun: call reset()")
        # What is too long is played as the empty action, which no task accepts, and kept cut.
        return action if len(action) <= MAX_ACTION_LENGTH else ""

    def _record(
        self, action: str, text: str, reward: float, terminated: bool, truncated: bool, info: dict[str, Any]
    ) -> Outcome:
        self._texts += (action[:MAX_ACTION_LENGTH], text)
        self._rewards.append(reward)
        info["turn"] = len(self._rewards)
        if terminated or truncated:
            self._live = False
            info.update(self._reveal())
        return text, reward, terminated, truncated, info

    def __repr__(self) -> str:
        """Class and id: the same in every process, unlike the address that Python shows by default."""
        return f"{type(self).__name__}({self.spec.id if self.spec is not None else ''})"

    def render(self) -> str | None:  # type: ignore[override]
        """The state drawn for a person, when made with ``render_mode="ansi"``."""
        return self._draw() if self.render_mode == "ansi" else None

    def _draw(self) -> str:
        """Default drawing: the conversation, the agent's lines marked."""
        return "\n".join(f"> {turn.text}" if turn.is_action else turn.text for turn in self.transcript.printable())

    # -- the conversation

    @property
    def transcript(self) -> Transcript:
        """The conversation so far (empty before the first reset)."""
        return Transcript.from_texts(self._texts, self._rewards)

    @property
    def turn(self) -> int:
        """Number of actions played in this episode."""
        return len(self._rewards)

    # -- save, restore, clone

    def get_state(self) -> dict[str, Any]:
        """Everything needed to continue exactly, as JSON-able values. It holds what is hidden: never show it to an agent."""
        return {
            "version": self.state_version,
            "task": type(self).__name__,
            "random": self.np_random.bit_generator.state,
            "random_seed": self._np_random_seed,
            "texts": list(self._texts),
            "rewards": list(self._rewards),
            "live": self._live,
            "game": self._get_game() if self._texts else None,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of `get_state`, of this or another instance made with the same arguments.

        A state may be anybody's. It is taken over whole or, where anything of it is wrong, not at all.

        Raises:
            ValueError: it is of another task or version, or no state that a game of this task can be in.
        """
        twin = copy.copy(self)
        try:
            check_envelope(state, type(self).__name__, self.state_version)
            if state["game"] is not None:
                self._check_game(state["game"])
            twin._restore(state)
            if json.dumps(twin.get_state(), sort_keys=True) != json.dumps(dict(state), sort_keys=True):
                raise ValueError("it is not given back as it was")
            if twin._live:
                twin.clone()._try_turn()
        except Exception as problem:  # whatever a state that nobody wrote leads to
            why = str(problem) if isinstance(problem, ValueError) else f"{type(problem).__name__}: {problem}"
            raise ValueError(f"no state of {type(self).__name__}: {why[:300]}") from None
        self.__dict__.update(twin.__dict__)

    def _check_game(self, game: Mapping[str, Any]) -> None:
        """Check what `_get_game` gave, before `_set_game` takes it; by default its fields, where ``game_fields`` names them.

        Raises:
            ValueError: no game of this task is in such a state.
        """
        if self.game_fields is not None:
            check_fields(game, self.game_fields)

    def _try_turn(self) -> None:
        """Play an action that no task accepts."""
        self.step("")

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that is in order."""
        # A new generator: a clone made by copying must not share the old one.
        generator = np.random.Generator(np.random.PCG64())
        generator.bit_generator.state = dict(state["random"])
        self._np_random, self._np_random_seed = generator, state["random_seed"]
        self._texts, self._rewards, self._live = list(state["texts"]), list(state["rewards"]), state["live"]
        if state["game"] is not None:
            self._set_game(state["game"])

    def clone(self) -> Self:
        """An independent copy that continues exactly as this one would. It shares the simulator."""
        twin = copy.copy(self)
        twin._restore(self.get_state())
        return twin

    def sibling(self) -> Self:
        """A fresh environment made with the same arguments, sharing simulator and bundled knowledge; call reset() on it."""
        twin = copy.copy(self)
        twin._np_random, twin._np_random_seed = None, None
        twin._texts, twin._rewards, twin._live = [], [], False
        return twin


class PartnerTextEnv(TextEnv):
    """A task whose reply comes from a simulator that may answer many environments in one call.

    `_play` is split in two, so that a vector environment can gather the requests of all its games between them:
    `_ask(action)` returns a request for ``self.partner`` (or None when none is needed), `_answer(action, reply)`
    finishes the turn. `_ask` must leave the game as it is: when the simulator fails, the step can be tried again.
    """

    partner: Any
    """See `lmrl_envs.partners.Partner`."""
    partner_prompt: Any = None
    """How a language model plays the partner (`lmrl_envs.partners.PartnerPrompt`); None in tasks that only engines answer."""

    @abstractmethod
    def _ask(self, action: str) -> Any | None: ...

    @abstractmethod
    def _answer(self, action: str, reply: Any) -> Outcome: ...

    def _try_turn(self) -> None:
        # Only the task's own partner is asked: others cost something.
        request = self._ask("")
        if request is None:
            self._record("", *self._answer("", None))
        elif type(self.partner).__module__.rpartition(".")[0] == type(self).__module__.rpartition(".")[0]:
            self._record("", *self._answer("", self.partner.reply([request])[0]))

    def _play(self, action: str) -> Outcome:
        request = self._ask(action)
        return self._answer(action, None if request is None else self.partner.reply([request])[0])

    def close(self) -> None:
        """Release the simulator (shared by clones and siblings)."""
        self.partner.close()


class ScriptedPolicy:
    """A player with a random stream of its own; a task's players add ``act(transcript)`` (see `lmrl_envs.tasks.Policy`).

    Args:
        seed: of the stream. Options of the task (``split``, ``layout``, ...) that a player has no use for are ignored.
    """

    def __init__(self, seed: int = 0, **_: Any) -> None:
        self.random = random.Random(seed)

    def pick(self, items: Any) -> Any:
        """A uniform item of a sequence or array: one number of the stream, as in every version of Python."""
        return items[int(self.random.random() * len(items))]


def draw_index(rng: np.random.Generator, n: int) -> int:
    """A uniform index below ``n``; several times cheaper than ``rng.integers`` for one number."""
    return int(rng.random() * n)


def check_choice(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Return ``value`` if it is among ``allowed``, else raise a ValueError that lists them."""
    allowed = list(allowed)
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is not known; choose one of {', '.join(map(repr, allowed))}")
    return value


def iterate_turns(observations: Sequence[str], actions: Sequence[str]) -> Iterator[str]:
    """Interleave T+1 observations and T actions into the texts of a transcript."""
    for observation, action in zip(observations, actions, strict=False):
        yield observation
        yield action
    yield observations[-1]
