"""What is said together by the items that were read: clauses, joined by and, or, but and not, and whether the whole is true."""

from __future__ import annotations

from lmrl_envs.language.grammar import HAVING, OPPOSITES, UNABLE, Clause, Item, Unread, Word
from lmrl_envs.language.lexicon import NAME
from lmrl_envs.language.lists import words
from lmrl_envs.language.senses import SAID, Senses
from lmrl_envs.language.tokens import LINES
from lmrl_envs.language.truth import Truth, surely

_ABLE = frozenset(("can", "could", "may", "might"))
_AT_TIMES = frozenset(("sometimes", "occasionally", "ever"))
_FOUND = frozenset(("be", "come", "find", "see", "buy", "get", "keep", "use", "store"))
_OF_SOME = frozenset(("quality", "material", "place", "part", "body", "does", "done"))
"""Senses of what one case is enough for."""
_USUALLY = frozenset(words(LINES["usually"]))
_CLAUSE, _LINKING = frozenset("thbp"), frozenset("thbapT")
"""Parts between two phrases with which the second says something of the thing again; with which it is not part of the first."""
_OWN = frozenset(("its", "their", "his", "her"))
_ANYBODY = frozenset(words(LINES["anybody does"]))
"""What whoever has to do with a thing does with it."""
_COSTING = frozenset(("cost", "price", "worth", "expensive"))
_LIVING = frozenset(("live", "inhabit", "survive", "grow", "exist", "last", "work", "function", "run"))
"""What a thing does without what it does not need."""
_JUDGED = frozenset(("considered", "described", "called", "classified", "regarded"))


