"""Houses of Text-Nav: rooms, links, furniture and things. Plain data; what can be done in a house is the engine's affair.

A fact is a tuple of words, ``("in", "stale food", "fridge")``, named as in TextWorld's logic: ``at`` a room, ``on`` a
supporter, ``in`` a container or the player's hands ``I``, ``open``, ``closed``, ``eaten``. A state of the game is a
frozen set of the facts that can change.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from lmrl_envs.language.lists import sections

Fact = tuple[str, ...]
Facts = frozenset[Fact]
Place = tuple[int, int]

PLAYER, HANDS = "P", "I"
STEPS: dict[str, Place] = {"north": (0, -1), "east": (1, 0), "south": (0, 1), "west": (-1, 0)}
"""Directions as steps on the house's grid: (columns, rows), rows growing southwards."""

GOAL_FOOD, FRIDGE = "stale food", "fridge"
WON: Facts = frozenset({("in", GOAL_FOOD, FRIDGE), ("closed", FRIDGE)})
LOST: Fact = ("eaten", GOAL_FOOD)

_DATA = sections(__file__, "house.txt")


def pairs(title: str) -> list[tuple[str, str]]:
    """The ``first: second`` lines of a section of ``house.txt``."""
    lines = (line.partition(": ") for line in _DATA[title])
    return [(first, second) for first, _, second in lines]


ROOMS: dict[str, str] = dict(pairs("rooms"))
"""Rooms that a house can have, each with the sentence that describes it."""

FOODS = frozenset({GOAL_FOOD, "fresh food", "fruit"})


@dataclass(frozen=True)
class Furniture:
    """Something fixed in a room that holds things: a supporter (kind ``s``) or a container that is closed at first (``c``)."""

    name: str
    kind: str
    room: str
    shown: str
    """The name that the player sees; several rooms may have a table."""


@dataclass(frozen=True)
class House:
    """A house: where rooms lie, which of them are joined, and where everything is at first."""

    places: Mapping[str, Place]
    links: tuple[tuple[str, str], ...]
    """Pairs of neighbouring rooms with a way between them, open in both directions."""
    furniture: tuple[Furniture, ...]
    things: Mapping[str, str]
    """Every movable thing and the furniture that it is on or in at first."""

    @cached_property
    def rooms(self) -> tuple[str, ...]:
        """All rooms, in the order in which they are drawn as starts."""
        return tuple(self.places)

    @cached_property
    def exits(self) -> dict[str, dict[str, str]]:
        """``exits[room][direction]``: the room there."""
        exits: dict[str, dict[str, str]] = {room: {} for room in self.rooms}
        for link in self.links:
            for here, there in (link, link[::-1]):
                step = tuple(b - a for a, b in zip(self.places[here], self.places[there], strict=True))
                direction = next(name for name, delta in STEPS.items() if delta == step)
                exits[here][direction] = there
        return {room: dict(sorted(ways.items())) for room, ways in exits.items()}

    @cached_property
    def kinds(self) -> dict[str, str]:
        """TextWorld's type of everything that has a name."""
        kinds = {PLAYER: "P", HANDS: "I", **dict.fromkeys(self.rooms, "r")}
        kinds.update((piece.name, piece.kind) for piece in self.furniture)
        kinds.update((thing, "f" if thing in FOODS else "o") for thing in self.things)
        return kinds

    def opening(self, start: str) -> Facts:
        """The state at the beginning of a game."""
        kinds = self.kinds
        facts = {("at", PLAYER, start)}
        facts |= {("closed", piece.name) for piece in self.furniture if piece.kind == "c"}
        facts |= {("in" if kinds[where] == "c" else "on", thing, where) for thing, where in self.things.items()}
        return frozenset(facts)

    def is_state(self, facts: Facts) -> bool:
        """Whether a game can be in a state: the player in one room, every container open or closed, every thing in one place."""
        kinds = self.kinds
        places = {
            word: {"at"} if word in self.rooms else {"in"} if kinds.get(word) in ("c", "I") else {"on"}
            for word in kinds
        }
        where: dict[str, int] = {PLAYER: 0, **dict.fromkeys(self.things, 0)}
        shut = dict.fromkeys((piece.name for piece in self.furniture if piece.kind == "c"), 0)
        for fact in facts:
            if len(fact) == 2 and fact[0] in ("open", "closed") and fact[1] in shut:
                shut[fact[1]] += 1
            elif (len(fact) == 2 and fact[0] == "eaten" and fact[1] in FOODS) or (
                len(fact) == 3 and fact[1] in where and fact[0] in places.get(fact[2], ())
            ):
                where[fact[1]] += 1
            else:
                return False
        at = {fact[2] for fact in facts if fact[1] == PLAYER}
        return {*where.values(), *shut.values()} == {1} and at <= set(self.rooms)

    @cached_property
    def fixed(self) -> dict[str, Facts]:
        """``fixed[room]``: the facts about a room that never change (its ways and its furniture)."""
        fixed: dict[str, set[Fact]] = {room: set() for room in self.rooms}
        for piece in self.furniture:
            fixed[piece.room].add(("at", piece.name, piece.room))
        for here, ways in self.exits.items():
            for direction, there in ways.items():
                # TextWorld derives south_of and east_of from these two.
                way = {
                    "north": ("north_of", there, here),
                    "south": ("north_of", here, there),
                    "west": ("west_of", there, here),
                    "east": ("west_of", here, there),
                }[direction]
                fixed[here] |= {way, ("free", here, there), ("free", there, here)}
        return {room: frozenset(facts) for room, facts in fixed.items()}

    def draw(self, here: str | None) -> str:
        """The map: rooms as ``[name]``, the player's as ``[*name*]``, ways as lines."""
        columns = sorted({x for x, _ in self.places.values()})
        rows = sorted({y for _, y in self.places.values()})
        at = {place: room for room, place in self.places.items()}
        label = {room: f"[*{room}*]" if room == here else f"[{room}]" for room in self.rooms}
        width = max(map(len, self.rooms)) + 4
        lines = []
        for y in rows:
            upper, lower = "", ""
            for x in columns:
                room = at.get((x, y))
                ways = self.exits[room] if room else {}
                west, east = ("-" if "west" in ways else " "), ("-" if "east" in ways else " ")
                box = label[room] if room else ""
                left = (width - len(box)) // 2
                upper += west * left + box + east * (width - len(box) - left) + east
                lower += ("|" if "south" in ways else " ").center(width + 1)
            lines += [upper.rstrip(), lower.rstrip()]
        return "\n".join(line for line in lines if line)


