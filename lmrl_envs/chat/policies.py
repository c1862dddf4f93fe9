"""Speakers: what they do is decided as acts, and worded from speakers.txt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lmrl_envs.chat.planner import DISLIKED, LIKED, MINDS, NEUTRAL, NONE, Belief, plan
from lmrl_envs.chat.reading import read, said_before
from lmrl_envs.chat.rules import MORE_TOPICS, TOPICS, TURNS, Act, pointed
from lmrl_envs.chat.wording import FACETS, HELD_OUT, cells_of, filled
from lmrl_envs.core import ScriptedPolicy, Transcript
from lmrl_envs.language.lists import sections

SPOKEN = {title: tuple(lines) for title, lines in sections(__file__, "speakers.txt").items() if title}
_TRIES = 24
_LIKING = (
    "open first",
    "open second",
    "open again",
    "open short",
    "ask liked",
    "liked short",
    "tell liked",
    "tell clash",
)
_NEUTRAL = ("ask neutral", "neutral short", "tell neutral")
_DISLIKING = ("ask disliked", "tell disliked", "tell agree")


class Talk:
    """What a conversation tells of a person: everything is seen in words.

    Args:
        texts: of both so far, the person's first.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.turns = 0
        self.need = "opening need" in (cell for cell, _ in cells_of(texts[0]))
        self.row = self.jokes = self.praises = 0
        self.views: dict[str, int] = {}
        """Topic -> LIKED, NEUTRAL or DISLIKED."""
        self.last = ""
        self.tempers = MINDS[0]
        for action, reply in zip(texts[1::2], texts[2::2], strict=True):
            self.hear(action, reply)

    def hear(self, action: str, reply: str) -> None:
        """A line of one's own, and the answer."""
        acts, cells = pointed(read(action).acts, self.last), cells_of(reply)
        self.turns += 1
        asked = [act.topic for act in acts if act.topic]
        self.row = self.row + 1 if any(act.name in ("open", "ask") for act in acts) else 0
        self.last = ""
        for cell, topic in cells:
            topic = topic or (asked[0] if asked else "")
            for group, view in ((_LIKING, LIKED), (_NEUTRAL, NEUTRAL), (_DISLIKING, DISLIKED)):
                if cell in group and topic:
                    self.views[topic] = view
                    self.last = topic if view != DISLIKED or cell == "tell agree" else ""
            if cell == "joke real":
                self.tempers = ("jokey",)
            elif cell == "joke polite" and self.jokes < 2 and len(self.tempers) > 1:
                self.tempers = tuple(temper for temper in self.tempers if temper != "jokey")
            elif cell.startswith("show "):
                self.tempers = (cell.removeprefix("show "),)
        if any(act.name == "comfort" for act in acts):
            self.need = False
        if any(cell == "need returns" for cell, _ in cells):
            self.need = True
        self.jokes += sum(act.name == "joke" for act in acts)
        self.praises += sum(act.name == "praise" for act in acts)

    def of(self, view: int) -> list[str]:
        """The topics known to be seen in a way, in the order in which they came up."""
        return [topic for topic, own in self.views.items() if own == view]

    def belief(self) -> Belief:
        """As the plan counts it."""
        last = self.views.get(self.last, NONE) if self.last else NONE
        counts = [len(self.of(view)) for view in (LIKED, NEUTRAL, DISLIKED)]
        numbers = (
            self.need, min(self.row, 3), min(self.jokes, 3), min(self.praises, 1), MINDS.index(self.tempers),
            min(counts[0], 2), min(counts[1], 5), min(counts[2], 1), last,
        )  # fmt: skip
        return Belief(*(np.int64(number) for number in numbers))  # type: ignore[arg-type]


class Speaker(ScriptedPolicy):
    """Words acts; never what it has said before, if it can help it.

    Args:
        seed: of its choices.
        more_topics: whether the task has ten topics.
        split: whether it speaks of what held-out persons speak of.
    """

    def __init__(self, seed: int = 0, more_topics: bool = False, split: str = "all", **_: Any) -> None:
        super().__init__(seed)
        self.topics = MORE_TOPICS if more_topics else TOPICS
        held = HELD_OUT["facets"]
        self.facets = {
            topic: FACETS[topic][-held:] if split == "test" else FACETS[topic][: None if split == "all" else -held]
            for topic in self.topics
        }

    def act(self, transcript: Transcript) -> str:
        return self.word(self.choose(Talk([turn.text for turn in transcript])), transcript)

    def choose(self, talk: Talk) -> Act:
        """The next act."""
        raise NotImplementedError

    def word(self, act: Act, transcript: Transcript) -> str:
        """An act in words."""
        earlier = transcript.actions
        lines = SPOKEN["tell against" if act.against else "mumble" if act.name == "unread" else act.name]
        facets = self.facets[act.topic] if act.topic else ("",)
        taken_up = [facet for facet in facets if facet and facet in transcript[-1].text]
        text = ""
        for i in range(_TRIES):
            text = filled(self.pick(lines), act.topic, self.pick(taken_up if taken_up and i < 4 else facets))
            if not said_before(text, earlier):
                break
        return text

    def topic(self) -> str:
        """A uniform topic."""
        return self.pick(self.topics)


