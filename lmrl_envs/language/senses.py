"""In which sense a phrase is meant where it stands."""

from __future__ import annotations

from collections.abc import Mapping

from lmrl_envs.language.grammar import AFTER_PLACE, ORDER, Clause, Item, Language, Memory, Word
from lmrl_envs.language.lexicon import NAME
from lmrl_envs.language.lists import words
from lmrl_envs.language.scales import Values
from lmrl_envs.language.tokens import CLEAR, LINES, Token
from lmrl_envs.language.truth import Truth

_VOCATIVES = frozenset(words(LINES["vocatives"]))
SAID = frozenset("tpT")
"""Parts of the words with which something is said of what was named."""


class Senses:
    """The words of a question, and what the lexicon has for them where they stand."""

    def __init__(
        self, language: Language, tokens: list[Token], agree: str, memory: Memory | None, caps: Mapping[int, int]
    ) -> None:
        self.caps = caps
        self.widest: tuple[int, int] | None = None
        self.at = self.asked_at = 0
        self.language, self.tokens, self.memory = language, tokens, memory
        self.words = [token.word for token in tokens]
        self.phrases, self.prefixes, self.measures = (
            language.lexicon.phrases,
            language.lexicon.prefixes,
            language.measures,
        )
        self.agrees = agree == "+"
        self.reference: Values | None = None
        self.noun = ""
        self.context = "start"
        self.clauses = [Clause()]
        self.connector = ""
        self.owed: list[tuple[int, frozenset[str]]] = []
        self.items: list[Item] = []
        self.listed: list[Word] = []
        self.narrow = self.turned = self.among = self.own = self.reaches = self.which = False
        self.superlative: tuple[str, str] | None = None

    def _words(self) -> list[Word]:
        """The words that phrases are made of, with what stands between."""
        listed, clear = [], ""
        for index, token in enumerate(self.tokens):
            part = token[2]
            if part in CLEAR:
                clear += part
            else:
                listed.append(Word(token, index, clear))
                clear = ""
        if (
            len(listed) > 1
            and listed[0].token.base in self.language.subjects
            and listed[1].token.part not in (",", "o", "c")
        ):
            # "Is the animal a dog?": the category stands for the thing.
            first, second = listed[0], listed[1]
            if first.clear in ("bx", "ax", "bt", "at") and self.tokens[first.index - 1].word in ("the", "this", "that"):
                listed[:2] = [Word(second.token, second.index, first.clear[0] + "t" + second.clear)]
        return listed

    def _candidates(self, listed: list[Word], i: int) -> list[tuple[int, str]]:
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

    def _sense(self, listed: list[Word], i: int, size: int, senses: Mapping[str, Truth]) -> str | None:
        """The sense in which a phrase stands here, None if it cannot."""
        order = ORDER[self.context]
        token, clear = listed[i].token, listed[i].clear
        if size == 1 and token.part:
            if token.part == "M" and self.context != "do":
                return None  # "made of"
            if token.part == "P" and i + 1 < len(listed) and listed[i + 1].token.part not in AFTER_PLACE:
                return None  # "outside", but not of "outside the house"
        if self.context == "aux" and size == 1 and (token.word.endswith("ing") or token.word in _VOCATIVES):
            return None  # "does cutting it ...", "would mommy let me"
        sense = None
        named = NAME in senses and not (
            size == 1 and clear[-1:] != "x" and token.word.endswith("ed") and self._is_participle(token)
        )
        for own in order:
            if own in senses and (named or own != NAME):  # "is it watched" is no watch
                sense = own
                break
        if sense is None and self.context in ("be", "noun"):
            if self._is_headed(listed, i + size):
                sense = next((own for own in ("place", "who", "for", "relate") if own in senses), None)
            if sense is None and "does" in senses and token.word.endswith("ing"):
                sense = "does"  # "capable of swimming"
        if sense == "for" and self.context == "to" and "t" in self._clear_after(listed, i + size - 1):
            sense = "done" if "done" in senses else None  # "need to dust it"
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
        elif sense == "kind" and size == 1 and clear[-1:] != "x" and self._is_participle(token):
            meant = next((own for own in ("quality", "done") if own in senses), None)  # "is it worn"
            return meant if meant or not senses["kind"].possible else sense
        elif sense == "kind" and not senses["kind"].possible:
            # A thing that is none of these: "is it a lamp"; else the word may mean something else: "the bedroom?".
            headed = self._is_headed(listed, i + size)
            if headed and (meant := next((own for own in ("place", "who", "for", "relate") if own in senses), None)):
                return meant  # "a farm thing"
            before = self.tokens[listed[i].index - 1] if listed[i].index else None
            listing = before is not None and before.part == "o" and self.items and self.items[-1].sense == "kind"
            named = listing or (before is not None and before.word in ("a", "an"))
            if not (named and self._ends(listed, i + size)):
                others = [own for own in order if own in senses and own != "kind"]
                return others[0] if others else "kind" if self._is_alone(listed, i, size, senses) else None
        return sense

    @staticmethod
    def _is_participle(token: Token) -> bool:
        """Whether a word stands in another form than its base, and not in that of the plural."""
        return token.word != token.base and token.word.endswith(("d", "n", "t"))

    def _clear_after(self, listed: list[Word], i: int) -> str:
        """The part of the word right after one of a phrase."""
        index = listed[i].index + 1
        return self.tokens[index].part if index < len(self.tokens) else ""

    def _is_own_name(self, listed: list[Word], i: int, size: int) -> bool:
        """Whether the words are a thing's own name, not another name of it."""
        return " ".join(word.token.base for word in listed[i : i + size]) in self.language.lexicon.own_names

    def _ends(self, listed: list[Word], i: int) -> bool:
        """Whether nothing more is said of what was named before."""
        after = listed[i] if i < len(listed) else None
        return after is None or after.token.part in ("c", "o", ",", "H", "n", "N") or not SAID.isdisjoint(after.clear)

    def _is_alone(self, listed: list[Word], i: int, size: int, senses: Mapping[str, Truth]) -> bool:
        """Whether a noun is all that is asked: "lamp?", "is it the lamp", "are they lamps"."""
        token, clear = listed[i].token, listed[i].clear
        if self.items or clear.strip("xtbh") or not self._ends(listed, i + size):
            return False
        return "b" not in clear or token.word.endswith("s") or (clear[-1:] == "x" and len(senses) == 1)

    def _is_headed(self, listed: list[Word], i: int) -> bool:
        """Whether a noun follows: "a kitchen appliance", "a household item"."""
        if i < len(listed):
            return "h" in listed[i].clear or any("kind" in self.phrases[key] for _, key in self._candidates(listed, i))
        return any(token.part == "h" for token in self.tokens[listed[-1].index :])

    def _is_on_it(self, listed: list[Word], i: int) -> bool:
        """Whether a part follows, and that it is on or in the thing."""
        place = listed[i + 1] if i + 1 < len(listed) else None
        if place is None or place.token.part != "P" or "part" not in self.phrases.get(listed[i].token.base, ()):
            return False
        return place.index + 1 < len(self.tokens) and self.tokens[place.index + 1].part == "t"

    def _is_held(self, listed: list[Word], i: int) -> bool:
        """Whether "have" has the thing itself: "did people have it in the middle ages"."""
        index = listed[i].index + 1
        if index >= len(self.tokens) or self.tokens[index].part != "t" or self.context != "do":
            return False
        return index + 1 == len(self.tokens) or self.tokens[index + 1].part in tuple("P,co")

    def _is_stranded(self, listed: list[Word], i: int) -> bool:
        """Whether a preposition goes back to the thing: "are there shelves on it"."""
        index = listed[i].index
        last = self.items[-1] if self.items else None
        follows = self.tokens[index + 1].part if index + 1 < len(self.tokens) else ""
        if last is None or last.end != i:
            return False
        return last.sense in ("part", "material") and follows in ("t", "", ",")

    def _is_noun(self, listed: list[Word], i: int) -> bool:
        """Whether a noun follows: "most people", "most kitchens"."""
        word = listed[i].token
        if word.part == "q":
            return True
        return word.word.endswith("s") and any(
            {"place", "who"} & self.phrases[key].keys() for _, key in self._candidates(listed, i)
        )

    def _is_adjective(self, token: Token) -> bool:
        return token.word in self.measures.adjectives or "quality" in self.phrases.get(token.base, ())

    def _leads(self, listed: list[Word], i: int) -> bool:
        """Whether an "n't" asks ("isn't it", "don't people") rather than denies ("it isn't")."""
        index = listed[i].index
        before = {token.part for token in self.tokens[:index]}
        after = self.tokens[index + 1].part if index + 1 < len(self.tokens) else ""
        return not self.items and not before & set("tpq") and after in ("t", "p", "q", "x", "e", "v", "")
