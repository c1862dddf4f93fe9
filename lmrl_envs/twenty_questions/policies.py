"""Players of 20 Questions. They know the objects and what is true of them, as an ideal player would."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from lmrl_envs.core import ScriptedPolicy, Transcript
from lmrl_envs.language.knowledge import members, to_set
from lmrl_envs.twenty_questions.reader import read
from lmrl_envs.twenty_questions.rules import YES, load_knowledge, split_indices

_NO_ARTICLE = frozenset(("broccoli", "lettuce", "corn", "jeans", "scissors", "pliers", "headphones", "sticky tape"))
_THE = frozenset(("sun", "moon", "ocean"))


@lru_cache(maxsize=256)
def guess_question(index: int) -> str:
    """ "Is it a dog?" for an object."""
    knowledge = load_knowledge()
    name = knowledge.names[index]
    if name in _NO_ARTICLE or knowledge.categories[index] == "sport":
        return f"Is it {name}?"
    return f"Is it {_with_article(name)}?"


def _with_article(name: str) -> str:
    if name in _NO_ARTICLE:
        return name
    if name in _THE:
        return f"the {name}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


@lru_cache(maxsize=1)
def question_bank() -> tuple[tuple[str, int], ...]:
    """Every attribute's question with the set of objects it holds for; the plainest first."""
    knowledge = load_knowledge()
    return tuple((text, knowledge.attributes[name]) for name, text in knowledge.questions.items())


def possible_objects(transcript: Transcript, start: int) -> int:
    """The objects of ``start`` that fit all answers (an oracle's contradictions leave those not yet guessed wrong)."""
    found = asked = start
    for i in range(1, len(transcript) - 1, 2):
        reading = read(transcript[i].text)
        if reading.objects is None:
            continue
        yes = transcript[i + 1].text == YES
        if reading.guess is not None:
            asked &= ~(1 << reading.guess)
        found &= reading.objects if yes else ~reading.objects
        if reading.guess is not None:
            found &= ~(1 << reading.guess)
    return found or asked or start


class _Player(ScriptedPolicy):
    def __init__(self, seed: int = 0, split: str = "all", **_: Any) -> None:
        super().__init__(seed)
        self.start = to_set(split_indices(split))


class RandomPolicy(_Player):
    """Half the time a uniform question of the bank, half the time a uniform object."""

    def act(self, transcript: Transcript) -> str:
        if self.random.random() < 0.5:
            return self.pick(question_bank())[0]
        return guess_question(self.pick(members(self.start)))


class SuboptimalPolicy(_Player):
    """A middling player: often asks what it knows already, sometimes guesses early.

    With probability `informed` it asks the best of three random questions, else any question of the bank; it guesses
    among the objects still possible when at most `sure` are left, and with probability `rash` before.
    """

    informed, rash, sure = 0.41, 0.04, 2

    def act(self, transcript: Transcript) -> str | None:
        possible = possible_objects(transcript, self.start)
        count = possible.bit_count()
        if self.random.random() < self.rash or (count <= self.sure and self.random.random() < self.informed):
            return guess_question(self.pick(members(possible)))
        bank = question_bank()
        if self.random.random() >= self.informed:
            return self.pick(bank)[0]
        three = [self.pick(bank) for _ in range(3)]
        return min(three, key=lambda question: abs(2 * (question[1] & possible).bit_count() - count))[0]


class MixedPolicy(SuboptimalPolicy):
    """The suboptimal player, who may give up: the mixture of the datasets.

    LMRL-Gym's Table 1 has a mean length of 14.9 (std 4.38) with 31 % success. Lost games of 20 questions would make that
    at least 15.0 with a std of 7: so some recorded conversations end early and unsolved, as they do here (None).
    """

    informed, rash, sure = 0.62, 0.05, 2
    patience = (17.5, 5.5)

    def __init__(self, seed: int = 0, split: str = "all", **_: Any) -> None:
        super().__init__(seed, split)
        self.last_question = max(4, round(self.random.gauss(*self.patience)))

    def act(self, transcript: Transcript) -> str | None:
        if len(transcript) // 2 >= self.last_question:
            return None
        return super().act(transcript)


@lru_cache(maxsize=256)
def least_questions(n: int) -> tuple[int, frozenset[int]]:
    """The least total number of lost questions over ``n`` equally likely objects, any set of which can be asked for.

    Either one is guessed (the others pay 1), or all pay 1 and the set is cut in two: F(1) = 0,
    F(n) = min(n - 1 + F(n - 1), n + min_k F(k) + F(n - k)). No strategy can do better, so -F(n) / n bounds the mean
    return. Also returns the sizes ``k`` of an optimal cut; 0 stands for a guess.
    """
    if n <= 1:
        return 0, frozenset((0,))
    costs = {k: n + least_questions(k)[0] + least_questions(n - k)[0] for k in range(1, n)}
    costs[0] = n - 1 + least_questions(n - 1)[0]
    least = min(costs.values())
    return least, frozenset(k for k, cost in costs.items() if cost == least)


@lru_cache(maxsize=1 << 16)
def best_question(possible: int) -> str:
    """A question that keeps to the bound of `least_questions`: the first of the bank that cuts optimally."""
    count = possible.bit_count()
    cuts = least_questions(count)[1]
    if count <= 2 or cuts == {0}:
        return guess_question(members(possible)[0])
    best, best_rank = "", (1 << 30, 1 << 30)
    for rank, (text, objects) in enumerate(question_bank()):
        size = (objects & possible).bit_count()
        if size in cuts and size:
            # Optimal cuts cost the same; an even one leaves more room for the next questions.
            score = (abs(2 * size - count), rank)
            if score < best_rank:
                best, best_rank = text, score
    if best:
        return best
    if 0 in cuts:
        return guess_question(members(possible)[0])
    some = members(possible)[: min(cut for cut in cuts if cut)]
    names = load_knowledge().names
    return f"Is it {' or '.join(_with_article(names[i]) for i in some)}?"


class ExpertPolicy(_Player):
    """Optimal: every question cuts what is still possible in an optimal proportion (see `least_questions`)."""

    def act(self, transcript: Transcript) -> str:
        possible = possible_objects(transcript, self.start)
        question = best_question(possible)
        if question in transcript.actions:  # an oracle that contradicts itself would be asked the same for ever
            named = [guess_question(index) for index in members(possible)]
            question = next((text for text in named if text not in transcript.actions), question)
        return question

    def is_best(self, transcript: Transcript, action: str) -> bool:
        """Whether a question cuts what is still possible in an optimal proportion, or is a guess where one is optimal."""
        possible = possible_objects(transcript, self.start)
        cuts, reading = least_questions(possible.bit_count())[1], read(action)
        if reading.objects is None:
            return False
        if reading.guess is not None:
            return 0 in cuts and bool(possible >> reading.guess & 1)
        size = (reading.objects & possible).bit_count()
        return size > 0 and size in cuts


POLICIES = {"random": RandomPolicy, "suboptimal": SuboptimalPolicy, "expert": ExpertPolicy, "mixed": MixedPolicy}
