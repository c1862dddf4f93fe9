"""What may stand beside a name in a guess."""

from __future__ import annotations

from functools import cache

from lmrl_envs.language.lists import sections, words


@cache
def guess_words() -> frozenset[str]:
    """Words of a guess that assert nothing of what is guessed, in small letters and without apostrophes."""
    return frozenset(words(sections(__file__, "guesses.txt")["guess"]))
