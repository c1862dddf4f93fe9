"""Sellers of Car Dealer: random lines, a middling seller for data, and an expert. They see the transcript only."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

from lmrl_envs.car_dealer.reading import read
from lmrl_envs.car_dealer.rules import BUDGETS, PERSONALITIES, fit, least_offer
from lmrl_envs.car_dealer.stock import Car, money, parse_stock, short
from lmrl_envs.car_dealer.wording import LINES
from lmrl_envs.core import ScriptedPolicy, Transcript
from lmrl_envs.language.lists import sections

_MONEY = re.compile(r"\$(\d[\d,]{0,9})")
SAID = {title: tuple(lines) for title, lines in sections(__file__, "seller.txt").items()}
_CHAT, _KIND, _FLATTERY, _PRESSURE = (SAID[title] for title in ("chat", "kind", "flattery", "pressure"))


class _Seller(ScriptedPolicy):
    """What every seller can do: read the stock and the buyer's words."""

    def __init__(self, seed: int = 0, reward: str = "deal", **_: Any) -> None:
        super().__init__(seed)
        self.reward = reward
        self.stock: list[dict[str, Any]] = []

    def open(self, transcript: Transcript) -> None:
        """Read the stock list; a text without one gives no cars."""
        if not self.stock:
            self.stock = parse_stock(transcript[0].text) if transcript else []

    def lowered(self, car: Car, price: float, lines: Sequence[str] = SAID["lower"]) -> str:
        return self.pick(lines).format(car=short(car), price=money(price))

    def pitch(self, car: Car, features: Sequence[str] = ()) -> str:
        extras = f"; it has {' and '.join(features)}" if features else ""
        return self.pick(SAID["pitch"]).format(car=short(car), extras=extras)


class RandomPolicy(_Seller):
    """A random plausible line: a question, a car at a random price, a compliment, a push, a deal."""

    def act(self, transcript: Transcript) -> str:
        self.open(transcript)
        kind = self.random.random()
        if not self.stock or kind < 0.3:
            return self.pick((*SAID["welcome"], *SAID["budget"], *SAID["features"], *_CHAT, *_KIND))
        car = self.pick(self.stock)
        if kind < 0.45:
            return self.pitch(car, car["features"][:2])
        if kind < 0.8:
            return self.lowered(
                car, round(car["msrp"] * (0.6 + 0.5 * self.random.random()), -2), (*SAID["ask"], *SAID["lower"])
            )
        if kind < 0.86:
            return f"I can take {money(500 * (1 + int(self.random.random() * 6)))} off."
        if kind < 0.96:
            return self.pick((*_FLATTERY, *_PRESSURE))
        return self.pick(SAID["close"])


class Beliefs:
    """What a careful listener makes of the buyer's words so far."""

    def __init__(self) -> None:
        self.types: set[str] = set()
        self.brands: set[str] = set()
        self.features: set[str] = set()
        self.budget = 0
        self.personalities = tuple(PERSONALITIES)
        self.counter = 0
        self.counters: list[int] = []
        self.far = False
        self.hurry = 0

    def copy(self) -> Beliefs:
        """Another listener who has heard the same."""
        other = copy.copy(self)
        other.types, other.brands, other.features = set(self.types), set(self.brands), set(self.features)
        other.counters = list(self.counters)
        return other

    def hear(self, said: str, text: str) -> None:
        """Take in the buyer's ``text``, the answer to ``said``."""
        asked, answer = read(said), read(text)
        amounts = [int(amount.replace(",", "")) for amount in _MONEY.findall(text)]
        about_budget = "ask_budget" in asked.acts
        if about_budget and amounts:
            self._budget(amounts[-1])
        guess = "about_you" in asked.acts and (asked.brands or asked.types or asked.features)
        if not about_budget and not guess:
            self._wishes(asked, answer, text)
        offers = [a for a in amounts if a not in {round(amount.value) for amount in asked.line.amounts}]
        if offers and not about_budget and "list" not in text.lower():
            self.counter = offers[-1]
            self.counters.append(self.counter)
        self.far = any(
            word in text for word in ("far", "cheaper", "too much for me", "anywhere near", "miles apart", "league")
        )
        hurries = (intent for intent in ("last", "soon") if any(line.strip() in text for line in LINES[intent]))
        self.hurry = {"last": 2, "soon": 1}.get(next(hurries, ""), 0)

    def _budget(self, stated: int) -> None:
        """The true budget and the sorts of buyer that would state it so."""
        fits = [
            (abs(level * traits.honesty - stated), level, name)
            for level in BUDGETS
            for name, traits in PERSONALITIES.items()
        ]
        least = min(fits)[0]
        self.budget = next(level for gap, level, _ in fits if gap == least)
        self.personalities = tuple(name for gap, _, name in fits if gap == least)

    def _wishes(self, asked: Any, answer: Any, text: str) -> None:
        shown = {kind for _, kind in asked.types} | {brand for _, brand in asked.brands}
        wishing = not shown or any(
            word in text for word in ("prefer", "hoping", "would be better", "rather", "first choice")
        )
        if (wishing and "ask_needs" in asked.acts) or (shown and wishing):
            self.types |= {kind for _, kind in answer.types} - shown
            self.brands |= {brand for _, brand in answer.brands} - shown
        if asked.acts & {"ask_needs", "ask_features"}:
            self.features |= set(answer.features)
        elif shown or asked.features:
            self.features |= {
                f for f in answer.features if "mention" not in text and "sheet" not in text and "listed" not in text
            }

    def as_buyer(self) -> dict[str, Any]:
        """A buyer with the wishes heard."""
        return {
            "type": next(iter(sorted(self.types)), ""),
            "brand": next(iter(sorted(self.brands)), ""),
            "features": sorted(self.features) or ["none"],
        }


