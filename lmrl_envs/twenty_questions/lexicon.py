"""The reader's dictionary, built from lexicon.txt, the attributes' own questions, the objects' names and references.txt."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from lmrl_envs.language.lists import sections, table
from lmrl_envs.twenty_questions.rules import Knowledge, height, load_knowledge, number, split_names, to_set
from lmrl_envs.twenty_questions.words import LINES, SOFT, STOP, Lemmas, simple_lemma, words

ANY, SELF, MATERIAL, PLACE, PART, USE, WHO = SENSES = ("any", "self", "material", "place", "part", "use", "who")
SKIP = "skip"
"""Section of phrases that mean nothing."""
_FALLBACK = (ANY, USE, PLACE, PART, MATERIAL, WHO, SELF)


MARKERS = {word: sense for sense, own in table(LINES["markers"]).items() for word in own}
"""Words after which a phrase is meant in a certain sense."""


_ARTICLES = frozenset(("a", "an", "the", "of"))


class Lexicon:
    """Phrases and what they mean."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        raw = self._read_lexicon()
        references = [self._read_reference(line) for line in sections(__file__, "references.txt")[""]]
        texts = [phrase for _, _, phrases in raw for phrase in phrases]
        texts += [alias for own in knowledge.aliases for alias in own]
        texts += [name for names, _ in references for name in names]
        texts += knowledge.questions.values()
        pieces = {text: words(text.lower()) for text in texts}
        vocabulary = {word for piece in pieces.values() for word in piece}
        # Two passes: "drums" and "drum" must be one word, whichever a phrase was written with.
        folded = {word: simple_lemma(word, vocabulary) for word in vocabulary}
        self.lemma = Lemmas(folded.values())
        self._fold = {word: self.lemma(word) for word in vocabulary}
        self._pieces = pieces

        self.phrases: dict[str, dict[str, int]] = {}
        exact: set[tuple[str, str]] = set()
        for keep_stop_words in (True, False):
            # What stands in the lexicon word for word goes before what comes of leaving words out.
            for section, expression, phrases in raw:
                objects = 0 if section == SKIP else knowledge.select(expression.lstrip("="))
                for phrase in phrases:
                    key = self.key(phrase)
                    whole = len(key.split()) == len(pieces[phrase])
                    if whole and keep_stop_words:
                        exact.add((section, key))
                        self._add(section, key, objects, expression.startswith("="))
                    elif not (whole or keep_stop_words or (section, key) in exact or SOFT.issuperset(key.split())):
                        self._add(section, key, objects, expression.startswith("="))
        for name, question in knowledge.questions.items():
            # An attribute's own question defines its longer phrases.
            key = self.key(question)
            if " " in key:
                self.phrases[key] = {ANY: knowledge.attributes[name]}
        self.aliases: dict[str, int] = {}
        self.references: dict[str, dict[str, float | None]] = {}
        for names, measures in references:
            for name in names:
                pieced = [self._fold[word] for word in pieces[name] if word not in _ARTICLES]
                self.references[" ".join(pieced)] = measures
        for index, own in enumerate(knowledge.aliases):
            measures = {key: values[index] for key, values in knowledge.measures.items()}
            for alias in own:
                name = " ".join(self._fold[word] for word in pieces[alias] if word not in _ARTICLES)
                self.aliases[name] = index
                self.references.setdefault(name, measures)
        self.names_of: dict[int, list[list[str]]] = {}
        for alias in sorted(self.aliases, key=len, reverse=True):
            self.names_of.setdefault(self.aliases[alias], []).append(alias.split(" "))
        for alias, index in self.aliases.items():
            # A name means the object wherever the lexicon has no other sense for the word.
            self.phrases.setdefault(alias, {}).setdefault(ANY, 1 << index)
        self.lookup = {
            phrase: {} if SKIP in found else self._by_sense(found, phrase in SOFT)
            for phrase, found in self.phrases.items()
        }
        self.longest = self._longest(self.lookup)
        self.longest_reference = self._longest(self.references)

    def key(self, text: str) -> str:
        """A phrase in the form the reader looks it up: base forms, words without meaning left out."""
        found = self._pieces.get(text) or words(text.lower())
        lemmas = [self._fold.get(word) or self.lemma(word) for word in found]
        return " ".join(word for word in lemmas if word not in STOP) or " ".join(lemmas)

    def _add(self, section: str, phrase: str, objects: int, final: bool) -> None:
        if phrase in MARKERS:
            return
        senses = self.phrases.setdefault(phrase, {})
        before = senses.get(section)
        if final or not before:
            senses[section] = objects
        elif objects:
            # A later line refines an earlier one, or adds another meaning to it.
            senses[section] = objects if objects & ~before == 0 else before | objects

    @staticmethod
    def _by_sense(found: dict[str, int], soft: bool) -> dict[str, int]:
        if set(found) == {SELF} and soft:  # "Can it see?", but "Can you see it in a zoo?"
            return found
        default = next(found[sense] for sense in _FALLBACK if sense in found)
        senses = {sense: found.get(sense, default) for sense in SENSES}
        if USE not in found and ANY not in found and WHO in found:
            senses[USE] = found[WHO]
        return senses

    @staticmethod
    def _longest(keys: Iterable[str]) -> dict[str, int]:
        """First word -> words in the longest phrase that begins with it."""
        longest: dict[str, int] = {}
        for key in keys:
            parts = key.split(" ")
            longest[parts[0]] = max(longest.get(parts[0], 0), len(parts))
        return longest

    @staticmethod
    def _read_lexicon() -> list[tuple[str, str, list[str]]]:
        read = []
        for section, lines in sections(__file__, "lexicon.txt").items():
            for line in lines:
                expression, _, rest = ("", "", line) if section == SKIP else line.partition(":")
                phrases = [phrase.strip() for phrase in rest.split(";")]
                read.append((section, expression, [p for p in phrases if p and "&" not in p and not p.endswith(" or")]))
        return read

    @staticmethod
    def _read_reference(line: str) -> tuple[tuple[str, ...], dict[str, float | None]]:
        title, _, fields = line.rpartition(": ")
        texts = fields.strip().split("/")
        values = [number(field) for field in texts] + [None]
        measures: dict[str, float | None] = dict(zip(("len", "bulk", "kg", "usd", "speed"), values, strict=False))
        measures["fit"] = measures["len"]
        measures["tall"] = height(texts[0], measures["len"])
        return split_names(title), measures

    def set_of_names(self, key: str) -> int:
        """The object of an alias, as a set; empty for no alias."""
        return to_set([self.aliases[key]]) if key in self.aliases else 0


@lru_cache(maxsize=1)
def load_lexicon() -> Lexicon:
    """The bundled dictionary (built once per process, at the first question)."""
    return Lexicon(load_knowledge())