class Statement(Senses):
    """The items of a question as clauses: takes the next one in, and tells what they say."""

    def _owe(self, *senses: str) -> None:
        self.owed.append((len(self.items), frozenset(senses)))

    def _turn(self, word: str) -> None:
        if self.agrees:  # "It isn't alive, is it?"
            self.agrees = False
            return
        if word == "without" and self.items and self.items[-1].sense == "does" and self._does_live():
            raise Unread  # "can it live without water": it is not said to have none
        self.turned = True
        self.clauses[-1].turns.append(len(self.clauses[-1].items))
        if self.connector in ("and", "but", ","):
            self._begin(False)
            self.clauses[-2].turns.pop()
            self.clauses[-1].turns.append(0)
        if word in HAVING:
            self.context = "have"
            self._owe("part", "material")
        elif word == "nothing":
            self.context = "noun"
        elif word in UNABLE:
            self.context = "able"
        elif word == "nobody":
            self.context = "do"

    def _does_live(self) -> bool:
        last = self.items[-1]
        return not _LIVING.isdisjoint([word.token.base for word in self.listed[last.start : last.end]])

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
            self.clauses.append(Clause(alternative))

    def _add(self, item: Item, listed: list[Word], i: int) -> None:
        clause, clear = self.clauses[-1], listed[i].clear
        if item.sense in ("kind", NAME) and self.tokens[listed[i].index - 1].word in _OWN and listed[i].index:
            raise Unread  # "are its seeds on the outside": of a part of it
        if item.sense == "quality" and self._is_of_person(listed, i):
            raise Unread  # "do you need to be strong to use it"
        if item.sense == "who" and self._is_doing(listed, i):
            raise Unread  # "driven by a child": nobody told who does that
        connector, self.connector = self.connector, ""
        last = clause.items[-1] if clause.items else None
        own, self.own = self.own or "a" in clear or "b" in clear, False
        if connector == "," and any(word.token.part == "o" for word in listed[i:]) and last is not None and not own:
            connector = "or"
        if last is None or not connector:
            item = self._beside(item, last, listed, i)
        elif connector == "or":
            if own or self._is_choice(listed, i):
                if own or not self._is_bare() or self._is_opposite(listed, i):
                    raise Unread
                self.which = True
            if item.sense == last.sense:
                sense = "names" if item.sense == NAME else item.sense
                clause.items[-1] = self.items[-1] = Item(sense, item.truth | last.truth, last.start, item.end)
                return
            if (len(clause.items) > 1 and not own) or clause.turns:
                raise Unread
            self._begin(True)
        elif clause.turns and connector != "but" and not own and connector != "nor":
            raise Unread
        else:
            self._begin(False)
            if connector == "nor":
                self.clauses[-1].turns.append(0)
        self.clauses[-1].items.append(item)
        self.items.append(item)
        if item.sense == "who" and self.context in ("aux", "start", "noun"):
            self.context = "do"

    def _beside(self, item: Item, last: Item | None, listed: list[Word], i: int) -> Item:
        """An item right after another: "a big animal", "a pet animal"."""
        if last is not None and len(self.items) == 1 and last.start == 0 and _CLAUSE.isdisjoint(listed[i].clear):
            start = listed[0]
            if start.clear == "bx" and self.tokens[start.index - 1].word not in ("a", "an"):
                raise Unread  # "is the ball kicked": of something else than the thing
        if last is not None and last.sense == "phrase" and item.sense == "quantity" and "T" in listed[i].clear[-1:]:
            raise Unread  # "a ferry to Zanzibar": where to was not read
        if last is None or last.end != i or not _LINKING.isdisjoint(listed[i].clear):
            return item
        if item.sense == "kind" and listed[i - 1].token.word in self.measures.adjectives and last.sense == "quality":
            clause = self.clauses[-1]
            clause.items.pop()
            self.items.pop()
            relative = self.measures.relative(listed[i - 1].token.word, item.truth.possible)
            if not relative.possible:
                raise Unread  # "an expensive hobby": it has no price
            return Item("kind", relative & item.truth, last.start, item.end)
        if last.sense == "place" and item.sense in ("place", "part", "kind") and not listed[i].clear:
            raise Unread  # "a bedroom drawer": neither of the two
        if item.sense == "part" and last.sense in ("quality", "part") and not listed[i].clear.strip("v"):
            raise Unread  # "a hard shell": what a part is like
        if last.sense == "quality" and item.sense in ("for", "done", "does") and "T" in listed[i].clear:
            raise Unread  # "hard to erase"
        if self.context == "by" and last.sense == "phrase" and item.sense == "quantity":
            raise Unread  # "bombed by the Americans": who did it was not read
        if last.sense == "quantity" and item.sense == "place":
            raise Unread  # "than a meal at a restaurant": of what it was compared with
        if item.sense in ("kind", NAME) and last.sense in ("kind", NAME) and last.truth.possible & ~item.truth.possible:
            raise Unread
        if item.sense in ("does", "done", "for") and last.sense not in ("kind", NAME, "who", "quality"):
            raise Unread  # a verb right after another: what it goes with was not read
        if (
            item.sense == "kind"
            and last.sense in ("phrase", "does", "done", "for", "part")
            and listed[last.start].clear[-1:] != "x"
        ):
            raise Unread
        return item

    def _is_doing(self, listed: list[Word], i: int) -> bool:
        """Whether somebody is named as who does what was said to be done."""
        last = self.items[-1] if self.items else None
        if self.context != "by" or last is None or last.sense not in ("done", "phrase"):
            return False
        return _ANYBODY.isdisjoint([word.token.base for word in listed[last.start : last.end]])

    def _is_of_person(self, listed: list[Word], i: int) -> bool:
        """Whether somebody, and not the thing, is said to be like that."""
        parts = [token.part for token in self.tokens[: listed[i].index]]
        if "b" not in listed[i].clear or not {"p", "q"} & set(parts):
            return False
        subject = next((part for part in reversed(parts[: len(parts) - parts[::-1].index("b")]) if part in "tpqh"), "")
        return subject in ("p", "q")

    def _is_choice(self, listed: list[Word], i: int) -> bool:
        """Whether "A or B?" asks which of the two."""
        if self._is_bare() or any(token.word in ("rather", "more") for token in self.tokens):
            return True
        return self._is_opposite(listed, i)

    def _is_bare(self) -> bool:
        """Whether no verb asks: "fruit or vegetable?"."""
        return not any(token.part in ("a", "b", "H") for token in self.tokens)

    def _is_opposite(self, listed: list[Word], i: int) -> bool:
        """Whether the two share out everything."""
        before = next((word.token for word in reversed(listed[:i]) if word.token.part not in ("o", ",")), None)
        return before is not None and frozenset((before.base, listed[i].token.base)) in OPPOSITES

    def _together(self) -> Truth:
        everything = self.language.everything
        clauses = [clause for clause in self.clauses if clause.items]
        ways = {clause.alternative for clause in clauses[1:]}
        if len(ways) > 1:
            raise Unread
        found = clauses[0].truth(everything)
        for clause in clauses[1:]:
            found = found | clause.truth(everything) if clause.alternative else found & clause.truth(everything)
        if len(self.items) > 1 and sum(item.sense == NAME for item in self.items) > 1:
            raise Unread  # no thing is two
        if len(self.items) > 1 and any(item.sense == "who" and not item.truth.possible for item in self.items):
            raise Unread  # "do surgeons wear them": nothing is told of surgeons
        first = self.items[0]
        if first.sense == "kind" and not first.truth.possible and not first.start:
            clear = self.listed[0].clear
            if clear == "bx" and len(self.listed) == first.end and self.tokens[1].word == "the":
                raise Unread  # "are the seeds on the outside": of something else than the thing
            if len(self.items) > 1 and "b" not in clear:
                raise Unread  # "a gentleman would take it off"
        if self.listed[0].clear.startswith("bep"):
            raise Unread  # "is there somebody called": of people who have to do with it
        if self.tokens[0].word in _ABLE and any(
            word.token.base in _COSTING
            for item in self.items
            if item.sense == "quantity"
            for word in self.listed[: item.end]
        ):
            raise Unread  # "could it cost more than a car": not whether it usually does
        if self.superlative is not None:
            if self.turned or ways or not any(item.sense == "kind" for item in self.items):
                raise Unread
            return self.measures.greatest(self.superlative, found.possible, self.among)
        if self.narrow and self.turned:
            raise Unread
        if self.narrow:
            return found.narrowed()
        if found.yes == found.possible:
            return found
        if self._is_of_some():
            return surely(found.possible)
        named = any(item.sense == NAME for item in self.items)
        if self.language.leans and len(self.items) > 1 and len(self.clauses) == 1 and not self.turned and not named:
            # What is said more closely ("common in jazz") is disputed less than its parts.
            return Truth(found.most, found.possible)
        usually = self.language.leans and not _USUALLY.isdisjoint(self.words)
        return found.usually() if usually else found

    def _is_of_some(self) -> bool:
        """Whether one case is enough for a yes: "can it be red", "is it sometimes made of wood"."""
        said = self.words
        able = said[0] in _ABLE and (
            not _FOUND.isdisjoint(said[1:4]) or (self.tokens[1:2] and self.tokens[1].part == "t")
        )
        if self.turned or not (able or not _AT_TIMES.isdisjoint(said)) or not _JUDGED.isdisjoint(said):
            return False
        if said[0] in ("may", "might"):
            return True
        return all(item.sense in _OF_SOME for item in self.items)

    @property
    def is_remark(self) -> bool:
        """Whether it may be said of the game, or of something else: "this is hard", "blue is nice"."""
        parts = [token.part for token in self.tokens]
        while parts[0] == "v" and len(parts) > 1:
            parts.pop(0)  # "so is it lowkey scary"
        if (
            "b" in parts[1:]
            and parts[0] not in ("a", "b", "t", "H", "x")
            and set("thepqo").isdisjoint(parts[: parts.index("b")])
        ):
            return True
        return self.tokens[0].word in ("this", "that") and len(self.items) == 1 and self.items[0].sense == "quality"

    def either(self) -> Truth | None:
        """What a bare word ("Neck?") says where it has two meanings: of a part of the thing, and of where it is worn; else None."""
        if len(self.tokens) > 2 or len(self.listed) != 1 or self.listed[0].clear not in ("", "x"):
            return None
        senses = self.phrases.get(self.listed[0].token.base, {})
        if "part" not in senses or "body" not in senses:
            return None
        one, other = senses["part"], senses["body"]
        return Truth(one.yes, one.possible | other.possible)

    def guess(self, truth: Truth) -> int | None:
        """The one thing that is named, if nothing else is said, or nothing that is not true of it ("is it the sun in the sky")."""
        first = self.items[0]
        if self.narrow or self.turned or self.superlative or first.sense != NAME:
            return None
        if len(self.items) > 1:
            after = self.listed[first.end]
            told = (after.token.part and after.token.part in "PHM") or not SAID.isdisjoint(after.clear)
            if not told or first.start or truth.yes != first.truth.yes or len(self.clauses) > 1:
                return None
        return first.truth.yes.bit_length() - 1