class _Listener(_Seller):
    """A seller who keeps in mind what the buyer has said."""

    def __init__(self, seed: int = 0, reward: str = "deal", **kwargs: Any) -> None:
        super().__init__(seed, reward, **kwargs)
        self.beliefs = Beliefs()
        self.car: dict[str, Any] = {}
        self.price = 0.0
        self._read = 0

    def listen(self, transcript: Transcript) -> int:
        """Take in what is new in the conversation; the turn it is."""
        self.open(transcript)
        for i in range(self._read + 1, len(transcript) - 1, 2):
            self.beliefs.hear(transcript[i].text, transcript[i + 1].text)
        self._read = max(self._read, len(transcript) - 1)
        return len(transcript) // 2

    def value(self, car: Car) -> float:
        """Expected price of this car, under ``fancy`` its reward."""
        price = self.hoped(car)
        if price < least_offer(car):
            return 0.0
        return 2 * price / ((self.beliefs.budget or 50_000) + car["msrp"]) if self.reward == "fancy" else price

    def hoped(self, car: Car) -> float:
        """About what such a buyer pays for the car."""
        beliefs = self.beliefs
        shares = [PERSONALITIES[name].share for name in beliefs.personalities]
        budget = beliefs.budget or 50_000
        return min(budget, car["msrp"]) * (sum(shares) / len(shares) + 0.05) * fit(beliefs.as_buyer(), car)


class ExpertPolicy(_Listener):
    """Asks for wishes and budget, picks the car that this buyer would pay most for, points out what fits, concedes in full steps.

    It takes the buyer's counter-offer once that has stopped rising or patience runs out.
    """

    step = 0.02
    """Share of the MSRP that it gives up per turn: what counts as a full concession."""

    def __init__(self, seed: int = 0, reward: str = "deal", **kwargs: Any) -> None:
        super().__init__(seed, reward, **kwargs)
        self.still = 0
        self.tried: set[str] = set()

    def act(self, transcript: Transcript) -> str:
        turn = self.listen(transcript)
        if not self.stock:
            return SAID["welcome"][0]
        return self.inquire(turn) or (self.haggle(turn) if self.car else self.show())

    def inquire(self, turn: int) -> str:
        """Questions, with the courtesies that make a buyer answer them."""
        beliefs = self.beliefs
        if turn == 0:
            return SAID["welcome"][0]
        if beliefs.hurry or self.car:
            return ""
        if turn == 1:
            return "Please take your time, and I will be honest with you. Which features matter to you?"
        if (not beliefs.types or not beliefs.brands) and self.new("else"):
            return "Thank you. What else are you looking for?"
        if not beliefs.budget and turn <= 8:
            return self.pick(SAID["budget"])
        if (not beliefs.types or not beliefs.brands or len(beliefs.features) < 2) and self.new("more"):
            return "And what else are you looking for?"
        return ""

    def new(self, question: str) -> bool:
        """Whether this is asked for the first time; from now on it was."""
        first = question not in self.tried
        self.tried.add(question)
        return first

    def show(self) -> str:
        left = [car for car in self.stock if car["name"] not in self.tried]
        self.car = max(left or self.stock, key=self.value)
        self.tried.add(self.car["name"])
        self.still, self.price = 0, 0.0
        self.beliefs.counters.clear()
        praised = [feature for feature in self.car["features"] if feature in self.beliefs.features]
        return self.pitch(self.car, praised or self.car["features"][:2])

    def haggle(self, turn: int) -> str:
        beliefs, car = self.beliefs, self.car
        if not self.price:
            self.price = min(car["msrp"], round(1.4 * self.hoped(car), -2))
            return self._praise() + self.lowered(car, self.price, SAID["ask"])
        counters = beliefs.counters
        rising = len(counters) < 2 or counters[-1] > counters[-2]
        self.still = 0 if rising and not beliefs.far else self.still + 1
        if beliefs.far and self.still >= 2 and turn < 17 and not beliefs.hurry:
            return self.show()
        enough = beliefs.hurry == 2 or turn >= 23 or self.still >= 2
        if counters and (enough or counters[-1] >= self.price * 0.995):
            return SAID["close"][0]
        step = (0.06 if beliefs.far else self.step) * car["msrp"]
        self.price = max(round(self.price - step, -1), counters[-1] if counters else 0.0)
        return self.lowered(car, self.price)

    def _praise(self) -> str:
        """A compliment for the buyers who can only be of a sort that likes it."""
        liked = all(PERSONALITIES[name].flattery > 0.004 for name in self.beliefs.personalities)
        return f"{_FLATTERY[0]} " if liked else ""


