"""Words: base forms by ending, and slips of one letter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def stem(word: str) -> str:
    """A crude stem: plural and verb endings off. Not always a word ("cities" -> "cit")."""
    for ending in ("ies", "ing", "es", "ed", "s", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def base_forms(word: str) -> list[str]:
    """What a word may be the plural, past or -ing form of, the likeliest first; a vocabulary has to choose."""
    forms = []
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        if word.endswith("ies"):
            forms.append(word[:-3] + "y")
        forms.append(word[:-1])
        if word.endswith("es"):
            forms.append(word[:-2])
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            stem = word[: -len(ending)]
            forms += [stem, stem + "e"]
            if len(stem) > 2 and stem[-1] == stem[-2]:
                forms.append(stem[:-1])
            if ending == "ed" and stem.endswith("i"):
                forms.append(stem[:-1] + "y")
    return forms


def cuts(word: str) -> list[str]:
    """The word with one letter left out, its first letter kept."""
    return [word[:i] + word[i + 1 :] for i in range(1, len(word))]


class Slips:
    """Finds the words that a mistyped one may be meant as: one letter missing, one too many, a wrong one, or two swapped.

    Args:
        words: what can be meant.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._whole: dict[str, str | None] = {}
        for word in sorted(words):
            for cut in cuts(word):
                # A short one that two words may be meant by ("swet") is neither.
                before = self._whole.get(cut, word)
                self._whole[cut] = before if before == word or len(cut) >= 5 else None

    def missing(self, word: str) -> str | None:
        """The word that this one is with a letter left out."""
        return self._whole.get(word)

    def near(self, word: str) -> Iterator[tuple[str, str | None]]:
        """The word itself, then with one letter left out, each with the word that it is with a letter left out.

        A first part that is a word: one letter too many. A second part: a letter is missing (at first); then, as long as
        ``word``, another letter or two letters swapped.
        """
        for cut in (word, *cuts(word)):
            yield cut, self._whole.get(cut)
