"""The scripted buyer: a person with wishes, a budget, patience, trust and a mood, who haggles along a concession curve.

It keeps no game: everything is in the request's ``hidden`` and ``state``. What it does depends on these and on the
seller's words alone; the request's seed only picks the wording.
"""

from __future__ import annotations

from collections.abc import Sequence

from lmrl_envs.car_dealer.haggling import answer_agreement, answer_prices
from lmrl_envs.car_dealer.reading import named
from lmrl_envs.car_dealer.rules import MAX_TURNS
from lmrl_envs.car_dealer.talk import answer_chat, answer_pitch, answer_question
from lmrl_envs.car_dealer.turn import Turn
from lmrl_envs.car_dealer.wording import last_words, tone
from lmrl_envs.partners.base import PartnerReply, PartnerRequest

_WITH_TONE = frozenset(
    {"want", "want_more", "features", "budget", "like_car", "ok_car", "counter_first", "counter", "ask_price", "far"}
)
_CREDIT = frozenset({"financing", "finance", "lease", "leasing", "loan", "apr", "instalments", "installments"})


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
    if turn.named and state["focus"] not in turn.named:
        turn.look_at(turn.named[-1])
    state["last"] = turn.line.text[:200]
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
    elif turn.intent in _WITH_TONE and not turn.outcome and state["turns"] > 1:
        state["manner"], phrase = tone(turn.buyer["personality"], state["mood"], turn.roll(), state["manner"])
        text = phrase + text[:1].upper() + text[1:]
    return PartnerReply(text[:1].upper() + text[1:], not turn.odd, turn.outcome, state)


def _react(turn: Turn) -> str:
    """The answer to the line; sets the outcome when the buyer decides."""
    line, state, acts = turn.line, turn.state, turn.line.acts
    if line.empty:
        turn.odd, turn.cost = True, 1.5
        return turn.say("empty")
    if line.text[:200] == state["last"] and len(line.text) > 3:
        turn.cost += 1.0
        turn.feel(-0.03, -0.15)
        turn.notes.append(turn.say("repeat"))
    if "insult" in acts:
        turn.cost += 3.0
        turn.feel(-0.3, -0.6)
        withdrawn, state["counter"], state["counter_car"] = state["counter"] > 0, 0, -1
        return turn.say("insulted_off" if withdrawn else "insulted")
    if "marker" in acts:
        turn.odd = True
        turn.cost += 0.5
        turn.feel(-0.1, -0.1)
        return turn.say("confused")
    cars = named(line, turn.stock, state["focus"], state["talked"])
    turn.named = [index for _, index in cars]
    money_talk = [price for price in line.prices if price.kind != "none"]
    if "farewell" in acts and not money_talk:
        turn.decide("reject")
        return turn.say("dismissed")
    _courtesy(turn)
    by_rates = ("month" in line.text and line.prices) or not line.words.isdisjoint(_CREDIT)
    if by_rates and not money_talk:
        return turn.say("monthly")
    for step in (answer_agreement, answer_prices, answer_question, answer_pitch):
        answer = step(turn, cars, money_talk)
        if answer:
            return answer
    return answer_chat(turn)


def _leave(turn: Turn) -> str:
    turn.decide("reject")
    turn.notes.clear()
    return last_words("leave", turn.buyer["personality"], turn.roll())


def _courtesy(turn: Turn) -> None:
    """Politeness, compliments and pressure: what they do to trust and mood."""
    acts, state, traits = turn.line.acts, turn.state, turn.traits
    if acts & {"polite", "greeting"} and state["courtesies"] < 8:
        state["courtesies"] += 1
        turn.feel(0.02, 0.08)
    if "honest" in acts and state["courtesies"] < 8:
        state["courtesies"] += 2
        turn.feel(0.06, 0.05)
        if not acts & {"question"} and not turn.line.prices:
            turn.notes.append(turn.say("reassured"))
    if "flattery" in acts:
        state["compliments"] += 1
        liked = traits.flattery > 0 and state["compliments"] <= 3
        turn.feel(0.03 if liked else -0.04, 0.15 if liked else -0.1)
        turn.notes.append(turn.say("flattered" if liked else "unflattered"))
    if "pressure" in acts:
        state["pressed"] += 1
        liked = traits.pressure > 0 and state["pressed"] <= 2
        turn.feel(-0.01 if liked else -0.06, 0.0 if liked else -0.2)
        turn.cost += 0.3 if liked else 0.8
        turn.notes.append(turn.say("pressed" if liked else "unpressed"))