def _table(room: str) -> Furniture:
    return Furniture(f"{room} table", "s", room, "table")


def _default() -> House:
    places = {room: (int(place.split()[0]), int(place.split()[1])) for room, place in pairs("places")}
    furniture = [_table(room) for _, room in pairs("tables")]
    furniture += [Furniture(name, "c", room, name) for name, room in pairs("containers")]
    return House(places, tuple(pairs("links")), tuple(furniture), dict(pairs("things")))


DEFAULT = _default()
"""LMRL-Gym's house."""

MIN_ROOMS, MAX_ROOMS = 4, 12
_THINGS = ("fresh food", "fruit", "bowl", "plate", "coffee cup", "utensils")


def random_rooms(layout: str) -> int | None:
    """``"random:<rooms>"`` -> the number of rooms; None for ``"default"``.

    Raises:
        ValueError: any other name, or a number of rooms that no house has.
    """
    match = re.fullmatch(r"random:(\d{1,3})", layout, re.ASCII) if isinstance(layout, str) else None
    if match and MIN_ROOMS <= int(match[1]) <= MAX_ROOMS:
        return int(match[1])
    if layout == "default":
        return None
    raise ValueError(
        f"layout={layout!r} is not known; choose 'default' or 'random:<rooms>' with {MIN_ROOMS} to {MAX_ROOMS} rooms"
    )


def random_house(n_rooms: int, seed: int) -> House:
    """A house of its own for every seed: connected, the fridge and the stale food in two different rooms.

    Rooms grow one by one beside a random earlier room; three in ten pairs of neighbours left over are joined too. A
    room has a table with probability a half, one has a chest; the stale food is on a table or in the closed chest.
    """
    rng = random.Random(seed)
    names = rng.sample(list(ROOMS), n_rooms)
    places: dict[str, Place] = {names[0]: (0, 0)}
    links: list[tuple[str, str]] = []
    for name in names[1:]:
        free = [(room, there) for room, at in places.items() for there in _around(at) if there not in places.values()]
        beside, place = rng.choice(free)
        places[name] = place
        links.append((beside, name))
    at = {place: room for room, place in places.items()}
    for room, place in places.items():
        for there in (_around(place)[1], _around(place)[2]):  # east and south: every pair once
            pair = (room, at.get(there, ""))
            if pair[1] and pair not in links and pair[::-1] not in links and rng.random() < 0.3:
                links.append(pair)
    fridge = Furniture(FRIDGE, "c", rng.choice(names), FRIDGE)
    others = [name for name in names if name != fridge.room]
    chest = Furniture("chest", "c", rng.choice(names), "chest")
    must = rng.choice(others)
    tables = [_table(name) for name in names if name == must or rng.random() < 0.5]
    holders = [*tables, chest]
    things = {GOAL_FOOD: rng.choice([piece for piece in holders if piece.room != fridge.room]).name}
    things.update((thing, rng.choice([*holders, fridge]).name) for thing in _THINGS)
    return House(places, tuple(links), (*tables, chest, fridge), things)


def _around(place: Place) -> list[Place]:
    return [(place[0] + dx, place[1] + dy) for dx, dy in STEPS.values()]
