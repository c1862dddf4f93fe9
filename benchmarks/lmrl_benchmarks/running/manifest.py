"""The digests of a run's files, by which damage is found to what no replay can tell: provenance, curves, descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lmrl_benchmarks.running.cells import PART, PROBLEMS, SUITE, read_part
from lmrl_benchmarks.running.records import EPISODES, PARTNER, RUN, SUMMARY
from lmrl_envs.files import sha256_of, write_json
from lmrl_envs.files.untrusted import Count, Refused, Schema, lines, read, shown

DIGESTS = "digests.json"
SCHEMA_VERSION = 1
KEPT = (
    SUITE,
    PROBLEMS,
    PART,
    *(f"cells/*/*/seed-*/{name}" for name in (RUN, EPISODES, SUMMARY, "agent.json", PARTNER)),
    *(f"training/*/*/seed-*/{name}" for name in ("train.json", "metrics.jsonl", "final/lmrl.json")),
)
"""What of a run has a digest, and goes into an archive."""


class FileDigest(Schema, frozen=True):
    """What is said of a file."""

    sha256: str
    bytes: Count


class ManifestFile(Schema, frozen=True):
    """A ``digests.json``."""

    schema_version: Count
    files: dict[str, FileDigest]


def kept_files(out: Path) -> dict[str, Path]:
    """The files of a run that are kept: path within the run -> path, sorted. A link may lead anywhere, and is none of them."""
    paths = (path for pattern in KEPT for path in out.glob(pattern) if path.is_file() and not path.is_symlink())
    return dict(sorted((path.relative_to(out).as_posix(), path) for path in paths))


def digests(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Size and sha256 of each file, as it is kept."""
    return {name: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for name, path in files.items()}


def write_manifest(out: Path, changed: Iterable[Path] | None = None) -> None:
    """Write the digests of all files that are kept, or only those of ``changed`` anew."""
    files = kept_files(out)
    if changed is not None:
        names = {path.relative_to(out).as_posix() for path in changed}
        files = {name: path for name, path in files.items() if name in names}
    known = _read(out) if changed is not None else {}
    write_json(out / DIGESTS, {"schema_version": SCHEMA_VERSION, "files": {**known, **digests(files)}})


def _read(out: Path) -> dict[str, dict[str, Any]]:
    try:
        manifest = read(out / DIGESTS, ManifestFile)
    except FileNotFoundError:
        return {}
    return {name: {"sha256": entry.sha256, "bytes": entry.bytes} for name, entry in manifest.files.items()}


def unreadable_files(out: Path) -> list[str]:
    """What is wrong with the files that are claimed and not replayed: they are shown, so they must be what they pretend to be."""
    found = []
    for name, path in kept_files(out).items():
        try:
            if name.endswith((PARTNER, "metrics.jsonl")):
                for _ in lines(path, dict[str, Any]):
                    pass
            elif path.name == PROBLEMS:
                read(path, dict[str, str])
            elif name == PART:
                read_part(out)
            elif path.name not in (EPISODES, RUN, SUMMARY, SUITE):  # which are read with their cells
                read(path, dict[str, Any])
        except (OSError, Refused) as problem:
            found.append(str(problem))
    return found


def damaged_files(out: Path) -> list[str]:
    """What is wrong with the files of a run by their digests; nothing where there is none.

    A cell that was taken out as a whole is no damage: a run may leave agents out.
    """
    try:
        listed = _read(out)
    except (OSError, Refused) as problem:
        return [f"{DIGESTS} is damaged: {problem}"]
    there, found = kept_files(out), []
    for name, entry in listed.items():
        if name not in there:
            if (out / name).parent.is_dir():
                found.append(f"{shown(name)} is missing: {DIGESTS} lists it")
        elif digests({name: there[name]})[name] != entry:
            found.append(f"{name} was changed: its digest is not that of {DIGESTS}")
    return found