class RandomPolicy(Speaker):
    """A uniform act: a question or a word about one of the topics, an open question, a joke, praise, comfort, nonsense or an insult."""

    def choose(self, talk: Talk) -> Act:
        acts = [Act(name, topic) for name in ("ask", "tell") for topic in self.topics]
        return self.pick([*acts, *map(Act, ("open", "joke", "praise", "comfort", "unread", "unread", "insult"))])


class GoodPolicy(Speaker):
    """Comforts who is in need, asks openly until something is liked, and then tells and asks about it in turn; a slip one time in five."""

    slips = 0.2

    def choose(self, talk: Talk) -> Act:
        if self.random.random() < self.slips:
            return RandomPolicy.choose(self, talk)  # type: ignore[arg-type]
        return sensible(talk, self.random.random(), self.topic())


def sensible(talk: Talk, number: float, other: str) -> Act:
    """What a good listener does; ``number`` in [0, 1) and a topic vary it."""
    if talk.need:
        return Act("comfort")
    liked = talk.of(LIKED)
    if not liked:
        return Act("open") if talk.row == 0 else Act("tell", other)
    topic = talk.last if talk.last in liked else liked[int(number * len(liked))]
    return Act("ask", topic) if talk.row == 0 and number < 0.4 else Act("tell", topic)


class CasualPolicy(Speaker):
    """Talks sensibly .4 of the time, and else says anything."""

    sense = 0.4

    def choose(self, talk: Talk) -> Act:
        if self.random.random() < self.sense:
            return sensible(talk, self.random.random(), self.topic())
        return RandomPolicy.choose(self, talk)  # type: ignore[arg-type]


class FlattererPolicy(Speaker):
    """Praises; at times asks something."""

    def choose(self, talk: Talk) -> Act:
        return Act("praise") if self.random.random() < 0.8 else Act("open")


class InterviewerPolicy(Speaker):
    """Asks and asks, about anything."""

    def choose(self, talk: Talk) -> Act:
        return Act("open") if self.random.random() < 0.25 else Act("ask", self.topic())


class JokerPolicy(Speaker):
    """Tells jokes."""

    def choose(self, talk: Talk) -> Act:
        return Act("joke") if self.random.random() < 0.8 else Act("tell", self.topic())


BLIND = ("comfort", "ask", "tell", "ask", "joke", "ask", "tell", "ask", "tell", "praise")
"""The best script known that takes no notice of the answers; all of it about one topic."""


class BlindPolicy(Speaker):
    """`BLIND`, whatever is answered: what is to be had without listening."""

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.about = self.topic()

    def choose(self, talk: Talk) -> Act:
        name = BLIND[min(talk.turns, len(BLIND) - 1)]
        return Act(name, self.about if name in ("ask", "tell") else "")


class ExpertPolicy(Speaker):
    """The plan over beliefs (`lmrl_envs.chat.planner`)."""

    def choose(self, talk: Talk) -> Act:
        worths = self._worths(talk)
        return self._act(max(worths, key=lambda action: worths[action]), talk)

    def is_best(self, transcript: Transcript, action: str) -> bool | None:
        """Whether a line does one thing, not said before, that no other betters."""
        talk = Talk([turn.text for turn in transcript])
        acts = pointed(read(action).acts, talk.last)
        if len(acts) != 1 or said_before(action, transcript.actions):
            return False
        worths = self._worths(talk)
        best = max(worths.values())
        return any(acts[0] in self._acts(name, talk) for name, value in worths.items() if value > best - 1e-9)

    def _worths(self, talk: Talk) -> dict[str, float]:
        return plan(len(self.topics)).worths(talk.belief(), max(1, TURNS - talk.turns))

    def _act(self, action: str, talk: Talk) -> Act:
        return next(iter(self._acts(action, talk)))

    def _acts(self, action: str, talk: Talk) -> Iterator[Act]:
        """The acts that an action of the plan stands for."""
        name, _, which = action.partition(" ")
        if not which:
            yield Act(name)
            return
        views = {"liked": LIKED, "neutral": NEUTRAL, "against": DISLIKED}
        if which == "new":
            topics = [topic for topic in self.topics if topic not in talk.views]
        elif which == "last":
            topics = [talk.last]
        else:
            topics = [topic for topic in talk.of(views[which]) if topic != talk.last]
        for topic in topics:
            yield Act(name, topic, name == "tell" and talk.views.get(topic) == DISLIKED)


SHARES = {
    "casual": 0.35,
    "random": 0.1,
    "flatterer": 0.12,
    "interviewer": 0.13,
    "joker": 0.1,
    "good": 0.15,
    "expert": 0.05,
}


class MixedPolicy(ScriptedPolicy):
    """One of the speakers, by `SHARES`."""

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed)
        number, chosen = self.random.random(), "casual"
        for name, share in SHARES.items():
            if number < share:
                chosen = name
                break
            number -= share
        self.speaker = POLICIES[chosen](self.random.getrandbits(64), **kwargs)

    def act(self, transcript: Transcript) -> str:
        return self.speaker.act(transcript)


POLICIES: dict[str, Any] = {
    "random": RandomPolicy,
    "suboptimal": CasualPolicy,
    "expert": ExpertPolicy,
    "blind": BlindPolicy,
    "good": GoodPolicy,
    "casual": CasualPolicy,
    "flatterer": FlattererPolicy,
    "interviewer": InterviewerPolicy,
    "joker": JokerPolicy,
    "mixed": MixedPolicy,
}
