"""Reads a question about the hidden city: the task's table, words and pieces for the reader of `lmrl_envs.language.reading`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from lmrl_envs.guess_my_city.knowledge import load_knowledge
from lmrl_envs.guess_my_city.names import LINES, Entity, names_of_places
from lmrl_envs.guess_my_city.pieces import Pieces
from lmrl_envs.guess_my_city.table import HEADS, cities
from lmrl_envs.language.frames import narrows, without_frame, without_talk
from lmrl_envs.language.knowledge import Knowledge, to_set
from lmrl_envs.language.lexicon import SKIP, Lexicon
from lmrl_envs.language.lists import sections, table, words
from lmrl_envs.language.reading import UNREAD, Memory, Reader, Reading
from lmrl_envs.language.rewrites import Rewrites
from lmrl_envs.language.sentence import question_in
from lmrl_envs.language.spelling import read_spelling
from lmrl_envs.language.tokens import CLEAR, PARTS, clean
from lmrl_envs.language.truth import Truth, surely

MAX_QUESTION_LENGTH = 500
"""Characters of a question; a longer one is not read."""
MAX_FOLLOW_UP = 60
"""Characters of a question that may go on from the one before."""
_FACTS = ("landmarks", "rivers", "clubs", "people", "nicknames", "airports", "universities", "foods", "known")


prepared = lru_cache(maxsize=1 << 10)(Rewrites(sections(__file__, "data/rewrites.txt")["rewrite"]))
"""A text in the words that the engine takes: the US by its name, introductions left out (see data/rewrites.txt)."""
_NUMBER = r"\d[\d,.]*|one|two|three|four|five|six|seven|eight|nine|ten|fifteen|twenty|thirty|fifty"
_MORE = "more|less|over|under|higher|lower|bigger|fewer|older"
_ANOTHER_AMOUNT = re.compile(
    rf"(?:and |or |so )*(?:is it |does it have )?({_MORE})( than)? ({_NUMBER})( million| thousand)?(?: then| though)?\?*$"
)
_FORMER_AMOUNT = re.compile(rf"(?:{_MORE})(?: than)? (?:{_NUMBER})")
_SIDES = re.compile(
    r"\b(?:summer|winter|north|south|east|west|central|middle|north-?east|south-?east|north-?west|south-?west)(?:ern)?\b"
)
_STATEMENT = re.compile(
    r"(?i)(?:it|this|that|so|okay|ok|not|i|my|we|you)\b(?!.*\?)(?!.*\b(?:right|correct|isn't it|is it|yes|no|true|yeah|eh|huh)\W*$)"
)
"""What is said and not asked."""
_NAMED = re.compile(
    r"\b(?:call(?:ed)?(?: it)?|known as|named|name (?:is|was|used to be)|go by) (?:the name (?:of )?)?([a-z .'-]+?)(?: (?:before|once|in the past|long ago|back then|until \d+))?\W*$"
)
_MAIN = re.compile(
    r"\bmain language\b|\b(?:known|famous|noted) (?:primarily|mainly|mostly|chiefly|principally|above all|first and foremost) for\b"
)
"""Asks for what is first among others: what people would dispute of a city is not."""
_HAS_ONE = re.compile(
    r"\bdoes it (?:also )?have (?:one|some|any|those|them)\b(?= *(?:by|in|on|near|at|there|too|\W*$))"
)
"""Asks about what was named before."""
_ONCE = re.compile(r"^(?:is|was) it ever (?!called|known|named)([a-z .'-]+)\W*$")
"""What it was before, by its name alone."""
_PAST = re.compile(
    r"(?i) *\b(?:formerly|previously|once|in the past|historically|back then|used? to(?= be| have| speak))\b *"
)
"""Asks about the past: what is known of today alone does not answer it."""
_PAST_HINTS = ("formerly", "previously", "once", "past", "historically", "back", "use")
_WAS_THERE = re.compile(
    r"(?i)^(?:did|has|have|was|were) (?:the )?([\w .'-]{3,40}?) (?:ever |once |use to |used to )*"
    r"(?:lived?|work(?:ed)?|stud(?:y|ied)|visit(?:ed)?|play(?:ed)?|perform(?:ed)?|stay(?:ed)?|teach|taught|resided?|been)\b"
)
"""Asks whether somebody was in the city for a while."""
_ROLES = "|".join(words(LINES["roles"]))
_DONE_BY = re.compile(
    rf"(?i)^(?:(?:did|has|have|had|was|were) (?:an? |any |some |the |another )?(?:[\w-]+ ){{0,2}}?({_ROLES})s?(?: of ([\w ]+?))?(?: ever| once)? (?:been|came|come|(?!united)\w+ed|live|die|visit|stay|sleep|go|stop|meet|speak|rule|study|build|found)\b"
    rf"|.*\b(?!(?:{'|'.join(words(LINES['ruling']))})\b)\w+(?:ed|en|t) by (?:an? |any |some |the )?(?:[\w-]+ ){{0,2}}?({_ROLES})s?\b)"
)
"""Asks what a king or a president did there, of whom the table knows no more than whether there is one."""
_CHANGES = frozenset(words(LINES["changes"]))
_CONTAINS = re.compile(r"^(?:is|are) (?:the )?([\w .'-]+?) (?:a )?part of (?:it|the city|that city)\W*$")
_BARE = re.compile(r"\W*([a-z]{4,12})\W*$")
_LONGER = re.compile(r"\bname\b.*\b(longer|shorter|more|fewer|less) than (\w+) letters?\b")


def read(question: str) -> Reading:
    """The meaning of a question by itself; `UNREAD` when there is none that accounts for all of it.

    What is longer than `MAX_QUESTION_LENGTH` characters is not read.
    """
    return UNREAD if len(question) > MAX_QUESTION_LENGTH else _read(question)


@lru_cache(maxsize=1 << 14)
def _read(question: str) -> Reading:
    asked = without_talk(question)
    reading = UNREAD if asked is None else _as_said(asked)
    if reading.truth is None:
        reading = _as_said(question)
    if reading.truth is None:
        for other in without_frame(question, HEADS):
            found = _as_said(other)
            if found.truth is not None and narrows(other) is None:
                return found
    elif (
        reading.guess is None
        and not reading.is_open
        and (rest := narrows(question)) is not None
        and _as_said(rest).truth == reading.truth
    ):
        return UNREAD
    return reading


def _as_said(question: str) -> Reading:
    text = prepared(question)
    reading = load_reader().read(text)
    lower = text.lower()
    if reading.truth is not None:
        if ("does it" in lower and _HAS_ONE.search(lower) is not None) or (
            not reading.truth.possible and _CONTAINS.match(lower) is not None
        ):
            return UNREAD
        if _is_of_the_past(question) and not _CHANGES.isdisjoint(re.findall("[a-z]+", question.lower())):
            today = _read(_PAST.sub(" ", question)).truth
            return UNREAD if today is None or today == reading.truth else reading
        if "main language" in lower or (" for" in lower and _MAIN.search(lower) is not None):
            return reading._replace(truth=surely(reading.truth.yes))
        if (done := _DONE_BY.match(question)) is not None:
            alone = _as_said(f"is it in {done[2]}?" if done[2] else f"is there a {done[1] or done[3]}?").truth
            said = reading.truth.possible
            if (
                alone is not None
                and said & ~alone.possible == 0
                and (alone == reading.truth or said.bit_count() > _FEW)
            ):
                return UNREAD
        if reading.guess is None and (somebody := _WAS_THERE.match(question)) is not None:
            known = load_reader().of_few(somebody[1])
            if known is not None and known.yes == reading.truth.yes:  # where else they were nobody told
                return Reading(Truth(known.yes, (1 << len(cities())) - 1), is_vague=True)
        if reading.guess is None and (bare := _BARE.match(lower)) is not None:
            spoken = load_reader().read(f"do they speak {bare[1]}?").truth
            if spoken is not None:  # "Spanish?": in Spain, or where it is spoken
                both = Truth(reading.truth.yes & spoken.yes, reading.truth.possible | spoken.possible)
                return reading._replace(truth=both, is_vague=True)
    if (
        reading.guess is not None
        and (called := load_reader().once_called(_ONCE.sub(r"is it called \1", lower))) is not None
    ):
        return Reading(called)
    return reading if reading.guess is not None or _STATEMENT.match(text) is None else UNREAD


def read_after(question: str, texts: Sequence[str], depth: int = 2) -> Reading:
    """The meaning of a question after others; one that is none by itself may go on from the one before ("and in Peru?").

    Args:
        question: anything.
        texts: the conversation so far: the opening, then questions and answers by turns.
        depth: how many questions back it may go.
    """
    alone = read(question)
    if depth == 0 or len(question) > MAX_FOLLOW_UP or len(texts) < 3:
        return alone
    if alone.truth is not None and not _is_piece(question) and not _goes_on(question):
        return alone
    memory = read_after(texts[-2], texts[:-2], depth - 1).memory
    if memory is None:
        return alone
    named = load_reader().name_in(prepared(question))
    if named is not None and (alone.truth is not None or named.entity.of(*_PLACES) is not None):
        return _renamed(question, named, memory) or alone
    text = _followed(prepared(question), memory)
    reading = _put_in(text, memory) if _is_piece(text) else load_reader().read(text, memory)
    return reading if reading.truth is not None else alone


def _is_of_the_past(question: str) -> bool:
    lower = question.lower()
    for hint in _PAST_HINTS if question.isascii() else ("",):  # a loop, as most questions hold none
        if hint in lower:
            return _PAST.search(question) is not None
    return False


_GOES_FURTHER = re.compile(r"(?i)\W*(?:(?:ok(?:ay)?|so|well|now|hm+)\W+)?(?:and|or|(?:what|how) about)\b")
_ALONE = re.compile(
    r"(?i)\W*(?:(?:ok(?:ay)?|so|well|now|hm+|and|or|but|what about|how about|maybe|perhaps|the|then)\W+)*\0\W*(?:(?:then|maybe|perhaps|though)\W*)*"
)
"""A name ("\0") by itself; what says a word more ("in Peru?") says by itself what it means."""


def _renamed(question: str, named: Named, memory: Memory) -> Reading | None:
    """A name in the place of another of its kind: "Do they speak Portuguese?" - "Spanish?"; "Does it border Chad?" - "And Mali?".

    None where the name stands for itself: a bare place asks whether the city is there, whatever was asked before, and only
    who says that he goes on ("and Mali?") means another border.
    """
    if named.entity.of(*_PLACES) is not None and _GOES_FURTHER.match(question) is None:
        return None
    former = load_reader().name_in(memory.text)
    if former is None or _ALONE.fullmatch(prepared(question).replace(named.text, "\0", 1)) is None:
        return None
    if {kind for kind, _ in named.entity.kinds}.isdisjoint(kind for kind, _ in former.entity.kinds):
        return None
    reading = load_reader().read(memory.text.replace(former.text, named.text, 1))
    return reading if reading.truth is not None and reading.guess is None else None


_PLACES = ("continent", "country", "region", "other")
"""Kinds of names that say where a city is."""
_GOES_ON = re.compile(
    r"(?i)\b(?:than|of) (?:that|it)\b|^(?:and |or )?(?:the )?\w*(?:ern|winter|summer)\b.{0,12}$|\bones?\W*$"
)
_GOES_ON_HINTS = ("than", "of ", "ern", "winter", "summer", "one")


def _goes_on(question: str) -> bool:
    """Whether a whole question refers to the one before."""
    lower = question.lower()
    for hint in _GOES_ON_HINTS if question.isascii() else ("",):
        if hint in lower:
            return _GOES_ON.search(question) is not None
    return False


def _put_in(piece: str, memory: Memory) -> Reading:
    """A piece in the place of the end of the former question: "Do they speak Portuguese?" - "Spanish, then?"."""
    former = memory.text.rstrip("?!. ").split(" ")
    piece = re.sub(r"(?i)^(?:and|or|so|but)\s+|[,\s]*\b(?:then|though|maybe|perhaps)\b|[?!.,]", "", piece).strip()
    for k in (len(piece.split()), 1, 2, 3):
        if 0 < k < len(former):
            reading = load_reader().read(" ".join(former[:-k]) + f" {piece}?")
            if reading.truth is not None and reading.guess is None:
                return reading
    return UNREAD


_ASKS = re.compile(r"(?i)(?:is|are|does|do|did|was|has|have|can)\b")


def _is_piece(question: str) -> bool:
    """Whether a text is too short to ask by itself ("Spanish, then?")."""
    return len(question.split()) <= 3 and _ASKS.match(question) is None


def _followed(text: str, memory: Memory) -> str:
    """A follow-up with what it leaves out: another amount, another side, "than that"."""
    lower = text.lower()
    amount = _ANOTHER_AMOUNT.match(lower)
    if amount is not None and _FORMER_AMOUNT.search(memory.text) is not None:
        new = f"{amount[1]}{amount[2] or ''} {amount[3]}{amount[4] or ''}"
        return _FORMER_AMOUNT.sub(new, memory.text, count=1)
    side = _SIDES.search(lower)
    if side is not None and len(lower.split()) <= 4 and _SIDES.search(memory.text) is not None:
        return _SIDES.sub(side[0], memory.text, count=1)
    if " than " in lower or " of that" in lower:
        named = load_reader().named_in(memory.text)
        return text if named is None else re.sub(r"(?i)\b(than|of) (?:that|it)\b", rf"\1 {named}", text)
    return re.sub(r"(?i)\bones?(?=\W*$)", "", text)


def _facts() -> dict[str, set[str]]:
    """What the table's columns name -> the cities that have it."""
    found: dict[str, set[str]] = {}
    for city in cities().values():
        for column in _FACTS:
            for text in getattr(city, column):
                if not text.startswith(("no ", "a ", "one ")) and (column != "known" or " " in text):
                    found.setdefault(text.lower().removeprefix("the "), set()).add(city.name)
    return found


