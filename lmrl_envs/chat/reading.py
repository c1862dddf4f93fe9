"""What an agent's line does, sentence by sentence. What is not understood is told as such, and never guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from lmrl_envs.chat.rules import THAT, Act
from lmrl_envs.chat.wording import WEAK, WORDS
from lmrl_envs.language.lists import sections
from lmrl_envs.language.lists import words as listed
from lmrl_envs.language.phrases import Phrasebook
from lmrl_envs.language.prices import find_amounts, normalise
from lmrl_envs.language.words import Slips, base_forms

READ_LENGTH = 2000
"""Characters of a line that are read."""
REMEMBERED_LENGTH = 300
LONG = 60
"""A line of more words is too long."""
ALIKE = 0.8
"""Lines that share this much of their words are the same."""

_DATA = sections(__file__, "phrases.txt")
_ACTS = ("insult", "joke", "comfort", "praise", "undislike", "dislike", "request", "open", "more", "same")
_STOPS = frozenset(".?!")
_PAUSES = _STOPS | frozenset(",;:")
_BOOK = Phrasebook(
    _DATA, _ACTS, ("praise", "dislike"), _STOPS, before=_PAUSES | {"and", "but", "so"}, behind=_PAUSES | {"and", "but", "so"},
    weights={"insult": 3, "joke": 2, "undislike": 1},
)  # fmt: skip
_ME, _YOU, _QUESTION, _AUXILIARY, _LEADS, _LIKES, _INSULTS, _OTHERS, _POINTING, _FILLERS, _THEY = (
    frozenset(listed(_DATA[title]))
    for title in (
        "me",
        "you",
        "question words",
        "auxiliaries",
        "lead-ins",
        "likes",
        "insult words",
        "others",
        "pointing",
        "fillers",
        "they",
    )
)
_BEHIND, _ITS, _ELSEWHERE = (frozenset(listed(_DATA[title])) for title in ("behind", "its", "no pointing"))
_NOT = frozenset(("not", "never", "no", "nor"))
_SHORT_JOKE, _SHORT_COMFORT, _ECHO = 6, 4, 3


class Line(NamedTuple):
    """A line as it is read."""

    acts: tuple[Act, ...]
    """At least one."""
    words: frozenset[str]
    long: bool


def read(line: str) -> Line:
    """Read any string; never raises. Linear time in its first `READ_LENGTH` characters."""
    return _read(line) if len(line) <= REMEMBERED_LENGTH else _read.__wrapped__(line)


def said_before(line: str, earlier: Sequence[str]) -> bool:
    """Whether a line is one of some earlier ones, or nearly so."""
    words = read(line).words
    return bool(words) and any(_alike(words, read(other).words) for other in earlier)


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    shared = len(one & other)
    return shared > 0 and shared >= ALIKE * (len(one) + len(other) - shared)


@lru_cache(maxsize=8192)
def _read(line: str) -> Line:
    text = normalise(line[:READ_LENGTH].replace("\n", " . "))
    tokens = find_amounts(text.replace("-", " ")).tokens
    own = [token for token in tokens if token not in _PAUSES]
    long = len(own) > LONG or len(line) > READ_LENGTH
    if not own:
        return Line((Act("empty" if not line.strip() else "unread"),), frozenset(), long)
    acts = tuple(_acts(tokens, len(own)))
    return Line(acts or (Act("filler" if _is_filler(tokens) else "unread"),), frozenset(own), long)


def _acts(tokens: Sequence[str], size: int) -> Iterator[Act]:
    told = False  # a joke whose point is still to come
    topics: list[str] = []  # named by a sentence that does nothing: "Oh, silent movies! I saw one once."
    for sentence, asks in _sentences(tokens):
        phrases = _BOOK.find(sentence)
        theirs = {p.start for p in phrases if p.label == "dislike" and p.start and sentence[p.start - 1] in _THEY}
        labels = {phrase.label for phrase in phrases if phrase.start not in theirs}  # "my friends hate it"
        named = not _INSULTS.isdisjoint(sentence)  # "He's such an idiot": somebody else
        if "insult" in labels or (named and (not _YOU.isdisjoint(sentence) or _OTHERS.isdisjoint(sentence))):
            yield Act("insult")
        elif "joke" in labels and size >= _SHORT_JOKE:
            if not told:
                yield Act("joke")
            told = True
        elif "comfort" in labels and size >= _SHORT_COMFORT:
            yield Act("comfort")
        elif told and (_YOU.isdisjoint(sentence) or not asks):
            continue
        else:
            acts = list(_plain_acts(sentence, asks, labels))
            if not acts and topics and not asks and not _ME.isdisjoint(sentence):
                against = "dislike" in labels or _denies(sentence)  # "Climbing! I'm scared of heights."
                acts = [Act("tell", topic, against) for topic in topics]
            topics = [] if acts else [*topics, *_topics(sentence)]
            yield from acts


def _sentences(tokens: Sequence[str]) -> Iterator[tuple[list[str], bool]]:
    """The sentences, and whether each asks."""
    own: list[str] = []
    for token in [*tokens, "."]:
        if token not in _STOPS:
            own.append(token)
            continue
        if own:
            yield own, token == "?" or (token == "." and _begins_asking(own))  # noqa: S105 - marks
        own = []


def _begins_asking(sentence: Sequence[str]) -> bool:
    words = [word for word in sentence if word not in _PAUSES]
    while len(words) > 2 and words[0] in _LEADS:
        words = words[1:]
    if len(words) < 3:
        return False
    if words[0] in _QUESTION:
        return words[1] not in ("a", "an", "i")
    return words[0] in _AUXILIARY and not _YOU.isdisjoint(words[1:2])


def _plain_acts(sentence: Sequence[str], asks: bool, labels: set[str]) -> Iterator[Act]:
    topics, you = _topics(sentence), not _YOU.isdisjoint(sentence)
    mine = not _ME.isdisjoint(sentence)
    if asks or "more" in labels or "open" in labels or ("request" in labels and (you or topics)):
        if topics:
            yield from (Act("ask", topic) for topic in topics)
        elif "more" in labels or ("open" not in labels and (_points(sentence) if you else _about_it(sentence))):
            yield Act("ask", THAT)
        elif you or "open" in labels:
            yield Act("open")
        elif not (_FILLERS.issuperset(sentence) or _is_echo(sentence)):
            yield Act("unread")
    elif "praise" in labels and "dislike" not in labels:
        yield Act("praise")
    elif topics and you and not mine and not _LIKES.isdisjoint(sentence):
        yield from (Act("ask", topic) for topic in topics)  # "So you really like jazz."
    elif topics and (mine or not _LIKES.isdisjoint(sentence) or "dislike" in labels):
        against = "dislike" in labels or ("undislike" not in labels and _denies(sentence))
        yield from (Act("tell", topic, against) for topic in topics)
    elif "same" in labels or (mine and not topics and _points_with_taste(sentence, labels)):
        against = "neither" in sentence or "dislike" in labels or _denies(sentence)
        yield Act("tell", THAT, against)


def _points(sentence: Sequence[str]) -> bool:
    """Whether a sentence ends at what was just said: "How did you get into that?"."""
    own = [word for word in sentence if word not in _PAUSES]
    while len(own) > 1 and own[-1] in _BEHIND:
        own.pop()
    return own[-1] in _POINTING


def _points_with_taste(sentence: Sequence[str], labels: set[str]) -> bool:
    """Whether one likes or dislikes what was just said: "I love that", "I tried once, it was dreadful"."""
    return ("dislike" in labels and "it" in sentence) or (_points(sentence) and not _LIKES.isdisjoint(sentence))


def _is_echo(sentence: Sequence[str]) -> bool:
    """Whether a question is a word or two of what was said, as in "By post?": no act of its own."""
    own = [word for word in sentence if word not in _PAUSES]
    return 0 < len(own) <= _ECHO and _QUESTION.isdisjoint(own) and own[0] not in _AUXILIARY


def _about_it(sentence: Sequence[str]) -> bool:
    """Whether a question that is not about "you" is about a thing that was spoken of: "What was its name?", but not "What time is it?"."""
    return not _ITS.isdisjoint(sentence) and _ELSEWHERE.isdisjoint(sentence)


def _is_filler(tokens: Sequence[str]) -> bool:
    """Whether a line without an act is polite noise, or a word about oneself that leads nowhere."""
    own = [token for token in tokens if token not in _PAUSES]
    return _FILLERS.issuperset(own) or (not _ME.isdisjoint(own) and _YOU.isdisjoint(own))


def _denies(sentence: Sequence[str]) -> bool:
    """Whether a liking is denied: "I would not say I love it"."""
    likes = [at for at, word in enumerate(sentence) if word in _LIKES]
    return bool(likes) and not _NOT.isdisjoint(sentence[max(0, likes[0] - 4) : likes[0]])


# -- topics

_STRONG = {word: topic for topic, words in WORDS.items() for word in words}
_WEAK_WORDS = {word: topic for topic, words in WEAK.items() for word in words}
_LONG_WORDS = frozenset(word for word in _STRONG if len(word) >= 5 and word.isalpha())
_SLIPS = Slips(_LONG_WORDS)
_NO_SLIPS = frozenset(listed(_DATA["no slips"]))


def _topics(sentence: Sequence[str]) -> list[str]:
    """The topics that a sentence names, in order; words that may mean another thing only where no plain one stands."""
    strong = dict.fromkeys(topic for word in sentence if (topic := _topic(word)))
    if strong:
        return list(strong)
    weak = dict.fromkeys(topic for word in sentence if (topic := _weak_topic(word)))
    return list(weak)[:1]


@lru_cache(maxsize=8192)
def _topic(word: str) -> str:
    forms = (word, *base_forms(word))
    if word in _NO_SLIPS or any(form in _WEAK_WORDS for form in forms):
        return ""
    return next((_STRONG[form] for form in forms if form in _STRONG), "") or _mended(word)


def _mended(word: str) -> str:
    """The topic of a word that is one of its words with a letter missing, a letter too many, or two letters swapped."""
    if len(word) < 5 or not word.isalpha():
        return ""
    for cut, whole in _SLIPS.near(word):
        if cut in _LONG_WORDS and len(cut) < len(word):
            return _STRONG[cut]
        if whole is not None and (cut == word or sorted(whole) == sorted(word)):
            return _STRONG[whole]
    return ""


@lru_cache(maxsize=8192)
def _weak_topic(word: str) -> str:
    return next((_WEAK_WORDS[form] for form in (word, *base_forms(word)) if form in _WEAK_WORDS), "")
