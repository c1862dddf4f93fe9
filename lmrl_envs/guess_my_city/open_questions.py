"""What an open question is about ("What do people eat there?"): one of the topics of `sentences`. The game with ``answers="open"``."""

from __future__ import annotations

from functools import lru_cache

from lmrl_envs.guess_my_city.reader import MAX_QUESTION_LENGTH, load_reader, prepared
from lmrl_envs.guess_my_city.rules import tokens
from lmrl_envs.language.lexicon import SKIP
from lmrl_envs.language.lists import sections, words
from lmrl_envs.language.sentence import question_in
from lmrl_envs.language.tokens import PARTS, clean

_LINES = sections(__file__, "data/topics.txt")
_RANK = {topic: rank for rank, topic in enumerate(words(_LINES["order"]))}


def _phrases() -> dict[tuple[str, ...], str]:
    """Words of a phrase -> its topic, "" for one that says nothing."""
    found: dict[tuple[str, ...], str] = {}
    for line in [*_LINES["phrases"], *(f": {line}" for line in _LINES["skip"])]:
        topic, _, own = line.partition(": ")
        for phrase in own.split(";"):
            found.setdefault(tokens(phrase), topic)
    return found


_TOPICS = _phrases()


@lru_cache(maxsize=1 << 14)
def topic_of(question: str) -> str | None:
    """The topic of an open question; None where a word of it belongs to none."""
    if len(question) > MAX_QUESTION_LENGTH:
        return None
    said, found, i = tokens(question_in(clean(prepared(question)).strip()).text), [], 0
    while i < len(said):
        size = next((n for n in range(min(6, len(said) - i), 0, -1) if said[i : i + n] in _TOPICS), 0)
        if size:
            found.append(_TOPICS[said[i : i + size]])
            if found[-1] and found[-1] not in _RANK:
                return None  # "how far": asked of what no sentence tells
        elif not _says_nothing(said[i]):
            return None
        i += size or 1
    return min(filter(None, found), key=_RANK.__getitem__, default=None)


def _says_nothing(word: str) -> bool:
    lexicon = load_reader().lexicon
    return word in PARTS or SKIP in lexicon.phrases.get(lexicon.tokenizer.base(word), ())
