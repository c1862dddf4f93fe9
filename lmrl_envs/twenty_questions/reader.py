"""Reads a free-form English yes/no question as a set of objects: those for which the honest answer is yes.

A question is cut to words in base form, words that say nothing are dropped, and the rest is covered by the longest
phrases of the lexicon. Words before a phrase (in, made of, has, used for, "does it") choose among its senses. Phrases
add up: all must hold, alternatives with "or" need one, "not" and "without" turn the next one round.

Conventions: a question with "n't" in front ("Isn't it alive?") asks the same as without; "Is it not alive?" and
"It isn't alive, right?" ask for the contrary. A tag ("right?", "isn't it?") changes nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from lmrl_envs.twenty_questions.lexicon import ANY, MARKERS, PLACE, SELF, USE, Lexicon, load_lexicon
from lmrl_envs.twenty_questions.measures import COMPARATIVES, read_quantity, read_year
from lmrl_envs.twenty_questions.phrasing import last_question, simplify
from lmrl_envs.twenty_questions.rules import MAX_QUESTION_LENGTH
from lmrl_envs.twenty_questions.spelling import read_spelling
from lmrl_envs.twenty_questions.words import IDENTITY, LISTS, SOFT, STOP, clean, words


class Reading(NamedTuple):
    """What a question means."""

    objects: int | None
    """The objects for which the answer is yes; None: not understood."""
    guess: int | None = None
    """Index of the one object whose identity is asked about."""


UNREAD = Reading(None)

_ASKING, _ITSELF, _ACTS, _DWELL, _NEGATIONS, _THINGS, _LEADS, _PRONOUNS = (
    frozenset(LISTS[title])
    for title in ("asking", "itself", "acts", "dwell", "negations", "things", "leads", "pronouns")
)
_OBJECT = _THINGS.union(LISTS["object"])


def read(question: str) -> Reading:
    """The meaning of a question; `UNREAD` when there is none to be found."""
    return UNREAD if len(question) > MAX_QUESTION_LENGTH else _read(question)


@lru_cache(maxsize=1 << 14)
def _read(question: str) -> Reading:
    lexicon = load_lexicon()
    text = clean(question).strip()
    if not text:
        return UNREAD
    sentence, questions = last_question(text)
    reading = _read_sentence(lexicon, sentence)
    if reading.guess is not None and (questions > 1 or _names_others(lexicon, text, reading.guess)):
        return Reading(reading.objects)
    return reading


def _names_others(lexicon: Lexicon, text: str, guess: int) -> bool:
    """Whether a text names another object beside the one guessed."""
    found = [lexicon.lemma(word) for word in words(text.replace("-", " "))]
    for name in lexicon.names_of[guess]:
        for start in range(len(found) - len(name) + 1):
            if found[start : start + len(name)] == name:
                # The name itself may hold another: a tennis shoe.
                found[start : start + len(name)] = ["-"]
    for size in (1, 2, 3):
        for start in range(len(found) - size + 1):
            if lexicon.aliases.get(" ".join(found[start : start + size]), guess) != guess:
                return True
    return False


def _read_sentence(lexicon: Lexicon, sentence: str) -> Reading:
    text = simplify(sentence)
    if text is None:
        return UNREAD
    spelled = read_spelling(lexicon.knowledge, text)
    if spelled is None:
        spelled = read_year(lexicon.knowledge, text)
    if spelled is not None:
        return Reading(_turned(lexicon, text, spelled))
    plain = words(text.replace("/", " or ").replace("-", " "))
    if not plain:
        return UNREAD
    if (_OBJECT | _LEADS).issuperset(plain) and not _THINGS.isdisjoint(plain):
        return Reading(lexicon.knowledge.attributes["physical"])
    guess = _identity(lexicon, plain)
    if guess is not None:
        return Reading(1 << guess, guess)
    either = _either(lexicon, plain)
    if either is not None:
        return Reading(either)
    amount = read_quantity(lexicon, plain)
    if amount is not None:
        objects = int(amount)
        before = plain[: next((i for i, w in enumerate(plain) if w in COMPARATIVES), 0)]
        if "than" in plain and before:
            scanned = _scan(lexicon, before)
            if scanned is not None and "not" not in before:
                objects &= scanned
        return Reading(_turned(lexicon, text, objects))
    return Reading(_scan(lexicon, plain))


def _turned(lexicon: Lexicon, text: str, objects: int) -> int:
    """The contrary, if the question is put with "not"."""
    return lexicon.knowledge.everything & ~objects if re.search(r"\b(?:not|no)\b (?!more)", text) else objects


def _identity(lexicon: Lexicon, plain: list[str]) -> int | None:
    """The object whose identity is asked about, if the text does nothing else."""
    if plain[0] == "n't":  # "Isn't it a dog?" asks whether it is one
        plain = plain[1:]
    rest = [word for word in plain if word not in IDENTITY and word != ","]
    if not 0 < len(rest) <= 4 or plain.count(",") > 1 or "something" in plain:
        return None
    index = lexicon.aliases.get(" ".join([lexicon.lemma(word) for word in rest]))
    # "Is it orange?" asks for the colour.
    return None if index is not None and rest == ["orange"] and not {"a", "an", "the"} & set(plain) else index


def _either(lexicon: Lexicon, plain: list[str]) -> int | None:
    """The objects named in "Is it a table or a desk?", if the text does nothing else."""
    if "or" not in plain or plain[0] not in ("is", "n't", "a", "an", "the"):
        return None
    objects, name, articles = 0, [], 0
    for word in [*(word for word in plain if word not in (",", "either")), "or"]:
        if word == "or":
            index = lexicon.aliases.get(" ".join(name))
            if index is None or not articles:  # "Is it orange or red?" asks for the colour
                return None
            objects, name, articles = objects | 1 << index, [], 0
        elif word in ("a", "an", "the"):
            articles += 1
        elif word not in IDENTITY:
            name.append(lexicon.lemma(word))
    return objects


def _ends(tokens: list[str], i: int) -> bool:
    return i >= len(tokens) or tokens[i] in ("or", "and", ",", "when", "by", "in", "at", "outside", "inside")


class _Scan:
    """Goes through the words once, from left to right."""

    def __init__(self, lexicon: Lexicon, plain: list[str]) -> None:
        self.lookup, self.longest = lexicon.lookup, lexicon.longest
        self.everything = lexicon.knowledge.everything
        self.tokens = _base_forms(lexicon, plain)
        self.alternatives = "or" in self.tokens
        self.groups: list[list[int]] = []
        self.sense = SELF if _is_subject(plain) else ANY
        self.read_words = self.unread = 0
        self.negate = self.join = False

    def run(self) -> int | None:
        """The objects meant, or None."""
        tokens, i = self.tokens, 0
        while i < len(tokens):
            size = self._phrase_at(i)
            if size == 0 and tokens[i] == "than" and self.groups:
                break  # what something is compared with says nothing by itself
            if size == 0:
                self._leftover(tokens[i])
                size = 1
            i += size
        if not self.groups and not self.unread and "person" in self.tokens:
            return 0  # "Is it a person?"
        if not self.groups or self.unread > self.read_words:
            return None
        objects = self.everything
        # Longer phrases first: a part that fits no object with the rest was misread and is left out, as "food" is in
        # "used for cooking food".
        for found, turned, _ in sorted(self.groups, key=lambda group: (-group[2], group[0].bit_count())):
            kept = objects & (~found if turned else found)
            if kept or not found:
                objects = kept
        return objects

    def _phrase_at(self, i: int) -> int:
        tokens = self.tokens
        # "lives in a house" says where, not that it is alive
        dwells = tokens[i] in _DWELL and i + 2 < len(tokens) and MARKERS.get(tokens[i + 1]) == PLACE
        limit = min(self.longest.get(tokens[i], 0), len(tokens) - i)
        for size in range(limit, 1 if dwells else 0, -1):
            senses = self.lookup.get(" ".join(tokens[i : i + size]))
            if senses is not None:
                if not senses:
                    return size
                if tokens[i + size - 1] == "with" and not _ends(tokens, i + size):
                    continue  # "Do kids play with it?", but not "played with a bat"
                if self.sense not in senses:
                    continue
                if tokens[i : i + size] == ["have", "one"] and (self.groups or i + size < len(tokens)):
                    return size  # "Would a queen have one on her head?" does not ask whether people own one
                self._add(senses[self.sense], size)
                self.read_words += size
                for word in tokens[i : i + size]:
                    if word in MARKERS:
                        self._mark(word)
                return size
        return 0

    def _add(self, objects: int, size: int) -> None:
        if self.join and self.groups:
            self.groups[-1][0] |= objects
        else:
            self.groups.append([objects, self.negate, size])
        self.negate = self.join = False

    def _mark(self, word: str) -> None:
        # "used with paper", "used in a kitchen": with says no more than used does.
        if not (word == "with" and self.sense == USE):
            self.sense = MARKERS[word]

    def _leftover(self, word: str) -> None:
        if word in MARKERS:
            self._mark(word)
        elif word in _NEGATIONS:
            self.negate = not self.negate
        elif word == "or" or (word == "," and self.alternatives):
            self.join = True
        elif word not in SOFT and word not in ("and", ",", "to", "than", "but", "either"):
            self.unread += 1


def _base_forms(lexicon: Lexicon, plain: list[str]) -> list[str]:
    tokens = []
    lemma = lexicon.lemma
    for i, word in enumerate(plain):
        if word == "n't":
            # "isn't it", "don't people": asked as without; "it isn't": the contrary.
            if i + 1 < len(plain) and plain[i + 1] in _PRONOUNS and not tokens:
                continue
            tokens.append("not")
        elif word not in STOP:
            base = lemma(word)
            if base not in STOP:
                tokens.append(base)
    return tokens


def _is_subject(plain: list[str]) -> bool:
    """Whether the question asks what the thing itself does ("does it swim", "can it fly")."""
    for i in range(len(plain) - 2):
        asks = plain[i] in _ASKING and plain[i + 1] in _ITSELF
        relative = plain[i] in ("that", "which") and plain[i + 1] in _ACTS
        if asks or relative:
            return "be" not in plain[i + 2 : i + 4] and plain[i + 2] not in ("have", "get", "come", "belong")
    return False


def _scan(lexicon: Lexicon, plain: list[str]) -> int | None:
    return _Scan(lexicon, plain).run()
