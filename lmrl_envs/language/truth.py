"""What an answer may be, for all the things of a table at once: yes, no, or it depends.

A set of things is an int used as a bit set. A `Truth` is the set of those for which the answer is yes and, around it, the set of
those for which it may be: what lies between is disputed.
"""

from __future__ import annotations

from typing import NamedTuple


class Truth(NamedTuple):
    """Three answers for each thing; ``yes`` lies within ``possible``, and what is in neither is a no."""

    yes: int
    possible: int

    def __and__(self, other: Truth) -> Truth:
        return Truth(self.yes & other.yes, self.possible & other.possible)

    def __or__(self, other: Truth) -> Truth:
        return Truth(self.yes | other.yes, self.possible | other.possible)

    def narrowed(self) -> Truth:
        """What is left of "X" in "only X", "always X": no longer a yes, still a no."""
        return Truth(0, self.possible)

    def answer(self, index: int) -> bool | None:
        """True, False, or None: it depends."""
        if self.yes >> index & 1:
            return True
        return None if self.possible >> index & 1 else False


def surely(objects: int) -> Truth:
    """Yes for a set of things, no for the others."""
    return Truth(objects, objects)


def contrary(truth: Truth, everything: int) -> Truth:
    """Not X."""
    return Truth(everything & ~truth.possible, everything & ~truth.yes)
