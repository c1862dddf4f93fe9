"""Single changes to files of JSON, drawn by a seed: every field, to other values and types, missing, added, reordered, doubled."""

from __future__ import annotations

import json
import random
from typing import Any

HUGE, DEEP = "\x00huge\x00", "\x00deep\x00"
"""Stand for an integer of 400 digits and for 3,000 lists within each other, which JSON holds and Python's encoder should not."""
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 1.0, 0.5, -1e99, 1e308, float("nan"), float("inf"), 2**63, HUGE, DEEP, "", "x", "0", "../x",
    "\u202e\x1b[2J\ud800", "y" * 5000, [], [0], ["x"], {}, {"x": 1}, [[[]]],
)  # fmt: skip


def dumped(value: Any) -> bytes:
    """As JSON, whatever is in it."""
    text = json.dumps(value)
    return text.replace(json.dumps(HUGE), "9" * 400).replace(json.dumps(DEEP), "[" * 3000 + "]" * 3000).encode()


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all fields and items."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, item in items for place in places(item, (*at, key)))]


def mutated(value: Any, rng: random.Random) -> tuple[Any, str]:
    """The value with a single change, and what was changed. It may be the same value."""
    place = rng.choice(places(value))
    value = json.loads(json.dumps(value))
    parent, old = None, value
    for key in place:
        parent, old = old, old[key]
    kinds = ["replaced", "nudged"]
    kinds += ["missing", "doubled", "renamed"] if parent is not None else []
    kinds += ["added", "reordered", "emptied"] if isinstance(old, dict | list) else []
    kind = rng.choice(kinds)
    name = f"{'.'.join(map(str, place)) or 'all'} {kind}"
    new = old
    if kind == "replaced":
        new = rng.choice(ODD)
    elif kind == "nudged":
        new = _nudged(old, rng)
    elif kind == "emptied":
        new = type(old)()
    elif kind == "added":
        new = [*old, rng.choice([*ODD, *old])] if isinstance(old, list) else {**old, "unheard_of": rng.choice(ODD)}
    elif kind == "reordered" and isinstance(old, list):
        new = rng.sample(old, len(old))
    elif parent is not None and kind in ("missing", "renamed", "doubled"):
        key = place[-1]
        if isinstance(parent, list):
            parent[key : key + 1] = {"missing": [], "renamed": [old, old, old], "doubled": [old, old]}[kind]
        elif kind != "doubled":
            del parent[key]
            if kind == "renamed":
                parent[key.upper()] = old
        return value, name
    if parent is None:
        return new, name
    parent[place[-1]] = new
    return value, name


def _nudged(old: Any, rng: random.Random) -> Any:
    """Another value of the same type, near."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return old + rng.choice((-1, 1, 2**40))
    if isinstance(old, float):
        return rng.choice((old + 1.0, -old, old * (1 + 1e-6), int(old) if old == int(old) else old / 2))
    if isinstance(old, str):
        cut = rng.randrange(len(old) + 1)
        return rng.choice((old[:cut] + "z" + old[cut:], old[:cut], old.swapcase(), old + " "))
    return [old]


def mutated_lines(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """A file of JSON lines with a change to one of its values, or to its lines."""
    lines = data.splitlines()
    if rng.random() < 0.15:
        k, kind = rng.randrange(len(lines)), rng.choice(["gone", "twice", "swapped", "blank", "not JSON", "cut"])
        if kind == "gone":
            del lines[k]
        elif kind == "twice":
            lines.insert(k, lines[k])
        elif kind == "swapped":
            lines[k], lines[-1] = lines[-1], lines[k]
        elif kind == "cut":
            return b"\n".join(lines)[:-7], "the end is cut"
        else:
            lines.insert(k, b"" if kind == "blank" else b"{]")
        return b"".join(line + b"\n" for line in lines), f"line {k} {kind}"
    k = rng.randrange(len(lines))
    value, what = mutated(json.loads(lines[k]), rng)
    lines[k] = dumped(value)
    return b"".join(line + b"\n" for line in lines), f"line {k} {what}"


def mutated_file(name: str, data: bytes, rng: random.Random) -> tuple[bytes | None, str]:
    """A file with a single change, or None for none; what was changed."""
    if rng.random() < 0.02:
        return None, "gone"
    if rng.random() < 0.03:
        k = rng.randrange(len(data))
        return data[:k] + bytes([data[k] ^ 1 << rng.randrange(8)]) + data[k + 1 :], f"bit of byte {k} flipped"
    if name.endswith(".jsonl"):
        return mutated_lines(data, rng)
    value, what = mutated(json.loads(data), rng)
    return dumped(value), what
