"""What a hidden person enjoys, as acts: the exact worth of every act, what it changes, and what the person answers to it.

Only acts are decided here: words are read in `lmrl_envs.chat.reading` and found in `lmrl_envs.chat.wording`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

BLIND_RETURN = 2.08
"""Mean return of the best script that takes no notice of the answers, said without repeating itself (exact: tests/test_chat.py)."""
TURNS = 10
LEAVES_FROM = 8
"""From this turn on a person in the lowest mood leaves: sooner would spare a bad talker its losses."""
TOPICS = ("music", "food", "sport", "films", "travel", "games", "books", "pets")
MORE_TOPICS = (*TOPICS, "gardening", "art")
Temper = Literal["jokey", "curious", "private"]
TEMPERS: tuple[Temper, ...] = ("jokey", "curious", "private")
IN_NEED = 0.3
"""How often a person is in need of comfort."""
SHOWN = 0.4
"""How often an answer shows the temper: a question back, a quip, or reserve."""
RETURNS_AFTER = 4
"""Turns after which the need of comfort comes back, where it does."""

# -- what acts are worth

ROW = (0.0, -0.25, -0.5, -0.7)
"""Added to the first, second, third and every further question in a row."""
OPEN = 0.2
ASK = {"liked": 0.5, "neutral": 0.05, "disliked": -0.3}
ASK_TEMPER = {"jokey": 0.0, "curious": 0.1, "private": -0.1}
ASK_SAME = 0.15
TELL = {"liked": 0.4, "neutral": 0.0, "disliked": -0.4}
TELL_SAME = 0.2
JOKE = {"jokey": (0.6, 0.4, 0.1, -0.3), "curious": (0.3, 0.1, -0.2, -0.4), "private": (-0.1, -0.2, -0.4, -0.5)}
PRAISE = (0.3, -0.1, -0.4)
COMFORT, NEEDLESS = 0.7, -0.15
UNREAD, INSULT = -0.5, -1.0
IGNORED = -0.3
"""Added to anything but comfort while the person is in need."""
SAID_BEFORE = -0.5
BEYOND_TWO, LONG = -0.1, -0.2
"""Added for each act of a line beyond two, and for a line of more than 60 words."""
LEAST, MOST = -1.0, 1.0
GLAD, LOW = 0.25, -0.25
"""The mood rises above the one and falls below the other."""
BEST_MOOD, GLAD_MOOD = 4, 3


THAT = "that"


class Act(NamedTuple):
    """What a line does. Names: open, ask, tell, joke, praise, comfort, filler, unread, empty, insult."""

    name: str
    topic: str = ""
    """Of ask and tell; `THAT`: what the other has just spoken of."""
    against: bool = False
    """Of tell: said of a topic that the speaker does not like."""


class Person(NamedTuple):
    """What an agent is not told. ``likes`` are named in this order."""

    likes: tuple[str, ...]
    dislikes: str
    temper: str
    need: bool

    def view(self, topic: str) -> str:
        """liked, neutral or disliked."""
        return "liked" if topic in self.likes else "disliked" if topic == self.dislikes else "neutral"


class State(NamedTuple):
    """What has become of a talk. ``need`` is whether the person is in need of comfort now."""

    mood: int
    need: bool
    turns: int = 0
    row: int = 0
    """Questions in a row."""
    jokes: int = 0
    praises: int = 0
    told: tuple[str, ...] = ()
    """Liked topics that the person has named."""
    last: str = ""
    """The topic of the person's last line."""
    sour: int = 0
    """Turns that anybody would have disliked."""
    insults: int = 0
    ignored: int = 0
    """Turns in need without comfort."""
    comforted: int = 0
    """The turn of the last comfort that was needed."""


class Step(NamedTuple):
    """What an agent's turn comes to."""

    gold: float
    state: State
    act: Act
    """The act that counts: the lowest of the line."""
    parts: tuple[tuple[str, str], ...]
    """What the person says: cells of the catalogue, each with its topic."""
    ended: bool


