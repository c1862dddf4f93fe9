"""The scripted buyer: a person with wishes, a budget, patience, trust and a mood, who haggles along a concession curve.

It keeps no game: everything is in the request's ``hidden`` and ``state``. What it does depends on these and on the
seller's words alone; the request's seed only picks the wording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.prices import Price
from lmrl_envs.car_dealer.reading import Reading, ambiguous_type, named, read
from lmrl_envs.car_dealer.rules import MAX_TURNS, PERSONALITIES, Car, money
from lmrl_envs.car_dealer.wording import THE, last_words, listed, manner, say
from lmrl_envs.simulators.base import PartnerReply, PartnerRequest

ROUNDS = 6.0
"""Rounds of haggling in which the concession curve runs from the first counter-offer to the reservation price."""
TRUST_SHARE = 0.08
"""What full trust (against none) adds to the share of the MSRP a buyer would pay."""
GREATEST_PERSUASION = 0.2
"""No persuasion adds more than this share (tests hold the figure to the traits)."""


class ScriptedBuyer:
    """Answers requests of Car Dealer; ``hidden`` holds ``buyer`` and ``stock``."""

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """One reply per request; ``outcome`` holds the decision when there is one."""
        return [_Turn(request).reply() for request in requests]

    def close(self) -> None:
        """Nothing to release."""


def opening_state(buyer: Mapping[str, Any]) -> dict[str, Any]:
    """A buyer's state when it walks in."""
    return {
        "turns": 0,
        "patience": float(buyer["patience"]),
        "trust": PERSONALITIES[buyer["personality"]].trust,
        "mood": 0.2,
        "clock": 0.0,
        "focus": -1,
        "talked": (),
        "heard": {},  # index of a car, as a string -> the price last asked for it
        "counter": 0,
        "counter_car": -1,
        "praised": (),
        "told": 0,
        "told_budget": False,
        "asked_budget": 0,
        "compliments": 0,
        "pressed": 0,
        "finals": 0,
        "courtesies": 0,
        "manner": -1,
        "last": "",
    }


def persuasion(buyer: Mapping[str, Any], state: Mapping[str, Any], car: Car) -> float:
    """What the seller's behaviour so far adds to the share of the MSRP the buyer would pay for the car."""
    traits = PERSONALITIES[buyer["personality"]]
    praised = sum(feature in car["features"] for feature in state["praised"])
    total = (
        traits.flattery * min(state["compliments"], 2)
        + traits.pressure * min(state["pressed"], 2)
        + traits.features * praised
        + TRUST_SHARE * (state["trust"] - traits.trust)
    )
    return min(total, GREATEST_PERSUASION)