class SuboptimalPolicy(_Listener):
    """A middling seller, made for data: it takes its time, has its own idea of the outcome, and is careless about price.

    The target length, the share of sales and the care about price are set so that a dataset of it has LMRL-Gym's
    figures (arXiv 2311.18232, Table 1: length 16.5 +- 3.61, 53 % sales; return .562 +- .422 under ``fancy``).
    """

    length_mean, length_std = 17.5, 4.2
    sale_share = 0.552
    stretch = {"no sale": (2.0, 9.0), "misjudged": (0.45, 0.8)}
    """MSRP of the cars it shows where it means no sale, over what it believes to be the budget."""
    misjudged_share = 0.06
    """Of the episodes that it does not mean to end with a sale."""
    care = 0.25
    """What a car's fit counts in its choice, against chance."""

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.length = min(25, max(7, round(self.random.gauss(self.length_mean, self.length_std))))
        self.sells = self.random.random() < self.sale_share
        aim = "misjudged" if self.random.random() < self.misjudged_share else "no sale"
        self.aim = self.stretch[aim]
        self.talk = min(3 + int(self.random.random() * 4), self.length - 5)
        self.reward = "deal"  # whatever is paid, it is the same seller

    def act(self, transcript: Transcript) -> str:
        turn = self.listen(transcript)
        if turn == 0 or not self.stock:
            return self.pick(SAID["welcome"])
        if self.sells and self.beliefs.counters and (turn >= self.length - 1 or self.beliefs.hurry == 2):
            return self.pick(SAID["close"])
        if turn >= self.length - 1 + 4 * self.sells:
            return self.pick(SAID["stop"])
        if turn <= self.talk:
            return self.chat(turn)
        if not self.car or self.random.random() < 0.05:
            return self.show()
        return self.bargain()

    def chat(self, turn: int) -> str:
        if not self.beliefs.budget and (turn == 1 or self.random.random() < 0.6):
            return self.pick(SAID["budget"])
        return self.pick((*SAID["features"], *SAID["needs"], *_CHAT, *_KIND[:2], _FLATTERY[0]))

    def show(self) -> str:
        if self.sells:
            self.car = max(self.stock, key=lambda car: self.value(car) * (1 - self.care * self.random.random()))
        else:
            low, high = self.aim
            target = (self.beliefs.budget or 70_000) * (low + (high - low) * self.random.random())
            self.car = min(self.stock, key=lambda car: abs(car["msrp"] - target))
        self.price = 0.0
        return self.pitch(self.car, self.car["features"][: 1 + int(self.random.random() * 2)])

    def bargain(self) -> str:
        car, chance = self.car, self.random.random()
        if not self.price:
            self.price = car["msrp"]
            return self.lowered(car, round(self.price, -2), SAID["ask"])
        if chance < 0.3:
            return self.pick((*_KIND, *_FLATTERY, *_PRESSURE, *_CHAT))
        step = (0.1 if self.beliefs.far and self.sells else 0.01 + 0.03 * self.random.random()) * car["msrp"]
        least = max(self.beliefs.counter * 1.03, 0.3 * car["msrp"])
        self.price = max(self.price - step, least)
        return self.lowered(car, round(self.price, -2))


POLICIES = {
    "random": RandomPolicy,
    "suboptimal": SuboptimalPolicy,
    "mixed": SuboptimalPolicy,
    "expert": ExpertPolicy,
}
