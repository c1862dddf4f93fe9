# ruff: noqa: SIM905 - long word lists read better as text
"""The buyer's side of the talk that is not about prices: its wishes, its budget, the cars it is shown, small talk."""

from __future__ import annotations

from typing import Any

from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.mind import aspiration, most_paid, opening_state
from lmrl_envs.car_dealer.prices import Price
from lmrl_envs.car_dealer.reading import Reading, ambiguous_type, read
from lmrl_envs.car_dealer.rules import PERSONALITIES, Car, money, short
from lmrl_envs.car_dealer.wording import THE, listed, say
from lmrl_envs.partners.base import PartnerRequest

_ASIDES = {
    "ask_drink": "drink", "ask_name": "name",
    "ask_when": "when", "ask_whom": "whom", "ask_colour": "colour", "trade_in": "trade_in", "ask_why": "why",
}  # fmt: skip
"""What a person is asked beside wishes and money -> what it says."""
_BOTH = ("looking for", "what kind", "what type", "which brand", "you after", "features", "you need")
_TOPICS = {
    "chat_weather": frozenset({"weather", "rain", "sun"}),
    "chat_family": frozenset({"family", "kids", "wife", "husband"}),
    "chat_car": frozenset({"drive", "first", "commute"}),
}
_KNOWN_ACTS = frozenset({"polite", "honest", "flattery", "pressure", "refuse", "final", "greeting", "agree"})
_COMMON = frozenset(
    "i you the a is it this that we to of for and in my your can me do have car cars yes no ok okay price let's sure well so "
    "what how it's there any one not are with be would like good great or who why when at on i'm about if new used".split()
)


