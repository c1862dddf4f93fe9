"""The table of measurements: a row is written as soon as it is measured, so that a run that is cut keeps what it has."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lmrl_envs.files import provenance

PACKAGES = ("lmrl", "gymnasium", "numpy", "chess", "pyarrow", "torch", "transformers", "textworld", "ray", "minari")


class NotMeasured(Exception):
    """A contender cannot be measured; the message says why."""


Contender = Callable[[], float]
"""Measures a rate in one short window; more is better."""


def cpu_rate(work: Callable[[], int], seconds: float) -> float:
    """What ``work`` says it did, per CPU second of this process, over at least that many seconds."""
    done, started = 0, time.process_time()
    while (spent := time.process_time() - started) < seconds:
        done += work()
    return done / spent


def alternate(contenders: Mapping[str, Contender], repeats: int) -> tuple[dict[str, float], dict[str, str]]:
    """Contenders take turns, so that whatever slows the machine meets all of them.

    Returns:
        medians of what each measured, and for those that failed the reason.
    """
    found: dict[str, list[float]] = {name: [] for name in contenders}
    failed: dict[str, str] = {}
    for _ in range(repeats):
        for name, measure in contenders.items():
            if name not in failed:
                try:
                    found[name].append(measure())
                except NotMeasured as problem:
                    failed[name] = str(problem)
    return {name: statistics.median(v) for name, v in found.items() if name not in failed}, failed


class Table:
    """Rows and other findings of a run, in one JSON file.

    Args:
        path: the file; what it holds of other parts stays.
        seconds: length of a window.
        repeats: windows of each contender.
        quick: whether this run only tries whether everything works; its file says so.
    """

    def __init__(self, path: Path, seconds: float, repeats: int, quick: bool) -> None:
        self.path, self.seconds, self.repeats, self.quick = path, seconds, repeats, quick
        self.content: dict[str, Any] = {"parts": {}}
        if path.is_file():
            there = json.loads(path.read_text("utf-8"))
            self.content = there if "parts" in there else self.content
        self._part: dict[str, Any] = {}

    def begin(self, part: str, command: str) -> None:
        """The rows that follow belong to this part, in place of those that it had."""
        self._started = time.perf_counter()
        self._part = {"command": command, "quick": self.quick, "machine": machine(), "rows": [], "findings": {}}
        self.content["parts"][part] = self._part
        print(f"\n{part}", flush=True)

    def end(self) -> None:
        """The part is measured; keep how long that took, installing of peers included."""
        self._part["wall_seconds"] = round(time.perf_counter() - self._started, 1)
        self.save()

    def compare(
        self,
        name: str,
        ours: Contender,
        peers: Mapping[str, Contender] | None = None,
        *,
        unit: str = "steps/s",
        target: float | None = None,
        limit: tuple[str, float] | None = None,
        note: str = "",
        clock: str = "CPU s",
        repeats: int | None = None,
    ) -> float:
        """Measure ours and the peers in alternation, and add a row; returns our rate.

        Args:
            name: of the work.
            ours: our contender.
            peers: others, by name; the row compares with the fastest and lists all.
            unit: of the rates.
            target: least ratio to the fastest peer that is aimed at.
            limit: name and rate of what cannot be passed.
            note: what a reader must know.
            clock: what a second is.
            repeats: windows, in place of the table's.
        """
        load = os.getloadavg()[0]
        rates, failed = alternate({"": ours, **(peers or {})}, repeats or self.repeats)
        if "" in failed:
            return self._add({"name": name, "unit": unit, "ours": None, "note": failed[""], "load": load})
        mine = rates.pop("")
        row: dict[str, Any] = {"name": name, "unit": unit, "clock": clock, "ours": mine}
        if rates:
            best = max(rates, key=lambda peer: rates[peer])
            row |= {"peer": best, "peer_rate": rates[best], "ratio": mine / rates[best], "peers": rates}
        if target is not None:
            row["target"] = target
        if failed:
            row["not_measured"] = failed
        if limit is not None:
            row |= {"limit": limit[0], "limit_rate": limit[1], "share": mine / limit[1]}
        return self._add({**row, "note": note, "load": load})

    def find(self, name: str, value: Any) -> None:
        """Keep a finding that is no row: a curve, a profile."""
        self._part["findings"][name] = value
        self.save()

    def _add(self, row: dict[str, Any]) -> float:
        self._part["rows"].append(row)
        self.save()
        print(line(row), flush=True)
        return row["ours"] or float("nan")

    def save(self) -> None:
        """Replace the file by what is known now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.write_text(json.dumps(self.content, indent=1) + "\n", "utf-8")
        os.replace(fresh, self.path)


def line(row: Mapping[str, Any]) -> str:
    """A row for the terminal."""
    if row["ours"] is None:
        return f"  {row['name']}: not measured: {row['note']}"
    text = f"  {row['name']:<60}{number(row['ours']):>10} {row['unit']}"
    if "peer" in row:
        text += f"  {row['ratio']:.2f}x {row['peer']} ({number(row['peer_rate'])})"
    if "target" in row:
        text += f"  (target {row['target']:.3g}x)"
    if "share" in row:
        text += f"  {row['share']:.0%} of {row['limit']}"
    for peer, reason in row.get("not_measured", {}).items():
        text += f"\n    {peer} not measured: {reason}"
    return text


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """Hardware, versions and load now."""
    model = "unknown"
    if Path("/proc/cpuinfo").is_file():
        names = [
            x.split(":", 1)[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x
        ]
        model = names[0] if names else model
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": versions,
        "git": provenance()["git"],
        "load": os.getloadavg(),
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
