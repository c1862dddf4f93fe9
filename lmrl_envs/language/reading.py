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
from collections.abc import Collection, Mapping
from typing import NamedTuple

from lmrl_envs.language.lexicon import LIGHT, NAME, NOT, SKIP, Lexicon
from lmrl_envs.language.lists import words
from lmrl_envs.language.quantity import Measures, Values
from lmrl_envs.language.sentence import Sentence, question_in
from lmrl_envs.language.tokens import CLEAR, LINES, Token, clean
from lmrl_envs.language.truth import Truth, contrary


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


class Memory(NamedTuple):
    """What stays of a question for the next."""

    text: str
    reference: Values | None
    noun: str


UNREAD, OPEN = Reading(None), Reading(None, is_open=True)

_CONTEXTS = (
    "start",
    "asked",
    "be",
    "noun",
    "aux",
    "does",
    "do",
    "to",
    "have",
    "made",
    "place",
    "by",
    "for",
    "relate",
    "reach",
)
_NEXT = {
    # context, part of a clear word -> the context after it
    **{(context, "b"): "be" for context in _CONTEXTS},
    **{(context, "a"): "aux" for context in _CONTEXTS if context not in ("do", "does", "to")},
    **{(context, "e"): "have" for context in ("be", "aux")},
    ("start", "t"): "does", ("asked", "t"): "does", ("asked", "h"): "noun", ("asked", "p"): "do", ("aux", "t"): "does", ("noun", "t"): "does",
    **{(context, "p"): "do" for context in ("start", "asked", "aux", "noun", "does", "be")},
    ("start", "h"): "noun", ("be", "h"): "noun", ("aux", "h"): "does",
    **{(context, "y"): "able" for context in _CONTEXTS},
    **{(context, "T"): "to" for context in _CONTEXTS if context not in ("made", "relate", "asked", "able")},
}  # fmt: skip
_ORDER: dict[str, tuple[str, ...]] = {
    # context -> the senses in which a phrase can stand there, the likeliest first
    "start": (
        NAME,
        "phrase",
        "kind",
        "quality",
        "material",
        "part",
        "place",
        "body",
        "who",
        "for",
        "done",
        "does",
        SKIP,
        NOT,
    ),
    "be": (NAME, "phrase", "kind", "quality", "material", "done", SKIP, NOT),
    "noun": (NAME, "phrase", "kind", "quality", "material", "done", "does", "who", SKIP, NOT),
    "aux": ("phrase", "who", "does", SKIP, NOT),
    "does": ("phrase", "does", SKIP, NOT),
    "do": ("phrase", "done", "for", "who", SKIP, NOT),
    "to": ("phrase", "for", "done", "does", SKIP, NOT),
    "have": ("phrase", "part", "material", SKIP, NOT),
    "made": ("phrase", "material", SKIP, NOT),
    "place": ("phrase", "place", "body", SKIP, NOT),
    "by": ("phrase", "who", "for", SKIP),
    "for": ("phrase", "for", "who", "place", "body", SKIP),
    "relate": ("phrase", "relate"),
    "able": ("phrase", "does", "done", "for", SKIP, NOT),
    "reach": ("phrase", "done", "does", "for"),
}
_ORDER["asked"] = _ORDER["start"]
_RELATING = frozenset(words(LINES["relating"]))
_PAST, _PASTS = frozenset(words(LINES["past"])), frozenset(("was", "were", "did"))
_OPPOSITES = {frozenset(pair.split("/")) for pair in words(LINES["opposites"])}
_UNABLE = frozenset(("unable", "incapable"))
_HAVING = frozenset(("without", "lack", "lacking", "minus", "devoid"))
_MEANT = {"H": ("have", "part"), "P": ("place", "place"), "B": ("by", "who")}
"""Part of the first word of a phrase -> context after it, and the sense that it has."""
_AFTER_PLACE = frozenset(("c", "o", ",", "P", "B", "F", "m", "w"))
_TRIES = 4
_NEGATED = re.compile(r"\b(?:not|no|without|never)\b|n't\b")
_ALL = frozenset(("phrase", "quantity"))
"""Senses that stand for any other."""


class _Word(NamedTuple):
    """A token that can be part of a phrase, with the parts of the clear words before it."""

    token: Token
    index: int
    clear: str