_DATE = re.compile(
    r"\b(?:in|of|during|from|around)(?: the)?(?: early| late| mid)?(?: year)? (?:(\d{3,4})('?s)?|([a-z]+|\d\d?(?:st|nd|rd|th))[ -]century)\b"
)
_DATED = re.compile(r"\d|century")
_NTH = {word: i for i, word in enumerate([*words(LINES["centuries"]), "twenty-first"])}


def _years(match: re.Match[str]) -> tuple[int, int] | None:
    """The first and the last year of a date."""
    if match[1]:
        year = int(match[1])
        return year, year + (0 if not match[2] else 99 if year % 100 == 0 else 9)
    nth = _NTH.get(match[3], int(match[3][:-2]) - 1 if match[3][0].isdigit() else -1)
    return None if nth < 0 else (100 * nth, 100 * nth + 99)


_FEW = 4
"""Cities that may have what is said to be found hardly elsewhere."""
_AROUND = frozenset(("P", "h", "e", "q", "H", "F", "B", "M"))
"""Parts of the words that may stand beside its name."""


class Named(NamedTuple):
    """A name in a text, as it is written there."""

    entity: Entity
    text: str


class CityReader(Reader):
    """The reader of Guess My City."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        files = {title: list(lines) for title, lines in sections(__file__, "data/lexicon.txt").items()}
        facts_file = sections(__file__, "data/facts.txt")
        files["phrase"] += facts_file["facts"]
        for happened in ("born", "died", "buried"):
            files["phrase"] += [f"={line.replace(';', f' {happened};')} {happened}" for line in facts_file[happened]]
        common, silent = set(words(files.pop("common"))), words(files.pop("silent"))
        beside, ordinary = words(files.pop("beside")), set(words(files.pop("ordinary")))
        common |= {own.strip() for line in files.pop("common phrases") for own in line.split(";")}
        files["place"] = [f"{city.name}: {'; '.join(city.names)}" for city in cities().values()]
        facts = {text: names for text, names in _facts().items() if text not in common}
        lexicon = Lexicon(files, knowledge.judge, knowledge.aliases, {}, [*names_of_places(), *facts, *beside])
        for word in silent:
            lexicon.phrases[word] = {SKIP: surely(0)}
            lexicon.prefixes.add(word)
        for text, names in facts.items():
            key = lexicon.key(text)
            if key not in lexicon.phrases and key not in PARTS:
                lexicon.phrases[key] = {"phrase": surely(to_set(knowledge.index[name] for name in names))}
                parts = key.split(" ")
                lexicon.prefixes.update(" ".join(parts[:size]) for size in range(1, len(parts) + 1))
        self._pieces = Pieces(knowledge, lexicon.tokenizer)
        super().__init__(
            lexicon,
            self._pieces,
            len(knowledge.names),
            leans=False,
            rewordings=sections(__file__, "data/rewordings.txt")["rewrite"],
        )
        self._beside = {lexicon.key(word) for word in beside}
        self._ordinary = ordinary
        self._events: dict[str, list[tuple[int, int]]] = {}
        """What was done -> the places in the table and the years where it was."""
        for ways, places in table(facts_file["events"]).items():
            found = [(knowledge.index[city], int(year)) for city, _, year in (own.rpartition(" ") for own in places)]
            for way in ways.split(", "):
                self._events.setdefault(self._said(way), []).extend(found)
        self._aliases: dict[str, int] = {}
        for index, own in enumerate(knowledge.aliases):
            for name in own:
                self._aliases[lexicon.key(name)] = 1 << index

    def read(self, text: str, memory: Memory | None = None) -> Reading:
        reading = super().read(text, memory)
        if reading.truth is None and memory is None and not reading.is_open:
            return self._named_in_passing(text) or self._named_in_passing(self._reworded(text)) or reading
        return reading

    def _named_in_passing(self, text: str) -> Reading | None:
        """A question that names what is found in a city or a few and says nothing else of weight ("do they have that big green lady?")."""
        sentence = question_in(clean(text).strip())
        if (
            sentence.is_open
            or sentence.asked > 1
            or not (sentence.mark or sentence.agree or _ASKS.match(sentence.text))
        ):
            return None
        tokens = self.lexicon.tokenizer(sentence.text.replace("-", " "))
        bases = [token.base for token in tokens if token.part not in CLEAR and token.part != ","]
        parts = [token.part for token in tokens if token.part not in CLEAR and token.part != ","]
        found: Truth | None = None
        i = 0
        while i < len(bases):
            for size in range(min(5, len(bases) - i), 0, -1):
                own = self._own(" ".join(bases[i : i + size]))
                if own is not None:
                    found = own if found is None else found & own
                    i += size
                    break
            else:
                skipped = bases[i] in self._beside or SKIP in self.lexicon.phrases.get(bases[i], ())
                if not skipped and parts[i] not in _AROUND:
                    return None
                i += 1
        # Where it is found, nothing but yes can be meant; elsewhere the rest may say what was not understood.
        return None if found is None else Reading(Truth(found.yes, (1 << self._count) - 1), is_vague=True)

    def of_few(self, text: str) -> Truth | None:
        """Which cities a name stands for, if they are few."""
        return self._own(self.lexicon.key(text))

    def _own(self, key: str) -> Truth | None:
        """What a phrase means if it is of few cities and could hardly mean anything else."""
        truth = self.lexicon.phrases.get(key, {}).get("phrase")
        if truth is None or not 0 < truth.possible.bit_count() <= _FEW or len(key) < 3 or key in self._ordinary:
            return None
        return truth

    def special(self, text: str) -> Truth | None:
        """A question about the name: its letters, or what the city is or was called."""
        spelled = _LONGER.sub(r"\1 than \2 letters", text) if "letter" in text else text
        found = read_spelling(self.knowledge.names, spelled.replace("longer than", "more than"))
        if found is None:
            found = self.once_called(text)
        return self.dated(text) if found is None else found

    def dated(self, text: str) -> Truth | None:
        """Whether something happened in a year, decade or century: "was there a great fire in 1871?"."""
        match = _DATE.search(text) if _DATED.search(text) is not None else None
        years = None if match is None else _years(match)
        if match is None or years is None:
            return None
        events = self._events.get(self._said(text[: match.start()] + text[match.end() :]))
        if events is None:
            return None
        known = to_set(index for index, year in events if years[0] <= year <= years[1])
        # In a decade or a century it may have happened in others, too; who names a year means one that is known.
        return Truth(known, known if years[0] == years[1] else (1 << len(self.knowledge.names)) - 1)

    def _said(self, text: str) -> str:
        """The words of a text that say something by themselves."""
        tokens = self.lexicon.tokenizer(clean(text).replace("-", " "))
        return " ".join(
            token.base
            for token in tokens
            if token.part not in CLEAR
            and token.part not in ("P", "B", "H", ",")
            and token.base not in self._beside
            and SKIP not in self.lexicon.phrases.get(token.base, ())
        )

    def once_called(self, text: str) -> Truth | None:
        """ "Was it formerly called Bombay?", "did the Dutch call it Batavia?"."""
        if not ("name" in text or "call" in text or "known" in text or "go by" in text):
            return None
        if (match := _NAMED.search(text)) is None:
            return None
        key = self.lexicon.key(match[1])
        return surely(self._aliases[key]) if key in self._aliases else None

    def name_in(self, text: str) -> Named | None:
        """The last name in a text that is no city's of the table."""
        parts = [part.strip(",;:?!.") for part in text.split(" ")]
        for end in range(len(parts), 0, -1):
            for start in range(max(0, end - 5), end):
                key = self.lexicon.key(" ".join(parts[start:end]).replace("-", " "))
                entity = self._pieces.entity(key)
                if entity is None or entity.of("city") is not None:
                    continue
                inner = (parts[start + 1 : end], parts[start : end - 1])
                if all(self.lexicon.key(" ".join(own).replace("-", " ")) != key for own in inner):  # not "the Chad"
                    return Named(entity, " ".join(parts[start:end]))
        return None

    def named_in(self, text: str) -> str | None:
        """The city that a former question named."""
        parts = text.rstrip("?!. ").split()
        for size in (4, 3, 2, 1):
            for start in range(len(parts) - size + 1):
                name = " ".join(parts[start : start + size])
                if self.lexicon.key(name) in self.lexicon.names:
                    return name
        return None


@lru_cache(maxsize=1)
def load_reader() -> CityReader:
    """The bundled reader (built once per process, at the first question)."""
    return CityReader(load_knowledge())
