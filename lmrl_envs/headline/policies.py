"""Writers of headlines."""

from __future__ import annotations

from typing import Any

from lmrl_envs.core import ScriptedPolicy, Transcript
from lmrl_envs.headline.rules import (
    FULL,
    HYPE,
    LEVELS,
    TINY,
    Fact,
    best_facts,
    is_best,
    judge,
    parse_opening,
    tiny_answers,
    weight,
    written,
)


class _Writer(ScriptedPolicy):
    def __init__(self, seed: int = 0, tiny: bool = False, **_: Any) -> None:
        super().__init__(seed)
        self.desk = TINY if tiny else FULL

    def below(self, *shares: float) -> int:
        """An index drawn by shares that sum to 1."""
        number, index = self.random.random(), 0
        while index < len(shares) - 1 and number >= shares[index]:
            number -= shares[index]
            index += 1
        return index


class RandomPolicy(_Writer):
    """One to four phrases, each uniform over all there are, whatever the notes; tiny: uniform over the 26 headlines."""

    def act(self, transcript: Transcript) -> str:
        if self.desk is TINY:
            return self.pick(tiny_answers())
        return written([self.pick(_PHRASES) for _ in range(self.pick(range(1, 5)))])


_PHRASES: list[Fact] = [(level, subject) for subject, levels in LEVELS.items() for level in levels]


class Writer(_Writer):
    """A writer of some quality q in [0, 1].

    One to four facts (.3, .4, .2, .1; tiny: one), drawn without replacement by weight**q; with probability .3 (1 - q) the level
    of a fact is misremembered as one of the four at random, with .06 (1 - q) a fact is one that was written before. No, one or two
    words of hype (.5, .4, .1; tiny: at most one).
    """

    def __init__(self, seed: int = 0, quality: float = 0.5, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if not 0 <= quality <= 1:
            raise ValueError(f"quality={quality!r} is not a number from 0 to 1")
        self.quality = quality

    def act(self, transcript: Transcript) -> str:
        left = list(parse_opening(transcript[0].text)[1])
        facts: list[Fact] = []
        for _ in range(1 if self.desk is TINY else 1 + self.below(0.3, 0.4, 0.2, 0.1)):
            if facts and self.random.random() < 0.06 * (1 - self.quality):
                facts.append(self.pick(facts))
                continue
            weights = [weight(fact) ** self.quality for fact in left]
            fact = left.pop(self.below(*(one / sum(weights) for one in weights)))
            if self.random.random() < 0.3 * (1 - self.quality):
                fact = (self.pick(LEVELS[fact[1]]), fact[1])
            facts.append(fact)
        hype = list(HYPE)
        wanted = self.below(0.5, 0.5) if self.desk is TINY else self.below(0.5, 0.4, 0.1)
        return written(facts, [hype.pop(int(self.random.random() * len(hype))) for _ in range(wanted)])


class HonestWriter(_Writer):
    """No to three true facts (tiny: at most one), each as often, drawn alike; a word of hype every second time."""

    def act(self, transcript: Transcript) -> str:
        facts = self.facts(list(parse_opening(transcript[0].text)[1]), self.pick(range(self.desk.most + 1)))
        return written(facts, [self.pick(HYPE)] if self.random.random() < 0.5 else [])

    def facts(self, left: list[Fact], count: int) -> list[Fact]:
        """So many facts of the notes."""
        return [left.pop(int(self.random.random() * len(left))) for _ in range(count)]


class SevereWriter(HonestWriter):
    """As `HonestWriter`, the most severe facts first: answers with as many facts differ in hype alone."""

    def facts(self, left: list[Fact], count: int) -> list[Fact]:
        """So many facts of the notes."""
        return best_facts(left, self.desk)[:count]


class ExpertPolicy(_Writer):
    """The most severe facts, which nothing can better."""

    def act(self, transcript: Transcript) -> str:
        return written(best_facts(parse_opening(transcript[0].text)[1], self.desk))

    def is_best(self, transcript: Transcript, action: str) -> bool:
        """Whether a headline is worth 1: with a word of hype, or with other facts as severe, it is as good."""
        return is_best(judge(action, parse_opening(transcript[0].text)[1], self.desk).gold)


class MixedPolicy(ScriptedPolicy):
    """One of the writers of quality 0, .5 and .8 and the expert, each as often."""

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed)
        quality = self.pick((0.0, 0.5, 0.8, None))
        own = self.random.getrandbits(64)
        self.writer = ExpertPolicy(own, **kwargs) if quality is None else Writer(own, quality, **kwargs)

    def act(self, transcript: Transcript) -> str:
        return self.writer.act(transcript)


POLICIES = {
    "random": RandomPolicy,
    "suboptimal": Writer,
    "expert": ExpertPolicy,
    "writer": Writer,
    "honest": HonestWriter,
    "severe": SevereWriter,
    "mixed": MixedPolicy,
}