def pointed(acts: Sequence[Act], last: str) -> tuple[Act, ...]:
    """Acts about `THAT` made acts about the topic of the other's last line: without one, a question is open, and the rest says nothing
    ("Me too!"), which is passed over beside anything else."""
    if all(act.topic != THAT for act in acts):
        return tuple(acts)
    bare = {"ask": Act("open"), "tell": Act("filler")}
    meant = [(act._replace(topic=last) if last else bare[act.name]) if act.topic == THAT else act for act in acts]
    return tuple(act for act in meant if act.name != "filler") or (Act("filler"),)


def start(person: Person) -> State:
    """The state of a talk that begins."""
    return State(1 if person.need else 2, person.need)


def worth(act: Act, person: Person, state: State, comforts: bool = False) -> float:
    """The worth of one act, before the line as a whole is judged; ``comforts``: there is comfort in the line."""
    value = _plain_worth(act, person, state)
    if act.name == "ask":
        value += ASK_TEMPER[person.temper]
    elif act.name == "joke":
        value = JOKE[person.temper][min(state.jokes, 3)]
    return value + (IGNORED if state.need and not comforts and act.name != "comfort" else 0.0)


def _plain_worth(act: Act, person: Person, state: State) -> float:
    """As for a person of no particular temper: what anybody can see of it."""
    name, same = act.name, act.topic == state.last
    if name in ("open", "ask"):
        row = ROW[min(state.row, 3)]
        return row + (OPEN if name == "open" else ASK[person.view(act.topic)] + ASK_SAME * same)
    if name == "tell":
        value = TELL[person.view(act.topic)]
        return (-value if act.against else value) + TELL_SAME * same
    if name == "joke":
        return JOKE["curious"][min(state.jokes, 3)]
    if name == "praise":
        return PRAISE[min(state.praises, 2)]
    if name == "comfort":
        return COMFORT if state.need else NEEDLESS
    return INSULT if name == "insult" else UNREAD


def take(
    acts: Sequence[Act], person: Person, state: State, *, before: bool = False, long: bool = False,
    shown: bool = False, returns: bool = False,
) -> Step:  # fmt: skip
    """What a line comes to.

    Args:
        acts: those of the line, at least one; the lowest counts.
        person: who listens.
        state: so far.
        before: the line was said before.
        long: it has more than 60 words.
        shown: whether an answer shows the person's temper this time.
        returns: whether a need of comfort comes back.
    """
    acts = pointed(acts, state.last)
    comforts = any(act.name == "comfort" for act in acts)
    act = min(acts, key=lambda one: worth(one, person, state, comforts))
    beside = SAID_BEFORE * before + LONG * long + BEYOND_TWO * max(0, len(acts) - 2)
    gold = min(MOST, max(LEAST, round(worth(act, person, state, comforts) + beside, 6)))
    turns, asks = state.turns + 1, any(one.name in ("open", "ask") for one in acts)
    row = state.row + 1 if asks else 0
    parts, topic, told = _reaction(act, person, state, min(row, 4), shown)
    if before:
        parts.insert(0, ("said before", ""))
    plain = _plain_worth(act, person, state) + beside + (IGNORED if state.need and not comforts else 0.0)
    sour = state.sour + (plain < LOW)
    if plain < LOW and sour % 2 == 0 and act.name != "insult":
        parts.append(("mood falling", ""))
    mood = min(BEST_MOOD, max(0, state.mood + (gold > GLAD) - (gold < LOW)))
    need = state.need and not comforts
    comforted = turns if state.need and comforts else state.comforted
    ended = turns >= TURNS or (turns >= LEAVES_FROM and mood == 0)
    if returns and not ended and comforted and turns - comforted == RETURNS_AFTER:
        need = True
        parts.append(("need returns", ""))
    if ended:
        parts.append(("leaving glad" if mood >= GLAD_MOOD else "leaving flat", ""))
    after = State(
        mood, need, turns, row,
        state.jokes + sum(one.name == "joke" for one in acts), state.praises + sum(one.name == "praise" for one in acts),
        told, topic, sour, state.insults + any(one.name == "insult" for one in acts), state.ignored + (state.need and not comforts),
        comforted,
    )  # fmt: skip
    return Step(gold, after, act, tuple(parts), ended)


