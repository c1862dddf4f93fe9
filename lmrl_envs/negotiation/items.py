"""What is for sale: titles with their usual price (items.txt), and a card drawn for each game (item_cards.toml)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from lmrl_envs.files.states import check_fields
from lmrl_envs.language.lists import sections, toml
from lmrl_envs.negotiation.rules import Role

Split = Literal["all", "train", "test"]
SPLITS: tuple[Split, ...] = ("all", "train", "test")
HELD_OUT = 5
"""The last of every five titles is of the split ``test``."""
THIS_YEAR = 2025
"""Of which the age of a thing follows whose title tells the year it is from."""
_YEAR = re.compile(r", (\d{4})$")


class Title(NamedTuple):
    """A line of items.txt."""

    name: str
    category: str
    price: int
    """What such a thing in good condition usually costs, in dollars; of housing, a month."""
    spec: str
    """What it is like in numbers."""
    short: str
    """How a partner calls it."""
    held_out: bool


_SHORT = {"bike": "bike", "car": "car", "phone": "phone", "housing": "place"}
"""How a thing is called that has no name of its own."""


def _read() -> dict[str, Title]:
    found: dict[str, Title] = {}
    for category, lines in sections(__file__, "items.txt").items():
        for i, line in enumerate(lines):
            name, _, rest = line.rpartition(": ")
            price, spec, *short = rest.split("; ")
            held_out = i % HELD_OUT == HELD_OUT - 1
            found[name] = Title(name, category, int(price), spec, "".join(short) or _SHORT[category], held_out)
    return found


TITLES = _read()
_CARDS = toml(__file__, "item_cards.toml")
CONDITIONS: Mapping[str, float] = _CARDS["conditions"]


def in_split(split: Split) -> list[Title]:
    """The titles that may be drawn in a split."""
    return [title for title in TITLES.values() if split == "all" or title.held_out == (split == "test")]


def listed_price(price: float) -> int:
    """Rounded as people list: to 1, 5, 10, 50, 100 below 50, 200, 1,000, 5,000 and above."""
    step = next((step for step, limit in ((1, 50), (5, 200), (10, 1000), (50, 5000)) if price < limit), 100)
    return int(step * round(price / step))


def draw_card(title: Title, roll: Callable[[int], int]) -> dict[str, Any]:
    """What is true of the thing in this game. ``roll(n)`` draws a whole number below n."""
    facts = _CARDS[title.category]
    condition = list(CONDITIONS)[roll(len(CONDITIONS))]
    youngest, oldest = facts["age"]
    defect = facts["defects"][roll(len(facts["defects"]))] if roll(10) < 4 else ""
    extra = facts["extras"][roll(len(facts["extras"]))] if roll(10) < 5 else ""
    age, made = youngest + roll(oldest - youngest + 1), _YEAR.search(title.name)
    worth = title.price * CONDITIONS[condition] * (0.94 if defect else 1.0) * (1.05 if extra else 1.0)
    return {
        "title": title.name,
        "category": title.category,
        "spec": title.spec,
        "condition": condition,
        "age": THIS_YEAR - int(made[1]) if made else age,
        "defect": defect,
        "extra": extra,
        "reason": facts["reasons"][roll(len(facts["reasons"]))],
        "handover": facts["handover"][roll(len(facts["handover"]))],
        "listed": listed_price(worth * (95 + roll(11)) / 100),
    }


def check_card(card: Any) -> None:
    """Check that a card is such as `draw_card` gives.

    Raises:
        ValueError: it is not.
    """
    title = TITLES.get(card.get("title", ""))
    if title is None:
        raise ValueError("a card of no title")
    facts = _CARDS[title.category]
    check_fields(card, {key: type(value) for key, value in draw_card(title, lambda n: 0).items()})
    allowed = {
        "condition": CONDITIONS,
        "defect": ("", *facts["defects"]),
        "extra": ("", *facts["extras"]),
        "reason": facts["reasons"],
        "handover": facts["handover"],
        "category": (title.category,),
        "spec": (title.spec,),
    }
    if any(card[key] not in values for key, values in allowed.items()) or not 0 < card["listed"] < 10**7:
        raise ValueError("a card that could not be drawn")


def age_clause(card: Mapping[str, Any]) -> str:
    """``it is 3 years old``."""
    if card["category"] == "housing":
        return f"it is free for {card['age']} month{'s' * (card['age'] > 1)} or longer"
    return f"it is {card['age']} year{'s' * (card['age'] > 1)} old"


def extra_clause(card: Mapping[str, Any]) -> str:
    """``a lock comes with it``."""
    if not card["extra"]:
        return "nothing comes with it"
    return f"{card['extra']} {'come' if card['extra'].endswith('s') and not card['extra'].startswith('a ') else 'comes'} with it"


def clauses(card: Mapping[str, Any]) -> dict[str, Any]:
    """What stands for the names in the partners' lines."""
    age, extra = age_clause(card), extra_clause(card)
    return {
        "item": TITLES[card["title"]].short,
        "category": card["category"],
        "condition": card["condition"],
        "defect_clause": f", but {card['defect']}" if card["defect"] else "",
        "age_clause": age,
        "Age_clause": age[0].upper() + age[1:],
        "reason": card["reason"],
        "handover": card["handover"],
        "extra_clause": extra,
        "Extra_clause": extra[0].upper() + extra[1:],
        "spec": card["spec"],
    }


def description(card: Mapping[str, Any], role: Role) -> str:
    """The listing's text, numbers but no amounts of money. An agent that buys sees half of it, and can ask for the rest."""
    parts = [f"{card['condition'][0].upper()}{card['condition'][1:]}."]
    if role == "seller":
        age, defect, extra = age_clause(card), card["defect"], extra_clause(card)
        parts += [f"{age[0].upper()}{age[1:]}."]
        parts += [f"{defect[0].upper()}{defect[1:]}."] if defect else []
        parts += [f"{extra[0].upper()}{extra[1:]}."] if card["extra"] else []
        parts += [f"Reason for selling: {card['reason']}.", f"Handing over: {card['handover']}."]
    return " ".join([*parts, f"Details: {card['spec']}."])
