"""How a language model plays the buyer: its prompt, and how its words and its decision are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lmrl_envs.car_dealer.reading import named, read
from lmrl_envs.car_dealer.rules import MAX_TURNS, least_offer
from lmrl_envs.car_dealer.stock import Car, money, opening_text, short
from lmrl_envs.language import bargaining_line, bargaining_price
from lmrl_envs.language.bargaining import NOTHING, Standing, understand
from lmrl_envs.language.lists import toml
from lmrl_envs.partners.base import PartnerReply, PartnerRequest
from lmrl_envs.partners.prompting import CUT, quote, quote_dialogue

QUOTED_LENGTH = 600
"""Bytes of the seller's last line that the model is shown."""
EARLIER_LENGTH = 240
"""Bytes of each earlier text."""
SHOWN_TEXTS = 24
"""Earlier texts that the model is shown, the last ones."""
REPLY_LENGTH = 800

_TEXTS = toml(__file__, "prompt.toml")
_READING = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _TEXTS["reading"].items()}
_AMOUNT = re.compile(r"(?:us)?\$?\s?\d[\d,. ]*k?")


class CarBuyerPrompt:
    """The buyer of Car Dealer (see `lmrl_envs.partners.PartnerPrompt`)."""

    name = "car_buyer"
    max_new_tokens = 160

    def messages(self, request: PartnerRequest) -> list[dict[str, str]]:
        """The buyer's character as the system message, then the conversation from its side."""
        buyer, stock = request.hidden["buyer"], request.hidden["stock"]
        lines = opening_text(stock).splitlines()[1:-1]
        system = _TEXTS["system"].format(
            temper=_TEXTS["temper"][buyer["personality"]],
            want=buyer["type"],
            brand=buyer["brand"],
            features=", ".join(buyer["features"]),
            budget=money(buyer["budget"]),
            stock="\n".join(lines),
        )
        # The first text is the stock list, which stands above; the rest begins with the seller.
        parts = [quote_dialogue(request.texts[1:], ("Seller", "You"), last=SHOWN_TEXTS, limit=EARLIER_LENGTH)]
        parts += [f"Seller: {quote(request.action, QUOTED_LENGTH)}", _time(request), _TEXTS["closing"]]
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
        """What the customer says, and the decision if there is one.

        None when there is neither, when a decision is not clear, when its car is not in stock, when its price was not agreed in
        what the model saw or is above the budget or the MSRP, and when the words agree to a sale without the decision.
        """
        words, decided = _parted(text)
        outcome: dict[str, object] | None = {}
        if len(decided) > 1:
            return None
        if decided and not _READING["undecided"].match(decided[0]):
            reject = _READING["reject"].match(decided[0])
            outcome = {"decision": "reject"} if reject else self._sale(decided[0], request)
        if outcome is None or (not outcome and (not words or _agrees(words, request))):
            return None
        return self._reply(words, outcome, request)

    def settle(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """The words without a decision that cannot be: a sale that the buyer cannot pay is none, and the game goes on."""
        words, decided = _parted(text)
        is_sale = any(not _READING["reject"].match(own) for own in decided) or _agrees(words, request)
        return self._reply(_TEXTS["says"]["undecided"] if is_sale else words, {}, request)

    def _reply(self, words: str, outcome: Mapping[str, object], request: PartnerRequest) -> PartnerReply:
        says = _TEXTS["says"]
        if not words:
            words = says[outcome.get("decision", "undecided")].format(**outcome)
        if not outcome and _turn(request) > request.hidden["buyer"]["patience"] + 1:
            words, outcome = f"{words} {says['leaves']}", {"decision": "reject"}
        return PartnerReply(words[:REPLY_LENGTH], True, outcome, {"focus": self._focus(request)})

    def _sale(self, decided: str, request: PartnerRequest) -> dict[str, object] | None:
        """The sale in words such as "accept the Kia SUV at $20,000"; without a car it is the one talked about."""
        accept = _READING["accept"].match(decided)
        if accept is None:
            return None
        stock, rest = request.hidden["stock"], decided[accept.end() :].lower()
        names = [(name, car) for car in stock for name in (car["name"].lower(), short(car).lower()) if name in rest]
        cars = {car["name"]: car for _, car in names}
        for name, _ in names:
            rest = rest.replace(name, " ")
        focus = self._focus(request)
        if not names and focus >= 0:
            cars = {stock[focus]["name"]: stock[focus]}
        amount = _READING["filler"].sub(" ", rest).strip(" .,!")
        if len(cars) != 1 or not _AMOUNT.fullmatch(amount):
            return None
        (car,) = cars.values()
        amounts = list(_amounts([f"for {amount}"]))
        price = amounts[0] if len(amounts) == 1 else 0
        if not least_offer(car) <= price <= min(request.hidden["buyer"]["budget"], car["msrp"]):
            return None
        return {"decision": "accept", "car": car["name"], "price": price} if price in _agreed(request, car) else None

    def _focus(self, request: PartnerRequest) -> int:
        """The car last named by the seller."""
        focus = int(request.state.get("focus", -1))
        cars = named(read(request.action), request.hidden["stock"], focus, [focus] if focus >= 0 else [])
        return cars[-1][1] if cars else focus


def _turn(request: PartnerRequest) -> int:
    """The number of the seller's line that is to be answered."""
    return len(request.texts) // 2 + 1


def _time(request: PartnerRequest) -> str:
    """What the buyer is told about the time that is left."""
    turn, patience = _turn(request), request.hidden["buyer"]["patience"]
    told = {"closing": turn >= MAX_TURNS, "over": turn > patience, "soon": turn > patience - 2}
    return next((_TEXTS["time"][name] for name, holds in told.items() if holds), "")


def _parted(text: str) -> tuple[str, list[str]]:
    """The customer's words, without names of speakers and without the other's part, and what stands after each "Decision:"."""
    own = _READING["seller"].split(text.strip(), maxsplit=1)[0]
    first, *others = _READING["decision"].split(own)
    decided, after = [], []
    for other in others:
        line, _, rest = other.strip(" *_`\n").partition("\n")
        decided.append(line.strip(" *_`.\"'{}"))
        after.append(rest.strip(" *_`{}\n"))
    if any(after):
        decided.append("")  # words after the decision: it is not clear
    words = " ".join(_READING["customer"].sub("", first.strip()).split()).strip(" *_`")
    words = words[1:-1] if words[:1] == words[-1:] == '"' and words.count('"') == 2 else words
    return (words if any(map(str.isalnum, words)) else ""), decided


def _agrees(words: str, request: PartnerRequest) -> bool:
    """Whether the words agree to a sale at what the seller asks, without condition."""
    for sentence in re.findall(r"[^.!?]+(?:[.](?=\d)[^.!?]*)*[.!?]*", words):
        if _READING["agrees"].search(sentence) and not _READING["reserved"].search(sentence):
            prices = _amounts([sentence])
            if not prices or prices <= _amounts([request.action, *request.texts[1::2]]):
                return True
    return False


_TURNED_DOWN = {"refuse", "question", "offer", "discount", "goodbye", "insult"}
"""What a line of the seller does that does not take the buyer's offer."""


_NO_PRICE = {"off", "percent", "raise", "rate", "extra"}


def _amounts(texts: Iterable[str]) -> set[int]:
    """Prices named in texts."""
    found = (amount for text in texts for amount in bargaining_line.read(text).amounts)
    worth = (bargaining_price.dollars(amount, NOTHING) for amount in found if amount.role not in _NO_PRICE)
    return {round(price) for price in worth if price is not None and price < 1e9}


def _agreed(request: PartnerRequest, car: Car) -> set[int]:
    """Prices that the model saw the seller ask, and its own offers that the seller takes or does not turn down.

    What the prompt cuts off counts as not said.
    """
    first = max(1, len(request.texts) - SHOWN_TEXTS)
    texts = [_seen(text, EARLIER_LENGTH) for text in request.texts[first:]] + [_seen(request.action, QUOTED_LENGTH)]
    sellers, own = texts[(first + 1) % 2 :: 2], texts[first % 2 :: 2]
    offers = _amounts(own)
    standing = Standing(other=max(_amounts(own[-1:]), default=None), listed=car["msrp"])
    meant = understand(bargaining_line.read(texts[-1]), standing, short(car).lower().split())
    agreed = said_prices(sellers, car["msrp"]) - offers
    if meant.act not in _TURNED_DOWN or (meant.price or 0) in offers:
        agreed |= offers
    return agreed


def _seen(text: str, limit: int) -> str:
    seen = quote(text, limit)[1:-1]
    return seen.removesuffix(CUT).rpartition(" ")[0] if seen.endswith(CUT) else seen


def said_prices(texts: list[str], msrp: int) -> set[int]:
    """Every price said in a conversation; a discount counts as what it makes of the MSRP or of a price said before."""
    said: set[int] = set()
    for text in texts:
        said |= _amounts([text])
        for amount in bargaining_line.read(text).amounts:
            value = bargaining_price.dollars(amount, NOTHING)
            if amount.role in ("off", "percent") and value is not None and len(said) < 200:
                factor, less = (1 - value / 100, 0.0) if amount.role == "percent" else (1.0, value)
                said |= {round(base * factor - less) for base in (msrp, *said)}
    return said
