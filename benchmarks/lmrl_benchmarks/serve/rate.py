"""Talks of a person with agents that are not named, rated: thumbs in passing, 1 to 5 on the published scales afterwards.

The person has the other side's seat of a dialogue task; what the task would keep hidden from the agent is the person's part. Agents come in a
random order, each as often. A line a talk in ``ratings.jsonl``: what was said, thumbs, scores and the name that the server was given,
nothing else of the person. Killed, the server goes on with the next talk; one under way is begun again.
"""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium

from lmrl_agents.playing.answers import actions_of
from lmrl_agents.playing.protocol import Agent, Request
from lmrl_benchmarks.reporting.ratings import RATINGS, SCALES, Rating
from lmrl_benchmarks.serve.environments import Refused
from lmrl_datasets.schema import plain, to_json
from lmrl_envs import Transcript, load_task
from lmrl_envs.files import JsonLines
from lmrl_envs.seeding import player_seed

LONGEST = 2000
"""Characters of what a person says."""


class RatingTalks:
    """One person's ratings; safe to call from many threads.

    Args:
        folder: of the ratings; those of other people and days stay in it.
        name: of the person.
        env_id: a dialogue task.
        env_kwargs: its arguments.
        agents: by name; none is shown.

    Raises:
        ValueError: no name, no agent, or nobody speaks in the task.
    """

    def __init__(
        self, folder: Path, name: str, env_id: str, env_kwargs: Mapping[str, Any], agents: Mapping[str, Agent]
    ) -> None:
        if not name or not name.isprintable() or len(name) > 40:
            raise ValueError(f"name={name!r} is not a name of 1 to 40 printable characters")
        row = load_task(env_id)
        if not agents or not row.partners:
            raise ValueError("--ratings needs agents (--agent SPEC), and one task in which somebody answers (--env ID)")
        self.name, self.row, self.kwargs, self.agents = name, row, dict(env_kwargs), dict(agents)
        folder.mkdir(parents=True, exist_ok=True)
        self._env: Any = gymnasium.make(row.id, **self.kwargs).unwrapped
        self._lock, self._lines = threading.RLock(), JsonLines(folder / RATINGS)
        ratings: list[Rating] = self._lines.read(Rating, strict=True)
        if self._lines.damaged:  # a line that a kill cut
            self._lines.rewrite(to_json(rating) for rating in ratings)
        self._done = [rating for rating in ratings if rating["rater"] == name]
        self._begin()

    def _begin(self) -> None:
        """The next talk: whose it is follows from how many there were."""
        number = len(self._done)
        names = sorted(self.agents)
        random.Random(f"{self.name}/{number // len(names)}").shuffle(names)
        self.agent = names[number % len(names)]
        self.seed = secrets.randbits(62)  # which nothing that an agent is asked names
        opening, _ = self._env.reset(seed=self.seed)
        self.part = plain(self.row.surface.secret(self._env))
        self.texts, self.thumbs, self.closed = [opening], dict[int, int](), False

    def state(self) -> dict[str, Any]:
        """What the page shows; never who talks."""
        with self._lock:
            if len(self.texts) == 1 and not self.closed:
                self._answer()
            said = len(self.texts) // 2
            limit = self.row.surface.turn_limit(self._env)
            return {
                "number": len(self._done), "turn": said, "part": self.part, "instructions": self._env.instructions, "scales": SCALES,
                "texts": list(self.texts), "thumbs": {str(k): value for k, value in self.thumbs.items()},
                "closed": self.closed or (limit is not None and said >= limit),
            }  # fmt: skip

    def _answer(self) -> None:
        """Let the agent say something.

        Raises:
            Refused: it failed.
        """
        number = len(self._done)
        transcript = Transcript.from_texts(self.texts, [0.0] * (len(self.texts) // 2))
        request = Request(self.row.id, number, player_seed(number), transcript, self._env.instructions, self.kwargs)
        (action,) = actions_of(self.agents[self.agent], [request])
        if action.error is not None:
            raise Refused(502, "The other side gave no answer. Try the same again.", retry=True)
        self.texts.append(action.text)

    def _check(self, number: Any) -> None:
        if number != len(self._done):
            raise Refused(409, "This talk is over, in another window perhaps. Load the page again.")

    def say(self, number: Any, turn: Any, text: Any) -> dict[str, Any]:
        """Say something, and hear the answer.

        Raises:
            Refused: it is no text, or the talk is elsewhere.
        """
        with self._lock:
            self._check(number)
            if not isinstance(text, str) or not text.strip() or len(text) > LONGEST:
                raise Refused(422, f"Say something, in at most {LONGEST} characters.")
            if turn != len(self.texts) // 2 or self.state()["closed"]:
                raise Refused(409, "This talk has gone on elsewhere. Load the page again.")
            self.texts.append(text)
            try:
                self._answer()
            except Refused:
                self.texts.pop()
                raise
            return self.state()

    def thumb(self, number: Any, line: Any, value: Any) -> dict[str, Any]:
        """A thumb for the agent's line of this number: 1, -1, or 0 for none.

        Raises:
            Refused: there is no such line, or no such thumb.
        """
        with self._lock:
            self._check(number)
            if type(line) is not int or not 0 <= line < len(self.texts) // 2 or value not in (1, 0, -1):
                raise Refused(422, "There is no such line, or no such thumb.")
            self.thumbs[line] = int(value)
            return self.state()

    def close(self, number: Any) -> dict[str, Any]:
        """Go on to the scales."""
        with self._lock:
            self._check(number)
            self.closed = True
            return self.state()

    def rate(self, number: Any, scores: Any) -> dict[str, Any]:
        """Keep the talk with what it is worth on each of `SCALES`, and begin the next.

        Raises:
            Refused: a scale is missing, or is not 1 to 5.
        """
        with self._lock:
            self._check(number)
            if not isinstance(scores, dict) or set(scores) != set(SCALES) or not all(type(v) is int and 1 <= v <= 5 for v in scores.values()):  # fmt: skip
                raise Refused(422, "Every scale needs a number from 1 to 5.")
            rating: Rating = {
                "rater": self.name, "agent": self.agent, "env_id": self.row.id, "env_kwargs": self.kwargs, "seed": self.seed,
                "texts": list(self.texts), "thumbs": [self.thumbs.get(k, 0) for k in range(len(self.texts) // 2)], "scores": scores,
            }  # fmt: skip
            self._lines.append([to_json(rating)], sync=True)
            self._done.append(rating)
            self._begin()
            return self.state()


def methods(talks: RatingTalks) -> Mapping[str, tuple[Any, Sequence[str]]]:
    """What a page may ask for: a function, and the names of its arguments."""
    return {
        "say": (talks.say, ("number", "turn", "text")),
        "thumb": (talks.thumb, ("number", "line", "value")),
        "close": (talks.close, ("number",)),
        "rate": (talks.rate, ("number", "scores")),
    }
