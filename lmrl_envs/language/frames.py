"""What people say around a question: purpose, topic, politeness, chatter about themselves, ways to lead up to a guess.

A question that is not understood as it stands is tried once more without its frame. **A frame is left out only where every word of it is
accounted for** by the lists of frames.txt, or where it is a sentence in which a speaker tells of themselves; whatever could narrow or turn
round the question (in winter, for children, unless) is in no list, so that such a line stays as it is. The other way round, a clause that
narrows must change the answer or be understood: where the reading is the same without it, it was not (see `narrowed`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from lmrl_envs.language.lists import sections, words
from lmrl_envs.language.text import QUOTES

_DATA = sections(__file__, "frames.txt")
_TALK, _FINDING, _MEASURES, _NOT_CHATTER = (
    frozenset(words(_DATA[title])) for title in ("talk", "finding out", "measures", "not chatter")
)
_HINTS = tuple(_DATA["narrowing hints"])
_ENDINGS = tuple(words(_DATA["topic endings"]))
_PAUSE = re.compile(r"\s*(?:[.?!;:()\"\n…]+|,|\s[-–—]+\s|—|--+)\s*")
_SENTENCE_END = re.compile(r"[.?!\n…]|--|—")
_WORD = re.compile(r"[a-z0-9%]+(?:'[a-z]+)?")
_TAILS = re.compile(
    r"[?!.]+\s*|\s*,\s*|\s*[(;]\s*|\s+[-–—]+\s+|\s+(?=(?:if|just|sorry|thanks|lol|haha|or am|asking)\b)"
)
_LINK = re.compile(
    r"(?:([.?!,;:()\n…—-]|\b(?:lol|haha|omg|please|pls|me|ask|know|say|tell|wonder|here|ok|okay|lmao))[ \"']*)?((?:\b(?:whether|if|that|but|so|and|then)\b[,.… ]*)*)$"
)
"""What a question follows: a pause, or a word that leads up to one."""
_LEAD = re.compile(
    r"([^,:.?!;]{5,70})[,:]\s+(?:(?:(?:but|so|and|then) )?(?=(?:is|are|was|were|does|do|did|can|could|would|will|has|have|had)(?:n't)? (?:it|this|that|they|there|you|people|we|one|i|the|most|an?|english|spanish|french)\b)|(?:but|so) (?=[a-z' -]{3,25}\?*$))"
)
_BARE = re.compile(r"(.{4,}?(?:[,:!.]+|\bbut|\bso))\s+(?:(?:but|so|and|then)\s+)?((?:[a-z'-]+ ){0,3}[a-z'-]+)[?!.]*$")
"""A name or a few words after what says nothing: "don't laugh, but a dog?"."""
_DEGREE = re.compile(
    r"\b(?:\w{3,}(?:er|est)|big|large|small|great|more|most|less|least|rank|ranks|top|high|low|major|much|compar\w+)\b"
)
_INSERTED = re.compile(
    r"(?:,| [-–—]+| \()\s*((?:to|in|if|as|by|so|at|for|do|would|might|generally|broadly|strictly|perhaps|perchance|i wonder|dare|you)\b[^,()?–—]{0,60}?)\s*(?:,|[-–—]+ |\))\s*"
)
_INSERTIONS = re.compile(
    r"(?:to|at) (?:the best of )?(?:your|our|my|anyone's) (?:knowledge|understanding|belief|recollection)|if (?:i|you|we) (?:may|might|can|could|will|please|know|had to guess|don't mind)(?: (?:ask|say|so|me asking|be so bold))*"
    r"|in (?:your|my|the|our) (?:\w+ )?(?:opinion|view|estimation|judg[e]?ment|eyes|mind|expert opinion)|as far as (?:you|we|i|one|anyone) (?:know|can tell|are aware|am aware|knows)|(?:so )?far as (?:you|we) know|by (?:any|some) chance"
    r"|(?:do|would) you (?:think|say|reckon|suppose|believe|know)|might i ask|may i ask|would you say so|you know|you see|(?:generally|broadly|strictly|roughly) speaking|in (?:principle|general|essence|fact|truth)|by and large|at a guess|so to speak|as it were|i wonder|dare i say|if you will|perchance|perhaps"
)
_QUALIFIED = (
    r"\b(?:the|this|that|our|your)(?: (?:said|mystery|secret|hidden|chosen|selected|target|given|mysterious|unknown|aforementioned|sought|intended|particular|present|same))* "
    r"(?:%s)(?:(?:,? (?:that|which))? (?:in question|at hand|at issue|concerned|under (?:consideration|discussion|review|examination|scrutiny)|(?:you(?:'re| are| have|'ve)?|we(?:'re| are)?|i(?:'m| am)?)"
    r" (?:currently )?(?:in mind|got in mind|have in mind|had in mind|seeking|looking for|searching for|thinking of|thinking about|after|seek|chose|picked|selected|hiding|trying to (?:guess|identify|find|determine))))?(?! of\b)"
)
_PLAIN = re.compile(
    r"(?:(?:is|are|does|do|did|has|have|was|were|can) (?:it|they|there|people|you|one|most|kids)|(?:what|how)(?! if| about)|which|where|when|who|why)\b"
)
_PAUSING = re.compile(r"[^\w '/%$]|\b(?:if|just|sorry|thanks|lol|haha|or am|asking|but|so)\b")
_OPEN = ("wh", "how")
_TWICE = re.compile(r"^it,? (?:it|is it) (\w)")
"""A learner's "this thing, it has"."""
_IN_IT = re.compile(r"^in it,? (?:the )?(?:people|they) (?!\w+ed\b)")
_ONES = re.compile(r"^((?:is|does|can|could|would|has|was|will)) (?:this|that) one\b")


