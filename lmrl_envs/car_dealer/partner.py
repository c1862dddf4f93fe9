"""The scripted buyer: a person with wishes, a budget, patience, trust and a mood, who haggles along a concession curve.

It keeps no game: everything is in the request's ``hidden`` and ``state``. What it does depends on these and on the
seller's words alone; the request's seed only picks the wording.
"""

from __future__ import annotations

from collections.abc import Sequence

from lmrl_envs.car_dealer.buyer_state import CHARMS
from lmrl_envs.car_dealer.haggling import answer_offer, answer_prices, meant
from lmrl_envs.car_dealer.rules import MAX_TURNS
from lmrl_envs.car_dealer.talk import answer_chat, answer_pitch, answer_question
from lmrl_envs.car_dealer.turn import Turn
from lmrl_envs.car_dealer.wording import aside, last_words, tone
from lmrl_envs.partners.base import PartnerReply, PartnerRequest

_WITH_TONE = frozenset(
    {"want", "want_more", "features", "budget", "like_car", "counter_first", "counter", "ask_price", "far"}
)


class ScriptedBuyer:
    """Answers requests of Car Dealer; ``hidden`` holds ``buyer`` and ``stock``."""

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """One reply per request; ``outcome`` holds the decision when there is one."""
        return [_reply(Turn(request)) for request in requests]

    def close(self) -> None:
        """Nothing to release."""


def _reply(turn: Turn) -> PartnerReply:
    text = _react(turn)
    state = turn.state
    if turn.cars and state["focus"] not in (index for _, index in turn.cars):
        turn.look_at(turn.cars[-1][1])
    state["last"] = turn.line.line.text[:200]
    state["patience"] -= max(0.4, turn.cost * (1 - 0.2 * state["mood"]))
    if not turn.outcome:
        if state["patience"] <= 0 or state["turns"] >= MAX_TURNS:
            text = _leave(turn)
        elif state["patience"] <= 2:
            text += f" {turn.say('last')}"
        elif state["patience"] <= 4.5:
            text += f" {turn.say('soon')}"
    if turn.notes:
        text = " ".join([*turn.notes[:2], text])
    elif turn.intent in _WITH_TONE and turn.stirred and not turn.outcome and state["turns"] > 1:
        # A turn of phrase goes with what has just pleased or annoyed it.
        state["manner"], phrase = tone(turn.buyer["personality"], turn.stirred, turn.roll(), state["manner"])
        text = phrase + text[:1].upper() + text[1:]
    if not turn.outcome and turn.roll() % 10 < 4:
        text += aside(turn.buyer["personality"], turn.roll(), turn.said)
    return PartnerReply(text[:1].upper() + text[1:], not turn.odd, turn.outcome, state)


def _react(turn: Turn) -> str:
    """The answer to the line; sets the outcome when the buyer decides."""
    line, state, acts = turn.line, turn.state, turn.line.acts
    if line.empty:
        turn.odd, turn.cost = True, 1.5
        return turn.say("empty")
    if line.line.text[:200] == state["last"] and len(line.line.text) > 3:
        turn.cost += 1.0
        turn.feel(-0.03, -0.15)
        turn.notes.append(turn.say("repeat"))
    if "marker" in acts:
        turn.feel(-0.1, -0.1)
        return turn.confused()
    heard = meant(turn)
    main = heard.get(state["counter_car"]) or next(reversed(heard.values()))
    prices = any(m.price is not None for m in heard.values())
    if main.act == "insult" or (line.line.has("insult") and not prices):
        return _insulted(turn)
    if main.act == "goodbye":
        turn.decide("reject")
        return turn.say("dismissed")
    _courtesy(turn)
    if not prices and any(amount.role == "rate" for amount in line.line.amounts):
        return turn.say("monthly")
    answer = answer_prices(turn, heard)
    if not answer and state["counter"] > 0 and (main.almost or {i for _, i in turn.cars} <= {state["counter_car"]}):
        answer = answer_offer(turn, main)
    return answer or answer_question(turn) or answer_pitch(turn) or answer_chat(turn, main)


def _insulted(turn: Turn) -> str:
    state = turn.state
    turn.cost += 3.0
    turn.feel(-0.3, -0.6)
    withdrawn, state["counter"], state["counter_car"] = state["counter"] > 0, 0, -1
    return turn.say("insulted_off" if withdrawn else "insulted")


def _leave(turn: Turn) -> str:
    turn.decide("reject")
    turn.notes.clear()
    return last_words("leave", turn.buyer["personality"], turn.roll())


def _courtesy(turn: Turn) -> None:
    """Politeness, compliments and pressure: what the first of each does to trust and mood; more of the same does nothing, or harm."""
    acts, traits, line = turn.line.acts, turn.traits, turn.line.line
    if ("polite" in acts or line.has("greet")) and turn.first("polite"):
        turn.feel(CHARMS["polite"], 0.1)
    if "honest" in acts and turn.first("honest"):
        turn.feel(CHARMS["honest"], 0.05)
        if "question" not in acts and not line.amounts:
            turn.notes.append(turn.say("reassured"))
    if line.has("praise"):
        liked = turn.first("flattery") and traits.flattery > 0
        turn.feel(CHARMS["flattery"] if liked else -0.04, 0.15 if liked else -0.1)
        turn.notes.append(turn.say("flattered" if liked else "unflattered"))
    if line.has("urge"):
        liked = turn.first("pressure") and traits.pressure > 0
        turn.feel(CHARMS["pressure"] if liked else -0.06, 0.0 if liked else -0.2)
        turn.cost += 0.3 if liked else 0.8
        turn.notes.append(turn.say("pressed" if liked else "unpressed"))
