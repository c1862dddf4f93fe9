"""Reads a question about the hidden object: the task's table, words and measures for the reader of `lmrl_envs.language.reading`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from lmrl_envs.language.comparisons import Measures
from lmrl_envs.language.frames import guess_in, narrows, without_frame, without_talk
from lmrl_envs.language.guesses import guess_words
from lmrl_envs.language.knowledge import Knowledge
from lmrl_envs.language.lexicon import Lexicon
from lmrl_envs.language.lists import sections
from lmrl_envs.language.reading import UNREAD, Memory, Reader, Reading
from lmrl_envs.language.scales import COMMON, Values
from lmrl_envs.language.sentence import question_in
from lmrl_envs.language.spelling import read_spelling
from lmrl_envs.language.tokens import clean
from lmrl_envs.language.truth import Truth, surely
from lmrl_envs.twenty_questions.rules import MAX_QUESTION_LENGTH, height, load_knowledge, number, split_names

_WHOLE = re.compile(
    r"\s*(?:is|are|does|do|can|could|would|will|has|have)\s+(?:it|they|this|you|we|i|people)\b(?!.*(?:\bthat\b|\w{3}er\b|more|less))",
    re.IGNORECASE,
).match
"""A question of its own."""
_ONLY = re.compile(r"(?i)\W*(?:just|only) (?!like\b)")
"""Narrows the question before: "Just water?"."""
_HINTS_AT_A_GUESS = re.compile(r"\bguess|\bonly\b")
_DETAIL = re.compile(
    r"(?i)^(?:(?:is|are|was|were) (?:it|this|they|that) (?:\w+ly |often |ever )?(?:\w+ed|worn|eaten|grown|made|drunk|driven|ridden|thrown|sung|built|kept|sold|hung|cut|hit|sat|slept)\b.*"
    r"|(?:do|does|did|can|could|would|will|should|might) (?:you|people|we|one|i|they|it|anyone|someone)\b.*)"
    r"(?= (?:in|on|at|for|to|with|as|during|from|under|over|through|around|near|behind|along|across|while) \w)"
)
"""A question up to what is said of how, where or what for: that cannot make true what is false without it."""
_DEED = re.compile(
    r"(?i)^(?:(?:does|can|could|would|will|did) (?:it|this|that)|is (?:it|this|that) (?:used|meant|made|designed) to|is (?:it|this) for) (?:mainly |mostly |usually |also )?"
    r"(?:cut|wash|clean|cook|bake|boil|fry|write|draw|paint|measure|count|record|print|dig|sew|bark|hunt|swim|fly|drill|chop|mix|sweep|eat|chase|bite)(?:t?ing)?"
    r"(?= (?!out|up|down|off|on|in|at|with|for|as|it|well|fast|good|too)\w+)"
)
"""The same up to what it does something to, where it may do so to nothing at all."""
_CHANGES = re.compile(
    r"(?i)\b(?:not|no|never|nor|nothing|nobody|none|neither|hardly|barely|rarely|seldom|few|fewer|little|or|and|but|than|instead|rather|except|only|too|enough|more|less|most|least|if|when|once|without|unless|until|any"
    r"|hold|carry|fit|lift|move|get|become|turn|look|feel|smell|taste|sound|inside|middle|pretend|fake|picture|pictures|photo|image|kind|version"
    r"|other|same|something|anything|thing|things|first|before|after|need|needs|require|requires|use|uses|used|mean|called|known|name)\b|n't\b|,"
)
"""Words with which a detail may be more than one."""
_CLAUSES = re.compile(r"[,:;.!?]")
_LEAD = re.compile(r".*[,:;.!-](?=.*\w)", re.DOTALL)
"""What stands before the last pause."""
_THING = re.compile(r"(?i)\b(?:it|this|they|them|one|that)\b")
_ONE = re.compile(r"(?i)\W*(?:and |so |but |then |is it )*an? (\w+) one(?: then| maybe| perhaps)?\W*").fullmatch
_KIND = re.compile(r"(?i)\W*is (?:it|this|that) an? ([\w ]+?)\W*").fullmatch
""""A big one?" after "Is it a bird?": big as birds go."""
_HEADS = "entity|item|article|object|thing|subject|artifact|specimen|product"
"""Nouns that stand for what is hidden."""
_GUESS_LENGTH = 120
"""Characters of the longest guess."""
_FOLLOW_UP_WORDS = 6
"""Words of a question that may go on from the one before."""
_OBJECT = frozenset(
    (
        "is",
        "it",
        "its",
        "s",
        "a",
        "an",
        "the",
        "this",
        "that",
        "some",
        "object",
        "thing",
        "item",
        "actual",
        "real",
        "physical",
        "so",
        "then",
    )
)
_SUBJECTS = "sport animal fruit vegetable vehicle clothing garment device instrument furniture tool toy jewelry object creature food plant machine gadget"


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
        for other in without_frame(question, _HEADS):
            found = _as_said(other)
            if found.truth is not None and narrows(other) is None and not _names_another(question, found.guess):
                return found
    elif (
        reading.guess is None
        and not reading.is_open
        and (rest := narrows(question)) is not None
        and _as_said(rest).truth == reading.truth
    ):
        return UNREAD
    if reading.guess is None and reading.truth is not None and reading.truth.possible.bit_count() == 1:
        named = guess_in(question)  # "it can't be anything other than a harp"
        found = reading if named is None else _as_said(f"is it {named}?")
        return reading if found.guess is None else found
    return reading


def _names_another(question: str, guess: int | None) -> bool:
    """Whether a clause beside a guess is another object's name: "picture, dog" is two of them, though a picture may be talk."""
    clauses = (clause.strip() for clause in _CLAUSES.split(question)) if guess is not None else ()
    return any(_as_said(f"{clause}?").guess not in (None, guess) for clause in clauses if clause)


