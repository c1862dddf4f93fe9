"""What partners say: acts worded in three manners (lines.txt), and the way back from words to acts."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from lmrl_envs.language.lists import sections
from lmrl_envs.negotiation.rules import Act, Role

LINES = {title: tuple(lines) for title, lines in sections(__file__, "lines.txt").items()}
_NOTHING = ("-",)
MANNERS = ("brisk", "chatty", "formal")
_ONE_OF = 0x9E3779B1
"""Spreads the digits of a seed, so that the parts of a line are chosen apart."""


def money(price: float) -> str:
    """``$1,250``, with cents where there are some."""
    return f"${price:,.0f}" if price == round(price) else f"${price:,.2f}"


def wordings(act: str, role: Role, category: str = "") -> tuple[str, ...]:
    """The lines of an act as a partner of a role says them, of a thing of a category where that has lines of its own."""
    titles = (f"{act} {role} {category}", f"{act} {category}", f"{act} {role}", act)
    return next(LINES[title] for title in titles if title in LINES)


def say(act: str, role: Role, manner: str | None, seed: int, price: float | None = None, **values: Any) -> str:
    """An act in words, chosen by the seed; a formal offer ends in a line of its own, ``offer $320``. Without a manner: nothing about it."""
    parts = []
    before, after = (LINES[f"{manner} {where}"] if manner else _NOTHING for where in ("before", "after"))
    before, after = _NOTHING if act == "greet" else before, _NOTHING if act in ("closed", "refuse", "leave") else after
    for lines in (before, wordings(act, role, values.get("category", "")), after):
        line = lines[seed % len(lines)]
        seed = (seed * _ONE_OF >> 7) & 0x7FFFFFFF
        if line != "-":
            parts.append(line.format(price="" if price is None else money(price), **values))
    text = " ".join(parts)
    return f"{text}\noffer {money(price)}" if act == "offer" and price is not None else text


_AMOUNT = r"\$((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d\d)?)"
_PRICE, _OFFER = re.compile(_AMOUNT), re.compile(rf"\noffer {_AMOUNT}$")
_SENTENCE_END = re.compile(r"[.?!] ")


def amount(text: str) -> float:
    """``1,250`` as a number."""
    return float(text.replace(",", ""))


@cache
def _acts(role: Role) -> dict[str, str]:
    """Core wording with prices blanked -> act, of those that name a price."""
    titles = (title for title in LINES if any("{price}" in line for line in LINES[title]))
    acts = {title.split()[0] for title in titles}
    return {line.replace("{price}", "$"): act for act in sorted(acts) for line in wordings(act, role)}


@cache
def _around() -> tuple[tuple[str, ...], tuple[str, ...]]:
    before = {line for manner in MANNERS for line in LINES[f"{manner} before"]} - {"-"}
    after = {line for manner in MANNERS for line in LINES[f"{manner} after"]} - {"-"}
    return tuple(before), tuple(after)


def act_of(text: str, role: Role) -> Act:
    """What a scripted partner of a role did, from its words; ``talk`` for what names no price of its own."""
    formal = _OFFER.search(text)
    if formal:
        return Act("offer", amount(formal[1]))
    before, after = _around()
    line = text.partition("\n")[0]
    line = next((line[len(start) + 1 :] for start in before if line.startswith(start + " ")), line)
    line = next((line[: -len(end) - 1] for end in after if line.endswith(" " + end)), line)
    # A question may have been answered first.
    for start in (0, *(found.end() for found in _SENTENCE_END.finditer(line))):
        name = _acts(role).get(_PRICE.sub("$", line[start:]))
        price = _PRICE.search(line, start)
        if name and price:
            return Act(name, amount(price[1]))
    return Act("talk")
