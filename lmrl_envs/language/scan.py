"""One pass over the words of a question, which puts together what is said."""

from __future__ import annotations

from lmrl_envs.language.grammar import ALL, MEANT, NEXT, ORDER, PAST, PASTS, RELATING, Item, Unread, Word
from lmrl_envs.language.lexicon import LIGHT, NOT, SKIP
from lmrl_envs.language.lists import words
from lmrl_envs.language.statement import Statement
from lmrl_envs.language.tokens import LINES, Token
from lmrl_envs.language.truth import Truth

_NEEDING = frozenset(("need", "require", "use", "take", "involve", "demand"))
_OF_A_PERSON = frozenset(words(LINES["of a person"]))
"""Parts of whoever uses it, where it "needs" them."""
_WHERE = frozenset(("in", "at", "on", "inside", "near"))
_ITSELF = frozenset(("it", "they"))
_SOMEBODY = frozenset(("one", "single", "average", "person", "adult", "man"))


class Scan(Statement):
    """Goes through the words once, from left to right."""

    def run(self) -> Truth:
        """What is said.

        Raises:
            Unread: not all is accounted for.
        """
        self.listed = listed = self._words()
        i = 0
        while i < len(listed):
            self.at = i
            i = self._step(listed, i)
        self.at = -1
        if not self.items or any(clause.turns[-1:] == [len(clause.items)] for clause in self.clauses if clause.items):
            raise Unread  # nothing is said, or nothing after a "not"
        for start, senses in self.owed:
            for item in self.items[start:]:
                if item.sense in senses or item.sense in ALL:
                    break
            else:
                raise Unread
        if (
            not PASTS.isdisjoint(self.words)
            and not PASTS.isdisjoint(self.words[self.asked_at :])
            and PAST.isdisjoint([token.base for token in self.tokens[self.asked_at :]])
            and any(item.sense != "phrase" for item in self.items)
        ):
            raise Unread  # unless a phrase says it word for word ("did Newton see it fall")
        return self._together()

    def _step(self, listed: list[Word], i: int) -> int:
        word = listed[i]
        token, clear = word.token, word.clear
        if clear:
            if self.connector and clear[0] in "ab":
                self.context, self.own = "start", True
            elif self.connector and self.tokens[word.index - len(clear)].word in _ITSELF:
                self.context = "does"  # "has wheels, but it flies"
            for part in clear:
                self.context = NEXT[self.context].get(part, self.context)
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
            end = self._phrase(listed, i, found, least) or self._coordinate(listed, i)
            end = end or self._measure(listed, i) or self._phrase(listed, i, found, 1)
        else:
            end = self._phrase(listed, i, found, 1)
        return end or (not token.part and self._coordinate(listed, i)) or self._single(listed, i, token)

    def _phrase(self, listed: list[Word], i: int, found: list[tuple[int, str]], least: int) -> int:
        for size, key in found:
            if size < least:
                break
            if " or " in key and any({"a", "b"} & set(word.clear) for word in listed[i + 1 : i + size]):
                continue  # "is it a fruit or is it a vegetable" asks which
            senses = self.phrases[key]
            sense = self._sense(listed, i, size, senses)
            if sense is None:
                continue
            if " or " in key and not any(token.part in ("a", "b") for token in self.tokens):
                self.which = True  # "Fruit or vegetable?" asks which
            if sense == "part" and key in _OF_A_PERSON and self._is_needed(listed, i):
                raise Unread  # "do you need both hands for it": not a part of it
            if size > 1:
                self.widest = (i, size)
            first = listed[i].token.part
            if sense == SKIP:
                self.context = "asked"
                self.asked_at = listed[i + size - 1].index
            elif sense == NOT:
                self._turn("")
            elif sense == "phrase" and first in MEANT:
                # It may go on: "does it have a trunk or ears", "in the kitchen or the bathroom".
                made = self.context == "made"
                if made and listed[i].token.word in _WHERE:
                    raise Unread  # "made at home": of how it came to be
                self.context, meant = ("made", "material") if made else MEANT[first]
                self._add(Item(meant, senses["phrase"], i, i + size), listed, i)
            else:
                self._add(Item(sense, senses[sense], i, i + size), listed, i)
            return i + size
        return 0

    def _is_needed(self, listed: list[Word], i: int) -> bool:
        """Whether what is had is what one needs for it."""
        return any(word.token.base in _NEEDING for word in listed[max(i - 2, 0) : i])

    def _coordinate(self, listed: list[Word], i: int) -> int:
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
                    last.sense if last.sense in senses else next((s for s in ORDER[self.context] if s in senses), None)
                )
                if sense not in (None, SKIP, NOT):
                    self._add(Item(last.sense, senses[sense], i, i + size), listed, i)
                    return i + size
        return 0

    def _measure(self, listed: list[Word], i: int) -> int:
        memory = self.memory
        index = listed[i].index
        if index and self.tokens[index - 1].word in ("a", "an") and self.tokens[index].word in self.measures.units:
            index -= 1
        match = self.measures.match(self.tokens, index, memory and memory.reference, memory.noun if memory else "")
        if match is None:
            return 0
        self.reference, self.noun = match.reference, match.noun
        end = next((k for k in range(i + 1, len(listed)) if listed[k].index >= match.end), len(listed))
        self._add(Item("quantity", match.truth, i, end), listed, i)
        return end

    def _single(self, listed: list[Word], i: int, token: Token) -> int:
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
                self._add(Item("kind", Truth(0, 0), i, i + 1), listed, i)  # "Is it a person?"
            elif self.context != "do":
                raise Unread
        elif part == "H" or (token.base in ("come", "equip", "fit") and after and after.token.word == "with"):
            if after is not None and ("T" in after.clear or "b" in after.clear):
                return i + 1  # "have to", "has it been"
            if part == "H" and self._is_held(listed, i):
                self.owed.append((0, frozenset(("place", "phrase"))))
                return i + 1
            last = self.items[-1] if self.items else None
            follows = last is not None and last.end == i and last.sense in ("done", "does", "for")
            if token.word == "with" and follows and listed[i - 1].token.base not in ("play", "fit"):
                raise Unread  # with what something is done
            if token.word == "with" and i and listed[i - 1].token.base == "go":
                raise Unread  # "does it go with steak": what suits it
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
        elif token.base in RELATING:
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
                raise Unread
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

    def _degree(self, listed: list[Word], i: int) -> int:
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
                while at + 1 < len(listed) and "T" not in listed[at].clear and listed[at].token.base in _SOMEBODY:
                    at += 1
            if "T" in listed[at].clear:
                self._turn("too")
                self._owe("reach", "done", "for", "does")
                self.reaches = True
                return at
        elif i + 2 < len(listed) and listed[i + 1].token.word == "enough" and self._is_adjective(listed[i].token):
            if set("Ttp") & set(listed[i + 2].clear):
                self._owe("reach", "done", "for", "does")
                self.reaches = "T" in listed[i + 2].clear
                return i + 2
        elif word in ("most", "many") and i + 1 < len(listed) and self._is_noun(listed, i + 1):
            return i + 1
        elif word in self.measures.superlatives or (
            word in ("most", "least") and i + 1 < len(listed) and listed[i + 1].token.word in adjectives
        ):
            if self.superlative is not None:
                raise Unread
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
        raise Unread
