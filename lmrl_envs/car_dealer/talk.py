"""The buyer's part of the talk that is not about prices: its wishes, its budget, the cars it is shown, questions, small talk.

Answers are texts; "" means: nothing to say to that.
"""

from __future__ import annotations

from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.buyer_state import ARGUMENT, aspiration, most_paid
from lmrl_envs.car_dealer.reading import ambiguous_type
from lmrl_envs.car_dealer.stock import Car, money, short
from lmrl_envs.car_dealer.turn import Turn
from lmrl_envs.car_dealer.wording import THE, article, listed
from lmrl_envs.language.bargaining import Meaning

_ASIDES = ("ask_drink", "ask_name", "ask_when", "ask_whom", "ask_colour", "ask_pay", "ask_current", "ask_who", "ask_why")  # fmt: skip
"""What a person is asked beside wishes and money; each has lines of its own."""
ENOUGH_CARS = 4
"""More cars than that try its patience."""
_BOTH = frozenset({"ask_needs", "ask_features"})
_TOPICS = {
    "chat_weather": frozenset({"weather", "rain", "sun"}),
    "chat_family": frozenset({"family", "kids", "wife", "husband", "children"}),
    "chat_car": frozenset({"drive", "driving", "first", "commute"}),
}


def answer_question(turn: Turn) -> str:
    """Questions about budget, wishes and features; guesses at them ("Do you like BMW?"); questions about the buyer."""
    acts, state, line = turn.line.acts, turn.state, turn.line
    if "trade_in" in acts:
        return f"{turn.say('trade_in')} {turn.nudge()}"
    if "question" not in acts:
        return ""
    if line.others:
        return turn.say("other_make", make=line.others[0])
    if "test_drive" in acts and turn.focus and not turn.cars:
        return f"{turn.say('drive', car=short(turn.focus))} {turn.nudge()}"
    if "ask_budget" in acts and turn.cars and state["counter"] > 0 and "pay" in line.words:
        return turn.say("nudge_counter", **turn.counter_values())  # "What do you want to pay for the Subaru?"
    if "ask_budget" in acts:
        if not acts & _BOTH or turn.cars:
            return _tell_budget(turn)
        wishes = _tell_features(turn) if "ask_features" in acts else _tell_wishes(turn)
        return f"{wishes} {_tell_budget(turn)}"
    if "ask_offer" in acts:
        return turn.say("nudge_counter", **turn.counter_values()) if state["counter"] > 0 else _make_offer(turn)
    if "ask_interest" in acts:
        return f"{turn.say('ask_interest')} {turn.nudge()}"
    aside = next((act for act in _ASIDES if act in acts), "")
    if aside and not turn.cars:
        return f"{turn.say(aside)} {turn.nudge()}"
    if acts & _BOTH and not turn.cars and "about_you" not in acts:
        if acts >= _BOTH or "ask_needs" in acts:
            return _tell_wishes(turn)
        return _tell_features(turn)
    if "about_you" in acts:
        return _answer_guess(turn)
    if "ask_opinion" in acts and turn.focus and not turn.cars:
        if state["counter"] > 0:
            return turn.say("nudge_counter", **turn.counter_values())
        return comment(turn, state["focus"], new=False)
    return ""


def _make_offer(turn: Turn) -> str:
    """Asked for an offer: it makes one for a car whose price it has heard."""
    state, index = turn.state, turn.state["focus"]
    if str(index) not in state["heard"]:
        return turn.say("ask_offer")
    car = turn.stock[index]
    most = most_paid(turn.buyer, state, car)
    wish = min(aspiration(turn.buyer, state, most), state["heard"][str(index)]) // 50 * 50
    if wish < rules.least_offer(car):
        return turn.say("far_again")
    state["counter"], state["counter_car"] = wish, index
    return turn.say("counter_first", money=money(state["heard"][str(index)]), counter=money(wish), car=short(car))