class _Unread(Exception):
    """Something is not accounted for."""


class _Item(NamedTuple):
    """A part of what is said."""

    sense: str
    truth: Truth
    start: int
    """Place of its first word in the list."""
    end: int
    """Place after its last."""


class _Clause:
    """What is said in one breath: all of the items, from each negation on the contrary of what follows."""

    def __init__(self, alternative: bool = False) -> None:
        self.alternative = alternative
        self.items: list[_Item] = []
        self.turns: list[int] = []

    def truth(self, everything: int) -> Truth:
        turns = [0, *self.turns, len(self.items)]
        found = Truth(everything, everything)
        for k in range(len(turns) - 2, -1, -1):
            for item in self.items[turns[k] : turns[k + 1]]:
                found &= item.truth
            if k:
                found = contrary(found, everything)
        if not self.turns and not found.possible and len(self.items) > 1 and all(item.truth.possible for item in self.items):
            raise _Unread  # parts that nothing has together: one of them means something else
        return found


class Reader:
    """Reads questions about the things of a table.

    Args:
        lexicon: the task's phrases.
        measures: the task's measures.
        count: how many things there are.
        subjects: words that stand for the thing where they are the subject ("Is the animal a dog?").
    """

    def __init__(self, lexicon: Lexicon, measures: Measures, count: int, subjects: Collection[str] = ()) -> None:
        self.lexicon, self.measures, self.everything = lexicon, measures, (1 << count) - 1
        self.subjects = frozenset(subjects)

    def read(self, text: str, memory: Memory | None = None) -> Reading:
        """The meaning of a question; `UNREAD` when there is none that accounts for all of it.

        Args:
            text: anything.
            memory: of the question before, for follow-ups.
        """
        sentence = question_in(clean(text).strip())
        if sentence.asked > 1:
            return UNREAD
        if sentence.is_open:
            return OPEN
        reading = self._read(sentence, sentence.text, memory)
        if reading.truth is None and memory is not None and sentence.text.count(" ") < 5:
            # A piece goes in the place of the end of the former question: "on your head?" - "the hands, then?"
            former = memory.text.rstrip("?!. ").split(" ")
            for k in (1, 2, 3):
                if k < len(former):
                    reading = self._read(sentence, " ".join(former[:-k]) + " " + sentence.text, memory)
                    if reading.truth is not None and reading.guess is None:
                        return reading
            return UNREAD
        return reading

    def _read(self, sentence: Sentence, text: str, memory: Memory | None) -> Reading:
        special = self.special(text)
        if special is not None:
            return UNREAD if _NEGATED.search(text) else Reading(special, None, False, Memory(text, None, ""))
        tokens = self.lexicon.tokenizer(text.replace("-", " "))
        if not tokens:
            return UNREAD
        caps: dict[int, int] = {}
        for _ in range(_TRIES):
            scan = _Scan(self, tokens, sentence.agree, memory, caps)
            try:
                truth = scan.run()
                break
            except _Unread:
                # The last phrase of several words may have taken one too many.
                if scan.widest is None or scan.at != sum(scan.widest):
                    return UNREAD
                caps = {**caps, scan.widest[0]: scan.widest[1] - 1}
        else:
            return UNREAD
        guess = scan.guess()
        if guess is not None and sentence.before and self.names_others(sentence.before, guess):
            guess = None
        if guess is None and not sentence.mark and not sentence.agree and scan.is_remark:
            return UNREAD
        return Reading(truth, guess, False, Memory(text, scan.reference, scan.noun))

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


