"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lmrl_envs.core import Transcript
from lmrl_envs.language.answers import NEGATION, FixedForm, Mention, Tool, plain
from lmrl_envs.surface import Invariants, Picture, Surface, quoted
from lmrl_envs.text_nav.house import House
from lmrl_envs.text_nav.policies import available


class CommandForm(FixedForm):
    """A command of a text adventure; the ones that work are listed in the observation."""

    tool = Tool("act", "command", "Give a command.", "one of the available actions")

    _LISTED = re.compile(r"Available actions:\s*\[(.*?)\]", re.S)
    _COMMAND = re.compile(
        r"(?:go|take|open|close|insert|put|drop|eat|examine|look|inventory|lock|unlock|cook|cut)\b[\w ']{0,80}", re.I
    )

    def _listed(self, observation: str) -> list[str]:
        match = self._LISTED.search(observation)
        commands = [command.strip() for command in match[1].split(",")] if match else []
        return sorted((command for command in commands if command), key=len, reverse=True)

    def whole(self, text: str, observation: str) -> str | None:
        line = plain(text).lower()
        listed = self._listed(observation)
        if line in listed:
            return line
        if len(line) <= 80:
            found = {m.action for m in self.mentions(line, observation)}
            if len(found) == 1 and not NEGATION.search(line):
                return found.pop()
        return line if not (found if len(line) <= 80 else ()) and self._COMMAND.fullmatch(line) else None

    def mentions(self, text: str, observation: str) -> list[Mention]:
        listed = self._listed(observation)
        if not listed:
            return []
        pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, listed)) + r")\b", re.I)  # the longest first
        return [Mention(m.start(), m[0].lower()) for m in pattern.finditer(text)]


class TextNavSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    answer_form = CommandForm()

    def picture(self, transcript: Transcript, ended: Mapping[str, Any] | None = None) -> Picture:
        text = transcript[-1].text
        lines = [line for line in text.split("\n") if not line.startswith("Available actions: [")]
        picture: Picture = {"kind": "list", "lines": lines, "actions": available(text)}
        if ended and "places" in ended:
            told = re.match(r"You are in the (.+?)\.", text)
            house = House(ended["places"], ended["links"], (), {})
            picture["map"] = house.draw(ended.get("room", told[1] if told else None))
        return picture

    def layout(self, env: Any) -> dict[str, Any]:
        house = env._engine.house
        return {"places": house.places, "links": house.links}

    def doubt(self, transcript: Transcript, action: str, env: Any) -> str | None:
        if " ".join(action.lower().split()) in available(transcript[-1].text):
            return None
        return f"{quoted(action)} is not among the available actions: it is refused and uses up a turn."

    variants = ({"max_moves": 7}, {"layout": "random:5"})

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(rewards=frozenset({0.0, 1.0}))


SURFACE = TextNavSurface()