def _tell_budget(turn: Turn) -> str:
    state, traits = turn.state, turn.traits
    state["asked_budget"] += 1
    asked = state["asked_budget"]
    willing = state["trust"] >= traits.reveal or asked >= (2 if turn.buyer["personality"] == "shy" else 4)
    if not willing:
        turn.cost += 0.2
        return turn.say("budget_no")
    amount = money(round(turn.buyer["budget"] * traits.honesty, -2))
    again, state["told_budget"] = state["told_budget"], True
    if not again:
        turn.cost -= 0.3
    return turn.say("budget_again" if again else "budget", money=amount)


def _phrase(turn: Turn, low: int, high: int) -> str:
    """The wishes from ``low`` to ``high`` (type, brand, features) as one phrase."""
    buyer = turn.buyer
    told = [buyer["type"], buyer["brand"], *buyer["features"]][low:high]
    head = " ".join(part for part in (buyer["brand"], buyer["type"]) if part in told)
    tail = listed([THE[feature] for feature in told if feature in THE]) if high > 2 and told[-1] in THE else ""
    head = article(head) if head else ""
    return f"{head} with {tail}" if head and tail else head or tail


def _tell_wishes(turn: Turn) -> str:
    state, n = turn.state, 2 + len(turn.buyer["features"])
    told = state["told"]
    if "brand" in turn.line.words and told < 2:  # asked about one wish, it tells that one
        state["told"] = 2 if told == 1 else told
        return turn.say("want_more", want=article(turn.buyer["brand"]))
    if told >= n:
        turn.cost += 0.2
        return turn.say("want_all_told", want=_phrase(turn, 0, n))
    state["told"] = min(n, told + max(1, round(turn.traits.talk * 3)))
    turn.cost -= 0.3
    intent = "want" if told == 0 else "want_more" if told == 1 else "features"
    return turn.say(intent, want=_phrase(turn, told, state["told"]))


def _tell_features(turn: Turn) -> str:
    features = turn.buyer["features"]
    shown = features if turn.traits.talk >= 0.5 or turn.state["told"] >= 2 else features[:1]
    turn.cost -= 0.2
    if len(shown) == len(features) and turn.state["told"] >= 2:
        turn.state["told"] = 2 + len(features)
    return turn.say("features", want=listed([THE[feature] for feature in shown]))


def _answer_guess(turn: Turn) -> str:
    line, buyer = turn.line, turn.buyer
    if turn.cars:
        turn.look_at(turn.cars[-1][1])
    hits = [brand == buyer["brand"] for _, brand in line.brands]
    hits += [kind == buyer["type"] for _, kind in line.types]
    hits += [feature in buyer["features"] for feature in line.features]
    choice = "or" in line.words and len(hits) > 1
    if choice and any(hits):
        turn.cost -= 0.2
        told = [*(brand for _, brand in line.brands), *(kind for _, kind in line.types), *line.features]
        want = told[hits.index(True)]
        return turn.say("want", want=THE[want] if want in THE else article(want))
    if all(hits):
        turn.cost -= 0.2
        return turn.say("yes")
    if choice or turn.traits.talk >= 0.6:
        want = buyer["type"] if line.types else buyer["brand"] if line.brands else ""
        return turn.say("no_hint", want=article(want) if want else THE[buyer["features"][0]])
    return turn.say("no")


def answer_pitch(turn: Turn) -> str:
    """A car is shown, or features of the one under discussion are pointed out; extras and what is not for sale here."""
    line, state = turn.line, turn.state
    if turn.cars:
        index = turn.cars[-1][1]
        new = turn.look_at(index)
        spoke = claims(turn, index)
        if new and len(state["talked"]) > ENOUGH_CARS:
            turn.cost += 0.6
        if new:
            return comment(turn, index)
        if state["counter_car"] == index:
            return turn.nudge()
        return turn.say("ask_price") if spoke else turn.say("nudge_price", car=short(turn.stock[index]))
    if line.others:
        return turn.say("other_make", make=line.others[0])
    if "bundle" in line.acts:
        return turn.say("bundle")
    kind = ambiguous_type(line)
    if kind:
        have = any(car["type"] == kind for car in turn.stock)
        return turn.say("which" if have else "none_such", type=kind)
    if line.features and turn.focus:
        had = len(turn.notes)
        claims(turn, state["focus"])
        if len(turn.notes) == had:
            turn.notes.append(turn.say("feature_meh"))
        return turn.nudge()
    return f"{turn.say('extras')} {turn.nudge()}" if "extras" in line.acts else ""