class _Scan:
    """Goes through the words once, from left to right."""

    def __init__(
        self, reader: Reader, tokens: list[Token], agree: str, memory: Memory | None, caps: Mapping[int, int]
    ) -> None:
        self.caps = caps
        self.widest: tuple[int, int] | None = None
        self.at = self.asked_at = 0
        self.reader, self.tokens, self.memory = reader, tokens, memory
        self.phrases, self.prefixes, self.measures = reader.lexicon.phrases, reader.lexicon.prefixes, reader.measures
        self.agrees = agree == "+"
        self.reference: Values | None = None
        self.noun = ""
        self.context = "start"
        self.clauses = [_Clause()]
        self.connector = ""
        self.owed: list[tuple[int, frozenset[str]]] = []
        self.items: list[_Item] = []
        self.narrow = self.turned = self.among = self.own = self.reaches = False
        self.superlative: tuple[str, str] | None = None

    @property
    def is_remark(self) -> bool:
        """Whether it may be said of the game: "this is hard"."""
        return self.tokens[0].word in ("this", "that") and len(self.items) == 1 and self.items[0].sense == "quality"

    def guess(self) -> int | None:
        """The one thing that is named, if nothing else is said."""
        if len(self.items) != 1 or self.narrow or self.turned or self.superlative or self.items[0].sense != NAME:
            return None
        return self.items[0].truth.yes.bit_length() - 1

    def run(self) -> Truth:
        """What is said.

        Raises:
            _Unread: not all is accounted for.
        """
        listed = self._words()
        i = 0
        while i < len(listed):
            self.at = i
            i = self._step(listed, i)
        self.at = -1
        if not self.items:
            raise _Unread
        for start, senses in self.owed:
            if not any(item.sense in senses or item.sense in _ALL for item in self.items[start:]):
                raise _Unread
        tokens = self.tokens[self.asked_at :]
        if any(token.word in _PASTS for token in tokens) and not any(token.base in _PAST for token in tokens):
            raise _Unread
        return self._together()

    def _together(self) -> Truth:
        everything = self.reader.everything
        clauses = [clause for clause in self.clauses if clause.items]
        ways = {clause.alternative for clause in clauses[1:]}
        if len(ways) > 1:
            raise _Unread
        found = clauses[0].truth(everything)
        for clause in clauses[1:]:
            found = found | clause.truth(everything) if clause.alternative else found & clause.truth(everything)
        if sum(item.sense == NAME for item in self.items) > 1:
            raise _Unread  # no thing is two
        if self.superlative is not None:
            if self.turned or ways or not any(item.sense == "kind" for item in self.items):
                raise _Unread
            return self.measures.greatest(self.superlative, found.possible, self.among)
        if self.narrow and self.turned:
            raise _Unread
        return found.narrowed() if self.narrow else found

    def _words(self) -> list[_Word]:
        """The words that phrases are made of, with what stands between."""
        listed, clear = [], ""
        for index, token in enumerate(self.tokens):
            if token.part and token.part in CLEAR:
                clear += token.part
            else:
                listed.append(_Word(token, index, clear))
                clear = ""
        if (
            len(listed) > 1
            and listed[0].token.base in self.reader.subjects
            and listed[1].token.part not in (",", "o", "c")
        ):
            # "Is the animal a dog?": the category stands for the thing.
            first, second = listed[0], listed[1]
            if first.clear in ("bx", "ax", "bt", "at") and self.tokens[first.index - 1].word in ("the", "this", "that"):
                listed[:2] = [_Word(second.token, second.index, first.clear[0] + "t" + second.clear)]
        return listed

    # -- one step

    def _step(self, listed: list[_Word], i: int) -> int:
        word = listed[i]
        token, clear = word.token, word.clear
        if clear:
            if self.connector and clear[0] in "ab":
                self.context, self.own = "start", True
            for part in clear:
                self.context = _NEXT.get((self.context, part), self.context)
        if self.reaches:
            self.context, self.reaches = "reach", False
        if token.part == "P" and self._is_stranded(listed, i):
            return i + 1
        if i + 1 < len(listed) and listed[i + 1].token.word == "enough":
            return self._degree(listed, i)
        found = self._candidates(listed, i)
        measures = self.measures
        if token.word in measures.triggers or token.base in measures.triggers or token.word[0] in "$0123456789":
            least = 3 if token.word in measures.numeric else 2
            end = self._phrase(listed, i, found, least) or self._measure(listed, i) or self._phrase(listed, i, found, 1)
        else:
            end = self._phrase(listed, i, found, 1)
        return end or (not token.part and self._coordinate(listed, i)) or self._single(listed, i, token)

    def _candidates(self, listed: list[_Word], i: int) -> list[tuple[int, str]]:
        """The phrases of the lexicon that begin at a word, the longest first: how many words, and the key."""
        found: list[tuple[int, str]] = []
        token = listed[i].token
        key, prefixes, phrases = token.base, self.prefixes, self.phrases
        if key not in prefixes or token.part == "N" or (token.part == "n" and self.agrees):
            return found
        limit = self.caps.get(i, len(listed))
        size = 1
        while True:
            if key in phrases and listed[i + size - 1].token.part != ",":
                found.append((size, key))
            size += 1
            if size > limit or i + size > len(listed):
                break
            following = listed[i + size - 1].token
            if following.part != ",":  # a list within a phrase: with a bat, stick or club
                key = f"{key} {following.base}"
                if key not in prefixes:
                    break
        found.reverse()
        return found

    def _phrase(self, listed: list[_Word], i: int, found: list[tuple[int, str]], least: int) -> int:
        for size, key in found:
            if size < least:
                break
            senses = self.phrases[key]
            sense = self._sense(listed, i, size, senses)
            if sense is None:
                continue
            if " or " in key and not any(token.part in ("a", "b") for token in self.tokens):
                raise _Unread  # "Fruit or vegetable?" asks which
            if size > 1:
                self.widest = (i, size)
            first = listed[i].token.part
            if sense == SKIP:
                self.context = "asked"
                self.asked_at = listed[i + size - 1].index
            elif sense == NOT:
                self._turn("")
            elif sense == "phrase" and first in _MEANT:
                # It may go on: "does it have a trunk or ears", "in the kitchen or the bathroom".
                made = self.context == "made"
                self.context, meant = ("made", "material") if made else _MEANT[first]
                self._add(_Item(meant, senses["phrase"], i, i + size), listed, i)
            else:
                self._add(_Item(sense, senses[sense], i, i + size), listed, i)
            return i + size
        return 0

    def _sense(self, listed: list[_Word], i: int, size: int, senses: Mapping[str, Truth]) -> str | None:
        """The sense in which a phrase stands here, None if it cannot."""
        order = _ORDER[self.context]
        token, clear = listed[i].token, listed[i].clear
        if size == 1 and token.part:
            if token.part == "M" and self.context != "do":
                return None  # "made of"
            if token.part == "P" and i + 1 < len(listed) and listed[i + 1].token.part not in _AFTER_PLACE:
                return None  # "outside", but not of "outside the house"
        if self.context == "aux" and size == 1 and token.word.endswith("ing"):
            return None  # "does cutting it ..."
        sense = None
        for own in order:
            if own in senses:
                sense = own
                break
        if sense is None and self.context in ("be", "noun"):
            if self._is_headed(listed, i + size):
                sense = next((own for own in ("place", "who", "for", "relate") if own in senses), None)
            if sense is None and "does" in senses and token.word.endswith("ing"):
                sense = "does"  # "capable of swimming"
        if sense == NAME:
            headed = self._is_headed(listed, i + size)
            if "quality" in senses and ("x" not in clear or headed):
                return "quality"  # "Is it orange?" asks for the colour
            if "material" in senses and ((self.context != "start" and "x" not in clear) or headed):
                return "material"
            if (
                "kind" in senses
                and self.tokens[listed[i].index - 1].word == "of"
                and not self._is_own_name(listed, i, size)
            ):
                return "kind"  # "a kind of computer"
        elif sense == "kind" and not senses["kind"].possible:
            # A thing that is none of these: "is it a lamp"; else the word may mean something else: "the bedroom?".
            named = listed[i].index > 0 and self.tokens[listed[i].index - 1].word in ("a", "an")
            if not (named and self._ends(listed, i + size)):
                others = [own for own in order if own in senses and own != "kind"]
                return others[0] if others else "kind" if self._is_alone(listed, i, size, senses) else None
        return sense

    def _is_own_name(self, listed: list[_Word], i: int, size: int) -> bool:
        """Whether the words are a thing's own name, not another name of it."""
        return " ".join(word.token.base for word in listed[i : i + size]) in self.reader.lexicon.own_names

    def _coordinate(self, listed: list[_Word], i: int) -> int:
        """What goes on from the beginning of the phrase before: "made to cut paper or cloth"."""
        last = self.items[-1] if self.items else None
        if self.connector not in ("or", "and", ",") or last is None or listed[i].clear.strip("xv"):
            return 0
        before = [word.token.base for word in listed[last.start : last.end]]
        for cut in range(1, len(before)):
            for size in range(min(3, len(listed) - i), 0, -1):
                key = " ".join(before[:-cut] + [word.token.base for word in listed[i : i + size]])
                senses = self.phrases.get(key, {})
                sense = (
                    last.sense if last.sense in senses else next((s for s in _ORDER[self.context] if s in senses), None)
                )
                if sense not in (None, SKIP, NOT):
                    self._add(_Item(last.sense, senses[sense], i, i + size), listed, i)
                    return i + size
        return 0

    def _ends(self, listed: list[_Word], i: int) -> bool:
        """Whether nothing more is said of what was named before."""
        after = listed[i] if i < len(listed) else None
        return (
            after is None or after.token.part in ("c", "o", ",", "H", "n", "N") or bool(set("tpT") & set(after.clear))
        )

    def _is_alone(self, listed: list[_Word], i: int, size: int, senses: Mapping[str, Truth]) -> bool:
        """Whether a noun is all that is asked: "lamp?", "is it the lamp", "are they lamps"."""
        token, clear = listed[i].token, listed[i].clear
        if self.items or clear.strip("xtbh") or not self._ends(listed, i + size):
            return False
        return "b" not in clear or token.word.endswith("s") or (clear[-1:] == "x" and len(senses) == 1)

    def _is_headed(self, listed: list[_Word], i: int) -> bool:
        """Whether a noun follows: "a kitchen appliance", "a household item"."""
        if i < len(listed):
            return "h" in listed[i].clear or any("kind" in self.phrases[key] for _, key in self._candidates(listed, i))
        return any(token.part == "h" for token in self.tokens[listed[-1].index :])

    def _measure(self, listed: list[_Word], i: int) -> int:
        memory = self.memory
        index = listed[i].index
        if index and self.tokens[index - 1].word in ("a", "an") and self.tokens[index].word in self.measures.units:
            index -= 1
        match = self.measures.match(self.tokens, index, memory and memory.reference, memory.noun if memory else "")
        if match is None:
            return 0
        self.reference, self.noun = match.reference, match.noun
        end = next((k for k in range(i + 1, len(listed)) if listed[k].index >= match.end), len(listed))
        self._add(_Item("quantity", match.truth, i, end), listed, i)
        return end

    def _single(self, listed: list[_Word], i: int, token: Token) -> int:
        part = token.part
        after = listed[i + 1] if i + 1 < len(listed) else None
        if part == "N" or part == "n":
            if not (part == "N" and self._leads(listed, i)):
                self._turn(token.word)
        elif part == "w":
            self.narrow = True
        elif part == "m":
            pass
        elif part in ("c", "o", ","):
            self._connect(token.word, part)
        elif part == "q":  # people
            if self.context in ("by", "for"):
                self.owed.pop()
            elif self.context in ("aux", "start", "noun", "does"):
                self.context = "do"
            elif self.context == "be" and listed[i].clear[-1:] == "x":
                self._add(_Item("kind", Truth(0, 0), i, i + 1), listed, i)  # "Is it a person?"
            elif self.context != "do":
                raise _Unread
        elif part == "H" or (token.base in ("come", "equip", "fit") and after and after.token.word == "with"):
            if after is not None and ("T" in after.clear or "b" in after.clear):
                return i + 1  # "have to", "has it been"
            if part == "H" and self._is_held(listed, i):
                self.owed.append((0, frozenset(("place", "phrase"))))
                return i + 1
            last = self.items[-1] if self.items else None
            follows = last is not None and last.end == i and last.sense in ("done", "does", "for")
            if token.word == "with" and follows and listed[i - 1].token.base not in ("play", "fit"):
                raise _Unread  # with what something is done
            self.context = "have"
            self._owe("part", "material")
        elif part == "M":
            self.context = "made"
            self._owe("material", "who", "for", "done", "part")
        elif part == "P":
            if self.context != "made":
                self.context = "place"
                self._owe("place", "body")
        elif part in ("F", "B"):
            self.context = "for" if part == "F" else "by"
            self._owe("for", "who", "place", "body")
        elif token.base in _RELATING:
            self.context = "relate"
            self._owe("relate")
            return i + 1 + (after is not None and after.token.word in ("with", "to", "in"))
        elif (token.base == "get" and self.context == "have") or (
            token.word in ("out", "up") and self.context == "made"
        ):
            pass
        elif token.word == "got" and self.context == "does":
            self.context = "have"
            self._owe("part", "material")
        elif token.base in LIGHT:
            if i and listed[i - 1].token.part == "P" and listed[i - 1].index + 1 == listed[i].index:
                raise _Unread
            if (
                token.base == "use"
                and after is not None
                and "T" not in after.clear
                and "part" in self.phrases.get(after.token.base, ())
            ):
                self.context = "have"  # "use a racket"
                self._owe("part")
            elif token.base in ("find", "see", "notice") and after is not None and self._is_on_it(listed, i + 1):
                self.context = "have"  # "find an antenna on it"
                self._owe("part")
            else:
                self.owed.append((0, LIGHT[token.base]))
        else:
            return self._degree(listed, i)
        return i + 1

    def _is_on_it(self, listed: list[_Word], i: int) -> bool:
        """Whether a part follows, and that it is on or in the thing."""
        place = listed[i + 1] if i + 1 < len(listed) else None
        if place is None or place.token.part != "P" or "part" not in self.phrases.get(listed[i].token.base, ()):
            return False
        return place.index + 1 < len(self.tokens) and self.tokens[place.index + 1].part == "t"

    def _is_held(self, listed: list[_Word], i: int) -> bool:
        """Whether "have" has the thing itself: "did people have it in the middle ages"."""
        index = listed[i].index + 1
        if index >= len(self.tokens) or self.tokens[index].part != "t" or self.context != "do":
            return False
        return index + 1 == len(self.tokens) or self.tokens[index + 1].part in tuple("P,co")

    def _is_stranded(self, listed: list[_Word], i: int) -> bool:
        """Whether a preposition goes back to the thing: "are there shelves on it"."""
        index = listed[i].index
        last = self.items[-1] if self.items else None
        follows = self.tokens[index + 1].part if index + 1 < len(self.tokens) else ""
        if last is None or last.end != i:
            return False
        return last.sense in ("part", "material") and follows in ("t", "", ",")

    def _degree(self, listed: list[_Word], i: int) -> int:
        """ "Too big to", "small enough to", "the largest"."""
        word, adjectives = listed[i].token.word, self.measures.adjectives
        if word == "too" and i + 2 < len(listed) and self._is_adjective(listed[i + 1].token):
            at = i + 2
            if (
                listed[at].token.part in ("c", "o")
                and at + 2 < len(listed)
                and self._is_adjective(listed[at + 1].token)
            ):
                at += 2
            if listed[at].token.part == "F" and at + 1 < len(listed):
                at += 1
            if "T" in listed[at].clear:
                self._turn("too")
                self._owe("done", "for", "does")
                self.reaches = True
                return at
        elif i + 2 < len(listed) and listed[i + 1].token.word == "enough" and self._is_adjective(listed[i].token):
            if set("Ttp") & set(listed[i + 2].clear):
                self._owe("done", "for", "does")
                self.reaches = "T" in listed[i + 2].clear
                return i + 2
        elif word == "most" and i + 1 < len(listed) and listed[i + 1].token.part == "q":
            return i + 1
        elif word in self.measures.superlatives or (
            word in ("most", "least") and i + 1 < len(listed) and listed[i + 1].token.word in adjectives
        ):
            if self.superlative is not None:
                raise _Unread
            index = listed[i].index
            self.among = (index >= 3 and self.tokens[index - 2].word in ("of", "among")) or listed[
                i - 1
            ].token.word == "among"
            if word in self.measures.superlatives:
                self.superlative = self.measures.superlatives[word]
                return i + 1
            measure, sign = adjectives[listed[i + 1].token.word]
            self.superlative = (measure, sign if word == "most" else "<=" if sign == ">=" else ">=")
            return i + 2
        raise _Unread

    def _is_adjective(self, token: Token) -> bool:
        return token.word in self.measures.adjectives or "quality" in self.phrases.get(token.base, ())

    def _leads(self, listed: list[_Word], i: int) -> bool:
        """Whether an "n't" asks ("isn't it", "don't people") rather than denies ("it isn't")."""
        index = listed[i].index
        before = {token.part for token in self.tokens[:index]}
        after = self.tokens[index + 1].part if index + 1 < len(self.tokens) else ""
        return not self.items and not before & set("tpq") and after in ("t", "p", "q", "x", "e", "v", "")

    # -- what is done with what was found

    def _owe(self, *senses: str) -> None:
        self.owed.append((len(self.items), frozenset(senses)))

    def _turn(self, word: str) -> None:
        if self.agrees:  # "It isn't alive, is it?"
            self.agrees = False
            return
        self.turned = True
        self.clauses[-1].turns.append(len(self.clauses[-1].items))
        if self.connector in ("and", "but", ","):
            self._begin(False)
            self.clauses[-2].turns.pop()
            self.clauses[-1].turns.append(0)
        if word in _HAVING:
            self.context = "have"
            self._owe("part", "material")
        elif word == "nothing":
            self.context = "noun"
        elif word in _UNABLE:
            self.context = "able"
        elif word == "nobody":
            self.context = "do"

    def _connect(self, word: str, part: str) -> None:
        if part == ",":
            self.connector = self.connector or ","
        elif part == "o":
            self.connector = "or"
        elif word == "nor":
            self.connector = "nor"
        else:
            self.connector = "but" if word != "and" else "and"

    def _begin(self, alternative: bool) -> None:
        self.connector = ""
        if self.clauses[-1].items or self.clauses[-1].turns:
            self.clauses.append(_Clause(alternative))

    def _add(self, item: _Item, listed: list[_Word], i: int) -> None:
        clause, clear = self.clauses[-1], listed[i].clear
        connector, self.connector = self.connector, ""
        last = clause.items[-1] if clause.items else None
        own, self.own = self.own or bool(set("ab") & set(clear)), False
        if connector == "," and any(word.token.part == "o" for word in listed[i:]) and last is not None and not own:
            connector = "or"
        if last is None or not connector:
            item = self._beside(item, last, listed, i)
        elif connector == "or":
            if own or self._is_choice(listed, i):
                raise _Unread
            if item.sense == last.sense:
                sense = "names" if item.sense == NAME else item.sense
                clause.items[-1] = self.items[-1] = _Item(sense, item.truth | last.truth, last.start, item.end)
                return
            if (len(clause.items) > 1 and not own) or clause.turns:
                raise _Unread
            self._begin(True)
        elif clause.turns and connector != "but" and not own and connector != "nor":
            raise _Unread
        else:
            self._begin(False)
            if connector == "nor":
                self.clauses[-1].turns.append(0)
        self.clauses[-1].items.append(item)
        self.items.append(item)
        if item.sense == "who" and self.context in ("aux", "start", "noun"):
            self.context = "do"

    def _beside(self, item: _Item, last: _Item | None, listed: list[_Word], i: int) -> _Item:
        """An item right after another: "a big animal", "a pet animal"."""
        if last is not None and len(self.items) == 1 and last.start == 0 and not set("thbp") & set(listed[i].clear):
            start = listed[0]
            if start.clear == "bx" and self.tokens[start.index - 1].word not in ("a", "an"):
                raise _Unread  # "is the ball kicked": of something else than the thing
        if last is None or last.end != i or set("thbapT") & set(listed[i].clear):
            return item
        if item.sense == "kind" and listed[i - 1].token.word in self.measures.adjectives and last.sense == "quality":
            clause = self.clauses[-1]
            clause.items.pop()
            self.items.pop()
            relative = self.measures.relative(listed[i - 1].token.word, item.truth.possible)
            return _Item("kind", relative & item.truth, last.start, item.end)
        if item.sense in ("kind", NAME) and last.sense in ("kind", NAME) and last.truth.possible & ~item.truth.possible:
            raise _Unread
        if item.sense in ("does", "done", "for") and last.sense not in ("kind", NAME, "who", "quality"):
            raise _Unread  # a verb right after another: what it goes with was not read
        if (
            item.sense == "kind"
            and last.sense in ("phrase", "does", "done", "for", "part")
            and listed[last.start].clear[-1:] != "x"
        ):
            raise _Unread
        return item

    def _is_choice(self, listed: list[_Word], i: int) -> bool:
        """Whether "A or B?" asks which of the two."""
        if not any(token.part in ("a", "b", "H") for token in self.tokens):
            return True
        if any(token.word in ("rather", "more") for token in self.tokens):
            return True
        before = next((word.token for word in reversed(listed[:i]) if word.token.part not in ("o", ",")), None)
        return before is not None and frozenset((before.base, listed[i].token.base)) in _OPPOSITES