class Conversation:
    """One seller line, and the buyer who answers it. Answers are texts; "" means: nothing to say to that."""

    def __init__(self, request: PartnerRequest) -> None:
        self.buyer, self.stock = request.hidden["buyer"], request.hidden["stock"]
        self.traits = PERSONALITIES[self.buyer["personality"]]
        self.state: dict[str, Any] = dict(request.state) if request.state else opening_state(self.buyer)
        self.state["turns"] += 1
        self.seed = request.seed
        self.before = request.texts[-1] if request.texts else ""
        self.cost = 1.0
        self.notes: list[str] = []
        self.named: list[int] = []
        self.outcome: dict[str, Any] = {}
        self.odd = False
        self.intent = ""
        self.line: Reading = read(request.action)

    def roll(self) -> int:
        """A number to choose words with."""
        self.seed = (self.seed * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        return self.seed >> 40

    def say(self, intent: str, **values: Any) -> str:
        self.intent = intent
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

    def counter_values(self) -> dict[str, str]:
        state = self.state
        return {"counter": money(state["counter"]), "car": short(self.stock[state["counter_car"]])}

    def nudge(self) -> str:
        if self.state["counter"] > 0:
            return self.say("nudge_counter", **self.counter_values())
        if self.focus:
            return self.say("nudge_price", car=short(self.focus))
        return self.say("nudge")

    # -- wishes and budget

    def answer_question(self, cars: list[tuple[int, int]], prices: list[Price]) -> str:
        """Questions about budget, wishes and features; guesses at them ("Do you like BMW?")."""
        acts, state = self.line.acts, self.state
        if "test_drive" in acts and "question" in acts and self.focus and not cars and not prices:
            return f"{self.say('drive', car=short(self.focus))} {self.nudge()}"
        if "ask_budget" in acts:
            if acts & {"ask_needs", "ask_features"} and not cars and any(cue in self.line.text for cue in _BOTH):
                wishes = self.tell_features() if "ask_features" in acts else self.tell_wishes()
                return f"{wishes} {self.tell_budget()}"
            return self.tell_budget()
        if "ask_offer" in acts:
            if state["counter"] > 0:
                return self.say("nudge_counter", **self.counter_values())
            return self.make_offer()
        aside = next((said for act, said in _ASIDES.items() if act in acts), "")
        if aside == "trade_in" or (aside and "question" in acts and not prices):
            wishes = "ask_needs" in acts and any(cue in self.line.text for cue in _BOTH[:5])
            worth = aside == "why" and state["counter"] > 0
            return f"{self.say('why_price' if worth else aside)} {self.tell_wishes() if wishes else self.nudge()}"
        if "ask_opinion" in acts and self.focus and not cars:
            if state["counter"] > 0:
                return self.say("nudge_counter", **self.counter_values())
            return self.comment(state["focus"], new=False)
        line = self.line
        if "about_you" in acts and (line.brands or line.types or line.features):
            return self.answer_guess(cars)
        if "ask_features" in acts and not cars:
            return self.tell_features()
        if "ask_needs" in acts and not cars:
            return self.tell_wishes()
        return ""

    def make_offer(self) -> str:
        """Asked for an offer: it makes one for a car whose price it has heard."""
        state, index = self.state, self.state["focus"]
        if str(index) not in state["heard"]:
            return self.say("ask_offer")
        car = self.stock[index]
        most = most_paid(self.buyer, state, car)
        wish = min(aspiration(self.buyer, state, most), state["heard"][str(index)]) // 50 * 50
        if wish < rules.least_offer(car):
            return self.say("far_again")
        state["counter"], state["counter_car"] = wish, index
        return self.say("counter_first", money=money(state["heard"][str(index)]), counter=money(wish), car=short(car))

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
        intent = "want" if told == 0 else "want_more" if told == 1 else "features"
        return self.say(intent, want=self.phrase(told, state["told"]))

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
        choice = "or" in line.words and len(hits) > 1
        if choice and any(hits):
            self.cost -= 0.2
            told = [*(brand for _, brand in line.brands), *(kind for _, kind in line.types), *line.features]
            want = told[hits.index(True)]
            return self.say("want", want=THE[want] if want in THE else article(want))
        if all(hits):
            self.cost -= 0.2
            return self.say("yes")
        if choice or self.traits.talk >= 0.6:
            return self.say(
                "no_hint",
                want=article(buyer["type"])
                if line.types
                else article(buyer["brand"])
                if line.brands
                else THE[buyer["features"][0]],
            )
        return self.say("no")

    # -- cars and small talk

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

    def comment(self, index: int, new: bool = True) -> str:
        """What it thinks of a car that is shown to it, and a question back."""
        car, buyer, state = self.stock[index], self.buyer, self.state
        share = rules.match_share(buyer, car)
        if car["msrp"] > 1.8 * buyer["budget"]:
            return self.say("too_rich", car=short(car)) + self.hint(car)
        if share >= 0.12:
            if new:  # it is glad once
                self.cost -= 0.4
                self.feel(0.03, 0.15)
            opinion = self.say("like_car", car=short(car))
        elif share >= 0.05:
            self.cost -= 0.2 * new
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
            return self.say("hint_type", type=article(buyer["type"]))
        missing = [feature for feature in buyer["features"] if feature not in car["features"]]
        if car["brand"] != buyer["brand"] and not missing:
            return self.say("hint_brand", brand=buyer["brand"])
        if missing:
            return self.say("hint_missing", feature=THE[missing[0]])
        unsaid = [feature for feature in buyer["features"] if feature not in self.state["praised"]]
        return self.say("hint_feature", feature=THE[unsaid[0]]) if unsaid else ""

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
            if "question" in acts:
                return f"{self.say('no_answer')} {self.nudge()}"
        return self.nudge()


def _plausible(line: Reading) -> bool:
    """Whether the line looks like English at all."""
    return (len(line.words & _COMMON) >= 1 and len(line.words) >= 2) or line.words <= _COMMON


def article(noun: str) -> str:
    """``an SUV``, ``a Toyota``."""
    an = noun[0] in "AEIO" or noun.startswith("SUV")
    return f"{'an' if an else 'a'} {noun}"