def _reaction(
    act: Act, person: Person, state: State, row: int, shown: bool
) -> tuple[list[tuple[str, str]], str, tuple[str, ...]]:
    """What the person says to an act, the topic it is about, and the liked topics named by then."""
    name, told = act.name, state.told
    if name in ("open", "ask"):
        parts = [(f"tired {row}", "")] if row >= 2 else []
        if name == "open":
            topic = next((liked for liked in person.likes if liked not in told), "")
            cell = "open first" if not told else "open second" if topic else "open again"
            topic, view = topic or told[-1], "liked"
        else:
            topic, view = act.topic, person.view(act.topic)
            cell = f"ask {view}"
        if view == "liked" and topic not in told:
            told = (*told, topic)
        short = row >= 2 and view != "disliked"  # who is tired of questions says less
        parts.append((f"{view if name == 'ask' else 'open'} short" if short else cell, topic))
        if shown and not short and view != "disliked":
            parts.append((f"show {person.temper}", topic))
        return parts, topic if view != "disliked" else "", told
    if name == "tell":
        view = person.view(act.topic)
        if act.against and view != "neutral":
            return [("tell clash" if view == "liked" else "tell agree", act.topic)], act.topic, told
        return [(f"tell {view}", act.topic)], act.topic if view != "disliked" else "", told
    if name == "joke":
        real = person.temper == "jokey" and state.jokes < 2
        return [("joke real" if real else "joke polite" if state.jokes < 3 else "joke groan", "")], "", told
    if name == "praise":
        return [(("praise warm", "praise shy", "praise enough")[min(state.praises, 2)], "")], "", told
    if name == "comfort":
        return [("comfort needed" if state.need else "comfort not needed", "")], "", told
    return [(name, "")], "", told


def draw_person(roll: Any, topics: Sequence[str] = TOPICS) -> Person:
    """A person at random; ``roll(n)`` gives a uniform index below n."""
    left = list(topics)
    first, second, third = (left.pop(roll(len(left))) for _ in range(3))
    return Person((first, second), third, TEMPERS[roll(3)], roll(10) < round(10 * IN_NEED))


def check_person(person: Any, topics: Collection[str]) -> Mapping[str, Any]:
    """A person's fields as somebody gave them, each checked; any may be missing.

    Raises:
        ValueError: there is no such person.
    """
    if not isinstance(person, Mapping) or not set(person) <= set(Person._fields):
        raise ValueError(f"person={person!r} must be a mapping with some of {', '.join(Person._fields)}")
    likes, dislikes = person.get("likes"), person.get("dislikes")
    if "likes" in person:
        known = isinstance(likes, list | tuple) and all(isinstance(topic, str) and topic in topics for topic in likes)
        if not known or not likes or len(likes) != 2 or likes[0] == likes[1]:
            raise ValueError(f"person: likes={likes!r} must be two of {', '.join(topics)}")
    if "dislikes" in person and not (
        isinstance(dislikes, str) and dislikes in topics and dislikes not in (likes or ())
    ):
        raise ValueError(f"person: dislikes={dislikes!r} must be another of {', '.join(topics)}")
    if "temper" in person and not (isinstance(person["temper"], str) and person["temper"] in TEMPERS):
        raise ValueError(f"person: temper={person['temper']!r} is not one of {', '.join(TEMPERS)}")
    if "need" in person and not isinstance(person["need"], bool):
        raise ValueError(f"person: need={person['need']!r} is not True or False")
    return person


def pinned(drawn: Person, fields: Mapping[str, Any], topics: Sequence[str]) -> Person:
    """A person with some fields as somebody wants them; of the others what is drawn, or the first topic that is free."""
    likes = fields.get("likes", drawn.likes)
    free = [*drawn.likes, drawn.dislikes, *topics]
    if "likes" not in fields and fields.get("dislikes") in likes:
        own = [topic for topic in dict.fromkeys(free) if topic != fields["dislikes"]]
        likes = own[:2]
    dislikes = fields.get("dislikes", drawn.dislikes)
    if dislikes in likes:
        dislikes = next(topic for topic in free if topic not in likes)
    return Person(tuple(likes), dislikes, fields.get("temper", drawn.temper), fields.get("need", drawn.need))