def claims(turn: Turn, index: int) -> bool:
    """What the line says of features: wanted ones please, false ones cost trust. Whether anything was said."""
    state, car, said = turn.state, turn.stock[index], False
    if not turn.line.features or ("question" in turn.line.acts and not turn.line.line.amounts):
        return False
    denied = not turn.line.words.isdisjoint(("no", "not", "without", "lacks"))
    others = [turn.stock[i]["features"] for _, i in turn.cars if i != index]
    for feature in turn.line.features:
        if feature not in car["features"] and any(feature in own for own in others):
            continue  # said of another car that the line names
        if feature in car["features"]:
            if feature in turn.buyer["features"] and feature not in state["praised"] and not denied:
                state["praised"] = (*state["praised"], feature)
                state["clock"] += ARGUMENT
                turn.feel(0.03, 0.1)
                turn.cost -= 0.3
                if not said:
                    turn.notes.append(turn.say("feature_good", feature=THE[feature]))
                said = True
        elif not denied:
            turn.feel(-0.15, -0.2)
            turn.cost += 0.5
            turn.notes.append(turn.say("feature_lie", feature=THE[feature], car=short(car)))
            said = True
    return said


def comment(turn: Turn, index: int, new: bool = True) -> str:
    """What it thinks of a car that is shown to it, and a question back."""
    car, buyer, state = turn.stock[index], turn.buyer, turn.state
    fits = rules.fit(buyer, car)
    if car["msrp"] > 2.2 * buyer["budget"]:
        return turn.say("too_rich", car=short(car)) + hint(turn, car)
    if fits >= 0.7:
        turn.cost -= 0.4 * new
        turn.stirred += 0.15 * new
        opinion = turn.say("like_car", car=short(car))
    elif fits >= 0.45:
        turn.cost -= 0.2 * new
        opinion = turn.say("ok_car", car=short(car))
    else:
        opinion = turn.say("dislike_car", car=short(car))
    if str(index) in state["heard"]:
        return opinion
    return f"{opinion}{hint(turn, car)} {turn.say('ask_price')}"


def hint(turn: Turn, car: Car) -> str:
    """Something it misses in the car, from those who talk; with a space before, to come after a sentence."""
    buyer = turn.buyer
    if turn.traits.talk < 0.3 + turn.roll() % 10 / 10:
        return ""
    missing = [feature for feature in buyer["features"] if feature not in car["features"]]
    if car["type"] != buyer["type"]:
        said = turn.say("hint_type", type=article(buyer["type"]))
    elif missing:
        said = turn.say("hint_missing", feature=THE[missing[0]])
    elif car["brand"] != buyer["brand"]:
        said = turn.say("hint_brand", brand=buyer["brand"])
    else:
        unsaid = [feature for feature in buyer["features"] if feature not in turn.state["praised"]]
        said = turn.say("hint_feature", feature=THE[unsaid[0]]) if unsaid else ""
    return f" {said}" if said else ""


def answer_chat(turn: Turn, heard: Meaning) -> str:
    """Small talk, greetings, what the shop says of itself; what it does not understand, it says so."""
    acts, state, line = turn.line.acts, turn.state, turn.line.line
    if "small_talk" in acts:
        if turn.first("small talk"):
            turn.feel(0.05, 0.1 if turn.traits.patience > 16 else -0.1)
            turn.cost -= 0.6 * (turn.traits.talk > 0.9)
        topic = next((topic for topic, cues in _TOPICS.items() if not cues.isdisjoint(turn.line.words)), "chat")
        return turn.say(topic)
    if heard.act == "greet" or line.has("greet"):
        return turn.say("greet") if state["turns"] == 1 else turn.nudge()
    if heard.act == "question":
        return turn.confused("no_answer")
    if heard.act == "close":
        return turn.say("nothing_to_agree")
    if turn.notes or acts & {"polite", "honest", "final"} or heard.act in ("other", "accept", "refuse", "praise"):
        return turn.nudge()
    if heard.act == "inform":
        return f"{turn.say('heard')} {turn.nudge()}"
    turn.feel(-0.02, -0.05)
    return turn.confused()
