"""Players of Text-Nav. They read the exits, the available actions and their own steps, so both observabilities are alike.

The default house is common knowledge; other houses are mapped while walking.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any

from lmrl_envs.core import ScriptedPolicy, Transcript
from lmrl_envs.text_nav.house import DEFAULT, FRIDGE, GOAL_FOOD, STEPS, Place, random_rooms

_AVAILABLE = re.compile(r"Available actions: \[(.*)\]\Z")
_ROOM_OF_EXITS = {tuple(ways): room for room, ways in DEFAULT.exits.items()}
_ROOM_AT = {place: room for room, place in DEFAULT.places.items()}


def available(text: str) -> list[str]:
    """The available actions of an observation."""
    match = _AVAILABLE.search(text)
    return match[1].split(", ") if match and match[1] else []


class Notes:
    """What a player knows from a conversation: the map as walked, and where fridge and stale food were last seen."""

    def __init__(self, transcript: Transcript, known_house: bool) -> None:
        self.exits: dict[Place, list[str]] = {}
        self.closed: dict[Place, list[str]] = {}
        """Containers not yet looked into."""
        self.fridge: Place | None = None
        self.food: Place | None = None
        self.carrying = False
        self.here: Place = (0, 0)
        self.actions = available(transcript[0].text)
        start = _ROOM_OF_EXITS.get(tuple(sorted(_ways(self.actions)))) if known_house else None
        if start is not None:
            self.exits = {place: list(DEFAULT.exits[room]) for room, place in DEFAULT.places.items()}
            self.here, self.fridge = DEFAULT.places[start], DEFAULT.places["kitchen"]
            self.food = DEFAULT.places["living room"]
        self._look()
        for i in range(1, len(transcript) - 1, 2):
            action = " ".join(transcript[i].text.lower().split())
            done = action in self.actions
            self.actions = available(transcript[i + 1].text)
            if done and action.startswith("go "):
                self.here = _beside(self.here, action[3:])
            self._look()

    def _look(self) -> None:
        here = self.here
        self.exits[here] = _ways(self.actions)
        closed = [action[5:] for action in self.actions if action.startswith("open ")]
        # What was seen open once holds no secret afterwards: whatever gets in later, the player puts there.
        self.closed[here] = [x for x in closed if here not in self.closed or x in self.closed[here]]
        if f"open {FRIDGE}" in self.actions or f"close {FRIDGE}" in self.actions:
            self.fridge = here
        self.carrying = f"drop {GOAL_FOOD}" in self.actions
        if self.carrying:
            self.food = None
        elif any(action.startswith(f"take {GOAL_FOOD}") for action in self.actions):
            self.food = here

    def towards(self, wanted: Callable[[Place], bool]) -> str | None:
        """First step of a shortest known way to a wanted place other than this one; None if there is none."""
        first: dict[Place, str] = {self.here: ""}
        queue = deque([self.here])
        while queue:
            place = queue.popleft()
            if first[place] and wanted(place):
                return f"go {first[place]}"
            for way in self.exits.get(place, ()):
                there = _beside(place, way)
                if there not in first:
                    first[there] = first[place] or way
                    queue.append(there)
        return None

    def best(self) -> str | None:
        """The next command of the plan: fetch the stale food, bring it to the fridge, put it in, close the fridge.

        Optimal where the house is known; elsewhere the nearest unknown place is searched first. None when nothing is
        left to search.
        """
        actions = self.actions
        if f"take {GOAL_FOOD} from {FRIDGE}" in actions:
            return f"close {FRIDGE}"
        if self.carrying:
            for action in (f"insert {GOAL_FOOD} into {FRIDGE}", f"open {FRIDGE}"):
                if action in actions:
                    return action
            return self.towards(lambda place: place == self.fridge or (not self.fridge and place not in self.exits))
        if self.food == self.here:
            return self._fetch()
        if self.food is not None:
            return self.towards(lambda place: place == self.food)
        if self.closed[self.here]:
            return f"open {self.closed[self.here][0]}"
        return self.towards(lambda place: place not in self.exits or bool(self.closed.get(place)))

    def _fetch(self) -> str | None:
        """Take the stale food that is here, be it in something closed."""
        wanted = [action for action in self.actions if action.startswith(f"take {GOAL_FOOD}")]
        wanted += [action for action in self.actions if action.startswith("open ")]
        return wanted[0] if wanted else None


def _ways(actions: list[str]) -> list[str]:
    return [action[3:] for action in actions if action.startswith("go ") and action[3:] in STEPS]


def _beside(place: Place, way: str) -> Place:
    dx, dy = STEPS[way]
    return place[0] + dx, place[1] + dy


class RandomPolicy(ScriptedPolicy):
    """A uniform available action."""

    def __init__(self, seed: int = 0, layout: str = "default", **_: Any) -> None:
        super().__init__(seed)
        self.known_house = random_rooms(layout) is None

    def act(self, transcript: Transcript) -> str | None:
        return self.any(available(transcript[-1].text))

    def any(self, actions: list[str]) -> str:
        """A uniform action of a list; nothing is said where nothing can be done."""
        return self.pick(actions) if actions else ""


class ExpertPolicy(RandomPolicy):
    """The fewest commands in the default house, whichever way it is observed; systematic search in other houses."""

    def act(self, transcript: Transcript) -> str | None:
        return self.best(transcript)

    def is_best(self, transcript: Transcript, action: str) -> bool:
        """Whether an action is the plan's next command."""
        return " ".join(action.lower().split()) == self.best(transcript)

    def best(self, transcript: Transcript) -> str:
        """The best command known for this conversation."""
        notes = Notes(transcript, self.known_house)
        return notes.best() or self.any(_moves(notes.actions))


