"""Prices: what the seller's line asks for which car, and whether the buyer takes it, names one of its own, or refuses.

Answers are texts; "" means: nothing to say to that.
"""

from __future__ import annotations

from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.buyer_state import aspiration, most_paid
from lmrl_envs.car_dealer.prices import Price
from lmrl_envs.car_dealer.reading import ambiguous_type, asks_for_deal, is_assent
from lmrl_envs.car_dealer.rules import MAX_TURNS, money, short
from lmrl_envs.car_dealer.talk import claims, hint
from lmrl_envs.car_dealer.turn import Turn
from lmrl_envs.car_dealer.wording import last_words

_AGAIN = frozenset({"another", "further", "extra", "additional", "more"})


def answer_agreement(turn: Turn, cars: list[tuple[int, int]], prices: list[Price]) -> str:
    """ "Deal!": the seller takes the buyer's last counter-offer."""
    if "split" in turn.line.acts and turn.state["counter"] <= 0 and not prices:
        return turn.say("nothing_to_agree")
    state, index = turn.state, turn.state["counter_car"]
    # "Yes." takes the offer that the buyer has just made.
    assents = state["counter"] > 0 and money(state["counter"]) in turn.before and is_assent(turn.line.text)
    if asks_for_deal(turn.line.text) and state["counter"] > 0:
        return turn.say("nudge_counter", **turn.counter_values())
    if not assents and "agree" not in turn.line.acts:
        return ""
    if any(price.base == "counter" for price in prices):  # "a thousand more than that and it's yours"
        return ""
    if any(price.kind == "offer" and round(price.amount) != state["counter"] for price in prices):
        return ""
    if cars and index not in [i for _, i in cars]:
        return ""
    if state["counter"] <= 0:
        return "" if turn.line.prices or "question" in turn.line.acts else turn.say("nothing_to_agree")
    return _buy(turn, index, state["counter"])


def answer_prices(turn: Turn, cars: list[tuple[int, int]], prices: list[Price]) -> str:
    """Prices asked, discounts, halfway: each becomes an asking price for a car."""
    asked = _asking_prices(turn, cars, prices)
    if not asked:
        if not prices:
            return ""
        if all(price.kind in ("off", "percent") for price in prices):
            return turn.say("no_discount_base")
        kind = ambiguous_type(turn.line)
        turn.cost += 0.2
        return turn.say("which", type=kind) if kind else turn.say("no_car")
    answer = ""
    # The car it likes best comes last: what it says about that one is what counts.
    order = list(asked)
    if len(order) > 1:
        order.sort(key=lambda i: rules.match_share(turn.buyer, turn.stock[i]))
    for index in order:
        claims(turn, index)
        if len(order) > 1 and index == order[-1]:
            turn.notes.append(turn.say("prefer_car", car=short(turn.stock[index])))
        answer = _weigh(turn, index, asked[index])
        if turn.outcome:
            break
    return answer


def _asking_prices(turn: Turn, cars: list[tuple[int, int]], prices: list[Price]) -> dict[int, float]:
    """Index of a car -> the price the line asks for it."""
    state = turn.state
    asked: dict[int, float] = {}
    unclear = not cars and ambiguous_type(turn.line) is not None
    for price in sorted(prices, key=lambda price: price.kind != "list"):  # an offer overrides a list price
        before = [i for at, i in cars if at <= price.at]
        index = before[-1] if before else cars[0][1] if cars else -1 if unclear else state["focus"]
        if index < 0:
            continue
        msrp = float(turn.stock[index]["msrp"])
        again = price.kind == "off" or not _AGAIN.isdisjoint(turn.line.words)  # "10 % off" is off the list price
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
    if not asked and "split" in turn.line.acts and state["counter"] > 0:
        index = state["counter_car"]
        middle = (state["counter"] + state["heard"].get(str(index), state["counter"])) / 2
        asked[index] = middle // 50 * 50
    return asked


def _weigh(turn: Turn, index: int, amount: float) -> str:
    """React to an asking price: buy, counter or refuse."""
    state, car = turn.state, turn.stock[index]
    turn.look_at(index)
    if not rules.least_offer(car) <= amount <= 3 * car["msrp"]:
        turn.cost += 1.0
        turn.feel(-0.06, -0.15)
        if amount > car["msrp"]:
            return turn.say("absurd", car=short(car))
        return turn.say("fishy", car=short(car), money=money(max(amount, 0)))
    price = round(amount)
    before: int | None = state["heard"].get(str(index))
    state["heard"] = {**state["heard"], str(index): price}
    conceded = 0.0 if before is None else (min(before, car["msrp"]) - price) / car["msrp"]
    if price > 1.01 * car["msrp"]:  # the list price is known to both: coming down to it is no concession
        conceded = min(conceded, 0.0)
        turn.feel(-0.05, -0.1)
        turn.notes.append(turn.say("above_list", money=money(car["msrp"])))
    if before is not None:
        state["clock"] += 0.6 + min(0.9, 15 * conceded) if conceded > 0.002 else 0.3
        if conceded > 0.008:
            turn.cost -= 0.2
    most = most_paid(turn.buyer, state, car)
    limit = wish = aspiration(turn.buyer, state, most)
    final = "final" in turn.line.acts
    if final:
        state["finals"] += 1
        if state["finals"] == 1:
            limit = wish + (most - wish) * (0.7 if turn.traits.pressure >= 0 else 0.4)
        turn.cost += 1.0
    if state["patience"] - turn.cost <= 1.5 or state["turns"] >= MAX_TURNS:
        limit = most  # now or never
    if price <= limit and state["mood"] > -0.9 and state["turns"] > 1:
        return _buy(turn, index, price)
    return _haggle(turn, index, price, before, conceded, wish, most, final)


def _haggle(
    turn: Turn, index: int, price: int, before: int | None, conceded: float, wish: int, most: int, final: bool
) -> str:
    """The words for a price that is still too high."""
    state, car = turn.state, turn.stock[index]
    if before is not None and price > before * 1.005:
        turn.feel(-0.1, -0.2)
        turn.notes.append(turn.say("raised", before=money(before), money=money(price)))
    if min(price, car["msrp"]) > 1.45 * most:
        if state["counter_car"] == index:
            state["counter"], state["counter_car"] = 0, -1
        known = before is not None and conceded < 0.15
        missed = hint(turn, car) if not known else ""
        return turn.say("far_again" if known else "far", money=money(price), car=short(car)) + missed
    first = state["counter_car"] != index
    counter = min(wish, price - 50)
    old = 0 if first else state["counter"]
    counter = max(old, counter // 100 * 100 if counter > 12_000 else counter // 50 * 50)
    state["counter"], state["counter_car"] = counter, index
    values = {"money": money(price), "counter": money(counter), "car": short(car)}
    if final:
        return turn.say("final_no", **values)
    return turn.say("counter_first" if first else "counter_same" if counter == old else "counter", **values)


def _buy(turn: Turn, index: int, price: int) -> str:
    turn.decide("accept", index, price)
    turn.notes.clear()
    values = {"car": short(turn.stock[index]), "money": money(price)}
    return last_words("buy", turn.buyer["personality"], turn.roll(), **values)
