"""Prices: what the seller's line asks for which car, and whether the buyer takes it, names one of its own, or refuses.

Answers are texts; "" means: nothing to say to that.
"""

from __future__ import annotations

from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.buyer_state import FULL_CONCESSION, NOTICED, aspiration, most_paid
from lmrl_envs.car_dealer.reading import ambiguous_type, meaning
from lmrl_envs.car_dealer.stock import money, short
from lmrl_envs.car_dealer.talk import ENOUGH_CARS, claims, hint
from lmrl_envs.car_dealer.turn import Turn
from lmrl_envs.car_dealer.wording import last_words
from lmrl_envs.language.bargaining import NOTHING, Meaning, understand

FAR = 3.0
"""A price above the most it would pay times this is no ground to haggle from."""
MOST_CARS = 2
"""Prices of more cars in one line are too many at once."""


def meant(turn: Turn) -> dict[int, Meaning]:
    """Index of a car -> what the line means for it: for those it names, else for the one under discussion; -1: for none."""
    state = turn.state
    unclear = not turn.cars and ambiguous_type(turn.line) is not None
    indices = list(dict.fromkeys(i for _, i in turn.cars))
    if not indices and not unclear:
        indices = [state["counter_car"] if state["counter"] > 0 else state["focus"]]
    if not indices or indices == [-1]:
        return {-1: understand(turn.line.line, NOTHING)}
    return {i: meaning(turn.line, turn.cars, i, turn.standing(i)) for i in indices}


def answer_prices(turn: Turn, heard: dict[int, Meaning]) -> str:
    """The buyer's own offer taken; prices asked and discounts, each for a car."""
    state, own = turn.state, turn.state["counter_car"]
    taken = heard.get(own) if state["counter"] > 0 else None
    if (
        taken
        and taken.act in ("accept", "close")
        and taken.price is not None
        and round(taken.price) == state["counter"]
    ):
        return _buy(turn, own, state["counter"])
    asked = {i: m.price for i, m in heard.items() if m.act in ("offer", "discount", "close") and m.price is not None}
    if "trade_in" in turn.line.acts:  # what is given for the old car is no price of a new one
        asked = {i: price for i, price in asked.items() if i >= 0 and price >= rules.least_offer(turn.stock[i])}
    if asked and "bundle" in turn.line.acts:
        return turn.say("bundle")
    if len(asked) > MOST_CARS:  # it does not choose for the seller
        turn.cost += 0.5
        return turn.say("too_many")
    if -1 in asked:
        kind = ambiguous_type(turn.line)
        turn.cost += 0.2
        return turn.say("which", type=kind) if kind else turn.say("no_car")
    if not asked:
        acts = {m.act for m in heard.values()}
        if "discount" in acts:
            return turn.say("no_discount_base")
        return turn.say("nothing_to_agree") if "accept" in acts and state["counter"] <= 0 else ""
    answer = ""
    # The car it likes best comes last: what it says about that one is what counts.
    order = sorted(asked, key=lambda i: rules.fit(turn.buyer, turn.stock[i]))
    for index in order:
        claims(turn, index)
        if len(order) > 1 and index == order[-1]:
            turn.notes.append(turn.say("prefer_car", car=short(turn.stock[index])))
        answer = _weigh(turn, index, asked[index])
        if turn.outcome:
            break
    return answer


def _weigh(turn: Turn, index: int, amount: float) -> str:
    """React to an asking price: buy, counter or refuse."""
    state, car = turn.state, turn.stock[index]
    if turn.look_at(index) and len(state["talked"]) > ENOUGH_CARS:
        turn.cost += 0.6
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
    if conceded >= NOTICED:
        state["clock"] += min(1.0, conceded / FULL_CONCESSION)
    elif before is not None:
        turn.cost += 0.3  # nothing new
    most = most_paid(turn.buyer, state, car)
    limit = wish = aspiration(turn.buyer, state, most)
    final = "final" in turn.line.acts
    if final:
        state["finals"] += 1
        if state["finals"] == 1:
            limit = wish + (most - wish) * (0.4 if turn.traits.pressure >= 0 else 0.2)
        turn.cost += 1.0
    if price <= max(limit, state["counter"] * (state["counter_car"] == index)) and state["mood"] > -0.9:
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
    if min(price, car["msrp"]) > FAR * most or most < rules.least_offer(car):
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


def answer_offer(turn: Turn, heard: Meaning) -> str:
    """What is said to the buyer's own standing offer: it is refused, asked about, or taken in words that are not quite clear."""
    state, acts = turn.state, turn.line.acts
    values = turn.counter_values()
    if heard.almost:
        return turn.confused("sure_deal", **values)
    if heard.act == "close":
        return turn.say("close", **values)
    if heard.act == "refuse":
        asked = state["heard"].get(str(state["counter_car"]))
        return turn.say("refused_price", money=money(asked), **values) if asked else turn.say("refused", **values)
    if "question" not in acts:
        return ""
    if "ask_source" in acts or ("ask_why" in acts and not turn.cars):
        return f"{turn.say('why_price')} {turn.nudge()}"
    if "ask_higher" in acts:
        return turn.say("ask_higher", **values)
    named = any(round(amount.value) == state["counter"] for amount in turn.line.line.amounts)
    return turn.say("confirm_counter", **values) if named or turn.line.line.has("query") else ""
