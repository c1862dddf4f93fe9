"""The scripted partner: reads what the agent says, does what its kind does, and words it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmrl_envs.negotiation.items import clauses
from lmrl_envs.negotiation.reading import Heard, formal_act, hear
from lmrl_envs.negotiation.rules import Act, Hidden, Partner, Role, State, Step
from lmrl_envs.negotiation.wording import say
from lmrl_envs.partners.base import PartnerReply, PartnerRequest

TOPICS = ("condition", "age", "reason", "handover")


class ScriptedPartner:
    """Answers requests of Negotiation; ``hidden`` holds ``partner``, ``card``, ``role``, ``manner`` and ``strict``.

    It keeps no game: everything is in the request. What it does depends on ``hidden``, ``state`` and the agent's words; the request's
    seed only picks the wording.
    """

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """One reply per request. ``outcome`` holds ``decision`` (accept, reject, leave) where the talk ends, else perhaps ``offer``."""
        return [_reply(request) for request in requests]

    def close(self) -> None:
        """Nothing to release."""


def greeting(hidden: Mapping[str, Any], seed: int) -> str:
    """The partner's first words."""
    return say("greet", hidden["role"], hidden["manner"], seed, **clauses(hidden["card"]))


def partner_of(hidden: Mapping[str, Any]) -> Partner:
    """The rules' partner of a request."""
    return Partner(Hidden(**hidden["partner"]), hidden["card"]["listed"], hidden["role"], hidden["strict"])


def _reply(request: PartnerRequest) -> PartnerReply:
    hidden = request.hidden
    state = State(**request.state) if request.state else State()
    partner = partner_of(hidden)
    formal = formal_act(request.action)
    heard = Heard(formal) if formal else hear(request.action, state, partner, hidden["card"])
    step = partner.answer(heard.act, state)
    text = _words(step, heard, hidden, request.seed)
    outcome: dict[str, Any] = {}
    if step.ended:
        outcome["decision"] = "accept" if step.deal is not None else "reject" if step.act.name == "refuse" else "leave"
    elif step.state.offer is not None:
        outcome["offer"] = step.state.offer
    if heard.act.name != "unread" or formal:
        outcome["read"] = list(heard.act)
    return PartnerReply(text, heard.act.name != "unread", outcome, step.state._asdict())


def _words(step: Step, heard: Heard, hidden: Mapping[str, Any], seed: int) -> str:
    role, manner, card = hidden["role"], hidden["manner"], hidden["card"]
    values = clauses(card)
    name, price = step.act
    if name == "ask":
        # One topic after the other, from one that the talk has to itself: nobody asks at once for what was just answered.
        topic = "seller" if role == "seller" else TOPICS[(step.state.asked + len(card["title"])) % len(TOPICS)]
        lead = _led_in(heard.act, role, seed)
        return lead + say(f"ask {topic}", role, None if lead else manner, seed, **values)
    if name == "unread":
        return say(heard.problem or "unread", role, manner, seed, **values)
    if name == "inform":
        return _answer(heard.topic, role, manner, seed, values)
    answered = ""
    if heard.topic and name not in ("closed", "refuse", "leave"):
        # A question is answered before the price is talked about.
        answered = _answer(heard.topic, role, None, seed, values) + " "
    return answered + say(name, role, manner, seed, price, **values)


def _led_in(act: Act, role: Role, seed: int) -> str:
    """What stands before a question that is asked back to a price or to the question for one; "" where money was not spoken of."""
    if act.price is not None:
        return say("noted", role, None, seed, act.price) + " "
    return say("not yet", role, None, seed) + " " if act.name == "vague" else ""


def _answer(topic: str, role: Role, manner: str | None, seed: int, values: Mapping[str, Any]) -> str:
    if role == "buyer":
        return say("inform handover" if topic == "handover" else "inform", "buyer", manner, seed, **values)
    return say(f"inform {topic or 'other'}", "seller", manner, seed, **values)


def invalid_act(act: Act, hidden: Mapping[str, Any], seed: int) -> str:
    """What is said to a formal act that cannot be: an answer to no offer, or a price that is none."""
    return say("none_standing" if act.name in ("accept", "reject") else "odd_price", hidden["role"], hidden["manner"], seed,
               **clauses(hidden["card"]))  # fmt: skip
