"""Submissions: a verified run as one archive.

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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmrl_benchmarks.running.cells import PART, SUITE, read_suite
from lmrl_benchmarks.running.formats import Provenance
from lmrl_benchmarks.running.manifest import DIGESTS, FileDigest, digests, kept_files
from lmrl_benchmarks.running.records import SUMMARY
from lmrl_benchmarks.running.suite import SuiteError
from lmrl_benchmarks.running.verify import expected_cells, verify_run
from lmrl_datasets.schema import plain
from lmrl_envs.files import archives, replacing, untrusted, write_json
from lmrl_envs.files.untrusted import Count, Integer, Schema, shown

MANIFEST = "submission.json"
SCHEMA_VERSION = 1


class SubmissionFile(Schema, frozen=True):
    """A ``submission.json``."""

    schema_version: Count
    suite: str
    suite_version: Integer
    suite_digest: str
    agents: list[str]
    provenance: Provenance
    files: dict[str, FileDigest]


class SubmissionError(ValueError):
    """A run that cannot be submitted, or an archive that is none; the message says why."""


def pack(out: Path, folder: Path, salt: str = "", part: bool = False) -> Path:
    """Verify a run and pack it; returns the archive. Equal runs give equal bytes.

    What is verified is what is packed: a copy, which nobody changes meanwhile.

    Args:
        out: folder of the run.
        folder: where the archive goes.
        salt: of a sealed suite.
        part: the run may lack cells, which are named in the archive; those that are not finished are left out.

    Raises:
        SubmissionError: the run does not hold; the message names the first breaches.
        SuiteError: the folder holds no run.
    """
    with tempfile.TemporaryDirectory(prefix="lmrl-") as temporary:
        copy = Path(temporary)
        for path in (*kept_files(out).values(), out / DIGESTS):
            if path.is_file():
                target = copy / path.relative_to(out)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        if part:
            _declare(copy)
        return _pack(out, copy, folder, salt)


def _declare(out: Path) -> None:
    """Leave out the cells that are not finished, and name all that are not there."""
    suite, _ = read_suite(out)
    for path in out.glob("cells/*/*/*"):
        if path.is_dir() and not (path / SUMMARY).is_file():
            shutil.rmtree(path)
    for path in out.glob("cells/*/*"):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    lacking = [cell.records_folder for cell in expected_cells(suite, out)[0] if not cell.folder(out).is_dir()]
    (out / PART).unlink(missing_ok=True)
    if lacking:
        write_json(out / PART, {"not_run": lacking})


def _pack(out: Path, copy: Path, folder: Path, salt: str) -> Path:
    suite, about = read_suite(copy)
    breaches = [f"{name}: {breach}" for name, found in verify_run(copy, salt=salt) for breach in found]
    if breaches:
        more = f" (and {len(breaches) - 3} more)" if len(breaches) > 3 else ""
        if any(": missing: " in breach for breach in breaches):
            more += "; as a part of the suite (--part) it may lack cells"
        raise SubmissionError(f"{out} does not verify, nothing is packed: {'; '.join(breaches[:3])}{more}")
    names = kept_files(copy)
    if len({name.lower() for name in names}) < len(names):
        raise SubmissionError(f"{out} has files whose names differ in case alone: rename an agent")
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "suite": suite.name,
        "suite_version": suite.version,
        "suite_digest": suite.digest,
        "agents": _agents(names),
        "provenance": about["provenance"],
        "files": digests(names),
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


def _agents(names: Iterable[str]) -> list[str]:
    return sorted({name.split("/")[2] for name in names if name.startswith("cells/")})


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
        found = archives.unpack(archive, folder)
        manifest = untrusted.read(folder / MANIFEST, dict[str, Any])
        if isinstance(version := manifest.get("schema_version"), int) and version > SCHEMA_VERSION:
            raise SubmissionError(f"{archive} has schema version {version}: update lmrl")
        untrusted.checked(manifest, SubmissionFile, folder / MANIFEST)
    except FileNotFoundError:
        raise SubmissionError(f"{archive} is no submission: it holds no {MANIFEST}") from None
    except untrusted.Refused as problem:
        why = str(problem).removeprefix(f"{archive}: ").replace(str(folder / MANIFEST), f"{MANIFEST} is damaged")
        raise SubmissionError(f"{archive} is no submission: {why}") from None
    _check(archive, folder, manifest, found)
    return manifest


def _check(archive: Path, folder: Path, manifest: Mapping[str, Any], found: Mapping[str, tuple[str, int]]) -> None:
    listed = {name: (entry["sha256"], entry["bytes"]) for name, entry in manifest["files"].items()}
    there = {name: entry for name, entry in found.items() if name != MANIFEST}
    for name in sorted({*listed, *there}):
        if listed.get(name) != there.get(name):
            state = "is missing" if name not in there else "is not listed" if name not in listed else "was changed"
            raise SubmissionError(f"{archive}: {shown(name)} {state}")
    for name in sorted(there.keys() - kept_files(folder).keys()):
        raise SubmissionError(f"{archive}: {shown(name)} is no file of a run")
    try:
        suite, about = read_suite(folder)
    except SuiteError as problem:
        raise SubmissionError(str(problem).replace(str(folder), str(archive))) from None
    told = {
        "suite": suite.name,
        "suite_version": suite.version,
        "suite_digest": suite.digest,
        "agents": _agents(there),
        "provenance": about["provenance"],
    }
    for key, value in told.items():
        if plain(manifest[key]) != plain(value):
            raise SubmissionError(f"{archive}: {MANIFEST} has another {key} than {SUITE} and the cells")


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