def _moves(actions: list[str]) -> list[str]:
    return [action for action in actions if action.startswith("go ")] or actions


class SuboptimalPolicy(ExpertPolicy):
    """The best command with probability a half, else a uniform available action."""

    expert_share = 0.5

    def act(self, transcript: Transcript) -> str | None:
        if self.random.random() < self.expert_share:
            return self.best(transcript)
        return super(ExpertPolicy, self).act(transcript)


class MixedPolicy(ExpertPolicy):
    """The stitching data of LMRL-Gym (its Text-Nav recipe): two behaviour policies, each able in one half of the house.

    One knows its way in office, bathroom, garden and backyard, the other in kitchen, dining room, living room and
    bedroom. The first is chosen with probability ``first_share`` (published: .75; .735 gives the published success). In its rooms a policy takes up the plan with probability
    ``plan_share`` per turn and keeps to it until it leaves them; otherwise it plays a uniform available action. So
    only the second one wins, and the way from the first one's rooms to the goal has to be put together.

    LMRL-Gym records 15 turns, which is at odds with its published spread of lengths (8.77 about a mean of 12.2, where
    15 turns allow 5.8 at most). Here the second policy is recorded for 15 turns; recording the first ends after each
    turn with probability ``stop``, and after 30 turns at the latest, which gives the published mean and spread.
    """

    first_share, plan_share, stop = 0.735, 0.8, 0.054
    first_turns, second_turns = 30, 15
    first_rooms = frozenset({"office", "bathroom", "garden", "backyard"})

    def __init__(self, seed: int = 0, layout: str = "default", **kwargs: Any) -> None:
        if layout != "default":
            raise ValueError(f"the mixed recipe is made for layout 'default', not {layout!r}")
        super().__init__(seed, layout=layout, **kwargs)
        self.first = self.random.random() < self.first_share
        self.planning = False

    def act(self, transcript: Transcript) -> str | None:
        played = len(transcript) // 2
        if played >= (self.first_turns if self.first else self.second_turns):
            return None
        if self.first and played and self.random.random() < self.stop:
            return None
        notes = Notes(transcript, self.known_house)
        inside = (_ROOM_AT.get(notes.here) in self.first_rooms) == self.first
        self.planning = inside and (self.planning or self.random.random() < self.plan_share)
        return (notes.best() if self.planning else None) or self.any(notes.actions)


class StitchPolicy(MixedPolicy):
    """Data whose most frequent command is wrong, though every best one is in it.

    Each recording has one manner (`manners`): *strayers* mostly do the wrong thing (put the stale food down again, or leave
    by a way that the plan does not take), *wanderers* play uniform available commands, *solvers* mostly follow the plan in
    one half of the house (the halves of `MixedPolicy`) and stray in the other. So a copy of the majority strays, and no
    solver shows the whole way.
    """

    manners = {"stray": 0.35, "wander": 0.15, "solve": 0.5}
    first_share, faithful = 0.45, 0.75
    first_turns = second_turns = 20

    def __init__(self, seed: int = 0, layout: str = "default", **kwargs: Any) -> None:
        super().__init__(seed, layout=layout, **kwargs)
        self.manner = self.random.choices(list(self.manners), list(self.manners.values()))[0]

    def act(self, transcript: Transcript) -> str | None:
        if len(transcript) // 2 >= self.first_turns or (len(transcript) > 1 and self.random.random() < self.stop):
            return None
        notes = Notes(transcript, self.known_house)
        if self.manner == "wander" or self.random.random() >= self.faithful:
            return self.any(notes.actions)
        able = self.manner == "solve" and (_ROOM_AT.get(notes.here) in self.first_rooms) == self.first
        return (notes.best() if able else None) or self._astray(notes)

    def _astray(self, notes: Notes) -> str:
        """The first way that the plan does not take; the stale food is put down."""
        if f"drop {GOAL_FOOD}" in notes.actions:
            return f"drop {GOAL_FOOD}"
        best = notes.best()
        return next((action for action in _moves(notes.actions) if action != best), notes.actions[0])


POLICIES = {
    "random": RandomPolicy,
    "suboptimal": SuboptimalPolicy,
    "expert": ExpertPolicy,
    "mixed": MixedPolicy,
    "stitch": StitchPolicy,
}
