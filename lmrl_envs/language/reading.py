"""Reads a free-form English yes/no question as what it says of the things of a table.

A question is cut to tokens, and those are covered from left to right by the longest phrases of the lexicon that can stand there, by
comparisons, by words that turn round or narrow what follows, and by words that mark the sense of what follows. Phrases of a clause add
up: all must hold; alternatives with "or" need one. **Every content word is accounted for, or the question is not answered**: a word that
no list and no phrase covers, a preposition or a verb without what it needs, a tense or a degree that the table cannot tell make it
`UNREAD`.

Conventions: "Isn't it alive?" and "It isn't alive, is it?" ask the same as "Is it alive?"; "Is it not alive?" and "It isn't alive, right?"
ask for the contrary. "Only", "always", "every" leave a no and turn a yes into "it depends". "Too big to fit in a car" is the contrary of
"fits in a car".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from lmrl_envs.language.comparisons import Measures
from lmrl_envs.language.grammar import NEGATED, TRIES, Language, Memory, Unread
from lmrl_envs.language.lexicon import Lexicon
from lmrl_envs.language.lists import sections
from lmrl_envs.language.rewrites import Rewrites
from lmrl_envs.language.scan import Scan
from lmrl_envs.language.sentence import Sentence, question_in
from lmrl_envs.language.tokens import CLEAR, Token, clean
from lmrl_envs.language.truth import Truth


class Reading(NamedTuple):
    """What a question means."""

    truth: Truth | None
    """Yes, no or "it depends" for every thing; None: not understood."""
    guess: int | None = None
    """Index of the one thing whose identity is asked about."""
    is_open: bool = False
    """Not answered by yes or no."""
    memory: Memory | None = None
    """What a follow-up ("and bigger than a car?", "what about smaller?") goes on from."""
    is_vague: bool = False
    """People would dispute it of most things: where they would, there is nothing to answer."""

    def answer(self, index: int) -> bool | Literal["unread"] | None:
        """Of a thing: yes, no, None for "it depends", or "unread" where it was not understood or says nothing."""
        if self.truth is None:
            return "unread"
        answer = self.truth.answer(index)
        return "unread" if answer is None and self.is_vague else answer


UNREAD, OPEN = Reading(None), Reading(None, is_open=True)
_OF_THOSE = re.compile(
    r"\b(?:is|would) (?:it|this|that)(?: be)? (?:one of|something like|anything like|like) (?:those|these|them|that|this)\W*$"
)
_POINTING = tuple(word + mark for word in ("those", "these", "them", "that", "this") for mark in ("", "?"))
"""Asks about what was said before, as in "My aunt had two by the fire, is it one of those?"."""


_TAGS = {"": "?", "+": ", is it?", "-": ", isn't it?", "=": ", right?"}


def _sentence(text: str) -> Sentence:
    return question_in(clean(text).strip())


def _asked_in(text: str, sentence: Sentence) -> str:
    """The question of a text without what stands before it, so that other words for its beginning are found."""
    if sentence.asked > 1 or sentence.is_open:
        return text
    return sentence.text.rstrip("?!. ") + _TAGS[sentence.agree] if sentence.mark or sentence.agree else sentence.text


class Reader:
    """Reads questions about the things of a table.

    Args:
        lexicon: the task's phrases.
        measures: the task's measures.
        count: how many things there are.
        subjects: words that stand for the thing where they are the subject ("Is the animal a dog?").
        leans: whether the table knows what more people say of what is disputed.
        rewordings: lines of `Rewrites` for what is not understood as it stands, beside those of rewordings.txt.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        measures: Measures,
        count: int,
        subjects: Collection[str] = (),
        leans: bool = True,
        rewordings: Sequence[str] = (),
    ) -> None:
        self._count = count
        lines = sections(__file__, "rewordings.txt")
        rewrites = Rewrites([*lines["rewrite"], *rewordings])
        self._wider = Rewrites(lines["narrowing"])
        self._reworded = lru_cache(maxsize=16)(rewrites)  # what is not understood may be asked for in other words again
        self.lexicon, self.measures = lexicon, measures
        self._language = Language(lexicon, measures, frozenset(subjects), (1 << count) - 1, leans)
        self._loose: Language | None = None

    def read(self, text: str, memory: Memory | None = None) -> Reading:
        """The meaning of a question; `UNREAD` when there is none that accounts for all of it, even in other words.

        Args:
            text: anything.
            memory: of the question before, for follow-ups.
        """
        sentence = _sentence(text)
        reading = self._as_it_stands(sentence, memory)
        if reading.truth is None and memory is None:
            said, tried = {text}, {sentence}
            for own in (text, _asked_in(text, sentence)):
                other = self._reworded(own)
                if other in said:
                    continue
                said.add(other)
                sentence = _sentence(other)
                if sentence in tried:
                    continue
                tried.add(sentence)
                found = self._as_it_stands(sentence, None)
                if found.truth is not None:
                    return found
            if (wider := self._wider(text)) != text:
                found = Reader.read(self, wider)
                if found.truth is not None and found.guess is None:
                    return Reading(Truth(0, found.truth.possible), is_vague=True)
        return reading

    def _as_it_stands(self, sentence: Sentence, memory: Memory | None) -> Reading:
        if sentence.asked > 1 or (sentence.text.endswith(_POINTING) and _OF_THOSE.search(sentence.text)):
            return UNREAD
        if sentence.is_open:
            return OPEN
        reading = self._read(sentence, sentence.text, memory)
        if (reading.truth is None or reading.is_vague) and memory is not None and sentence.text.count(" ") < 5:
            # A piece goes in the place of the end of the former question: "on your head?" - "the hands, then?"
            former = memory.text.rstrip("?!. ").split(" ")
            for k in (1, 2, 3):
                if k < len(former):
                    whole = self._read(sentence, " ".join(former[:-k]) + " " + sentence.text, memory)
                    if whole.truth is not None and whole.guess is None:
                        return whole
            return reading if reading.truth is not None else UNREAD
        return reading

    def _read(self, sentence: Sentence, text: str, memory: Memory | None) -> Reading:
        special = self.special(text)
        if special is not None:
            if NEGATED.search(text):
                return UNREAD
            return Reading(special, None, False, Memory(text, None, ""), self._is_vague(special))
        tokens = self.lexicon.tokenizer(text.replace("-", " "))
        if not tokens:
            return UNREAD
        reading = self._scanned(self._language, tokens, sentence, text, memory)
        if reading.truth is not None:
            return reading
        loose = self.lexicon.loosely(tokens)
        if loose == tokens:
            return reading
        if self._loose is None:
            self._loose = self._language._replace(lexicon=self.lexicon.loosened())
        return self._scanned(self._loose, loose, sentence, text, memory)

    def _scanned(
        self, language: Language, tokens: list[Token], sentence: Sentence, text: str, memory: Memory | None
    ) -> Reading:
        caps: dict[int, int] = {}
        for _ in range(TRIES):
            scan = Scan(language, tokens, sentence.agree, memory, caps)
            try:
                truth = scan.run()
                break
            except Unread:
                # The last phrase of several words may have taken one too many.
                if scan.widest is None or scan.at != sum(scan.widest):
                    return UNREAD
                caps = {**caps, scan.widest[0]: scan.widest[1] - 1}
        else:
            return UNREAD
        guess = scan.guess(truth)
        if guess is not None and sentence.before and self.names_others(sentence.before, guess):
            guess = None
        if guess is None and not sentence.mark and not sentence.agree and scan.is_remark:
            return UNREAD
        if scan.which:  # which of them is no question of yes or no, but none of them is a no
            return Reading(Truth(0, truth.possible), None, False, Memory(text, None, ""), True)
        if (either := scan.either()) is not None:
            return Reading(either, None, False, Memory(text, None, ""), True)
        return Reading(truth, guess, False, Memory(text, scan.reference, scan.noun), self._is_vague(truth))

    def _is_vague(self, truth: Truth) -> bool:
        return 6 * (truth.possible & ~truth.yes).bit_count() > 5 * self._count

    def special(self, text: str) -> Truth | None:
        """What a question of a kind of its own means (spelling), from a cleaned sentence; None for any other."""
        return None

    def names_others(self, text: str, guess: int) -> bool:
        """Whether a text names a thing, another than the one guessed."""
        found = [token.base for token in self.lexicon.tokenizer(text.replace("-", " ")) if token.part not in CLEAR]
        for size in (3, 2, 1):
            for start in range(len(found) - size + 1):
                index = self.lexicon.names.get(" ".join(found[start : start + size]))
                if index is not None and index != guess:
                    return True
                if index == guess:  # the name itself may hold another: a tennis shoe
                    found[start : start + size] = ["-"] * size
        return False