def aspiration(buyer: Mapping[str, Any], state: Mapping[str, Any], car: Car) -> int:
    """The price the buyer would take now: the concession curve, below the reservation price."""
    opening = PERSONALITIES[buyer["personality"]].opening
    progress = min(1.0, state["clock"] / ROUNDS) ** buyer["concession"]
    most = rules.reservation(buyer, car, persuasion(buyer, state, car))
    return int(most * (opening + (1 - opening) * progress) // 50 * 50)


class _Turn:
    """One seller line and the buyer's reaction to it."""

    def __init__(self, request: PartnerRequest) -> None:
        self.buyer, self.stock = request.hidden["buyer"], request.hidden["stock"]
        self.traits = PERSONALITIES[self.buyer["personality"]]
        self.state: dict[str, Any] = dict(request.state) if request.state else opening_state(self.buyer)
        self.state["turns"] += 1
        self.seed = request.seed
        self.cost = 1.0
        self.notes: list[str] = []
        self.outcome: dict[str, Any] = {}
        self.odd = False
        self.line: Reading = read(request.action)

    # -- small helpers

    def roll(self) -> int:
        """A number to choose words with."""
        self.seed = (self.seed * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        return self.seed >> 40

    def say(self, intent: str, **values: Any) -> str:
        return say(intent, self.roll(), **values)

    def feel(self, trust: float = 0.0, mood: float = 0.0) -> None:
        state = self.state
        state["trust"] = min(1.0, max(0.0, state["trust"] + trust))
        state["mood"] = min(1.0, max(-1.0, state["mood"] + mood))

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

    # -- the turn

    def reply(self) -> PartnerReply:
        text = self.react()
        state = self.state
        state["last"] = self.line.text[:200]
        state["patience"] -= max(0.3, self.cost * (1 - 0.25 * state["mood"]))
        if not self.outcome:
            if state["patience"] <= 0 or state["turns"] >= MAX_TURNS:
                text = self.leave()
            elif state["patience"] <= 2:
                text += self.say("last")
            elif state["patience"] <= 4.5:
                text += self.say("soon")
        if self.notes:
            text = " ".join([*self.notes[:2], text])
        elif not self.outcome and state["turns"] > 1:
            state["manner"], phrase = manner(self.buyer["personality"], state["mood"], self.roll(), state["manner"])
            text = phrase + text
        return PartnerReply(text[:1].upper() + text[1:], not self.odd, self.outcome, state)

    def react(self) -> str:
        """The answer to the line; sets the outcome when the buyer decides."""
        line, state, acts = self.line, self.state, self.line.acts
        if line.empty:
            self.odd, self.cost = True, 1.5
            return self.say("empty")
        if line.text[:200] == state["last"] and len(line.text) > 3:
            self.cost += 1.0
            self.feel(-0.03, -0.15)
            self.notes.append(self.say("repeat"))
        if "insult" in acts:
            self.cost += 3.0
            self.feel(-0.3, -0.6)
            state["counter"], state["counter_car"] = 0, -1
            return self.say("insulted")
        if "marker" in acts:
            self.odd = True
            self.cost += 0.5
            self.feel(-0.1, -0.1)
            return self.say("confused")
        cars = named(line, self.stock, state["focus"], state["talked"])
        money_talk = [price for price in line.prices if price.kind != "none"]
        if "farewell" in acts and not money_talk:
            self.decide("reject")
            return self.say("dismissed")
        self.courtesy()
        for step in (self.answer_agreement, self.answer_prices, self.answer_question, self.answer_pitch):
            answer = step(cars, money_talk)
            if answer:
                return answer
        return self.answer_chat()

    def decide(self, decision: str, index: int = -1, price: int = 0) -> None:
        self.outcome = {"decision": decision}
        if decision == "accept":
            self.outcome |= {"car": self.stock[index]["name"], "price": price}

    def buy(self, index: int, price: int) -> str:
        self.decide("accept", index, price)
        self.notes.clear()
        values = {"car": short(self.stock[index]), "money": money(price)}
        return last_words("buy", self.buyer["personality"], self.roll(), **values)

    def leave(self) -> str:
        self.decide("reject")
        self.notes.clear()
        return last_words("leave", self.buyer["personality"], self.roll())

    # -- manners

    def courtesy(self) -> None:
        """Politeness, compliments and pressure: what they do to trust and mood."""
        acts, state, traits = self.line.acts, self.state, self.traits
        if acts & {"polite", "greeting"} and state["courtesies"] < 8:
            state["courtesies"] += 1
            self.feel(0.02, 0.08)
        if "honest" in acts and state["courtesies"] < 8:
            state["courtesies"] += 2
            self.feel(0.06, 0.05)
            if not acts & {"question"} and not self.line.prices:
                self.notes.append(self.say("reassured"))
        if "flattery" in acts:
            state["compliments"] += 1
            liked = traits.flattery > 0 and state["compliments"] <= 3
            self.feel(0.03 if liked else -0.04, 0.15 if liked else -0.1)
            self.notes.append(self.say("flattered" if liked else "unflattered"))
        if "pressure" in acts:
            state["pressed"] += 1
            liked = traits.pressure > 0 and state["pressed"] <= 2
            self.feel(-0.01 if liked else -0.06, 0.0 if liked else -0.2)
            self.cost += 0.3 if liked else 0.8
            self.notes.append(self.say("pressed" if liked else "unpressed"))

    # -- prices

    def answer_agreement(self, cars: list[tuple[int, int]], prices: list[Price]) -> str:
        """ "Deal!": the seller takes the buyer's last counter-offer."""
        if "agree" not in self.line.acts:
            return ""
        state, index = self.state, self.state["counter_car"]
        if any(price.kind == "offer" and round(price.amount) != state["counter"] for price in prices):
            return ""
        if cars and index not in [i for _, i in cars]:
            return ""
        if state["counter"] <= 0:
            return "" if prices or "question" in self.line.acts else self.say("nothing_to_agree")
        return self.buy(index, state["counter"])

    def answer_prices(self, cars: list[tuple[int, int]], prices: list[Price]) -> str:
        """Prices asked, discounts, halfway: each becomes an asking price for a car."""
        asked = self.asking_prices(cars, prices)
        if not asked:
            if not prices:
                return ""
            if all(price.kind in ("off", "percent") for price in prices):
                return self.say("no_discount_base")
            kind = ambiguous_type(self.line)
            self.cost += 0.2
            return self.say("which", type=kind) if kind else self.say("no_car")
        answer = ""
        # The car it likes best comes last: what it says about that one is what counts.
        order = sorted(asked, key=lambda i: rules.match_share(self.buyer, self.stock[i]))
        for index in order:
            self.claims(index)
            answer = self.weigh(index, asked[index])
            if self.outcome:
                break
        return answer

    def asking_prices(self, cars: list[tuple[int, int]], prices: list[Price]) -> dict[int, float]:
        """Index of a car -> the price the line asks for it."""
        state = self.state
        asked: dict[int, float] = {}
        unclear = not cars and ambiguous_type(self.line) is not None
        for price in sorted(prices, key=lambda price: price.kind != "list"):  # an offer overrides a list price
            before = [i for at, i in cars if at <= price.at]
            index = before[-1] if before else cars[0][1] if cars else -1 if unclear else state["focus"]
            if index < 0:
                continue
            msrp = self.stock[index]["msrp"]
            base = asked.get(index, state["heard"].get(str(index), msrp)) if price.base != "list" else msrp
            if price.kind == "off":
                asked[index] = base - price.amount
            elif price.kind == "percent":
                asked[index] = base * (1 - price.amount / 100)
            else:
                asked[index] = price.amount
        if not asked and "split" in self.line.acts and state["counter"] > 0:
            index = state["counter_car"]
            asked[index] = (state["counter"] + state["heard"].get(str(index), state["counter"])) / 2
        return asked

    def weigh(self, index: int, amount: float) -> str:
        """React to an asking price: buy, counter or refuse."""
        state, car = self.state, self.stock[index]
        self.look_at(index)
        if not rules.least_offer(car) <= amount <= 3 * car["msrp"]:
            self.cost += 1.0
            self.feel(-0.06, -0.15)
            if amount > car["msrp"]:
                return self.say("absurd", car=short(car))
            return self.say("fishy", car=short(car), money=money(max(amount, 0)))
        price = round(amount)
        before = state["heard"].get(str(index))
        state["heard"] = {**state["heard"], str(index): price}
        conceded = 0.0 if before is None else (min(before, car["msrp"]) - price) / car["msrp"]
        if price > 1.01 * car["msrp"]:  # the list price is known to both: coming down to it is no concession
            conceded = min(conceded, 0.0)
            self.feel(-0.05, -0.1)
            self.notes.append(self.say("above_list", money=money(car["msrp"])))
        if before is not None:
            state["clock"] += 0.6 + min(0.9, 15 * conceded) if conceded > 0.002 else 0.3
            if conceded > 0.002:
                self.cost -= 0.3
        most = rules.reservation(self.buyer, car, persuasion(self.buyer, state, car))
        limit = wish = aspiration(self.buyer, state, car)
        final = "final" in self.line.acts
        if final:
            state["finals"] += 1
            if state["finals"] == 1:
                limit = wish + (most - wish) * (0.7 if self.traits.pressure >= 0 else 0.4)
            self.cost += 1.0
        if state["patience"] - self.cost <= 1.5 or state["turns"] >= MAX_TURNS:
            limit = most  # now or never
        if price <= limit and state["mood"] > -0.9 and state["turns"] > 1:
            return self.buy(index, price)
        return self.haggle(index, price, before, conceded, wish, most, final)

    def haggle(
        self, index: int, price: int, before: int | None, conceded: float, wish: int, most: int, final: bool
    ) -> str:
        """The words for a price that is still too high."""
        state, car = self.state, self.stock[index]
        if before is not None and price > before * 1.005:
            self.feel(-0.1, -0.2)
            self.notes.append(self.say("raised", before=money(before), money=money(price)))
        if price > 1.45 * most:
            if state["counter_car"] == index:
                state["counter"], state["counter_car"] = 0, -1
            known = before is not None and conceded < 0.15
            hint = self.hint(car) if not known else ""
            return self.say("far_again" if known else "far", money=money(price), car=short(car)) + hint
        first = state["counter_car"] != index
        counter = min(wish, price - 50)
        old = 0 if first else state["counter"]
        counter = max(old, counter // 100 * 100 if counter > 12_000 else counter // 50 * 50)
        state["counter"], state["counter_car"] = counter, index
        values = {"money": money(price), "counter": money(counter), "car": short(car)}
        if final:
            return self.say("final_no", **values)
        return self.say("counter_first" if first else "counter_same" if counter == old else "counter", **values)

    # -- wishes and budget

    def answer_question(self, cars: list[tuple[int, int]], prices: list[Price]) -> str:
        """Questions about budget, wishes and features; guesses at them ("Do you like BMW?")."""
        acts, state = self.line.acts, self.state
        if "ask_budget" in acts:
            return self.tell_budget()
        if "ask_offer" in acts:
            if state["counter"] > 0:
                return self.say("nudge_counter", **self.counter_values())
            return self.say("ask_offer")
        line = self.line
        if "about_you" in acts and (line.brands or line.types or line.features):
            return self.answer_guess(cars)
        if "ask_features" in acts:
            return self.tell_features()
        if "ask_needs" in acts and not cars:
            return self.tell_wishes()
        return ""

    def tell_budget(self) -> str:
        state, traits = self.state, self.traits
        state["asked_budget"] += 1
        asked = state["asked_budget"]
        willing = state["trust"] >= traits.reveal or asked >= (2 if self.buyer["personality"] == "shy" else 4)
        if not willing:
            self.cost += 0.2
            return self.say("budget_no")
        amount = money(round(self.buyer["budget"] * traits.honesty, -2))
        again, state["told_budget"] = state["told_budget"], True
        if not again:
            self.cost -= 0.3
        return self.say("budget_again" if again else "budget", money=amount)

    def wishes(self) -> list[str]:
        """Type, brand and features, in the order in which they are told."""
        return [self.buyer["type"], self.buyer["brand"], *self.buyer["features"]]

    def phrase(self, low: int, high: int) -> str:
        """The wishes from ``low`` to ``high`` as one phrase."""
        told, features = self.wishes()[low:high], self.buyer["features"]
        kind = self.buyer["type"] if low == 0 and high >= 1 else ""
        brand = self.buyer["brand"] if low <= 1 < high else ""
        head = " ".join(part for part in (brand, kind) if part)
        tail = (
            listed([THE[feature] for feature in told if feature in features])
            if high > 2 and len(told) > bool(kind) + bool(brand)
            else ""
        )
        head = article(head) if head else ""
        return f"{head} with {tail}" if head and tail else head or tail

    def tell_wishes(self) -> str:
        state, n = self.state, 2 + len(self.buyer["features"])
        told = state["told"]
        if told >= n:
            self.cost += 0.2
            return self.say("want_all_told", want=self.phrase(0, n))
        state["told"] = min(n, told + max(1, round(self.traits.talk * 3)))
        self.cost -= 0.3
        return self.say("want" if told == 0 else "want_more", want=self.phrase(told, state["told"]))

    def tell_features(self) -> str:
        features = self.buyer["features"]
        shown = features if self.traits.talk >= 0.5 or self.state["told"] >= 2 else features[:1]
        self.cost -= 0.2
        if len(shown) == len(features) and self.state["told"] >= 2:
            self.state["told"] = 2 + len(features)
        return self.say("features", want=listed([THE[feature] for feature in shown]))

    def answer_guess(self, cars: list[tuple[int, int]]) -> str:
        line, buyer = self.line, self.buyer
        if cars:
            self.look_at(cars[-1][1])
        hits = [brand == buyer["brand"] for _, brand in line.brands]
        hits += [kind == buyer["type"] for _, kind in line.types]
        hits += [feature in buyer["features"] for feature in line.features]
        if all(hits):
            self.cost -= 0.2
            return self.say("yes")
        if self.traits.talk >= 0.6:
            return self.say(
                "no_hint",
                want=article(buyer["type"])
                if line.types
                else article(buyer["brand"])
                if line.brands
                else THE[buyer["features"][0]],
            )
        return self.say("no")

    # -- cars

    def answer_pitch(self, cars: list[tuple[int, int]], prices: list[Price]) -> str:
        """A car is shown, or features of the one under discussion are pointed out."""
        line, state = self.line, self.state
        if cars:
            index = cars[-1][1]
            new = self.look_at(index)
            spoke = self.claims(index)
            if not new and not spoke and state["counter_car"] != index:
                return self.say("nudge_price", car=short(self.stock[index]))
            return (
                self.comment(index)
                if new
                else (
                    self.say("nudge_counter", **self.counter_values())
                    if state["counter_car"] == index
                    else self.say("ask_price")
                )
            )
        kind = ambiguous_type(line)
        if kind:
            have = any(car["type"] == kind for car in self.stock)
            return self.say("which" if have else "none_such", type=kind)
        if line.features and self.focus:
            had = len(self.notes)
            self.claims(state["focus"])
            if len(self.notes) == had:
                self.notes.append(self.say("feature_meh"))
            return self.nudge()
        return ""

    def claims(self, index: int) -> bool:
        """What the line says of features: wanted ones please, false ones cost trust. Whether anything was said."""
        state, car, said = self.state, self.stock[index], False
        if not self.line.features or ("question" in self.line.acts and not self.line.prices):
            return False
        for feature in self.line.features:
            if feature in car["features"]:
                if feature in self.buyer["features"] and feature not in state["praised"]:
                    state["praised"] = (*state["praised"], feature)
                    self.feel(0.03, 0.1)
                    self.cost -= 0.3
                    if not said:
                        self.notes.append(self.say("feature_good", feature=THE[feature]))
                    said = True
            elif not any(
                word in self.line.words for word in ("no", "not", "without", "lacks", "doesn't", "don't", "isn't")
            ):
                self.feel(-0.15, -0.2)
                self.cost += 0.5
                self.notes.append(self.say("feature_lie", feature=THE[feature], car=short(car)))
                said = True
        return said

    def comment(self, index: int) -> str:
        """What it thinks of a car that is shown to it, and a question back."""
        car, buyer, state = self.stock[index], self.buyer, self.state
        share = rules.match_share(buyer, car)
        if car["msrp"] > 1.8 * buyer["budget"]:
            return self.say("too_rich", car=short(car)) + self.hint(car)
        if share >= 0.12:
            self.cost -= 0.4
            self.feel(0.03, 0.15)
            opinion = self.say("like_car", car=short(car))
        elif share >= 0.05:
            self.cost -= 0.2
            opinion = self.say("ok_car", car=short(car))
        else:
            opinion = self.say("dislike_car", car=short(car))
        if str(index) in state["heard"]:
            return opinion
        return f"{opinion}{self.hint(car)} {self.say('ask_price')}"

    def hint(self, car: Car) -> str:
        """Something it misses in the car, from those who talk."""
        buyer = self.buyer
        if self.traits.talk < 0.3 + self.roll() % 10 / 10:
            return ""
        if car["type"] != buyer["type"]:
            return self.say("hint_type", type=buyer["type"])
        missing = [feature for feature in buyer["features"] if feature not in car["features"]]
        if car["brand"] != buyer["brand"] and not missing:
            return self.say("hint_brand", brand=buyer["brand"])
        unsaid = missing or [feature for feature in buyer["features"] if feature not in self.state["praised"]]
        return self.say("hint_feature", feature=THE[unsaid[0]]) if unsaid else ""

    # -- the rest

    def counter_values(self) -> dict[str, str]:
        state = self.state
        return {"counter": money(state["counter"]), "car": short(self.stock[state["counter_car"]])}

    def nudge(self) -> str:
        if self.state["counter"] > 0:
            return self.say("nudge_counter", **self.counter_values())
        if self.focus:
            return self.say("nudge_price", car=short(self.focus))
        return self.say("nudge")

    def answer_chat(self) -> str:
        """Small talk, greetings, and whatever else."""
        acts, state = self.line.acts, self.state
        if "small_talk" in acts:
            if state["courtesies"] < 8:
                state["courtesies"] += 2
                self.feel(0.04, 0.1 if self.traits.patience > 16 else -0.1)
            words = self.line.words
            topic = next((topic for topic, cues in _TOPICS.items() if not cues.isdisjoint(words)), "chat")
            return self.say(topic)
        if "greeting" in acts and state["turns"] == 1:
            return self.say("greet")
        known = acts & _KNOWN_ACTS
        if not known and not self.notes:
            self.odd = not _plausible(self.line)
            self.cost += 0.5 if self.odd else 0.0
            if self.odd:
                self.feel(-0.02, -0.05)
                return self.say("confused")
        return self.nudge()


_TOPICS = {
    "chat_weather": frozenset({"weather", "rain", "sun"}),
    "chat_family": frozenset({"family", "kids", "wife", "husband"}),
    "chat_car": frozenset({"drive", "first", "commute"}),
}
_KNOWN_ACTS = frozenset({"polite", "honest", "flattery", "pressure", "refuse", "final", "greeting", "agree"})
_COMMON = frozenset(
    [
        "i",
        "you",
        "the",
        "a",
        "is",
        "it",
        "this",
        "that",
        "we",
        "to",
        "of",
        "for",
        "and",
        "in",
        "my",
        "your",
        "can",
        "me",
        "do",
        "have",
        "car",
        "cars",
        "yes",
        "no",
        "ok",
        "okay",
        "price",
        "let's",
        "sure",
        "well",
        "so",
        "what",
        "how",
        "it's",
        "there",
        "any",
        "one",
        "not",
        "are",
        "with",
        "be",
        "would",
        "like",
        "good",
        "great",
    ]
)


def _plausible(line: Reading) -> bool:
    """Whether the line looks like English at all."""
    return (len(line.words & _COMMON) >= 1 and len(line.words) >= 2) or line.words <= _COMMON


def short(car: Car) -> str:
    """``Toyota SUV``."""
    return f"{car['brand']} {car['type']}"


def article(noun: str) -> str:
    """``an SUV``, ``a Toyota``."""
    an = noun[0] in "AEIO" or noun.startswith("SUV")
    return f"{'an' if an else 'a'} {noun}"