_ASKED = re.compile(
    r"^(?:but |so |and |then )*(?:is it|is this|is that|it's|it is|could it be|might it be|would it be|that it's)(?: the| maybe| perhaps)? (?=\w)"
)


def _compiled(title: str) -> re.Pattern[str]:
    return re.compile("".join(_DATA[title]))


@cache
def _turns() -> list[tuple[re.Pattern[str], str]]:
    return [
        (re.compile(left.strip()), right.strip())
        for left, _, right in (line.partition(" =>") for line in _DATA["turns"])
    ]


@cache
def _pattern(title: str) -> re.Pattern[str]:
    return _compiled(title)


@cache
def _guess_leads() -> re.Pattern[str]:
    adverbs = "(?: (?:" + "|".join(words(_DATA["guess adverbs"])) + "))*"
    return re.compile(
        "(?:" + "|".join(line.replace("~", adverbs) for line in _DATA["guess leads"]) + r")\s*['\"]?(?=\w)"
    )


@cache
def _subject(heads: str) -> re.Pattern[str]:
    return re.compile(_QUALIFIED % heads)


def _small(text: str) -> str:
    if not text.isascii() or "`" in text:
        text = text.translate(QUOTES)
    return " ".join(text.lower().split())


def _is_plain(small: str) -> bool:
    """Whether a text begins with its question and goes on without a pause: nothing stands around it, as around most."""
    return _PLAIN.match(small) is not None and _PAUSING.search(small.rstrip(" ?!.")) is None


def _is_talk(clause: str, question: str) -> bool:
    """Whether each word of a clause is accounted for."""
    for pattern, other in _turns():
        clause = pattern.sub(f" {other} ", clause).strip()
    found = _WORD.findall(clause)
    for i, word in enumerate(found):
        if word not in _TALK and not (word.endswith(_ENDINGS) and i + 1 < len(found) and found[i + 1] in _TALK):
            return False
        if (
            word == "to"
            and i + 1 < len(found)
            and (i == 0 or found[i - 1] not in ("regarding", "turning", "moving", "switching", "to"))
        ):
            after = found[i + 1]
            if after not in _FINDING and after not in (
                "the",
                "a",
                "an",
                "my",
                "this",
                "another",
                "its",
                "you",
                "me",
                "other",
                "your",
                "it",
            ):
                return False
    return _MEASURES.isdisjoint(found) or _DEGREE.search(question) is None


def _is_chatter(clause: str, ends: bool) -> bool:
    """Whether a speaker tells of themselves, and not of what is hidden."""
    return (
        len(clause) > 8
        and _pattern("speaker").match(clause) is not None
        and _tells_nothing(clause)
        and (ends or clause.count(" ") > 2)
    )


def _tells_nothing(clause: str) -> bool:
    """Whether a sentence of the speaker's has no word about what is hidden, and sets no condition."""
    return _NOT_CHATTER.isdisjoint(_WORD.findall(_pattern("of the game").sub(" ", clause)))


