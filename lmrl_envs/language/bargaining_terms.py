"""What stands between the two sides of a bargain when a line is said, and what the line may mean."""

from __future__ import annotations

from typing import Literal, NamedTuple

Act = Literal[
    "offer", "discount", "accept", "refuse", "question", "close", "inform", "greet", "goodbye", "insult", "praise", "other", "unclear"
]  # fmt: skip
"""close: asks to bring it to an end ("Shall we sign?"). inform: says something of the thing or the shop. other: stalls, is polite."""


class Standing(NamedTuple):
    """What stands between the two when a line is said, from the side of its speaker. Dollars; None: nothing."""

    other: float | None = None
    """What the other side has offered."""
    own: float | None = None
    """What the speaker has asked for last."""
    listed: float | None = None
    """The list price."""
    just: bool = True
    """The other's offer was in the text that this line answers: a bare "Yes." takes it."""
    halfway: bool = False
    """The other's offer was itself a meeting in the middle."""
    sells: bool = False
    """The speaker sells: for less than is offered only where every word says so."""


NOTHING = Standing()


class Meaning(NamedTuple):
    """What a line means."""

    act: Act
    price: float | None = None
    """offer, discount, close: the price asked; accept: the other's offer. Never one that was not said, or reckoned from what was."""
    almost: bool = False
    """Unclear, but with words of assent: to be asked back about."""
