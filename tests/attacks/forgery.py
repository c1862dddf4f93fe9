"""What a forger does: writes a run by hand, changes one that holds, packs what nobody verified."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmrl_agents import load_agent
from lmrl_benchmarks.reporting.submission import MANIFEST
from lmrl_benchmarks.running.cells import cells, evaluation_of
from lmrl_benchmarks.running.evaluation import evaluate
from lmrl_benchmarks.running.manifest import write_manifest
from lmrl_benchmarks.running.records import EPISODES, SUMMARY, WRITTEN
from lmrl_benchmarks.running.suite import Suite, SuiteAgent

TOY = """
name = "toy"
version = 1
description = "Two small tasks."
episodes = 20
seed = 1
training_seeds = [0, 1, 2]
[[tasks]]
id = "lmrl/Wordle-v0"
data = { name = "wordle/mixed-v0", sample = true }
[[tasks]]
id = "lmrl/MazeFullyObserved-v0"
data = { name = "maze/mixed-v0", sample = true }
[[agents]]
name = "random"
[[agents]]
name = "expert"
[[agents]]
name = "bc"
train = "bc"
agent_kwargs = { temperature = 0.0 }
"""


def write_agent(out: Path, suite: Suite, name: str, player: str = "expert", **changes: Any) -> list[Path]:
    """The cells of an agent, played by any other; ``changes`` are of its spec. Returns their folders."""
    agent = next((agent for agent in suite.agents if agent.name == name), SuiteAgent(name=name))
    folders = []
    for cell in cells(suite, [agent]):
        evaluate(replace(evaluation_of(suite, cell), **changes), cell.folder(out), agent=load_agent(player))
        folders.append(cell.folder(out))
    write_manifest(out)
    return folders


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file; ``change`` may return a new value."""
    value = json.loads(path.read_text())
    value = change(value) or value
    path.write_text(json.dumps(value))


def edit_records(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the records of a cell, and the hash of their file with them."""
    records = [json.loads(line) for line in (folder / EPISODES).read_text().splitlines()]
    change(records)
    (folder / EPISODES).write_text("".join(json.dumps(record) + "\n" for record in records))
    edit(folder / SUMMARY, lambda s: s.update({WRITTEN: hashlib.sha256((folder / EPISODES).read_bytes()).hexdigest()}))


def repack(archive: Path, target: Path, changes: dict[str, Callable[[bytes], bytes | None]]) -> Path:
    """An archive with other contents and a manifest that fits; a change to None leaves the file out."""
    files: dict[str, bytes] = {}
    with tarfile.open(archive) as good:
        for entry in good:
            file = good.extractfile(entry)
            assert file is not None
            files[entry.name] = file.read()
    for name, change in changes.items():
        if name != MANIFEST:
            data = change(files.get(name, b""))
            files.pop(name, None)
            if data is not None:
                files[name] = data
    manifest = json.loads(files.pop(MANIFEST))
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in sorted(files.items())
    }
    text = json.dumps(manifest).encode()
    if MANIFEST in changes:
        text = changes[MANIFEST](text) or b""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:xz", preset=0) as bad:
        for name, data in {MANIFEST: text, **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            bad.addfile(member, io.BytesIO(data))
    return target


def as_json(change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    """A change to the value of a JSON file."""

    def changed(data: bytes) -> bytes:
        value = json.loads(data)
        return json.dumps(change(value) or value).encode()

    return changed
