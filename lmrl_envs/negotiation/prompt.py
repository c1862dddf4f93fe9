"""How a language model plays the partner: its prompt, and how its words are read. The rules stay outside the model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lmrl_envs.core import Transcript, Turn
from lmrl_envs.files.untrusted import decode
from lmrl_envs.language.lists import toml
from lmrl_envs.negotiation.items import description
from lmrl_envs.negotiation.partner import partner_of
from lmrl_envs.negotiation.reading import formal_act
from lmrl_envs.negotiation.rules import MOST_PAID, Role, State
from lmrl_envs.negotiation.wording import money
from lmrl_envs.partners.base import PartnerReply, PartnerRequest
from lmrl_envs.partners.prompting import quote, quote_dialogue

_TEXTS = toml(__file__, "prompt.toml")
_OBJECT = re.compile(r"\{[^{}]*\}")
QUOTED_LENGTH, EARLIER_LENGTH, REPLY_LENGTH = 600, 240, 400


class NegotiationPrompt:
    """The partner of Negotiation (see `lmrl_envs.partners.PartnerPrompt`): a JSON object with message, act and price.

    Guards stand outside the model: it accepts only a formal offer that its rules' bottom line allows, and its own formal offers never
    pass that line; what does not hold is asked again.
    """

    name = "negotiation_partner"
    max_new_tokens = 120

    def messages(self, request: PartnerRequest) -> list[dict[str, str]]:
        """Role, listing, target and patience as the system message, then the talk from its side."""
        hidden = request.hidden
        card, role = hidden["card"], hidden["role"]
        partner, state = partner_of(hidden), _state(request)
        system = _TEXTS[role].format(
            title=card["title"], description=description(card, "seller"), listed=money(card["listed"]),
            target=money(round(partner.target)), bottom=money(round(partner.bottom(state))), patience=hidden["partner"]["patience"],
        )  # fmt: skip
        names = ("Seller", "You") if role == "buyer" else ("Buyer", "You")
        parts = [
            quote_dialogue(request.texts[1:], names, last=24, limit=EARLIER_LENGTH),
            f"{names[0]}: {quote(request.action, QUOTED_LENGTH)}",
            _TEXTS["standing"].format(price=money(state.offer)) if state.offer is not None else "",
            _TEXTS["closing"],
        ]
        return [
            {"role": "system", "content": system},
            {"role": "user", "content": "\n".join(part for part in parts if part)},
        ]

    # -- the other side as an agent's (`lmrl_agents.playing.versus.OtherSide`)

    env_id = "lmrl/Negotiation-v0"

    def seen(self, request: PartnerRequest) -> tuple[Transcript, dict[str, Any]]:
        """The talk from the partner's side: it begins with what the agent said first."""
        hidden = request.hidden
        texts = [_aloud(text) if k % 2 == 0 else text for k, text in enumerate((*request.texts[1:], request.action))]
        texts[0] = opening(
            hidden["card"], hidden["role"], hidden["partner"]["target"] * hidden["card"]["listed"], texts[0]
        )
        turns = [Turn(text, bool(k % 2), 0.0) for k, text in enumerate(texts)]
        return Transcript(turns), {"role": hidden["role"]}

    def played(self, action: str, request: PartnerRequest) -> PartnerReply:
        """Its action: a formal offer of the agent's is taken by ``accept`` and turned down by anything else."""
        state, offered, act = _state(request), formal_act(request.action), formal_act(action)
        state = state._replace(turns=state.turns + 1)
        stands = offered is not None and offered.name == "offer"
        if stands or (act is not None and act.name == "quit"):
            decision = "leave" if not stands else "accept" if act is not None and act.name == "accept" else "reject"
            return PartnerReply(_TEXTS[decision], True, {"decision": decision}, state._asdict())
        valid = (
            act is not None
            and act.name == "offer"
            and act.price is not None
            and act.price <= request.hidden["card"]["listed"] * MOST_PAID
        )
        if valid and act is not None:
            state = state._replace(mine=act.price, offer=act.price)
        text = _aloud(action) if valid or act is None else "..."
        outcome = {} if state.offer is None else {"offer": state.offer}
        return PartnerReply(text, True, outcome, state._asdict())

    def target(self, reply: PartnerReply, request: PartnerRequest) -> str:
        """How a model should say a recorded reply."""
        price = reply.outcome.get("offer")
        act = {"accept": "accept", "reject": "reject", "leave": "quit"}.get(str(reply.outcome.get("decision")), "")
        if not act:
            act = "offer" if price is not None and "\noffer " in reply.text else "message"
        said = {"message": reply.text.partition("\n")[0], "act": act, "price": price if act == "offer" else None}
        return json.dumps(said, allow_nan=False)

    def label(self, reply: PartnerReply, request: PartnerRequest) -> str:
        """What a reply amounts to: its decision, or whether it makes a formal offer."""
        return str(reply.outcome.get("decision", "offer" if "\noffer " in reply.text else "message"))

    def parse(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """The reply; None where it has to be asked again."""
        said = _said(text)
        if said is None:
            return None
        message, act, price = said
        hidden, state = request.hidden, _state(request)
        partner, formal = partner_of(hidden), formal_act(request.action)
        offered = formal.price if formal is not None and formal.name == "offer" else None
        state = state._replace(turns=state.turns + 1)
        if act == "accept":
            slack = partner.side * 0.01 * partner.listed
            if offered is None or partner.side * (partner.bottom(state) + slack - offered) < 0:
                return None
            return PartnerReply(message, True, {"decision": "accept"}, state._asdict())
        if offered is not None and act != "reject":
            return None  # a formal offer is taken or refused
        if act in ("reject", "quit"):
            if act == "reject" and offered is None:
                return None
            return PartnerReply(message, True, {"decision": "reject" if act == "reject" else "leave"}, state._asdict())
        if state.turns > hidden["partner"]["patience"]:
            return PartnerReply(message, True, {"decision": "leave"}, state._asdict())
        if act == "offer":
            if (
                price is None
                or not 0 < price <= partner.listed
                or partner.side * (partner.bottom(state) - price) < -0.5
            ):
                return None
            price = round(price, 2)
            state = state._replace(mine=price, offer=price)
            return PartnerReply(f"{message}\noffer {money(price)}", True, {"offer": price}, state._asdict())
        outcome = {} if state.offer is None else {"offer": state.offer}
        return PartnerReply(message, True, outcome, state._asdict())


def opening(card: Mapping[str, Any], role: Role, own: float, first: str) -> str:
    """The first text that an agent of a role sees: the listing, a buyer's target, the partner's first words."""
    lines = [
        f"You are {'selling' if role == 'seller' else 'buying'}: {card['title']} ({card['category']}{', rent a month' * (card['category'] == 'housing')}).",
        description(card, role),
        f"Listed at {money(card['listed'])}." + ("" if role == "seller" else f" You hope to pay {money(round(own))}."),
        f"{'Buyer' if role == 'seller' else 'Seller'}: {first}",
    ]
    return "\n".join(lines)


def _aloud(action: str) -> str:
    """What an agent says, as the other side hears it: a formal offer on a line of its own, and nothing else that looks like one."""
    act = formal_act(action)
    if act is not None and act.name == "offer" and act.price is not None:
        return f"{_TEXTS['offers']}\noffer {money(act.price)}"
    return " ".join(action.split()) or "..."


def _state(request: PartnerRequest) -> State:
    return State(**request.state) if request.state else State()


def _said(text: str) -> tuple[str, str, float | None] | None:
    found = _OBJECT.findall(text)
    if not found:
        return None
    try:
        said = decode(found[-1], dict[str, Any])
    except ValueError:
        return None
    message, act, price = said.get("message"), said.get("act", "message"), said.get("price")
    if not isinstance(message, str) or act not in ("message", "offer", "accept", "reject", "quit"):
        return None
    message = " ".join(message.split())[:REPLY_LENGTH]
    if not message or re.search(r"\boffer \$?\d", message.lower()):
        return None
    if (
        isinstance(price, bool)
        or not isinstance(price, int | float | None)
        or (price is not None and not 0 <= price <= 1e7)
    ):
        return None
    return message, act, None if price is None else float(price)
