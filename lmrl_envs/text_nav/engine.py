"""A house under TextWorld's rules: what can be done in a state, what that changes, and what the player sees.

TextWorld's rules speak of the player's room, of what is in it and of what is carried, and of nothing else. So its
engine is given these facts alone, and its answer is remembered under them: however many states a house has, the
engine works once for each scene.
"""

from __future__ import annotations

import importlib.util
import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled

from lmrl_envs.text_nav.house import DEFAULT, HANDS, PLAYER, ROOMS, Fact, Facts, House, pairs

MISSING = (
    'Text-Nav runs on TextWorld, which is not installed: pip install "lmrl[textworld]". '
    "TextWorld is under the MIT licence; jericho, which it imports, is under the GPL (version 2 or later)."
)
MAX_SCENES = 1024
"""Scenes remembered per house, about 5 kB each."""

# Part of TextWorld's rules but not of the game: they change nothing and tell nothing new.
_IDLE = ("look", "inventory", "examine")

_FEEDBACK = dict(pairs("feedback"))


def require_textworld() -> None:
    """Raise `gymnasium.error.DependencyNotInstalled` unless TextWorld is there. It is not imported yet."""
    try:
        found = importlib.util.find_spec("textworld") is not None
    except (ImportError, ValueError):
        found = False
    if not found:
        raise DependencyNotInstalled(MISSING)


@cache
def _textworld() -> tuple[Any, Any]:
    """TextWorld's logic module and its built-in knowledge base (rules, types)."""
    # Importing TextWorld draws from numpy's global generator, which is not ours to move.
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        from textworld import logic
        from textworld.generator.data import BUILTIN_DATA_PATH, KnowledgeBase

        # By default TextWorld prefers rules that it finds in the working directory.
        return logic, KnowledgeBase.load(target_dir=BUILTIN_DATA_PATH)
    except ImportError as error:
        raise DependencyNotInstalled(f"{MISSING} (importing it failed: {error})") from error
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


@dataclass(frozen=True, slots=True)
class Effect:
    """What a command does to the state, and the sentence that tells it."""

    removed: Facts
    added: Facts
    feedback: str

    def apply(self, facts: Facts) -> Facts:
        """The state afterwards."""
        return (facts - self.removed) | self.added


@dataclass(frozen=True, slots=True)
class Scene:
    """What the player meets in a state."""

    room: str
    commands: dict[str, Effect]
    """The admissible commands, sorted."""
    where: str
    """Room, description, and what is carried."""
    seen: str
    """Things in sight and exits."""
    available: str
    """The line of available actions."""


class Engine:
    """The rules of one house.

    Raises:
        gymnasium.error.DependencyNotInstalled: TextWorld cannot be imported.
    """

    def __init__(self, house: House) -> None:
        self.house = house
        logic, knowledge = _textworld()
        self._variables = {name: logic.Variable(name, kind) for name, kind in house.kinds.items()}
        self._shown = {piece.name: piece.shown for piece in house.furniture}
        self._furniture = {
            room: tuple(piece for piece in house.furniture if piece.room == room) for room in house.rooms
        }
        # A fact belongs to the scene of a room when its last word is the room, its furniture or the player's hands.
        self._scope = {
            room: frozenset({room, HANDS, *(piece.name for piece in pieces)})
            for room, pieces in self._furniture.items()
        }
        types = knowledge.logic.types
        possible = set(house.kinds.values()) | {
            ancestor.name for kind in house.kinds.values() for ancestor in types.get(kind).ancestors
        }
        # Rules about doors and keys cannot apply where there are none.
        self._rules = [
            rule
            for rule in knowledge.rules.values()
            if not rule.name.startswith(_IDLE) and {placeholder.type for placeholder in rule.placeholders} <= possible
        ]
        self._fixed = {room: [self._proposition(fact) for fact in facts] for room, facts in house.fixed.items()}
        self._scenes: dict[Facts, Scene] = {}

    def scene(self, facts: Facts) -> Scene:
        """The scene of a state."""
        room = next(fact[2] for fact in facts if fact[1] == PLAYER)
        scope = self._scope[room]
        local = frozenset(fact for fact in facts if fact[-1] in scope)
        scene = self._scenes.get(local)
        if scene is None:
            if len(self._scenes) >= MAX_SCENES:
                self._scenes.clear()
            scene = self._scenes[local] = self._build(room, local)
        return scene

    def _proposition(self, fact: Fact) -> Any:
        return _textworld()[0].Proposition(fact[0], [self._variables[word] for word in fact[1:]])

    def _build(self, room: str, local: Facts) -> Scene:
        logic, knowledge = _textworld()
        state = logic.State(knowledge.logic, [*self._fixed[room], *map(self._proposition, local)])
        found = state.all_applicable_actions(self._rules, knowledge.types.constants_mapping)
        commands = dict(sorted(self._command(action) for action in found))
        carried = sorted(fact[1] for fact in local if fact[-1] == HANDS)
        where = f"You are in the {room}. {ROOMS[room]}\n"
        where += f"You carry: {', '.join(carried)}." if carried else "You carry nothing."
        exits = ", ".join(self.house.exits[room])
        seen = f"You see: {self._sight(room, local)}.\nExits: {exits}."
        return Scene(room, commands, where, seen, f"Available actions: [{', '.join(commands)}]")

    def _command(self, action: Any) -> tuple[str, Effect]:
        words = {name: self._shown.get(name, name) for name in self._variables}
        command = action.command_template.format(**words)
        by_kind = {placeholder.type: words[variable.name] for placeholder, variable in action.mapping.items()}
        feedback = _FEEDBACK[action.name].format(**by_kind)
        return command, Effect(_as_facts(action.removed), _as_facts(action.added), feedback)

    def _sight(self, room: str, local: Facts) -> str:
        def names(predicate: str, holder: str) -> list[str]:
            return sorted(fact[1] for fact in local if fact[0] == predicate and fact[-1] == holder)

        sight = []
        for piece in self._furniture[room]:
            if piece.kind == "s":
                held = names("on", piece.name)
                state = f"on it: {', '.join(held)}" if held else "bare"
            elif ("closed", piece.name) in local:
                state = "closed"
            else:
                held = names("in", piece.name)
                state = f"open, in it: {', '.join(held)}" if held else "open, empty"
            sight.append(f"{piece.shown} ({state})")
        floor = [thing for thing in names("at", room) if thing != PLAYER]
        if floor:
            sight.append(f"floor ({', '.join(floor)})")
        return "; ".join(sight) if sight else "nothing of use"


def _as_facts(propositions: Any) -> Facts:
    return frozenset((proposition.name, *proposition.names) for proposition in propositions)


@cache
def default_engine() -> Engine:
    """The engine of the default house, one for all environments of a process."""
    return Engine(DEFAULT)
