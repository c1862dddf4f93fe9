"""What is known of a task outside the game itself: how it looks, is worded, is limited, is attacked and is scored.

A task's own is in its folder (``surface.py``, named by its row); all here is a plain default. Floors above ask for a thing by
the task's row, never by its name. Nothing here is imported to make or play a game.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lmrl_envs.core import TextEnv, Transcript
from lmrl_envs.language.answers import AnswerForm

if TYPE_CHECKING:
    from lmrl_envs.partners.attacks import Target
    from lmrl_envs.partners.judged import Judge

Picture = dict[str, Any]
"""A drawing as JSON-able values. ``kind`` says what draws it, whatever the task:

* ``grid``: a map. ``rows`` (strings of the marks ``#`` wall, blank free, ``?`` unknown, ``.`` walked, ``G`` goal, ``@``
  here) and ``moves`` (``up``, ``down``, ``left``, ``right`` -> action); after the end ``path``, the (row, column) after
  each turn, the start first.
* ``tiles``: guesses letter by letter. ``rows`` (``guess``, and ``marks`` of its letters: ``g`` right, ``y`` elsewhere,
  ``b`` absent; None for a guess that was not taken), ``keys`` (letter -> best mark), ``length`` of a guess, ``guesses``.
* ``board``: a chessboard. ``fen``; ``legal`` (square -> squares), ``promotions`` (pairs of squares), ``last`` (squares of
  the last move), ``check`` (square or None), ``moves`` (each turn's ``text`` and whether it is ``legal``); after the end
  ``fens``, the position after each turn, the start first.
* ``list``: a scene in words. ``lines``, and ``actions`` to choose from; after the end perhaps ``map``, a drawing in text.
"""


@dataclass(frozen=True)
class Invariants:
    """What holds in every game of a task, whatever is played in it."""

    rewards: frozenset[float] | None = None
    """All rewards there are; None: any that fit the returns."""
    returns: tuple[float, float] | None = None
    """Least and greatest return of a game, and of any beginning of one; None: the row's ``return_range``."""
    only_at_end: bool = False
    """Whether every reward before the end is 0."""
    truncates: bool = True
    """Whether the limit of actions is a cap (truncated), not a rule of the game (terminated)."""
    hidden: tuple[str, ...] | None = None
    """Keys of the last ``info`` whose texts must not show before the end; None: all that are texts."""


def _as_it_is(transcript: Transcript) -> list[str]:
    return [turn.text for turn in transcript]


def _joined(transcript: Transcript) -> list[str]:
    texts = _as_it_is(transcript)
    texts[2::2] = [f"{action} {told}" for action, told in zip(texts[1::2], texts[2::2], strict=False)]
    return texts


def _as_answered(text: str, transcript: Transcript) -> str:
    return text


@dataclass(frozen=True)
class View:
    """How a trained agent reads a conversation: another wording of the same, never more than what was said."""

    texts: Callable[[Transcript], list[str]] = _as_it_is
    """All texts of a conversation as the agent reads them, environment first, in turn."""
    action: Callable[[str, Transcript], str] = _as_answered
    """The action for the environment when the agent answers a conversation, read in this way, with a text."""


BLANK = "{price}"
"""Stands for the price in a text of `Bargaining`."""


class Position(NamedTuple):
    """What an agent knows where it is its turn in a bargain. Prices are shares of the listed price; None: there is none yet."""

    role: str
    listed: float  # money
    turn: int
    own: float | None
    """The agent's last price."""
    theirs: float | None  # the partner's last price
    standing: float | None  # the partner's formal offer
    said: str
    """The partner's last text, its prices blanked."""
    opening: str
    """The first text of the talk."""
    named: tuple[float, ...] = ()
    """All prices of the partner's, in order: the last is ``theirs``."""
    heard: int = 0
    """The partner's last act, by its place in `Bargaining.answers`."""


class Bargaining(Protocol):
    """How a task in which two settle on a price is read by methods that choose among whole utterances."""

    acts: Sequence[str]
    answers: Sequence[str]
    """What an utterance may do, and what a partner may: the first of these is what tells nothing of prices."""

    def positions(self, transcript: Transcript) -> list[Position]:
        """The agent's position after each text of the environment."""
        ...

    def read(self, action: str, position: Position) -> tuple[str, float | None, str]:
        """An utterance's act, its price as a share, and its text with the price blanked where it stands in digits."""
        ...

    def open_acts(self, position: Position) -> Sequence[str]:
        """Whole lines that answer what stands in a position, at most two: each is thought of, however seldom it is said."""
        ...

    def fill(self, text: str, share: float, position: Position) -> str:
        """A text whose price is blank with a price."""
        ...


class Profits(NamedTuple):
    """What each side made of a bargain, and what no deal is worth to it."""

    sides: Mapping[str, float]
    no_deal: float


class Surface:
    """The plain defaults; a task overrides what it knows better."""

    # -- how a language model is asked

    answer_form: AnswerForm = AnswerForm()
    """What an action looks like in a model's text."""

    # -- how a trained agent reads it

    views: Mapping[str, View] = {"plain": View(), "joined": View(_joined)}
    """Ways of reading conversations, by the name that a run or preset gives (``text.view``). In "joined" every text of the
    environment begins with the action that it answers."""

    bargaining: Bargaining | None = None
    """How its prices and acts are read; None where nobody bargains."""

    def profits(self, ended: Mapping[str, Any]) -> Profits | None:
        """Both sides' profits by the last ``info`` of a game; None where nobody bargains, or the game broke off."""
        return None

    # -- how it looks: terminal, report and page draw the same picture

    def picture(self, transcript: Transcript, ended: Mapping[str, Any] | None = None) -> Picture | None:
        """The drawing of a game; None for a conversation, whose texts are all there is.

        Args:
            transcript: the conversation so far: before the end a picture knows no more than an agent.
            ended: None while the game runs, then the last ``info`` (empty if the game was broken off) and `layout`.

        Raises:
            ValueError, KeyError, IndexError: texts that are not this task's (records may be damaged).
        """
        return None

    def layout(self, env: Any) -> dict[str, Any]:
        """What is hidden while a game runs and does not change in it, for its last picture: such as the map of a maze.

        Args:
            env: unwrapped, in this game or just reset as it was.
        """
        return {}

    def draw(self, env: TextEnv) -> str:
        """A game's picture for a terminal; the conversation where the task has none."""
        transcript = env.transcript.printable()
        if not transcript:
            return "(no game has begun)"
        ended = None if env._live else {**env._reveal(), **self.layout(env)}
        picture = self.picture(transcript, ended)
        return TextEnv._draw(env) if picture is None else _DRAWINGS[picture["kind"]](picture)

    # -- playing it by hand

    def doubt(self, transcript: Transcript, action: str, env: Any) -> str | None:
        """Why an action would be wasted, told before it is played; None for one that is in order.

        Says only what anybody can check from the conversation and what is public of the environment.
        """
        return None

    def turn_limit(self, env: Any) -> int | None:
        """Most actions of a game, where the task has a limit; ``env`` is unwrapped."""
        return getattr(env, "max_moves", None)

    def secret(self, env: Any) -> dict[str, Any]:
        """What was hidden in a game that was broken off, as a person may read it; ``env`` is unwrapped."""
        game = env.get_state()["game"] or {}
        return {"secret": game["secret"]} if "secret" in game else {}

    # -- who answers in it under attack (lmrl exploit)

    def attacks(self) -> Target | None:
        """What is said to whom answers in the task to beat it, and the judge of it; None: there are no attacks."""
        return None

    def judge(self) -> Judge | None:
        """The judge of its partner's replies to the hand-judged lines of ``judged.jsonl`` in its folder; None: there are none."""
        return None

    # -- what is tried on it, and what must hold then (lmrl_envs.contract, tests/fuzz)

    variants: Sequence[Mapping[str, Any]] = ()
    """Arguments of the environment worth checking beside the defaults."""

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        """What holds in every game of an environment made with ``kwargs``."""
        return Invariants()

    def breach(self, ended: Mapping[str, Any]) -> str | None:
        """What the last ``info`` of a game breaks of the task's own rules, in a line; None if nothing."""
        return None

    # -- what it is scored by

    same_game: frozenset[str] = frozenset({"render_mode", "simulator_options"})
    """Arguments of the environment that change how a game is told or run, not what can be won."""
    blind: float | None = None
    """The mean return of the best play known that takes no notice of the answers (the task's policy of that name), in the default game."""
    partner_arguments: frozenset[str] = frozenset({"simulator", "simulator_options", "record"})
    """Arguments that say who answers."""
    equals: Mapping[str, Any] = {}
    """Arguments with a value that means the default game, beside the one they have when they are left out."""
    lmrl_also: frozenset[str] = frozenset()
    """Arguments, beside those of the partner, of which any value leaves LMRL-Gym's scale in force."""
    lmrl_needs: Mapping[str, Any] = {}  # the arguments without which LMRL-Gym's scale is not in force

    def optimum(self, env_id: str, kwargs: Mapping[str, Any]) -> tuple[float, str, str] | None:
        """Of a game that is not the default one: the best mean return, ``exact`` or ``best known``, and how it was found.

        None where only the scripted expert knows: it is then played.
        """
        return None

    # -- how a person may judge it, who labels pairs of games

    def features(self, transcript: Transcript) -> dict[str, float]:
        """What somebody may like or dislike in a game, by name; ``length``, the characters of its actions, is every task's."""
        return {"length": float(sum(map(len, transcript.actions)))}

    def as_read(self, transcript: Transcript, notices: Callable[[], bool]) -> float:
        """What a game is worth to somebody who finds each false claim in it only where ``notices()``, asked once for each."""
        return transcript.episode_return

    # -- how its records are verified

    def replay_kwargs(self, env_kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of the environment in which a recorded game is played again: others where its partner would not answer the
        same again, such as an engine that is timed."""
        return dict(env_kwargs)

    def replay_options(
        self,
        env_kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        observations: Sequence[str],
        actions: Sequence[str],
    ) -> dict[str, Any]:
        """Reset options with which it is played again, the partner's recorded replies among them, if the game needs them.

        Raises:
            ValueError: no reply leads from one of the texts to the next.
        """
        return dict(options)


PLAIN = Surface()


def quoted(action: str) -> str:
    """An action within a sentence, cut where it is long."""
    return repr(action if len(action) <= 40 else action[:40] + "...")


# -- pictures in text

_COLOURS = {"b": "\x1b[97;100m", "y": "\x1b[30;43m", "g": "\x1b[30;42m"}


def _tiles(picture: Picture) -> str:
    lines = []
    for row in picture["rows"]:
        if row["marks"] is None:
            lines.append(f"{'?':^{4 * picture['length'] - 2}}(invalid)")
            continue
        pairs = zip(row["guess"].upper(), row["marks"], strict=True)
        lines.append("".join(f"{_COLOURS[mark]} {letter} \x1b[0m" for letter, mark in pairs))
    lines += [" _ " * picture["length"]] * (picture["guesses"] - len(lines))
    return "\n".join(lines)


def board_rows(fen: str) -> list[str]:
    """The eight ranks of a position, White below, ``.`` for an empty square.

    Raises:
        ValueError: the text holds no board.
    """
    places = fen.split(" ")[0]
    rows = ["".join("." * int(mark) if mark.isdigit() else mark for mark in rank) for rank in places.split("/")]
    if [len(row) for row in rows] != [8] * 8 or set("".join(rows)) - set("pnbrqkPNBRQK."):
        raise ValueError(f"no board in {fen[:80]!r}")
    return rows


def _board(picture: Picture) -> str:
    lines = []
    for rank, row in zip("87654321", board_rows(picture["fen"]), strict=True):
        marked = [f"{file}{rank}" in picture["last"] for file in "abcdefgh"]
        cells = (f"[{mark}]" if last else f" {mark} " for mark, last in zip(row, marked, strict=True))
        lines.append(f"{rank} {''.join(cells)}")
    return "\n".join([*lines, "   " + "  ".join("abcdefgh")])


def _list(picture: Picture) -> str:
    lines = [*picture["lines"], *(f"- {action}" for action in picture["actions"])]
    return "\n".join(lines + ([picture["map"]] if "map" in picture else []))


_DRAWINGS = {"grid": lambda picture: "\n".join(picture["rows"]), "tiles": _tiles, "board": _board, "list": _list}
