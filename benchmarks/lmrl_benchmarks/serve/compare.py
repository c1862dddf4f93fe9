"""Pairs of games, compared by a person: left, right, tie or skip, with undo; what was said is a folder's labels.

Who played, what a game is worth and what others said of it is never shown. Everything follows from the folder: a server that was killed goes on
behind the last label that was given.
"""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import gymnasium
import msgspec

from lmrl_benchmarks.serve.environments import Refused
from lmrl_datasets.preferences.schema import Fragment, Label, Pair
from lmrl_datasets.preferences.store import LABELS, Preferences, load_preferences, read_lines
from lmrl_datasets.replay import make_recorded
from lmrl_datasets.schema import DatasetError, to_json
from lmrl_envs import task
from lmrl_envs.files import JsonLines
from lmrl_envs.files.untrusted import shown
from lmrl_envs.seeding import label_seed

REPEAT_EVERY = 10
"""Of so many showings one is of a pair that was answered before, sides swapped."""
ANSWERS = {"left": 1.0, "right": 0.0, "tie": 0.5, "skip": None}


class Comparing:
    """One person's work on a folder of preference data; safe to call from many threads.

    Args:
        folder: of the data; the side file of gold stays closed.
        name: of the person: labels are by ``person:NAME``.
        seed: of the order in which sides are shown.

    Raises:
        PreferenceError: the folder holds none, or it is damaged.
        ValueError: no name.
    """

    def __init__(self, folder: Path, name: str, seed: int = 0) -> None:
        if not name or not name.isprintable() or len(name) > 40:
            raise ValueError(f"name={name!r} is not a name of 1 to 40 printable characters")
        self.folder, self.annotator, self.seed = folder, f"person:{name}", seed
        self.found: Preferences = load_preferences(folder)
        self._lines = JsonLines(folder / LABELS)
        self._lock, self._shown = threading.Lock(), (-1, 0.0)
        lines: list[Label] = self._lines.read(Label)
        self.stand = [line for line in read_lines(folder, len(self.found.pairs)) if line.annotator == self.annotator]
        if self._lines.damaged:  # the last line, cut by a kill: what is appended must not run into it
            self._lines.rewrite(to_json(msgspec.to_builtins(line)) for line in lines)

    def state(self) -> dict[str, Any]:
        """What the page shows now."""
        with self._lock:
            return self._state()

    def _state(self) -> dict[str, Any]:
        labels = [line for line in self.stand if line.mark != "repeat"]
        told = {
            "done": len(labels),
            "of": len(self.found.pairs),
            "number": len(self.stand),
            "can_undo": bool(self.stand),
        }
        showing = self._next()
        if showing is None:
            return {**told, "over": True}
        pair, turned, _ = showing
        if self._shown[0] != len(self.stand):
            self._shown = len(self.stand), time.monotonic()
        sides = (pair.second, pair.first) if turned else (pair.first, pair.second)
        return {
            **told,
            "over": False,
            "instructions": _instructions(pair),
            "sides": [_side(pair, side) for side in sides],
        }

    def _next(self) -> tuple[Pair, bool, bool] | None:
        """The pair that is shown, whether its second stands left, and whether it was shown before; None: all are done."""
        labels = {line.pair_id: line for line in self.stand if line.mark != "repeat"}
        repeats = {line.pair_id for line in self.stand if line.mark == "repeat"}
        latest = {line.pair_id for line in self.stand[-3:]}
        if len(labels) >= (REPEAT_EVERY - 1) * (len(repeats) + 1):
            ready = [k for k, line in labels.items() if line.label is not None and k not in repeats | latest]
            if ready:
                number = random.Random(f"{self.seed}/{len(repeats)}").choice(sorted(ready))
                return self.found.pairs[number], labels[number].shown_first == "first", True
        for pair in self.found.pairs:
            if pair.pair_id not in labels:
                return pair, bool(label_seed(self.seed, self.annotator, pair.pair_id) & 1), False
        return None

    def say(self, number: Any, answer: Any) -> dict[str, Any]:
        """Take the answer to showing ``number``: one of `ANSWERS`.

        Raises:
            Refused: it is none, or of another showing.
        """
        if not isinstance(answer, str) or answer not in ANSWERS:
            raise Refused(422, f"answer must be one of {', '.join(ANSWERS)}.")
        with self._lock:
            showing = self._next()
            if number != len(self.stand) or showing is None:
                raise Refused(409, "This pair was answered elsewhere, in another window perhaps. Load the page again.")
            pair, turned, again = showing
            value = ANSWERS[answer]
            took = time.monotonic() - self._shown[1] if self._shown[0] == number else 0.0
            self._add(
                Label(
                    pair_id=pair.pair_id, annotator=self.annotator, label=value if value is None or not turned else 1 - value,
                    shown_first="second" if turned else "first", label_seed=self.seed, seconds=round(took, 2),
                    mark="repeat" if again else "",
                )
            )  # fmt: skip
            return self._state()

    def undo(self, number: Any) -> dict[str, Any]:
        """Take the last answer back: a line more; nothing is rewritten.

        Raises:
            Refused: there is none, or the page shows another one.
        """
        with self._lock:
            if number != len(self.stand) or not self.stand:
                raise Refused(409, "There is nothing to take back here. Load the page again.")
            last = self.stand[-1]
            self._add(Label(pair_id=last.pair_id, annotator=self.annotator, label=None, mark="void"))
            return self._state()

    def _add(self, line: Label) -> None:
        self._lines.append([to_json(msgspec.to_builtins(line))], sync=True)
        if line.mark == "void":
            self.stand.pop()
        else:
            self.stand.append(line)


def _instructions(pair: Pair) -> str:
    """What a pair's players were told. The pair is anybody's: its task is looked up, and its arguments name no file.

    Raises:
        Refused: there is no such game here.
    """
    if not pair.env_id:
        return "Which answer is better?"
    try:
        env: Any = make_recorded(task(pair.env_id), pair.env_kwargs, "its game")
    except (DatasetError, gymnasium.error.Error) as problem:
        raise Refused(422, f"Pair {pair.pair_id}: {shown(str(problem), 300)}") from None
    try:
        return env.unwrapped.instructions
    finally:
        env.close()


def _side(pair: Pair, side: Fragment) -> dict[str, Any]:
    """A game, or the stretch of it, as pages draw games: without rewards, and without who played."""
    transcript = side.shown
    picture = None
    if pair.env_id:
        try:
            picture = task(pair.env_id).surface.picture(transcript)
        except Exception:  # a stretch that cannot be drawn without what was before it, or texts that are no game's
            picture = None
    turns = [{"text": turn.text, "action": turn.is_action} for turn in transcript]
    return {
        "kind": picture["kind"] if picture else "chat", "picture": picture, "turns": turns, "turn": len(transcript.actions),
        "over": False, "ended": side.terminated, "cut": side.truncated,
    }  # fmt: skip
