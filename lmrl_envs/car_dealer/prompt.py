"""How a language model plays the buyer: its prompt, and how its words and its decision are read."""

from __future__ import annotations

import re

from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.prices import normalise, read_prices
from lmrl_envs.car_dealer.reading import named, read
from lmrl_envs.car_dealer.rules import MAX_TURNS, money, short
from lmrl_envs.language.lists import toml
from lmrl_envs.partners.base import PartnerReply, PartnerRequest
from lmrl_envs.partners.prompting import quote, quote_dialogue

QUOTED_LENGTH = 600
"""Bytes of the seller's last line that the model is shown."""
EARLIER_LENGTH = 240
"""Bytes of each earlier text."""
SHOWN_TEXTS = 24
"""Earlier texts that the model is shown, the last ones."""
REPLY_LENGTH = 800

_TEXTS = toml(__file__, "prompt.toml")
_DECISION = re.compile(
    r"decision:\s*(?:(?P<reject>reject)|accept\s+(?P<car>.+?)\s+(?:at|for)\s+(?P<price>(?:us)?\$?\s?\d[\d,. ]*k?)(?: dollars)?)\s*\.?",
    re.IGNORECASE,
)


class CarBuyerPrompt:
    """The buyer of Car Dealer (see `lmrl_envs.partners.PartnerPrompt`)."""

    name = "car_buyer"
    max_new_tokens = 120

    def messages(self, request: PartnerRequest) -> list[dict[str, str]]:
        """The buyer's character as the system message, then the conversation from its side."""
        buyer, stock = request.hidden["buyer"], request.hidden["stock"]
        lines = rules.opening_text(stock).splitlines()[1:-1]
        system = _TEXTS["system"].format(
            temper=_TEXTS["temper"][buyer["personality"]],
            want=buyer["type"],
            brand=buyer["brand"],
            features=", ".join(buyer["features"]),
            budget=money(buyer["budget"]),
            patience=buyer["patience"],
            stock="\n".join(lines),
        )
        # The first text is the stock list, which stands above; the rest begins with the seller.
        parts = [quote_dialogue(request.texts[1:], ("Seller", "You"), last=SHOWN_TEXTS, limit=EARLIER_LENGTH)]
        parts += [f"Seller: {quote(request.action, QUOTED_LENGTH)}"]
        if len(request.texts) // 2 + 1 >= MAX_TURNS:
            parts.append("The shop is closing: decide now.")
        parts.append(_TEXTS["closing"])
        return [
            {"role": "system", "content": system},
            {"role": "user", "content": "\n".join(part for part in parts if part)},
        ]

    def target(self, reply: PartnerReply, request: PartnerRequest) -> str:
        """A recorded reply in this format: its words, and the decision in a line of its own."""
        outcome = reply.outcome
        if not outcome:
            return reply.text
        sale = f"accept {outcome.get('car')} at {money(outcome.get('price', 0))}"
        return f"{reply.text}\nDecision: {sale if outcome['decision'] == 'accept' else 'reject'}"

    def label(self, reply: PartnerReply, request: PartnerRequest) -> str:
        """The decision (accept, reject), else whether a price is named in dollars (price) or not (talk)."""
        return str(reply.outcome.get("decision") or ("price" if "$" in reply.text else "talk"))

    def parse(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """What the customer says, and the decision if there is a well-formed one.

        None when there are no words, when a decision is malformed or not the last line, when its car is not in stock,
        or when its price was never said or is above the budget or the MSRP.
        """
        lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
        outcome = {}
        if lines and "decision:" in lines[-1].lower():
            match = _DECISION.fullmatch(lines.pop().strip("*_` "))
            if match is None:
                return None
            outcome = {"decision": "reject"} if match["reject"] else self._sale(match, lines, request)
            if outcome is None:
                return None
        said = " ".join(lines)
        if not any(letter.isalnum() for letter in said) or "decision:" in said.lower():
            return None
        return PartnerReply(said[:REPLY_LENGTH], True, outcome, {"focus": self._focus(request)})

    def _sale(self, match: re.Match[str], lines: list[str], request: PartnerRequest) -> dict[str, object] | None:
        stock, wanted = request.hidden["stock"], match["car"].strip().lower().removeprefix("the ")
        cars = [car for car in stock if wanted in (car["name"].lower(), short(car).lower())]
        amounts = [price.amount for price in read_prices(normalise(f"for {match['price'].strip(' .,')}"))]
        if len(cars) != 1 or len(amounts) != 1:
            return None
        car, price = cars[0], round(amounts[0])
        if not rules.least_offer(car) <= price <= min(request.hidden["buyer"]["budget"], car["msrp"]):
            return None
        if price not in said_prices([*request.texts[1:], request.action, *lines], car["msrp"]):
            return None
        return {"decision": "accept", "car": car["name"], "price": price}

    def _focus(self, request: PartnerRequest) -> int:
        """The car last named by the seller."""
        focus = int(request.state.get("focus", -1))
        cars = named(read(request.action), request.hidden["stock"], focus, [focus] if focus >= 0 else [])
        return cars[-1][1] if cars else focus


def said_prices(texts: list[str], msrp: int) -> set[int]:
    """Every price said in a conversation; a discount counts as what it makes of the MSRP or of a price said before."""
    said: set[int] = set()
    for text in texts:
        for price in read_prices(normalise(text[:2000])):
            if price.kind in ("off", "percent") and len(said) < 200:
                factor, less = (1 - price.amount / 100, 0.0) if price.kind == "percent" else (1.0, price.amount)
                said |= {round(base * factor - less) for base in (msrp, *said)}
            elif price.kind in ("offer", "list") and price.amount < 1e9:
                said.add(round(price.amount))
    return said
