"""What an answer may be, for all the things of a table at once: yes, no, or it depends.

A set of things is an int used as a bit set. A `Truth` is the set of those for which the answer is yes and, around it, the set of
those for which it may be: what lies between is disputed. Of the disputed it also keeps for which more people would say yes, which is
the answer to "usually".
"""

from __future__ import annotations

from typing import NamedTuple


class Truth(NamedTuple):
    """Three answers for each thing; ``yes`` lies within ``possible``, and what is in neither is a no."""

    yes: int
    possible: int
    usual: int = 0
    """Of those between: for which more would say yes."""

    @property
    def most(self) -> int:
        """Those for which yes is the answer to "usually"."""
        return self.yes | self.usual

    def __and__(self, other: Truth) -> Truth:
        yes = self.yes & other.yes
        return Truth(yes, self.possible & other.possible, self.most & other.most & ~yes)

    def __or__(self, other: Truth) -> Truth:
        yes = self.yes | other.yes
        return Truth(yes, self.possible | other.possible, (self.usual | other.usual) & ~yes)

    def narrowed(self) -> Truth:
        """What is left of "X" in "only X", "always X": no longer a yes, and a no where it was disputed."""
        return Truth(0, self.yes)

    def usually(self) -> Truth:
        """What is left of the dispute in "usually X"."""
        return surely(self.most)

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
    return Truth(everything & ~truth.possible, everything & ~truth.yes, everything & truth.possible & ~truth.most)
