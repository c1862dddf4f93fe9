"""From a question to tokens: words in base form with the part that each plays; contractions and chat spelling undone, slips mended."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from lmrl_envs.language.lists import sections, words
from lmrl_envs.language.text import INVISIBLE, QUOTES, SPACES, plain
from lmrl_envs.language.words import Slips, base_forms

LINES = sections(__file__, "english.txt")
"""What the reader knows of English itself, whatever the task."""
_FORMS = sections(__file__, "forms.txt")
IRREGULAR = dict(pair.split("=") for pair in words(_FORMS["irregular"]))
KEEP = frozenset(words(_FORMS["keep"]))
_REAL = frozenset(words(_FORMS["no slips"]))
_SPELLING = dict(pair.split("=") for pair in words(LINES["spelling"]))
PARTS = {
    word: part
    for part, title in {
        "x": "articles", "t": "it", "p": "people", "b": "be", "a": "auxiliaries", "h": "heads", "v": "adverbs", "n": "not", "w": "narrows",
        "c": "and", "o": "or", "H": "have", "M": "made", "P": "place", "F": "for", "B": "by", "T": "to",
        "q": "persons", "e": "there", "m": "mostly", "y": "able",
    }.items()
    for word in words(LINES[title])
}  # fmt: skip
"""Word -> the letter of the list of english.txt that it stands in."""
CLEAR = frozenset("xtpbahvTey")
"""Parts of the words that may stand between those of a phrase."""
NOT = "n't"
_SIGNS = {**QUOTES, **str.maketrans({"–": "-", "—": ","})}
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\$?\d+(?:[.,]\d+)*|[,;:%$]")
_PLAIN_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*|\$?[0-9]+(?:[.,][0-9]+)*|[,;:%$]")
"""The same for ASCII, at a third of the time."""
_DRAWN_OUT = re.compile(r"([a-z])\1{2,}")
"""A letter three times or more: "smalller", "sooo"."""
_ENDINGS = {"s": "is", "re": "are", "m": "am", "ll": "will", "ve": "have", "d": "would"}
_SHORT = frozenset(words(LINES["contracted"]))
_BARE_NEGATIONS = {f"{verb}nt": verb for verb in words(LINES["be"]) + words(LINES["auxiliaries"])} | {
    "wont": "will",
    "cant": "can",
}


class Token(NamedTuple):
    """A word of a question."""

    word: str
    """As it was typed, in small letters."""
    base: str
    """The form that phrases are made of."""
    part: str
    """A letter of `PARTS`; "," for a pause, "" for a content word."""


def clean(text: str) -> str:
    """Lower case, one form of each character, no invisible ones."""
    return plain(text, signs=_SIGNS, dropped=INVISIBLE, blank=SPACES)


class Tokenizer:
    """Cuts a cleaned text into tokens.

    Args:
        vocabulary: the words of all phrases, as they are written; their base forms become those of the tokens.
    """

    def __init__(self, vocabulary: Iterable[str]) -> None:
        known = {word for word in vocabulary if word not in PARTS}
        self.vocabulary = frozenset(self._simple(word, known) for word in known) | frozenset(PARTS)
        # Two passes: "drums" and "drum" must be one word, whichever a phrase was written with.
        self._slips = Slips(word for word in self.vocabulary if len(word) >= 5)
        self._tokens: dict[str, tuple[Token, ...]] = {}

    def __call__(self, text: str) -> list[Token]:
        """The tokens of a text that `clean` gave."""
        found: list[Token] = []
        known = self._tokens
        for word in (_PLAIN_WORD if text.isascii() else _WORD).findall(text):
            tokens = known.get(word)
            if tokens is None:
                tokens = tuple(self._made(word))
                if len(known) < 50_000:
                    known[word] = tokens
            found += tokens
        if "one" in text:
            _tell_ones(found)
        if "in" in text:
            _tell_insides(found)
        return found

    def _made(self, word: str) -> list[Token]:
        if _DRAWN_OUT.search(word) is not None and word not in self.vocabulary:
            word = _DRAWN_OUT.sub(r"\1\1", word)
        if word in _SPELLING:
            return [token for part in _SPELLING[word].split("_") for token in self._made(part)]
        if word == NOT:
            return [Token(NOT, "not", "N")]
        if "'" in word:
            if word.endswith(NOT):
                verb = {"ca": "can", "wo": "will", "sha": "shall", "ai": "is"}.get(word[:-3], word[:-3])
                return [*self._made(verb), Token(NOT, "not", "N")]
            stem, _, ending = word.rpartition("'")
            if ending in _ENDINGS and (ending != "s" or stem in _SHORT):
                return [*self._made(stem), *self._made(_ENDINGS[ending])]
            return self._made(stem) if stem else []
        if word in _BARE_NEGATIONS:
            return [*self._made(_BARE_NEGATIONS[word]), Token(NOT, "not", "N")]
        if word in ",;:":
            return [Token(word, ",", ",")]
        part = PARTS.get(word)
        if part is not None:
            return [Token(word, word, part)]
        base = self.base(word)
        if word.endswith("in") and len(word) > 4 and base == word and base not in self.vocabulary:
            gerund = self._simple(f"{word}g", self.vocabulary)
            if gerund in self.vocabulary:  # "cookin"
                return [Token(f"{word}g", gerund, "")]
        if not word.isascii() and base not in self.vocabulary:
            word = "".join(
                letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter)
            )
            base = self.base(word)  # "Pelé", where the phrase has none
        if base in PARTS and base != word and word not in IRREGULAR:  # a slip of a word of the lists
            return self._made(base)
        return [Token(word, base, PARTS.get(base, ""))]

    def base(self, word: str) -> str:
        """The base form of a word, or the word that a slip of the pen was meant as."""
        known = self._simple(word, self.vocabulary)
        if known in self.vocabulary or len(word) < 4 or not word.isalpha() or not word.isascii():
            return known
        if word in _REAL or any(form in _REAL for form in base_forms(word)):
            return known
        swapped = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)} & self.vocabulary
        if len(swapped) == 1:
            return swapped.pop()
        if len(word) > 4 and word.endswith(("s", "ing", "ed")):
            # "hnads", "blwoing": of a word in another form than that of the vocabulary.
            turned = (word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 3))
            forms = {form for each in turned if (form := self._simple(each, self.vocabulary)) in self.vocabulary}
            forms = {form for form in forms if len(form) > 3}
            if len(forms) == 1:
                return forms.pop()
        if len(word) < 5:  # short words are near many others: two letters swapped is all, or one missing
            return self._slips.missing(word) or known
        if word.endswith("s") and (plural := self._slips.missing(word[:-1])) is not None:
            return plural  # "weels"
        for cut, meant in self._slips.near(word):
            # One letter more or less, or two letters swapped; another letter is another word, but for a vowel.
            if meant and (len(meant) != len(word) or sorted(meant) == sorted(word) or _is_vowel_slip(word, meant)):
                return meant
            if cut in self.vocabulary and len(cut) >= 4:
                return cut
        if word.endswith("ing") and len(word) > 6 and (stem := self._slips.missing(word[:-3])) is not None:
            return stem
        return known

    @staticmethod
    def _simple(word: str, vocabulary: Iterable[str]) -> str:
        if word in IRREGULAR:
            return IRREGULAR[word]
        if word in KEEP or word in PARTS:
            return word
        for candidate in base_forms(word):
            if candidate in vocabulary or candidate in IRREGULAR.values():
                return candidate
        return word


_INSIDE = frozenset(("inside", "within", "into"))


def _tell_insides(tokens: list[Token]) -> None:
    """Makes "inside", "within" and "into" before a noun the same as "in"."""
    last = len(tokens) - 1
    for i, (word, _, _) in enumerate(tokens):
        if word in _INSIDE and i < last and tokens[i + 1].part in ("x", "", "q", "t", "h"):
            tokens[i] = Token(word, "in", "P")


_AFTER_ONE = frozenset(("when", "if", "while", "because", "before", "after", "as", "like", "during", "since", "than"))


def _tell_ones(tokens: list[Token]) -> None:
    """Makes "one" a number where it counts what follows: one wheel, but: does one wear it, own one, one of those."""
    for i, token in enumerate(tokens):
        if (
            token.word == "one"
            and i + 1 < len(tokens)
            and not tokens[i + 1].part
            and tokens[i + 1].word not in _AFTER_ONE
            and not (i and tokens[i - 1].part in ("a", "x", "b"))
        ):
            tokens[i] = Token("one", "one", "")


_SOUNDS = frozenset(("kc", "ck", "zs", "sz", "sc"))


def _is_vowel_slip(word: str, meant: str) -> bool:
    """Whether a long word has one wrong vowel ("vegatable"), or a consonant as it sounds ("musik")."""
    wrong = [(a, b) for a, b in zip(word, meant, strict=True) if a != b]
    if len(wrong) != 1:
        return False
    return "".join(wrong[0]) in _SOUNDS or (len(word) >= 6 and all(letter in "aeiouy" for letter in wrong[0]))
