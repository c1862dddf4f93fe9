"""The buyer's part of the talk that is not about prices: its wishes, its budget, the cars it is shown, small talk.

Answers are texts; "" means: nothing to say to that.
"""

from __future__ import annotations

from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.buyer_state import aspiration, most_paid
from lmrl_envs.car_dealer.prices import Price
from lmrl_envs.car_dealer.reading import Reading, ambiguous_type
from lmrl_envs.car_dealer.rules import Car, money, short
from lmrl_envs.car_dealer.turn import Turn
from lmrl_envs.car_dealer.wording import THE, article, listed
from lmrl_envs.language.lists import sections, words

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
_COMMON = frozenset(words(sections(__file__, "vocabulary.txt")["common"]))


def answer_question(turn: Turn, cars: list[tuple[int, int]], prices: list[Price]) -> str:
    """Questions about budget, wishes and features; guesses at them ("Do you like BMW?")."""
    acts, state = turn.line.acts, turn.state
    if "test_drive" in acts and "question" in acts and turn.focus and not cars and not prices:
        return f"{turn.say('drive', car=short(turn.focus))} {turn.nudge()}"
    if "ask_budget" in acts:
        if acts & {"ask_needs", "ask_features"} and not cars and any(cue in turn.line.text for cue in _BOTH):
            wishes = _tell_features(turn) if "ask_features" in acts else _tell_wishes(turn)
            return f"{wishes} {_tell_budget(turn)}"
        return _tell_budget(turn)
    if "ask_offer" in acts:
        if state["counter"] > 0:
            return turn.say("nudge_counter", **turn.counter_values())
        return _make_offer(turn)
    aside = next((said for act, said in _ASIDES.items() if act in acts), "")
    if aside == "trade_in" or (aside and "question" in acts and not prices):
        wishes = "ask_needs" in acts and any(cue in turn.line.text for cue in _BOTH[:5])
        worth = aside == "why" and state["counter"] > 0
        return f"{turn.say('why_price' if worth else aside)} {_tell_wishes(turn) if wishes else turn.nudge()}"
    if "ask_opinion" in acts and turn.focus and not cars:
        if state["counter"] > 0:
            return turn.say("nudge_counter", **turn.counter_values())
        return comment(turn, state["focus"], new=False)
    line = turn.line
    if "about_you" in acts and (line.brands or line.types or line.features):
        return _answer_guess(turn, cars)
    if "ask_features" in acts and not cars:
        return _tell_features(turn)
    if "ask_needs" in acts and not cars:
        return _tell_wishes(turn)
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


def _wishes(turn: Turn) -> list[str]:
    """Type, brand and features, in the order in which they are told."""
    return [turn.buyer["type"], turn.buyer["brand"], *turn.buyer["features"]]


def _phrase(turn: Turn, low: int, high: int) -> str:
    """The wishes from ``low`` to ``high`` as one phrase."""
    told, features = _wishes(turn)[low:high], turn.buyer["features"]
    kind = turn.buyer["type"] if low == 0 and high >= 1 else ""
    brand = turn.buyer["brand"] if low <= 1 < high else ""
    head = " ".join(part for part in (brand, kind) if part)
    tail = (
        listed([THE[feature] for feature in told if feature in features])
        if high > 2 and len(told) > bool(kind) + bool(brand)
        else ""
    )
    head = article(head) if head else ""
    return f"{head} with {tail}" if head and tail else head or tail


def _tell_wishes(turn: Turn) -> str:
    state, n = turn.state, 2 + len(turn.buyer["features"])
    told = state["told"]
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


def _answer_guess(turn: Turn, cars: list[tuple[int, int]]) -> str:
    line, buyer = turn.line, turn.buyer
    if cars:
        turn.look_at(cars[-1][1])
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
        return turn.say(
            "no_hint",
            want=article(buyer["type"])
            if line.types
            else article(buyer["brand"])
            if line.brands
            else THE[buyer["features"][0]],
        )
    return turn.say("no")


