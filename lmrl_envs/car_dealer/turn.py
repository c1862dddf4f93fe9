"""One line of the seller and the buyer who hears it: what it takes in, feels, remembers, and says in return."""

from __future__ import annotations

from typing import Any

from lmrl_envs.car_dealer.buyer_state import opening_state
from lmrl_envs.car_dealer.reading import Reading, named, read, standing
from lmrl_envs.car_dealer.rules import PERSONALITIES
from lmrl_envs.car_dealer.stock import Car, money, short
from lmrl_envs.car_dealer.wording import say
from lmrl_envs.language.bargaining import Standing
from lmrl_envs.partners.base import PartnerRequest


class Turn:
    """What is known in a turn and what comes of it; `haggling` and `talk` decide what that is.

    ``state`` goes on to the next turn; ``cost`` is the patience this one takes; ``notes`` are said before the answer; ``odd``:
    the line made no sense; ``intent`` is what was said last; ``stirred`` how the mood has moved; ``outcome`` is the decision, once
    there is one.
    """

    def __init__(self, request: PartnerRequest) -> None:
        self.buyer, self.stock = request.hidden["buyer"], request.hidden["stock"]
        self.traits = PERSONALITIES[self.buyer["personality"]]
        self.state: dict[str, Any] = dict(request.state) if request.state else opening_state(self.buyer)
        self.state["turns"] += 1
        self.seed = request.seed
        self.before = request.texts[-1] if request.texts else ""
        self.said = " ".join(request.texts[-3::2])
        """Its last two answers: nobody says a thing in the same words twice in a row."""
        self.cost = 1.0
        self.notes: list[str] = []
        self.outcome: dict[str, Any] = {}
        self.odd = False
        self.intent = ""
        self.stirred = 0.0
        self.line: Reading = read(request.action)
        self.cars = named(self.line, self.stock, self.state["focus"], self.state["talked"])
        """(token, index) of the cars it names."""

    def roll(self) -> int:
        """A number to choose words with."""
        self.seed = (self.seed * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        return self.seed >> 40

    def say(self, intent: str, **values: Any) -> str:
        self.intent = intent
        return say(intent, self.roll(), self.said, **values)

    def feel(self, trust: float = 0.0, mood: float = 0.0) -> None:
        state = self.state
        self.stirred += mood
        state["trust"] = min(1.0, max(0.0, state["trust"] + trust))
        state["mood"] = min(1.0, max(-1.0, state["mood"] + mood))

    def first(self, kind: str) -> bool:
        """Whether this sort of courtesy or persuasion is new to it; from now on it is not."""
        new = kind not in self.state["charms"]
        if new:
            self.state["charms"] = (*self.state["charms"], kind)
        return new

    @property
    def focus(self) -> Car | None:
        return self.stock[self.state["focus"]] if self.state["focus"] >= 0 else None

    def look_at(self, index: int) -> bool:
        """Talk about a car from now on; whether it is a new one."""
        state = self.state
        state["focus"] = index
        new = index not in state["talked"]
        if new:
            state["talked"] = (*state["talked"], index)
        return new

    def standing(self, index: int) -> Standing:
        """What stands between the two for a car."""
        return standing(self.state, index, self.stock[index], self.before, money(self.state["counter"]))

    def counter_values(self) -> dict[str, str]:
        state = self.state
        return {"counter": money(state["counter"]), "car": short(self.stock[state["counter_car"]])}

    def nudge(self) -> str:
        if self.state["counter"] > 0:
            return self.say("nudge_counter", **self.counter_values())
        if self.focus:
            return self.say("nudge_price", car=short(self.focus))
        return self.say("nudge")

    def confused(self, intent: str = "confused", **values: Any) -> str:
        """Says that it did not understand."""
        self.odd = True
        self.cost += 0.3
        return self.say(intent, **values)

    def decide(self, decision: str, index: int = -1, price: int = 0) -> None:
        self.outcome = {"decision": decision}
        if decision == "accept":
            self.outcome |= {"car": self.stock[index]["name"], "price": price}
