"""Submissions: a verified run as one archive, and the published pages made of the accepted ones.

An archive holds ``submission.json`` (provenance, and size and sha256 of every file) and the run's records; no models, no data.
Archives come from strangers: every member's path is checked before a byte is written, and links are refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmrl_benchmarks.reporting.pages import write_page
from lmrl_benchmarks.running.cells import PROBLEMS, SUITE, read_suite
from lmrl_benchmarks.running.records import EPISODES, RUN, SUMMARY, Provenance
from lmrl_benchmarks.running.verify import verify_run
from lmrl_envs.files import replacing, sha256_of, untrusted
from lmrl_envs.files.untrusted import Count, Integer, Schema

MANIFEST = "submission.json"
SCHEMA_VERSION = 1
KEPT = (
    SUITE,
    PROBLEMS,
    *(f"cells/*/*/seed-*/{name}" for name in (RUN, EPISODES, SUMMARY, "agent.json")),
    *(f"training/*/*/seed-*/{name}" for name in ("train.json", "metrics.jsonl", "final/lmrl.json")),
)
"""What of a run goes into an archive."""


class PackedFile(Schema, frozen=True):
    """What a ``submission.json`` says of a file."""

    sha256: str
    bytes: Count


class SubmissionFile(Schema, frozen=True):
    """A ``submission.json``."""

    schema_version: Count
    suite: str
    suite_version: Integer
    suite_digest: str
    agents: list[str]
    provenance: Provenance
    files: dict[str, PackedFile]


class SubmissionError(ValueError):
    """A run that cannot be submitted, or an archive that is none; the message says why."""


def pack(out: Path, folder: Path) -> Path:
    """Verify a run and pack it; returns the archive. Equal runs give equal bytes.

    Raises:
        SubmissionError: the run does not hold; the message names the first breaches.
        SuiteError: the folder holds no run.
    """
    suite, about = read_suite(out)
    breaches = [f"{name}: {breach}" for name, found in verify_run(out) for breach in found]
    if breaches:
        more = f" (and {len(breaches) - 3} more)" if len(breaches) > 3 else ""
        raise SubmissionError(f"{out} does not verify, nothing is packed: {'; '.join(breaches[:3])}{more}")
    files = sorted(path for pattern in KEPT for path in out.glob(pattern) if path.is_file())
    names = {path.relative_to(out).as_posix(): path for path in files}
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "suite": suite.name,
        "suite_version": suite.version,
        "suite_digest": suite.digest,
        "agents": sorted({name.split("/")[2] for name in names if name.startswith("cells/")}),
        "provenance": about["provenance"],
        "files": {name: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for name, path in names.items()},
    }
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{suite.name}-v{suite.version}-{fingerprint}.tar.xz"
    with replacing(target) as temporary, tarfile.open(temporary, "w:xz", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, MANIFEST, io.BytesIO(text.encode()), len(text.encode()))
        for name, path in names.items():
            with path.open("rb") as file:
                _add(archive, name, file, path.stat().st_size)
    return target


def _add(archive: tarfile.TarFile, name: str, file: Any, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, 0, 0o644
    archive.addfile(member, file)


def unpack(archive: Path, folder: Path) -> dict[str, Any]:
    """Unpack a submission into an empty folder and check every file against its manifest; returns the manifest.

    Raises:
        SubmissionError: not an archive, a member that is no plain file inside the folder, too much of it, files that the
            manifest does not name, that it names and that are not there, or that have other contents.
    """
    try:
        found = untrusted.unpack(archive, folder)
        manifest = untrusted.read(folder / MANIFEST, dict[str, Any])
        if isinstance(version := manifest.get("schema_version"), int) and version > SCHEMA_VERSION:
            raise SubmissionError(f"{archive} has schema version {version}: update lmrl")
        untrusted.checked(manifest, SubmissionFile, folder / MANIFEST)
    except FileNotFoundError:
        raise SubmissionError(f"{archive} is no submission: it holds no {MANIFEST}") from None
    except untrusted.Refused as problem:
        why = str(problem).removeprefix(f"{archive}: ").replace(str(folder / MANIFEST), f"{MANIFEST} is damaged")
        raise SubmissionError(f"{archive} is no submission: {why}") from None
    _check(archive, manifest, found)
    return manifest


def _check(archive: Path, manifest: Mapping[str, Any], found: Mapping[str, tuple[str, int]]) -> None:
    listed = {name: (entry["sha256"], entry["bytes"]) for name, entry in manifest["files"].items()}
    there = {name: entry for name, entry in found.items() if name != MANIFEST}
    for name in sorted({*listed, *there}):
        if listed.get(name) != there.get(name):
            state = "is missing" if name not in there else "is not listed" if name not in listed else "was changed"
            raise SubmissionError(f"{archive}: {name} {state}")


@contextmanager
def run_folder(path: Path) -> Iterator[Path]:
    """The folder of a run, be it given as a folder or as an archive (which is unpacked for the while).

    Raises:
        SubmissionError: a file that is no submission.
    """
    if not path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="lmrl-") as temporary:
        unpack(path, Path(temporary))
        yield Path(temporary)


# -- the published pages


@dataclass(frozen=True)
class Page:
    """A published page: one suite, all accepted runs of it."""

    file: str
    suite: str
    version: int
    digest: str
    description: str
    archives: tuple[str, ...]
    agents: tuple[str, ...]


def publish(results: Path, out: Path) -> list[Page]:
    """Write the published pages from the accepted archives: one page for each suite, and ``index.html``.

    Runs of the same suite are shown together. Where two bring an agent of the same name for a task, the later one (by the
    archive's name) is shown under the name with its archive's.

    Raises:
        SubmissionError: there is no archive, or one is damaged.
    """
    from lmrl_benchmarks.reporting.report import write_report
    from lmrl_benchmarks.reporting.results import load_results

    archives = sorted(results.glob("*.tar.xz"))
    if not archives:
        raise SubmissionError(f"{results} holds no archives (*.tar.xz)")
    pages = []
    with tempfile.TemporaryDirectory(prefix="lmrl-") as temporary:
        merged: dict[str, tuple[Path, list[str]]] = {}
        for number, archive in enumerate(archives):
            folder = Path(temporary) / f"archive-{number}"
            digest = str(unpack(archive, folder)["suite_digest"])
            if digest in merged:
                _merge(folder, merged[digest][0], archive.name.removesuffix(".tar.xz"))
                merged[digest][1].append(archive.name)
            else:
                merged[digest] = (folder, [archive.name])
        for digest, (folder, names) in merged.items():
            found = load_results(folder)
            suite = found.suite
            file = f"{suite.name}-v{suite.version}-{suite.digest}.html"
            write_report(folder, out / file, found)
            pages.append(
                Page(file, suite.name, suite.version, digest, suite.description, tuple(names), tuple(found.agents))
            )
    write_page(out / "index.html", "index.html", pages=sorted(pages, key=lambda page: (page.suite, page.file)))
    return pages


def _merge(source: Path, target: Path, label: str) -> None:
    """Move the cells of a run into another run of the same suite."""
    for agent in sorted((source / "cells").glob("*/*")):
        place = target / "cells" / agent.parent.name / agent.name
        if place.exists():
            place = place.with_name(f"{agent.name}+{label}"[:80])
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(agent, place)
    for training in sorted((source / "training").glob("*/*")):
        place = target / "training" / training.parent.name / training.name
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(training, place)
