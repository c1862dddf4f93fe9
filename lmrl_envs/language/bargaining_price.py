"""The price that a line of a bargain names, or comes to: asked, taken off, added, or met half way."""

from __future__ import annotations

from collections.abc import Sequence

from lmrl_envs.language.bargaining_line import DATA, Line
from lmrl_envs.language.bargaining_terms import Standing
from lmrl_envs.language.lists import words as listed
from lmrl_envs.language.prices import BREAKS, Amount


def dollars(amount: Amount, standing: Standing) -> float | None:
    """What an amount is worth; None for a bare number that is no thousands here."""
    value = amount.value
    if not amount.bare or amount.role == "percent":
        return value
    if amount.role in ("off", "raise"):
        return value if value >= 100 else 1000 * value
    known = [price for price in standing[:3] if price]
    if known:
        return 1000 * value if 0.3 * min(known) <= 1000 * value <= 1.7 * max(known) else None
    return 1000 * value if 5 <= value <= 200 else None


def price_of(line: Line, amounts: Sequence[Amount], standing: Standing) -> tuple[float | None, str]:
    """The price that a line comes to, and how: offer, discount, assent (it names the other's own price), or ""."""
    other, own = standing.other, standing.own
    asks, lists, less, more, named, named_at = [], [], [], [], False, -1
    supposed = (
        line.has("yes", "close", "grant", "commit", "gift")
        or any(line.tokens[start : start + 2] == ("what", "if") for start, _, _ in line.pieces)
        or line.tokens[:1] == ("suppose",)
    )
    supposed = supposed or (line.tokens[:2] == ("if", "you") and not _PAYING.isdisjoint(line.tokens[2:4]))
    for amount in amounts:
        value = dollars(amount, standing)
        if value is None:
            continue
        if other is not None and value == other and amount.role not in ("off", "percent", "raise", "rate", "extra"):
            named = (
                named or amount.role != "quoted" or line.has("yes", "grant")
            )  # "so you're at $24,500": it is only told
            named_at = amount.at if amount.role == "ask" else named_at
        elif amount.role == "ask" and value < least_price(standing) and not _priced(line, amount):
            continue  # "Registration costs $150.", "we're still $7,000 apart"
        elif amount.role == "ask" or (amount.role == "if" and supposed):
            asks.append((value, amount.at))
        elif amount.role == "list":
            lists.append(value)
        elif amount.role in ("off", "percent"):
            less.append(amount._replace(value=value))
        elif amount.role == "raise":
            if other is not None and value != other and value > (other / 2 if amount.bare else 0.8 * other):
                asks.append((value, amount.at))  # "find me 24"
            else:
                more.append(value)
    new = [ask for ask in asks if ask[0] != own or not less]
    if line.has("split") and not any(ask[0] != own for ask in asks):
        if standing.halfway and other is not None:
            return other, "assent"
        if other is None or own is None or line.has("no") or line.denials:
            return None, ""
        return (other + own) / 2, "offer"
    if new and "but" in line.tokens[new[-1][1] : max(named_at, 0)]:
        return other, "assent"  # "I was hoping for $26,000, but I'll take $24,500."
    if new and other is not None and _is_given_up(line, new[-1][1]):
        return other, "assent"
    if new:
        price, at = _chosen(line, new), new[-1][1]
        if (
            less and less[0].at > at and not _TAKEN_OFF.isdisjoint(line.tokens[at : less[0].at])
        ):  # "It's $31,000, but I can give you 5 % off.", "$400 minus $10"
            return _lessened(less, standing._replace(own=price))
        return price, "offer"
    if less and any(ask[0] == own for ask in asks) and (less[0].base == "list" or _CONCEDING.isdisjoint(line.tokens)):
        return own, "offer"  # "$23,600, a discount of $1,400": the price stands, and the discount says how good it is
    if less and more:
        return None, ""  # "You come up a thousand, I come down a thousand."
    if less and not named and not _is_turned_down(line, less[0].at):
        return _lessened(less, standing)  # but "four thousand below what I'm asking" tells of an offer
    if more and other is not None and not named:
        return other + sum(more), "offer"
    if named:
        return other, "assent"
    if line.has("atlist") and standing.listed and not line.denials:
        return standing.listed, "offer"
    if lists and other is None and not line.question:
        return lists[-1], "offer"
    return None, ""


def _is_given_up(line: Line, at: int) -> bool:
    """Whether a price was only wished for: "I was hoping for $26,000, but okay."."""
    if _WISHED.isdisjoint(line.tokens[:at]) or "but" not in line.tokens[at:]:
        return False
    turn = line.tokens.index("but", at)
    return any(phrase.label in ("yes", "weak") and phrase.start > turn for phrase in line.phrases)


def _is_turned_down(line: Line, at: int) -> bool:
    """Whether a discount is only named to be refused: "10 % off? No way.", "4,000 below what I'm asking".

    Nobody undertakes it ("I can take ..."), and a refusal follows.
    """
    named = at == 0 or line.tokens[at - 1] in BREAKS or line.tokens[at - 2 : at] in ((".", "a"), ("?", "a"))
    far = len(line.tokens) if named else at + 3
    return any(
        phrase.label in ("no", "mock", "insult") and at < phrase.start < far and line.tokens[phrase.start - 1] != "and"
        for phrase in line.phrases
    )


def least_price(standing: Standing) -> float:
    """Below it no bare amount is a price: a seller asks for more than half of what is offered."""
    other, own = standing.other, standing.own
    return other / 2 if other and own and own > other else 0.08 * (other or own or standing.listed or 0)


def _priced(line: Line, amount: Amount) -> bool:
    return amount.at > 0 and line.tokens[amount.at - 1] in ("for", "at", "price")


def _chosen(line: Line, asks: Sequence[tuple[float, int]]) -> float:
    """The last price said; of a range the lower end, which is the worse for who sells."""
    (value, at), before = asks[-1], asks[:-1]
    if before and set(line.tokens[before[-1][1] + 1 : at]) <= {"and", "or", "to"}:
        return min(value, before[-1][0])
    return value


def _lessened(less: Sequence[Amount], standing: Standing) -> tuple[float | None, str]:
    base = standing.listed if less[0].base == "list" else standing.own or standing.listed
    if base is None:
        return None, "discount"
    under_list = less[0].base == "list"
    for amount in less:
        base = base * (1 - amount.value / 100) if amount.role == "percent" else base - amount.value
    return base, "offer" if under_list else "discount"


_WISHED = frozenset({"hoping", "hoped", "wanted", "wished", "wish"})
_TAKEN_OFF = frozenset({"but", "minus"})
_PAYING = frozenset(
    {"pay", "give", "get", "go", "come", "make", "offer", "do", "bring", "raise", "drop", "lower", "reduce"}
)
_CONCEDING = frozenset(listed(DATA["conceding"]))