def _harmless(text: str, question: str) -> bool:
    """Whether nothing in what stands beside a question has to do with it."""
    told = False
    at = 0
    while at < len(text):
        pause = _PAUSE.search(text, at)
        clause = text[at : pause.start() if pause else len(text)].strip(" '-*~")
        mark = pause[0] if pause else ""
        at = pause.end() if pause else len(text)
        if not clause or _is_talk(clause, question):
            continue
        goes_on = told and _pattern("going on").match(clause) is not None and _tells_nothing(clause)
        if "?" in mark or not (goes_on or _is_chatter(clause, bool(_SENTENCE_END.search(mark)))):
            return False
        told = True
    return not (told and _pattern("points back").search(question) is not None)


def without_frame(text: str, heads: str) -> Iterator[str]:
    """A text without its frame, in the likely ways; nothing where it has none.

    Args:
        text: a line that is not understood as it stands.
        heads: nouns that stand for what is hidden where they are qualified ("the entity in question"), as a pattern.
    """
    small = _small(text)
    is_plain = _is_plain(small)
    if is_plain and small.startswith(_OPEN):
        return
    core = small if is_plain else _core(small)
    plain = _ONES.sub(r"\1 it", _subject(heads).sub("it", core))
    plain = _IN_IT.sub("do people ", _TWICE.sub(r"it \1", plain))
    if plain != small:
        yield plain
    if is_plain:
        return
    bare = _BARE.match(small)
    if bare is not None and _harmless(bare[1], ""):
        yield f"{bare[2]}?"
    guess = guess_in(small)
    if guess is not None:
        yield f"is it {guess}?" if "?" in small else f"it is {guess}."


def without_talk(text: str) -> str | None:
    """A text without a first clause and a last sentence that say nothing of what is hidden; None where there is neither."""
    if "," not in text and ":" not in text and "?" not in text[:-2]:
        return None
    small = _small(text)
    lead = _LEAD.match(small)
    if lead is not None and " " in lead[1] and _is_talk(lead[1], small[lead.end() :]):
        return small[lead.end() :]
    question, _, after = small.rstrip(" .!").partition("?")
    return f"{question}?" if " " in after and "?" not in after and _is_talk(after.strip(), question) else None


def _core(small: str) -> str:
    def kept(match: re.Match[str]) -> str:
        return " " if _INSERTIONS.fullmatch(match[1].strip()) else match[0]

    small = _INSERTED.sub(kept, small)
    for match in reversed(list(_pattern("begins").finditer(small))):
        start, question = match.start(), small[match.start() :]
        if "?" not in small and match[0].startswith(("it", "this", "there")):
            continue  # said, and not asked
        link = _LINK.search(small[:start])
        if start and (not link or not link[0] or not _harmless(small[: link.start()] + (link[1] or ""), question)):
            continue
        for tail in _TAILS.finditer(question):
            if (
                tail.end() < len(question)
                and tail.start() > 8
                and _harmless(question[tail.end() :].rstrip(" )?!."), question[: tail.start()])
            ):
                question = question[: tail.start()]
                break
        else:
            if not start:
                continue
        return question.rstrip(" ?!.,)") + "?"
    return small


def guess_in(text: str) -> str | None:
    """What a line guesses, by words that lead up to a guess and follow it alone."""
    small = _small(text)
    if _is_plain(small):
        return None
    for lead in _guess_leads().finditer(small):
        before, rest = small[: lead.start()], small[lead.end() :]
        while (end := _pattern("guess ends").search(rest)) is not None and end.start():
            rest = rest[: end.start()]
        rest = rest.strip(" ?!.,;'\"")
        if rest and rest.count(" ") < 5 and not _PAUSE.search(rest) and _harmless(before, ""):
            return _ASKED.sub("", rest)
    return None


def _is_hinted(small: str) -> bool:
    for hint in _HINTS:  # noqa: SIM110 - any() costs three times as much
        if hint in small:
            return True
    return False


def narrows(text: str) -> str | None:
    """The question of a text that begins or ends with what is likely to narrow it, without that; None for all others."""
    small = _small(text)
    if "," in small or ":" in small or ";" in small or "." in small[:-2]:
        lead = _pattern("narrowing leads").match(small)
        if lead is not None:
            question = small[lead.end() :]
            return None if _harmless(lead[0], question) else question
    if not _is_hinted(small):
        return None
    tail = _pattern("narrowing ends").search(small)
    return small[: tail.start()].rstrip(" ,;-?!.") + "?" if tail is not None else None
