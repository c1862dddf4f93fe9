"""What a line means to the other side of a bargain: an offer, a discount, assent, a refusal, a question, small talk, or nothing that is
understood.

    meant = understand(read("I could let you have it for $13,600."), Standing(other=13_000, own=14_000, listed=15_000))
    meant.act, meant.price      # "offer", 13600.0

`lmrl_envs.language.bargaining_line.read` goes by the words alone and is remembered; `understand` holds them against what stands between
the two. The principle: a line is **assent** only if every word of it is accounted for, by a phrase of ``bargaining.txt`` or as harmless; a
refusal, a question or a number by itself never is. What is not accounted for is told as such (``unclear``), and never guessed.
Beside this file: the price that a line names (`bargaining_price`), yes or no (`bargaining_assent`), and what these give one another
(`bargaining_terms`).
"""

from __future__ import annotations

from collections.abc import Collection

from lmrl_envs.language.bargaining_assent import unaccounted, verdict
from lmrl_envs.language.bargaining_line import DATA, Line
from lmrl_envs.language.bargaining_price import least_price, price_of
from lmrl_envs.language.bargaining_terms import NOTHING, Meaning, Standing
from lmrl_envs.language.lists import words as listed


def understand(
    line: Line, standing: Standing = NOTHING, names: Collection[str] = (), which: Collection[int] | None = None
) -> Meaning:  # fmt: skip
    """What a line means.

    Args:
        line: read.
        standing: what stands between the two.
        names: words for the thing in question, harmless in assent.
        which: indices of the amounts that are about the thing in question; None: all.
    """
    amounts = [amount for i, amount in enumerate(line.amounts) if which is None or i in which]
    if line.has("mock"):  # "Half the price and half the car": nobody offers that
        mocked = {at for phrase in line.phrases if phrase.label == "mock" for at in range(phrase.start, phrase.end)}
        amounts = [amount for amount in amounts if amount.at not in mocked]
    price, how = price_of(line, amounts, standing)
    if _queries(line):
        return Meaning("question")
    if price is not None and how != "assent":
        if line.has("mock") and how == "offer" and price == standing.other:
            return Meaning("refuse")
        cut, other = how == "discount", standing.other if standing.sells else None
        if other is not None and (price < other or (cut and price == other)):
            left = unaccounted(line, range(len(line.tokens)), amounts, standing, names)
            said = _OFFERING | _TAKING_OFF if cut else _OFFERING
            if line.has("no") or line.denials or price < least_price(standing) or not said.issuperset(left):
                return Meaning("unclear", almost=True)  # "It cost me $23,000.": not asked for
        if line.has("close") and line.question:
            return Meaning("close", price)
        return Meaning("discount" if how == "discount" else "offer", price)
    return verdict(line, amounts, standing, names, how)


def _queries(line: Line) -> bool:
    """Whether a clause with a question mark asks back, and no later one is assent."""
    if "query" not in line.labels:
        return False
    asked = [start for start, end, asks in line.pieces if asks and line.has_within("query", start, end)]
    answers = [p.start for p in line.phrases if p.label in ("yes", "no") and p.start > asked[-1]] if asked else []
    said = [start for start, end, asks in line.pieces if not asks for at in answers if start <= at < end]
    return bool(asked) and not said  # "Are you trying to insult me? Forget it."


_OFFERING = frozenset(listed(DATA["below an offer"])) | frozenset("$#")
"""What may stand in an offer of less than the other side has offered."""
_TAKING_OFF = frozenset(listed(DATA["discount below an offer"]))
"""What may stand in a discount besides."""
