"""The tables of docs/performance.md, from the file of measurements; the text around them stays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from table import number

TITLES = {
    "environments": "Environments",
    "rollouts": "Rollouts",
    "training": "Training",
    "preferences": "Learning from pairs",
    "instruct": "Instruct models",
    "streaming": "Datasets",
    "cluster": "Two nodes",
    "trust": "Agents in their own process, verification, import",
}


def render(results: Path, page: Path) -> None:
    """Replace what stands between ``<!-- NAME -->`` and ``<!-- /NAME -->`` on the page.

    Raises:
        ValueError: the page lacks a place, or figures of a quick run would be shown.
    """
    parts = json.loads(results.read_text("utf-8"))["parts"]
    unfinished = [name for name, part in parts.items() if "wall_seconds" not in part]
    if unfinished:
        print(f"cut before its end: {', '.join(unfinished)}")
    quick = [name for name, part in parts.items() if part["quick"]]
    if quick:
        raise ValueError(
            f"{results} holds figures of a quick run ({', '.join(quick)}): measure them again without --quick"
        )
    text = page.read_text("utf-8")
    for name, lines in (
        ("machine", _machines(parts)),
        ("table", _table(parts)),
        ("curves", _curves(parts.get("curves", {}).get("findings", {}))),
        ("profiles", _profiles(parts.get("profiles", {}).get("findings", {}))),
        ("other", _others(parts)),
        ("bench", _bench(parts.get("bench", {}).get("findings", {}).get("CPU seconds", {}))),
    ):
        place = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"{page} has no place <!-- {name} --> ... <!-- /{name} -->")
        body = "\n".join(lines)
        text = place.sub(lambda found, body=body: f"{found[1]}{body}\n{found[2]}", text)
    page.write_text(text, "utf-8")


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(row) + " |" for row in rows)]


def _machines(parts: Mapping[str, Any]) -> list[str]:
    """Each machine with the parts that were measured on it."""
    found: dict[str, list[str]] = {}
    for name, part in parts.items():
        machine = part["machine"]
        took = f"took {part['wall_seconds']:.0f} s" if "wall_seconds" in part else "was cut before its end"
        packages = ", ".join(f"{package} {version}" for package, version in machine["packages"].items())
        what = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:g} GB, Python {machine['python']}, {packages}:"
        git = machine.get("git") or {}
        commit = f"commit {git['commit'][:12]}{' with changes' if git['dirty'] else ''}, " if git else ""
        found.setdefault(what, []).append(
            f"- {name}: {commit}load {machine['load'][0]:.2f} at {machine['started']}; `{part['command']}` {took}"
        )
    return [line for what, lines in found.items() for line in (what, "", *lines, "")][:-1]


def _table(parts: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, title in TITLES.items():
        rows = parts.get(name, {}).get("rows", [])
        if not rows:
            continue
        lines += [f"### {title}", ""]
        lines += _grid(
            ("work", "lmrl", "fastest peer", "ratio (target)", "share of the limit", "load"),
            (_row(row) for row in rows),
        )
        notes = dict.fromkeys(note for row in rows for note in _notes(row))
        whole = parts[name]["findings"].get("CPU seconds of commands", {})
        notes |= dict.fromkeys(f"{what}: {one['seconds']:.0f} CPU s (aim: {one['aim']})" for what, one in whole.items())
        lines += ["", *(f"- {note}" for note in notes), ""]
    return lines[:-1]


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    if row["ours"] is None:
        return row["name"], "not measured", "", "", "", ""
    clock = "" if row["clock"] == "CPU s" else f", {row['clock']}"
    peer = f"{number(row['peer_rate'])} {row['peer']}" if "peer" in row else "none"
    ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
    if "target" in row:
        reached = "ratio" in row and row["ratio"] >= row["target"]
        ratio += f" ({row['target']:.3g}{'' if reached else ', not reached'})" if ratio else f"({row['target']:.3g})"
    share = f"{row['share']:.0%} of {row['limit']} ({number(row['limit_rate'])})" if "share" in row else ""
    return row["name"], f"{number(row['ours'])} {row['unit']}{clock}", peer, ratio, share, f"{row['load']:.1f}"


def _notes(row: Mapping[str, Any]) -> list[str]:
    notes = [f"{row['name']}: {row['note']}"] if row.get("note") else []
    others = {peer: rate for peer, rate in row.get("peers", {}).items() if peer != row["peer"]}
    if others:
        notes.append(f"{row['name']}, other peers: " + ", ".join(f"{p} {number(r)}" for p, r in others.items()))
    notes += [f"{peer} was not measured: {reason}" for peer, reason in row.get("not_measured", {}).items()]
    return notes


def _curves(found: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    if environments := found.get("environments"):
        counts = list(next(iter(environments.values()))["microseconds a step"])
        lines += [
            "Microseconds of CPU per game step, by the number of games at once, and memory of a game at 4,096:",
            "",
        ]
        lines += _grid(
            ("task", *(f"{int(n):,}" for n in counts), "KB a game"),
            (
                (
                    id,
                    *(number(curve["microseconds a step"][n]) for n in counts),
                    number(curve["bytes a game"]["4096"] / 1e3),
                )
                for id, curve in environments.items()
            ),
        )
    if turns := found.get("turns"):
        counts = list(next(iter(turns.values())))
        lines += [
            "",
            "Microseconds per step over the first n turns of a conversation of 400 (chess, illegal moves):",
            "",
        ]
        lines += _grid(
            ("observation", *counts), ((name, *(number(c) for c in curve.values())) for name, curve in turns.items())
        )
    if training := found.get("training"):
        lines += [
            "",
            "Training (BC, 4 layers), tokens per CPU second; 32 rows of 128 tokens at width 256 unless varied:",
            "",
        ]
        lines += _grid(
            ("varied", "tokens/s"),
            (
                (name, ", ".join(f"{n}: {number(rate)}" for n, rate in curve.items()))
                for name, curve in training.items()
            ),
        )
    for name, value in found.items():
        if isinstance(value, int | float):
            lines += ["", f"{name[0].upper()}{name[1:]}: {number(value)}."]
    return lines


def _profiles(found: Mapping[str, Any]) -> list[str]:
    rows = [*found.get("tasks", {}).items(), *((name, value) for name, value in found.items() if name != "tasks")]
    return _grid(
        ("work", "where its time goes"),
        ((name, ", ".join(f"`{part}` {share:.0%}" for part, share in parts.items())) for name, parts in rows),
    )


def _others(parts: Mapping[str, Any]) -> list[str]:
    rows = []
    for part in ("startup", "rollouts", "training", "streaming"):
        for name, values in parts.get(part, {}).get("findings", {}).items():
            if isinstance(values, dict):
                rows += [(f"{name}: {key}", number(v)) for key, v in values.items() if isinstance(v, int | float)]
                rows += [
                    (f"{name}: {key}, {k}", number(x))
                    for key, v in values.items()
                    if isinstance(v, dict)
                    for k, x in v.items()
                ]
            else:
                rows.append((part, str(values)))
    return _grid(("what", "figure"), rows)


def _bench(found: Mapping[str, float]) -> list[str]:
    if not found:
        return ["Not measured yet."]
    whole = sum(found.values())
    stages: dict[str, float] = {}
    for name, seconds in found.items():
        stage = name.split(":")[0]
        stages[stage] = stages.get(stage, 0.0) + seconds
    costly = sorted(found.items(), key=lambda item: -item[1])[:8]
    lines = [
        f"{number(whole)} CPU seconds: "
        + ", ".join(f"{s} {seconds / whole:.0%}" for s, seconds in stages.items())
        + ".",
        "",
    ]
    rows = ((name, number(seconds), f"{seconds / whole:.0%}") for name, seconds in costly)
    return [*lines, *_grid(("costliest", "CPU seconds", "share"), rows)]