def _as_said(question: str) -> Reading:
    return load_reader().read(question)


def read_after(question: str, texts: Sequence[str]) -> Reading:
    """The meaning of a question after others; one that is none by itself may go on from the one before ("and bigger than that?").

    Args:
        question: anything.
        texts: the conversation so far: the opening, then questions and answers by turns.
    """
    if len(texts) > 2 and len(question.split()) < 5 and _ONLY.match(question):
        return UNREAD
    if len(texts) > 2 and (one := _ONE(question)) and (kind := _KIND(texts[-2])):
        whole = read(f"Is it a {one[1]} {kind[1]}?")
        if whole.truth is not None:
            return whole
    reading = read(question)
    if (reading.truth is not None and not reading.is_vague) or reading.is_open or len(texts) < 3:
        return reading
    if not 0 < len(question.split()) <= _FOLLOW_UP_WORDS or _WHOLE(question):
        return reading
    memory = read_after(texts[-2], texts[:-2]).memory
    if memory is None:
        return reading
    later = load_reader().read(question, memory)
    return later if later.truth is not None or reading.truth is None else reading


class ObjectReader(Reader):
    """The reader of 20 Questions."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        lists = sections(__file__, "measures.txt")
        references: dict[str, Values] = {}
        for line in sections(__file__, "references.txt")[""]:
            names, values = _reference(line)
            references |= dict.fromkeys(names, values)
        for index, own in enumerate(knowledge.aliases):
            for name in own:
                references.setdefault(name, {key: values[index] for key, values in knowledge.measures.items()})
        columns = dict(knowledge.measures)
        for measure, lines in sections(__file__, "counts.txt").items():
            if measure:
                columns[measure] = _counts(knowledge, lines, measure != "year")
        full = replace(knowledge, measures=columns)
        phrases = sections(__file__, "lexicon.txt")
        for sense, lines in sections(__file__, "associations.txt").items():
            phrases.setdefault(sense, []).extend(lines)
        lexicon = Lexicon(
            phrases,
            full.judge,
            [[_one_word(name) for name in own] for own in knowledge.aliases],
            {text: knowledge.judge(name) for name, text in knowledge.questions.items()},
            [
                *references,
                *(
                    word
                    for lines in [*lists.values(), *COMMON.values()]
                    for line in lines
                    for word in line.split(": ")[-1].split("; ")
                ),
            ],
        )
        super().__init__(
            lexicon,
            Measures(lists, columns, references, lexicon.tokenizer),
            len(knowledge.names),
            _SUBJECTS.split(),
            rewordings=sections(__file__, "rewordings.txt")["rewrite"],
        )

    def read(self, text: str, memory: Memory | None = None) -> Reading:
        text = _one_word(text)
        reading = super().read(text, memory)
        if reading.guess is None and not reading.is_open and (reading.truth is None or _hints_at_a_guess(text)):
            index = self.guessed(text)
            if index is not None:
                return Reading(surely(1 << index), index)
        if (
            reading.guess is not None
            and (lead := _LEAD.match(text))
            and self.names_others(clean(lead[0]), reading.guess)
        ):
            return reading._replace(guess=None)
        if reading.truth is None and not reading.is_open and memory is None:
            return self._without_details(text) or reading
        return reading

    def _without_details(self, text: str) -> Reading | None:
        """What is false of a thing is so with any detail ("does it swim in hot springs"); of the others nothing is said."""
        if len(text) > _GUESS_LENGTH or _CHANGES.search(text) is not None:
            return None
        match = _DETAIL.match(text) or _DEED.match(text)
        if match is None or not _THING.search(match[0]) or _THING.search(text, match.end()):
            return None
        tokenizer = self.lexicon.tokenizer
        if any(not token.part and token.base not in tokenizer.vocabulary for token in tokenizer(clean(text))):
            return None
        while match is not None:
            rest = self._as_it_stands(question_in(clean(match[0] + "?").strip()), None)
            if rest.truth is not None and not rest.is_vague and rest.guess is None:
                return Reading(Truth(0, rest.truth.possible), None, False, None, True)
            match = _DETAIL.match(match[0]) or _DEED.match(match[0])
            if match is not None and not _THING.search(match[0]):
                return None
        return None

    def guessed(self, text: str) -> int | None:
        """The one thing that a text names, if it has nothing beside it but the words of a guess."""
        if len(text) > _GUESS_LENGTH or "\n" in text:
            return None
        left = 3  # words of the longest name
        for word in text.lower().split():
            if word.strip(".,:!?\"'") not in guess_words() and word not in ("a", "an", "the"):
                left -= 1
                if left < 0 or word[0] in "0123456789":
                    return None
        tokens = self.lexicon.tokenizer(clean(text).replace("-", " ").replace("'", ""))
        said = {token.word for token in tokens}
        if "like" in said and said.isdisjoint(("sounds", "looks", "guess")):
            return None
        bases, found, i = [token.base for token in tokens], None, 0
        while i < len(tokens):
            for size in (3, 2, 1):
                index = self.lexicon.names.get(" ".join(bases[i : i + size])) if i + size <= len(tokens) else None
                if index is not None:
                    if found is not None:
                        return None
                    found, i = index, i + size
                    break
            else:
                if tokens[i].part not in (",", "x") and tokens[i].word not in guess_words():
                    return None
                i += 1
        return found

    def special(self, text: str) -> Truth | None:
        if ("object" in text or "item" in text or "thing" in text) and _OBJECT.issuperset(re.findall(r"[a-z]+", text)):
            return self.knowledge.judge("physical")
        return read_spelling(self.knowledge.names, text)


def _hints_at_a_guess(text: str) -> bool:
    lower = text.lower()
    return ("guess" in lower or "only" in lower) and _HINTS_AT_A_GUESS.search(lower) is not None


def _one_word(text: str) -> str:
    """A watering can holds no verb."""
    return (
        re.sub("watering[ -]can", "wateringcan", text, flags=re.IGNORECASE)
        if "atering" in text or "ATERING" in text
        else text
    )


def _reference(line: str) -> tuple[tuple[str, ...], Values]:
    title, _, fields = line.rpartition(": ")
    texts = fields.strip().split("/")
    values = [number(field) for field in texts] + [None]
    measures: dict[str, float | None] = dict(zip(("len", "bulk", "kg", "usd", "speed"), values, strict=False))
    measures["fit"] = measures["len"]
    measures["tall"] = height(texts[0], measures["len"])
    return split_names(title), measures


def _counts(knowledge: Knowledge, lines: list[str], counted: bool) -> tuple[float | None, ...]:
    """The number of each object; those that are not listed have 0 of what is counted, and no year."""
    own = dict(part.strip().rsplit(" ", 1) for line in lines for part in line.split(";"))
    unknown = own.keys() - set(knowledge.names)
    if unknown:
        raise KeyError(f"counts.txt: {', '.join(unknown)}")
    missing = 0.0 if counted else None
    return tuple(float("nan") if own.get(n) == "?" else float(own[n]) if n in own else missing for n in knowledge.names)


@lru_cache(maxsize=1)
def load_reader() -> ObjectReader:
    """The bundled reader (built once per process, at the first question)."""
    return ObjectReader(load_knowledge())
