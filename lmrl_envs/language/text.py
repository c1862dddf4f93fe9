"""Text as people type it, in plain letters: one form of each character, no invisible ones, lower case."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from typing import Literal

INVISIBLE = frozenset(("Cf", "Mn"))
"""Unicode categories of what takes no place: format characters and accents that stand alone."""
SPACES = frozenset(("Cc", "Zs", "Zl", "Zp"))
QUOTES: Mapping[int, str] = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"'})


def plain(
    text: str,
    form: Literal["NFKC", "NFKD"] = "NFKC",
    signs: Mapping[int, str] = QUOTES,
    dropped: Collection[str] = (),
    blank: Collection[str] = (),
) -> str:
    """Lower case, one form of each character.

    Args:
        text: anything.
        form: Unicode normal form; NFKD with `INVISIBLE` dropped takes accents off.
        signs: what stands for which sign, after that (`str.translate`).
        dropped: categories of characters to leave out.
        blank: categories of characters that become a space.
    """
    if not text.isascii():
        text = unicodedata.normalize(form, text)
        if dropped or blank:
            kinds = ((letter, unicodedata.category(letter)) for letter in text)
            text = "".join(" " if kind in blank else letter for letter, kind in kinds if kind not in dropped)
        text = text.translate(signs)
    return text.lower()
