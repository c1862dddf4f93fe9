"""How a small model reads Chat (`lmrl_envs.surface.View`): with what each line does before it, or what was heard as facts and a choice of moves."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

from lmrl_envs.chat.planner import LIKED
from lmrl_envs.chat.policies import Speaker, Talk
from lmrl_envs.chat.reading import read
from lmrl_envs.chat.rules import TOPICS, Act, pointed
from lmrl_envs.core import Transcript
from lmrl_envs.surface import View

_ACTS = ("open", "ask", "tell", "joke", "praise", "comfort", "insult", "unread")
_WHICH = ("liked", "last", "new", "other")
"""Of topics: known to be liked; of their last line; not spoken of; known not to be liked."""
_KINDS = ("none", "liked", "neutral", "disliked")


def _with_acts(transcript: Transcript) -> list[str]:
    return [f"{read(turn.text).acts[0].name}: {turn.text}" if turn.is_action else turn.text for turn in transcript]


def _said(text: str, transcript: Transcript) -> str:
    act, colon, said = text.partition(":")
    return said.strip() if colon and act.strip() in (*_ACTS, "empty", "filler") else text


ACTS = View(_with_acts, _said)
"""What one says begins with what it does, as in "ask: Do you like jazz?"; said is what comes after."""


@lru_cache(maxsize=16_384)
def _heard(texts: tuple[str, ...]) -> tuple[Talk, tuple[str, ...]]:
    """What a conversation has come to when it is the agent's turn, and all its texts as facts and moves; nobody changes the talk."""
    if len(texts) == 1:
        talk, told = Talk(texts), ()
    else:
        earlier, told = _heard(texts[:-2])
        talk = copy.copy(earlier)
        talk.views = dict(earlier.views)
        talk.hear(texts[-2], texts[-1])
        told = (*told, _move(texts[-2], earlier))
    belief, tempers = talk.belief(), talk.tempers
    facts = [
        f"turn{talk.turns}",
        "need" if talk.need else "fine",
        f"row{min(talk.row, 3)}",
        f"last:{_KINDS[int(belief.last)]}",
    ]
    facts += [f"liked{belief.liked}", f"jokes{min(talk.jokes, 3)}", f"praises{min(talk.praises, 2)}", *tempers]
    return talk, (*told, " ".join(facts))


def _move(action: str, talk: Talk) -> str:
    """The move that a line is."""
    act = pointed(read(action).acts, talk.last)[0]
    if not act.topic:
        return act.name if act.name in _ACTS else "unread"
    return f"{act.name}:{next((which for which in _WHICH[:3] if act.topic in _topics(which, talk)), 'other')}"


def _topics(which: str, talk: Talk) -> Sequence[str]:
    liked = talk.of(LIKED)
    if which == "last":
        return [talk.last] if talk.last else []
    if which == "new":
        return [topic for topic in TOPICS if topic not in talk.views]
    return [topic for topic in talk.views if (topic in liked) == (which == "liked") and topic != talk.last]


def _facts(transcript: Transcript) -> list[str]:
    texts = tuple(turn.text for turn in transcript)
    if len(texts) % 2:
        return list(_heard(texts)[1])
    talk, told = _heard(texts[:-1])
    return [*told, _move(texts[-1], talk)]


def _worded(text: str, transcript: Transcript) -> str:
    """The line of a move; a text that is none is said as it is."""
    name, _, which = text.partition(":")
    if name not in _ACTS or (which not in _WHICH if name in ("ask", "tell") else which):
        return text
    talk = _heard(tuple(turn.text for turn in transcript))[0]
    speaker = Speaker(crc32("\n".join(turn.text for turn in transcript).encode()), split="train")
    topic = speaker.pick(list(_topics(which, talk)) or TOPICS) if which else ""
    return speaker.word(Act(name, topic, name == "tell" and which == "other"), transcript)


MOVES = View(_facts, _worded)
"""``turn3 fine row1 last:liked liked2 jokes1 praises0 jokey``, and ``ask:last``, ``tell:new``, ``joke``."""
