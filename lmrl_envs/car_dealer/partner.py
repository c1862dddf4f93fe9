"""The scripted buyer: a person with wishes, a budget, patience, trust and a mood, who haggles along a concession curve.

It keeps no game: everything is in the request's ``hidden`` and ``state``. What it does depends on these and on the
seller's words alone; the request's seed only picks the wording.
"""

from __future__ import annotations

from collections.abc import Sequence

from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.conversation import Conversation
from lmrl_envs.car_dealer.manners import last_words, manner
from lmrl_envs.car_dealer.mind import aspiration, most_paid
from lmrl_envs.car_dealer.prices import Price
from lmrl_envs.car_dealer.reading import ambiguous_type, asks_for_deal, is_assent, named
from lmrl_envs.car_dealer.rules import MAX_TURNS, money, short
from lmrl_envs.partners.base import PartnerReply, PartnerRequest

_WITH_MANNER = frozenset(
    {"want", "want_more", "features", "budget", "like_car", "ok_car", "counter_first", "counter", "ask_price", "far"}
)

_CREDIT = frozenset({"financing", "finance", "lease", "leasing", "loan", "apr", "instalments", "installments"})
_AGAIN = frozenset({"another", "further", "extra", "additional", "more"})


class ScriptedBuyer:
    """Answers requests of Car Dealer; ``hidden`` holds ``buyer`` and ``stock``."""

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """One reply per request; ``outcome`` holds the decision when there is one."""
        return [_Turn(request).reply() for request in requests]

    def close(self) -> None:
        """Nothing to release."""


class _Turn(Conversation):
    """Reacts to a line: manners, prices, and the decision."""

    def reply(self) -> PartnerReply:
        text = self.react()
        state = self.state
        if self.named and state["focus"] not in self.named:
            self.look_at(self.named[-1])
        state["last"] = self.line.text[:200]
        state["patience"] -= max(0.4, self.cost * (1 - 0.2 * state["mood"]))
        if not self.outcome:
            if state["patience"] <= 0 or state["turns"] >= MAX_TURNS:
                text = self.leave()
            elif state["patience"] <= 2:
                text += self.say("last")
            elif state["patience"] <= 4.5:
                text += self.say("soon")
        if self.notes:
            text = " ".join([*self.notes[:2], text])
        elif self.intent in _WITH_MANNER and not self.outcome and state["turns"] > 1:
            state["manner"], phrase = manner(self.buyer["personality"], state["mood"], self.roll(), state["manner"])
            text = phrase + text[:1].upper() + text[1:]
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
            withdrawn, state["counter"], state["counter_car"] = state["counter"] > 0, 0, -1
            return self.say("insulted_off" if withdrawn else "insulted")
        if "marker" in acts:
            self.odd = True
            self.cost += 0.5
            self.feel(-0.1, -0.1)
            return self.say("confused")
        cars = named(line, self.stock, state["focus"], state["talked"])
        self.named = [index for _, index in cars]
        money_talk = [price for price in line.prices if price.kind != "none"]
        if "farewell" in acts and not money_talk:
            self.decide("reject")
            return self.say("dismissed")
        self.courtesy()
        by_rates = ("month" in line.text and line.prices) or not line.words.isdisjoint(_CREDIT)
        if by_rates and not money_talk:
            return self.say("monthly")
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

    def answer_agreement(self, cars: list[tuple[int, int]], prices: list[Price]) -> str:
        """ "Deal!": the seller takes the buyer's last counter-offer."""
        if "split" in self.line.acts and self.state["counter"] <= 0 and not prices:
            return self.say("nothing_to_agree")
        state, index = self.state, self.state["counter_car"]
        # "Yes." takes the offer that the buyer has just made.
        assents = state["counter"] > 0 and money(state["counter"]) in self.before and is_assent(self.line.text)
        if asks_for_deal(self.line.text) and state["counter"] > 0:
            return self.say("nudge_counter", **self.counter_values())
        if not assents and "agree" not in self.line.acts:
            return ""
        if any(price.base == "counter" for price in prices):  # "a thousand more than that and it's yours"
            return ""
        if any(price.kind == "offer" and round(price.amount) != state["counter"] for price in prices):
            return ""
        if cars and index not in [i for _, i in cars]:
            return ""
        if state["counter"] <= 0:
            return "" if self.line.prices or "question" in self.line.acts else self.say("nothing_to_agree")
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
        order = list(asked)
        if len(order) > 1:
            order.sort(key=lambda i: rules.match_share(self.buyer, self.stock[i]))
        for index in order:
            self.claims(index)
            if len(order) > 1 and index == order[-1]:
                self.notes.append(self.say("prefer_car", car=short(self.stock[index])))
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
            msrp = float(self.stock[index]["msrp"])
            again = price.kind == "off" or not _AGAIN.isdisjoint(self.line.words)  # "10 % off" is off the list price
            now = asked.get(index, msrp)
            last = asked.get(index, float(state["heard"].get(str(index), msrp)))
            base = last if again and price.base != "list" else now
            if price.base == "counter":  # "a thousand more than that"
                if state["counter"] <= 0 or index != state["counter_car"]:
                    continue
                base = float(state["counter"])
            if price.kind == "off":
                asked[index] = base - price.amount
            elif price.kind == "percent":
                asked[index] = base * (1 - price.amount / 100)
            else:
                asked[index] = price.amount
        if not asked and "split" in self.line.acts and state["counter"] > 0:
            index = state["counter_car"]
            middle = (state["counter"] + state["heard"].get(str(index), state["counter"])) / 2
            asked[index] = middle // 50 * 50
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
        before: int | None = state["heard"].get(str(index))
        state["heard"] = {**state["heard"], str(index): price}
        conceded = 0.0 if before is None else (min(before, car["msrp"]) - price) / car["msrp"]
        if price > 1.01 * car["msrp"]:  # the list price is known to both: coming down to it is no concession
            conceded = min(conceded, 0.0)
            self.feel(-0.05, -0.1)
            self.notes.append(self.say("above_list", money=money(car["msrp"])))
        if before is not None:
            state["clock"] += 0.6 + min(0.9, 15 * conceded) if conceded > 0.002 else 0.3
            if conceded > 0.008:
                self.cost -= 0.2
        most = most_paid(self.buyer, state, car)
        limit = wish = aspiration(self.buyer, state, most)
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
        if min(price, car["msrp"]) > 1.45 * most:
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
