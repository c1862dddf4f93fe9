"""Scripted labellers: readers with known faults, who judge pairs by what the games are worth to them.

A reader's utility u of a game is gold, but for what `check` leaves unnoticed and what ``likes`` add; he says that the first is better
with probability

    P = (1 - e) s(k (u_first - u_second) + order) + e / 2,   s the logistic

where the first is the one he was shown first. A label is drawn from P, or is P (``soft=1``).
"""

from __future__ import annotations

import math
import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from lmrl_datasets.preferences.schema import PreferenceError
from lmrl_envs import Transcript, doors, task
from lmrl_envs.files.arguments import named_file
from lmrl_envs.files.untrusted import Number, Refused, Schema, convert, read_bytes
from lmrl_envs.seeding import label_seed


@dataclass(frozen=True)
class Shown:
    """A pair as a labeller is shown it: the first is the one shown first, which may be the pair's second."""

    pair_id: int
    env_id: str
    first: Transcript
    """With gold as its rewards: a labeller stands for a person who can tell, more or less, what a game is worth."""
    second: Transcript
    seed: int
    """All that is random in the label must follow from it."""


@dataclass(frozen=True)
class Verdict:
    """What a labeller says of a shown pair."""

    label: float | None
    """Probability that the first shown is better; None: skipped."""
    critique: str = ""
    principle: str = ""
    both_orders: bool = False
    votes: int = 1
    agreement: float = 1.0
    seconds: float = 0.0
    utilities: tuple[float, float] | None = None
    """Of the first and the second shown, where they are known; kept beside gold."""
    group: str = ""


@runtime_checkable
class Labeller(Protocol):
    """Judges pairs."""

    def label(self, pairs: Sequence[Shown]) -> Sequence[float | Verdict | None]:
        """For each pair the probability that the first shown is better, or None to skip it; or a `Verdict` that says more.

        Optional: ``scripted = True``, if the same pair and seed always give the same label, so that labels can be verified.
        """
        ...


def load_labeller(spec: str) -> Labeller:
    """Make a labeller: an installed name, ``module:factory`` or ``file.py:factory``, each perhaps with ``:argument``.

    Raises:
        ValueError: there is none of this name, or its argument says nothing to it.
        PreferenceError: it is no labeller.
    """
    factory, argument = doors.find("lmrl.labellers", spec)
    try:
        labeller = factory(argument) if argument else factory()
    except (ValueError, OSError, KeyboardInterrupt):
        raise
    except BaseException as problem:  # that it asks for the end, too
        raise PreferenceError(f"labeller {spec!r} cannot be made: {doors.told(problem)}") from None
    if not isinstance(labeller, Labeller):
        raise PreferenceError(f"labeller {spec!r}: {type(labeller).__name__} has no method label(pairs)")
    return labeller


def knobs(argument: str, allowed: Sequence[str], what: str) -> dict[str, Any]:
    """``k=8,e=.1`` as numbers.

    Raises:
        ValueError: another form, or a name that is not allowed.
    """
    found: dict[str, float] = {}
    for part in filter(None, argument.split(",")):
        name, _, text = part.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"{what}:{argument}: {part!r} is not name=number")
        if allowed and name not in allowed:
            raise ValueError(f"{what}:{argument}: no knob {name!r}; there are {', '.join(allowed)}")
        found[name] = value
    return found


KNOBS = ("k", "e", "check", "order", "skip", "tie", "soft", "noise", "both")