def answer_pitch(turn: Turn, cars: list[tuple[int, int]], prices: list[Price]) -> str:
    """A car is shown, or features of the one under discussion are pointed out."""
    line, state = turn.line, turn.state
    if cars:
        index = cars[-1][1]
        new = turn.look_at(index)
        spoke = claims(turn, index)
        if not new and not spoke and state["counter_car"] != index:
            return turn.say("nudge_price", car=short(turn.stock[index]))
        return (
            comment(turn, index)
            if new
            else (
                turn.say("nudge_counter", **turn.counter_values())
                if state["counter_car"] == index
                else turn.say("ask_price")
            )
        )
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
    return ""


def claims(turn: Turn, index: int) -> bool:
    """What the line says of features: wanted ones please, false ones cost trust. Whether anything was said."""
    state, car, said = turn.state, turn.stock[index], False
    if not turn.line.features or ("question" in turn.line.acts and not turn.line.prices):
        return False
    for feature in turn.line.features:
        if feature in car["features"]:
            if feature in turn.buyer["features"] and feature not in state["praised"]:
                state["praised"] = (*state["praised"], feature)
                turn.feel(0.03, 0.1)
                turn.cost -= 0.3
                if not said:
                    turn.notes.append(turn.say("feature_good", feature=THE[feature]))
                said = True
        elif not any(
            word in turn.line.words for word in ("no", "not", "without", "lacks", "doesn't", "don't", "isn't")
        ):
            turn.feel(-0.15, -0.2)
            turn.cost += 0.5
            turn.notes.append(turn.say("feature_lie", feature=THE[feature], car=short(car)))
            said = True
    return said


def comment(turn: Turn, index: int, new: bool = True) -> str:
    """What it thinks of a car that is shown to it, and a question back."""
    car, buyer, state = turn.stock[index], turn.buyer, turn.state
    share = rules.match_share(buyer, car)
    if car["msrp"] > 1.8 * buyer["budget"]:
        return turn.say("too_rich", car=short(car)) + hint(turn, car)
    if share >= 0.12:
        if new:  # it is glad once
            turn.cost -= 0.4
            turn.feel(0.03, 0.15)
        opinion = turn.say("like_car", car=short(car))
    elif share >= 0.05:
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
    elif car["brand"] != buyer["brand"] and not missing:
        said = turn.say("hint_brand", brand=buyer["brand"])
    elif missing:
        said = turn.say("hint_missing", feature=THE[missing[0]])
    else:
        unsaid = [feature for feature in buyer["features"] if feature not in turn.state["praised"]]
        said = turn.say("hint_feature", feature=THE[unsaid[0]]) if unsaid else ""
    return f" {said}" if said else ""


def answer_chat(turn: Turn) -> str:
    """Small talk, greetings, and whatever else."""
    acts, state = turn.line.acts, turn.state
    if "small_talk" in acts:
        if state["courtesies"] < 8:
            state["courtesies"] += 2
            turn.feel(0.04, 0.1 if turn.traits.patience > 16 else -0.1)
        words = turn.line.words
        topic = next((topic for topic, cues in _TOPICS.items() if not cues.isdisjoint(words)), "chat")
        return turn.say(topic)
    if "greeting" in acts and state["turns"] == 1:
        return turn.say("greet")
    known = acts & _KNOWN_ACTS
    if not known and not turn.notes:
        turn.odd = not _plausible(turn.line)
        turn.cost += 0.5 if turn.odd else 0.0
        if turn.odd:
            turn.feel(-0.02, -0.05)
            return turn.say("confused")
        if "question" in acts:
            return f"{turn.say('no_answer')} {turn.nudge()}"
    return turn.nudge()


def _plausible(line: Reading) -> bool:
    """Whether the line looks like English at all."""
    return (len(line.words & _COMMON) >= 1 and len(line.words) >= 2) or line.words <= _COMMON
