"""Find cases that break the contract, make them small, keep them."""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmrl_benchmarks.fuzz.batches import Batch
from lmrl_benchmarks.fuzz.cases import Case, Game, Operation
from lmrl_benchmarks.fuzz.language import Speaker
from lmrl_benchmarks.fuzz.rules import variants
from lmrl_datasets.store import write_atomically

SLOW = ("builtin", "stockfish")
MOST_TRIES = 1500
"""Cases that are played to make one smaller."""


@dataclass(frozen=True)
class Failure:
    """A case that broke the contract."""

    case: Case
    kind: str
    """Where it broke: the exception's type and the line that raised it."""
    message: str
    trace: str = ""

    def save(self, folder: Path) -> Path:
        """Write the case as JSON; the name says what broke. Returns the path."""
        digest = hashlib.sha256(json.dumps(self.case, sort_keys=True).encode()).hexdigest()[:8]
        name = re.sub(r"\W+", "-", f"{self.case['id'].removeprefix('lmrl/')}-{self.kind}")[:80]
        path = folder / f"{name}-{digest}.json"
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps({**self.case, "broke": self.message[:500]}, indent=1) + "\n")
        return path


@dataclass(frozen=True)
class Explored:
    """What became of one random case."""

    id: str
    number: int
    actions: int
    operations: int
    cpu_seconds: float
    variant: dict[str, Any] = field(default_factory=dict)
    slots: int = 0
    failure: Failure | None = None


def open_case(case: Case) -> Game | Batch:
    """The checks of a case, nothing played yet."""
    return Batch(case["id"], case["kwargs"], case["slots"]) if case["slots"] else Game(case["id"], case["kwargs"])


def replay(case: Case) -> Failure | None:
    """Play a case again; returns how it broke, or None."""
    try:
        game = open_case(case)
        for operation in case["operations"]:
            game.apply(operation)
        game.finish()
    except Exception as problem:
        return _failure(case, problem)
    return None


def explore(id: str, seed: int, number: int, *, engine: bool = False, length: int | None = None) -> Explored:
    """Play random case ``number`` of a task; the same arguments give the same case.

    Args:
        id: task id.
        seed: of the campaign.
        number: of the case.
        engine: Stockfish plays in some cases, where the task knows it.
        length: operations; by default what takes some tenths of a second.
    """
    started = time.process_time()
    rng = random.Random(f"{seed}/{id}/{number}")
    known = variants(id, engine)
    kwargs = dict(rng.choices(known, [v.weight for v in known])[0].kwargs)
    slow = "chess" in id.lower() and kwargs.get("simulator", "builtin") in SLOW
    slots = 0 if rng.random() < 0.5 else rng.choice((1, 2, 3) if slow else (1, 2, 5, 16, 64, 256))
    length = length or ((12 if slow else 200) if slots else (40 if slow else 600))
    operations: list[Operation] = []
    case: Case = {"id": id, "kwargs": kwargs, "slots": slots, "operations": operations}
    failure, game = None, None
    try:
        speaker = Speaker(id, rng, kwargs)
        game = open_case(case)
        for _ in range(length):
            operations.append(game.propose(rng, speaker))
            game.apply(operations[-1])
        game.finish()
    except Exception as problem:
        failure = _failure(case, problem)
    actions = game.actions if game is not None else 0
    return Explored(id, number, actions, len(operations), time.process_time() - started, kwargs, slots, failure)


def _failure(case: Case, problem: Exception) -> Failure:
    frames = [f for f in traceback.extract_tb(problem.__traceback__) if f.name not in ("demand", "expect")]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return Failure(case, f"{type(problem).__name__} {place}", str(problem), traceback.format_exc())


def minimise(failure: Failure) -> Failure:
    """A case as small as can be found that breaks in the same place: fewer operations, then shorter texts."""
    tries = 0
    best = failure

    def breaks(operations: list[Operation]) -> bool:
        nonlocal best, tries
        tries += 1
        found = replay({**best.case, "operations": operations})
        if found is None or found.kind != failure.kind:
            return False
        best = found
        return True

    if not breaks(failure.case["operations"]):
        return failure  # it depends on what was played before in the process: kept as it is
    size = max(1, len(best.case["operations"]) // 2)
    while size and tries < MOST_TRIES:
        start, shrunk = 0, False
        while start < len(best.case["operations"]) and tries < MOST_TRIES:
            rest = best.case["operations"]
            if breaks(rest[:start] + rest[start + size :]):
                shrunk = True
            else:
                start += size
        size = size if shrunk and size == 1 else size // 2
    for i in range(len(best.case["operations"])):
        for smaller in _smaller(best.case["operations"][i]):
            if tries >= MOST_TRIES:
                return best
            current = best.case["operations"]
            while smaller is not None and breaks([*current[:i], smaller, *current[i + 1 :]]):
                current = best.case["operations"]
                smaller = next(_smaller(current[i]), None)
    return best


def _smaller(operation: Operation) -> Iterator[Operation]:
    """Simpler forms of an operation, the boldest first."""
    kind, *rest = operation
    if kind == "step" and isinstance(rest[0], str):
        text = rest[0]
        for cut in (text[: len(text) // 2], text[len(text) // 2 :], text[1:], text[:-1]):
            if cut != text:
                yield [kind, cut]
    elif kind == "step":
        for i, action in enumerate(rest[0]):
            if action is not None:
                yield [kind, [*rest[0][:i], None, *rest[0][i + 1 :]]]
        for i, action in enumerate(rest[0]):
            if action:
                yield [kind, [*rest[0][:i], action[: len(action) // 2], *rest[0][i + 1 :]]]
    elif kind == "fork" and len(rest[0]) > 1:
        yield [kind, rest[0][:1]]
        yield [kind, rest[0][1:]]
    elif kind == "reset" and rest[0] not in (0, None):
        yield [kind, 0, *rest[1:]]