@dataclass(frozen=True)
class Reader:
    """A reader with faults; see the module.

    Attributes:
        k: sharpness of the judgement, in units of the utility.
        e: share of labels that are a coin's.
        check: probability that a false claim is noticed (`lmrl_envs.surface.Surface.as_read`).
        order: added to the logit of whichever is shown first.
        skip: share of pairs that he skips.
        tie: utilities nearer than this are a tie.
        soft: 1: the label is the probability itself.
        noise: standard deviation of each reading of a game, which is drawn anew.
        both: 1: he is asked in both orders, and the mean of the two probabilities is his.
        likes: what he adds to gold for each unit of a feature (`lmrl_envs.surface.Surface.features`).
        drift: pairs over which the likes grow from nothing; 0: they are there from the first.
    """

    k: float = 8.0
    e: float = 0.1
    check: float = 1.0
    order: float = 0.0
    skip: float = 0.0
    tie: float = 0.0
    soft: float = 0.0
    noise: float = 0.0
    both: float = 0.0
    likes: Mapping[str, float] = field(default_factory=dict)
    drift: float = 0.0
    group: str = ""

    scripted = True

    def __post_init__(self) -> None:
        for name in ("e", "check", "skip"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is not from 0 to 1")

    def label(self, pairs: Sequence[Shown]) -> list[Verdict]:
        """See `Labeller.label`."""
        return [self.verdict(pair, random.Random(pair.seed)) for pair in pairs]

    def verdict(self, pair: Shown, rng: random.Random) -> Verdict:
        """Of one pair."""
        ours = self._read(pair, rng)
        chance, coin = self.probability(*ours), rng.random()
        if self.both:
            again = self._read(pair, rng)
            chance = (chance + 1 - self.probability(*again[::-1])) / 2
            ours = ((ours[0] + again[0]) / 2, (ours[1] + again[1]) / 2)
        if rng.random() < self.skip:
            label: float | None = None
        elif abs(ours[0] - ours[1]) < self.tie:
            label = 0.5
        else:
            label = chance if self.soft else float(coin < chance)
        return Verdict(label, utilities=ours, group=self.group, both_orders=bool(self.both), votes=1 + bool(self.both))

    def _read(self, pair: Shown, rng: random.Random) -> tuple[float, float]:
        first, second = (self.utility(pair.env_id, game, rng, pair.pair_id) for game in (pair.first, pair.second))
        return first, second

    def probability(self, first: float, second: float) -> float:
        """P, of two utilities."""
        return (1 - self.e) * logistic(self.k * (first - second) + self.order) + self.e / 2

    def utility(self, env_id: str, transcript: Transcript, rng: random.Random, number: int = 0) -> float:
        """What a game is worth to him; what he does not notice is drawn."""
        surface = task(env_id).surface
        worth = transcript.episode_return
        if self.check < 1:
            worth = surface.as_read(transcript, lambda: rng.random() < self.check)
        if self.likes:
            found = surface.features(transcript)
            grown = min(1.0, number / self.drift) if self.drift else 1.0
            worth += grown * sum(weight * feature(found, name, env_id) for name, weight in self.likes.items())
        return worth + (rng.gauss(0, self.noise) if self.noise else 0.0)


def feature(found: Mapping[str, float], name: str, env_id: str) -> float:
    """A feature by its name; ``any_NAME`` is 1 where there is any of it, else 0.

    Raises:
        ValueError: the task has no such feature.
    """
    plain = name.removeprefix("any_")
    if plain not in found:
        raise ValueError(f"{env_id} has no feature {plain!r}; it has {', '.join(found)}")
    return found[plain] if plain == name else float(found[plain] > 0)


def logistic(x: float) -> float:
    """1 / (1 + exp(-x))"""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def gold(argument: str = "") -> Reader:
    """``gold:k=8,e=.1``: goes by gold, with noise."""
    return Reader(**knobs(argument, [name for name in KNOBS if name != "check"], "gold"))


def lazy(argument: str = "") -> Reader:
    """``lazy:check=.2``: notices a false claim one time in five, and believes it else."""
    return Reader(**{"check": 0.2, **knobs(argument, KNOBS, "lazy")})


def biased(argument: str = "") -> Reader:
    """``biased:hype=.5,length=-.01,order=1.2``: likes what the task's features name, or what is shown first."""
    return _with_likes(argument, "biased")


def drifting(argument: str = "") -> Reader:
    """``drifting:over=1000,hype=.5``: likes that grow over the first thousand pairs."""
    return _with_likes(argument, "drifting", over=1000.0)


def person(argument: str = "") -> Labeller:
    """People label in the page.

    Raises:
        ValueError: always, with the command.
    """
    raise ValueError('a person labels in the page: lmrl prefs collect ... --labeller "", then lmrl serve --compare DIR')


def _with_likes(argument: str, what: str, **defaults: float) -> Reader:
    found = {**defaults, **knobs(argument, (), what)}
    own = {name: found.pop(name) for name in KNOBS if name in found}
    return Reader(**own, drift=found.pop("over", 0.0), likes=found)


class Groups:
    """``groups:.7*any_hype=.5/.3*any_hype=-1.3``: readers of several tastes, each pair judged by one of them, drawn by shares.

    Which group it was is hidden context (Siththaranjan et al., arXiv 2312.08358): it stands beside gold, not with the label.
    """

    scripted = True

    def __init__(self, argument: str = "") -> None:
        self.shares: list[float] = []
        self.readers: list[Reader] = []
        for number, part in enumerate(filter(None, argument.split("/"))):
            share, star, rest = part.partition("*")
            if not star:
                raise ValueError(f"groups:{argument}: write SHARE*FEATURE=WEIGHT,... / ...")
            self.shares.append(knobs(f"share={share}", (), "groups")["share"])
            self.readers.append(Reader(**{**vars(biased(rest)), "group": f"group {number + 1}"}))
        if not self.readers or not math.isclose(sum(self.shares), 1, abs_tol=1e-6) or min(self.shares) <= 0:
            raise ValueError(f"groups:{argument}: the shares of groups must be above 0 and sum to 1")

    def label(self, pairs: Sequence[Shown]) -> list[Verdict]:
        """See `Labeller.label`."""
        found = []
        for pair in pairs:
            rng = random.Random(pair.seed)
            (reader,) = rng.choices(self.readers, self.shares)
            found.append(reader.verdict(pair, rng))
        return found


class Principle(Schema, frozen=True):
    """A principle of a constitution."""

    text: str
    scorer: str
    """A feature of the task, or ``gold``."""
    weight: Number = 1.0


class Constitution(Schema, frozen=True):
    """A constitution's TOML file."""

    principles: tuple[Principle, ...]
    k: Number = 8.0
    clamp: Number = 0.0
    """Labels are kept from this to 1 less it (Bai et al. under chains of thought: .4)."""


class ConstitutionLabeller:
    """``constitution:FILE``: written principles, each with a scorer; soft labels, the mean over principles and both orders.

    Each principle says s(k w (f_first - f_second)) (Bai et al., arXiv 2212.08073, with a scorer in the model's place); the critique
    names them.
    """

    scripted = True

    def __init__(self, argument: str = "") -> None:
        try:
            text = read_bytes(named_file("a constitution", argument)).decode()
            self.told = convert(tomllib.loads(text), Constitution, argument)
        except (OSError, RecursionError, UnicodeDecodeError, tomllib.TOMLDecodeError, Refused) as problem:
            raise ValueError(f"constitution:{argument}: {problem}") from None
        if not self.told.principles or not 0 <= self.told.clamp <= 0.5:
            raise ValueError(f"constitution:{argument}: it has no principles, or a clamp that is not from 0 to .5")

    def label(self, pairs: Sequence[Shown]) -> list[Verdict]:
        """See `Labeller.label`."""
        return [self._judged(pair) for pair in pairs]

    def _judged(self, pair: Shown) -> Verdict:
        surface = task(pair.env_id).surface
        told = [{**surface.features(game), "gold": game.episode_return} for game in (pair.first, pair.second)]
        chances, lines = [], []
        for principle in self.told.principles:
            values = [feature(found, principle.scorer, pair.env_id) for found in told]
            chances.append(logistic(self.told.k * principle.weight * (values[0] - values[1])))
            verdict = "the first" if chances[-1] > 0.5 else "the second" if chances[-1] < 0.5 else "neither"
            lines.append(f"{principle.text} {verdict} ({values[0]:g} against {values[1]:g})")
        majority = sum(chance > 0.5 for chance in chances), sum(chance < 0.5 for chance in chances)
        mean = sum(chances) / len(chances)
        return Verdict(
            min(max(mean, self.told.clamp), 1 - self.told.clamp), "\n".join(lines), "; ".join(p.text for p in self.told.principles), True,
            len(chances), max(majority) / len(chances),
        )  # fmt: skip


def shown_pair(pair: Any, gold: Any, base_seed: int, annotator: str) -> tuple[Shown, bool]:
    """A pair as an annotator is shown it, and whether it is turned round; the order and all chance follow from the seed.

    Args:
        pair: a `lmrl_datasets.preferences.Pair`.
        gold: its `Gold`; None leaves the rewards 0.
        base_seed: of the labelling.
        annotator: who labels.
    """
    seed = label_seed(base_seed, annotator, pair.pair_id)
    turned = bool(seed & 1)
    sides = []
    for side, worth in ((pair.first, gold and gold.first), (pair.second, gold and gold.second)):
        texts = [turn.text for turn in side.shown]
        sides.append(Transcript.from_texts(texts, worth or [0.0] * (len(texts) // 2)))
    if turned:
        sides.reverse()
    return Shown(pair.pair_id, pair.env_id, sides[0], sides[1], seed >> 1), turned
