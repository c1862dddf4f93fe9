"""Pairs for labellers: games of one or two agents, whole or in segments."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from lmrl_agents.playing.protocol import Agent
from lmrl_agents.playing.rollout import Played, Rollout
from lmrl_datasets.preferences.schema import Fragment, Gold, Pair, PreferenceError
from lmrl_datasets.preferences.store import MANIFEST, write_pairs
from lmrl_datasets.schema import plain, to_json
from lmrl_envs.files import JsonLines, claim, locked
from lmrl_envs.files.untrusted import Schema
from lmrl_envs.seeding import episode_seed
from lmrl_envs.work import Progress

SPEC, JOURNAL, BATCH = "collection.json", "sampled.jsonl", 128


class Sampled(Schema, frozen=True):
    """A line of the journal: a pair and its gold, before both go to their files."""

    pair: Pair
    gold: Gold


@dataclass(frozen=True)
class Collection:
    """What pairs are sampled."""

    env_id: str
    agents: Sequence[str]
    """One or two specs: the first plays the first of each pair, the last the second."""
    pairs: int
    seed: int = 0
    unit: str = "game"
    """``game``, or ``segment:K``: K actions from any state of each game, fewer at its end."""
    different_seeds: bool = False
    """Each game of a pair from a seed of its own: luck is then in the label."""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def segment(self) -> int | None:
        """Actions of a segment; None for whole games.

        Raises:
            ValueError: no such unit.
        """
        kind, _, size = self.unit.partition(":")
        if self.unit == "game":
            return None
        if kind != "segment" or not size.isdecimal() or int(size) < 1:
            raise ValueError(f"unit={self.unit!r} is not game or segment:K")
        return int(size)


def collect(
    wanted: Collection, agents: Sequence[Agent], folder: Path, slots: int = 64, progress: Progress | None = None
) -> None:
    """Sample the pairs that are missing; a stopped collection goes on, to the bytes of one that was not stopped.

    Raises:
        FolderError: the folder holds another collection.
        PreferenceError: a game failed.
    """
    _ = wanted.segment
    if not 1 <= len(agents) <= 2 or wanted.pairs < 1:
        raise ValueError("a pair is played by one agent or two, and there is at least one pair")
    spec = plain(vars(wanted))
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", "collecting"):
        claim(folder, SPEC, spec, "collection of pairs", lambda there: [k for k in spec if there.get(k) != spec[k]])
        if (folder / MANIFEST).is_file():
            return
        journal = JsonLines(folder / JOURNAL)
        rows: list[Sampled] = journal.read(Sampled)
        if journal.path.is_file():
            journal.rewrite(_line(row) for row in rows)
        while len(rows) < wanted.pairs:
            fresh = list(_pairs(wanted, agents, range(len(rows), min(len(rows) + BATCH, wanted.pairs)), slots))
            journal.append(map(_line, fresh))
            rows += fresh
            if progress is not None:
                progress(len(rows), wanted.pairs)
        write_pairs(folder, spec, (row.pair for row in rows), (row.gold for row in rows))
        journal.path.unlink()


def _line(row: Sampled) -> str:
    return to_json(msgspec.to_builtins(row))


def _pairs(wanted: Collection, agents: Sequence[Agent], numbers: range, slots: int) -> Iterator[Sampled]:
    repeats = 1 if wanted.different_seeds else 2
    games: dict[int, Played] = {}
    for k, agent in enumerate(agents):
        rollout = Rollout(agent, wanted.env_id, dict(wanted.env_kwargs), slots=slots, repeats=repeats)
        sides = (0, 1) if len(agents) == 1 else (k,)
        for played in rollout.play([2 * n + side for n in numbers for side in sides], wanted.seed, "data"):
            if played.error is not None:
                raise PreferenceError(f"game {played.episode} (seed {played.seed}): {played.error}")
            games[played.episode] = played
    for number in numbers:
        first, second = games[2 * number], games[2 * number + 1]
        rng = random.Random(episode_seed("agent", wanted.seed, number))
        ours = [
            _fragment(wanted, played, policy, rng)
            for played, policy in ((first, wanted.agents[0]), (second, wanted.agents[-1]))
        ]
        texts = [[turn.text for turn in side.whole] for side, _ in ours]
        alike = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
        pair = Pair(
            pair_id=number, env_id=wanted.env_id, env_kwargs=dict(wanted.env_kwargs), seed_first=first.seed,
            seed_second=second.seed, shared=alike, unit=wanted.unit, first=ours[0][0], second=ours[1][0],
        )  # fmt: skip
        yield Sampled(pair=pair, gold=Gold(pair_id=number, first=ours[0][1], second=ours[1][1]))


def _fragment(
    wanted: Collection, played: Played, policy: str, rng: random.Random
) -> tuple[Fragment, tuple[float, ...]]:
    """A game or a segment of it, and its gold."""
    size, turns = wanted.segment, len(played.actions)
    start = 0 if size is None else rng.randrange(turns)
    stop = turns if size is None else min(turns, start + size)
    return fragment_of(played, start, stop, policy)


def fragment_of(played: Played, start: int, stop: int, policy: str = "") -> tuple[Fragment, tuple[float, ...]]:
    """The actions ``start`` to ``stop - 1`` of a game with all before them, and their gold."""
    transcript, ends = played.transcript, stop == len(played.actions)
    return (
        Fragment(
            observations=transcript.observations[: stop + 1], actions=played.actions[:stop], start=start,
            terminated=played.terminated and ends, truncated=played.truncated and ends, policy=policy,
        ),
        transcript.rewards[start:stop],
    )  # fmt: skip
