"""The published pages: every archive is verified here, whoever accepted it; one that does not hold costs itself only."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from msgspec.structs import replace

from lmrl_benchmarks.reporting.pages import write_page
from lmrl_benchmarks.reporting.report import write_report
from lmrl_benchmarks.reporting.results import load_results
from lmrl_benchmarks.reporting.submission import SubmissionError, unpack
from lmrl_benchmarks.running.cells import SUITE, found_cells, read_part, read_suite
from lmrl_benchmarks.running.records import EPISODES
from lmrl_benchmarks.running.sealing import read_salt, salt_file, why_not_playable
from lmrl_benchmarks.running.suite import Suite, SuiteError, load_suite, suite_names
from lmrl_benchmarks.running.verify import verify_run
from lmrl_envs.files import package_versions, sha256_of, write_json
from lmrl_envs.files.untrusted import Refused, read, shown

ANYTHING = (Exception, RecursionError, MemoryError)
"""What a stranger's archive may lead to: it is told of this archive, and the others go on."""
VERIFIED = ".verified.json"
"""Beside the pages: archives that were verified, by their sha256, and the code that did. What changes either is verified anew."""


@dataclass(frozen=True)
class Page:
    """A published page: one suite, all accepted runs of it."""

    file: str
    suite: str
    version: int
    digest: str
    description: str
    ships: bool
    """The suite comes with lmrl, and its name is its own."""
    sealed: bool
    archives: tuple[str, ...]
    agents: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """What was published."""

    pages: list[Page]
    refused: dict[str, str]
    """Archives that are on no page -> why."""


@dataclass(frozen=True)
class _Run:
    archive: Path
    sha256: str
    folder: Path
    suite: Suite


def publish(results: Path, out: Path, workers: int = 1) -> Published:
    """Verify the archives and write the pages: one for each suite, by its digest, and ``index.html``.

    Runs of the same suite are shown together. Where several bring an agent of the same name, none has the name to itself: all
    are shown with a part of their records' digest.

    Args:
        results: folder of the archives, and of the revealed salts of sealed suites.
        out: folder of the pages.
        workers: processes that replay.

    Raises:
        SubmissionError: there is no archive.
    """
    archives = sorted(results.glob("*.tar.xz"))
    if not archives:
        raise SubmissionError(f"{results} holds no archives (*.tar.xz)")
    known, refused = _known(out), {}
    pages: list[Page] = []
    groups: dict[str, list[_Run]] = {}
    with tempfile.TemporaryDirectory(prefix="lmrl-") as temporary:
        for number, archive in enumerate(archives):
            folder = Path(temporary) / f"archive-{number}"
            try:
                run = _accepted(archive, folder, known, workers)
                same = groups.setdefault(run.suite.digest, [])
                if twins := [other.archive.name for other in same if other.sha256 == run.sha256]:
                    raise SubmissionError(f"is the same as {twins[0]}")
                same.append(run)
            except ANYTHING as problem:
                refused[archive.name] = _said(problem, archive, folder)
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / VERIFIED, {run.sha256: _code() for runs in groups.values() for run in runs})
        for runs in filter(None, groups.values()):
            pages += _pages(runs, Path(temporary), out, refused)
    pages.sort(key=lambda page: (not page.ships, page.suite, page.file))
    write_page(out / "index.html", "index.html", pages=pages, refused=refused)
    return Published(pages, refused)


def _said(problem: BaseException, archive: Path, folder: Path) -> str:
    """An error as it is told of an archive: in one line, without the place where it was unpacked."""
    kind = "" if isinstance(problem, ValueError) else f"{type(problem).__name__}: "
    text = str(problem).removeprefix(f"{archive}: ").removeprefix(f"{archive} ").replace(f"{folder}/", "")
    return kind + shown(text, 400)


def _accepted(archive: Path, folder: Path, known: dict[str, str], workers: int) -> _Run:
    """An archive that holds, unpacked."""
    digest = sha256_of(archive)
    unpack(archive, folder)
    suite, _ = read_suite(folder)
    if known.get(digest) != _code():
        salt = ""
        if suite.commitment:
            path = archive.with_name(salt_file(suite))
            if not path.is_file():
                raise SuiteError(
                    f"suite {suite.name!r} is sealed, and {path.name} with its salt is not there: it is not revealed yet"
                )
            salt = read_salt(path)
            if why := why_not_playable(suite, salt):
                raise SuiteError(f"{path.name}: {why}")
        breaches = [f"{name}: {breach}" for name, found in verify_run(folder, workers, salt) for breach in found]
        if breaches:
            raise SubmissionError(f"does not verify: {len(breaches)} breaches, the first: {breaches[0]}")
    return _Run(archive, digest, folder, suite)


def _known(out: Path) -> dict[str, str]:
    """Archives that were verified before."""
    try:
        return read(out / VERIFIED, dict[str, str])
    except (OSError, Refused):
        return {}


@cache
def _code() -> str:
    """A hash of the code and data that verification depends on."""
    found = hashlib.sha256(repr(sorted(package_versions().items())).encode())
    for package in ("lmrl_envs", "lmrl_datasets", "lmrl_agents", "lmrl_benchmarks"):
        root = Path(str(resources.files(package)))
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix not in (".pyc", ".parquet"):
                found.update(f"{path.relative_to(root)} {sha256_of(path)}\n".encode())
    return found.hexdigest()


def _pages(runs: Sequence[_Run], temporary: Path, out: Path, refused: dict[str, str]) -> list[Page]:
    """The page of a suite. Where none can be made of all its runs, it is made of those that one can be made of alone."""
    try:
        return [_page(runs, temporary, out)]
    except ANYTHING as problem:
        if len(runs) == 1:
            refused[runs[0].archive.name] = (
                f"no page can be made of it: {_said(problem, runs[0].archive, runs[0].folder)}"
            )
            return []
    alone = [run for run in runs if _pages([run], temporary, temporary, refused)]
    if len(alone) == len(runs):
        raise SubmissionError(f"no page can be made of {', '.join(run.archive.name for run in runs)} together")
    return _pages(alone, temporary, out, refused) if alone else []


def _page(runs: Sequence[_Run], temporary: Path, out: Path) -> Page:
    suite = runs[0].suite
    ships = suite.name in suite_names() and load_suite(suite.name).digest == suite.digest
    told = {
        run.suite.description for run in runs
    }  # which the digest does not hold: nobody's words stand over another's run
    description = load_suite(suite.name).description if ships else told.pop() if len(told) == 1 else ""
    names = _names(runs)
    with tempfile.TemporaryDirectory(dir=temporary) as merged:
        for run in runs:
            _merge(run, Path(merged), names)
        found = load_results(Path(merged))
        found.suite = replace(found.suite, description=description)
        for run in runs:
            for _, entry, agent, seed in (name.split("/") for name in sorted(read_part(run.folder))):
                missing = f"eval {names[run.sha256, agent]} {entry} {seed.replace('-', ' ')}"
                found.missing[missing] = (
                    "not submitted, be it that it was not run or did not go well: this is a part of the suite"
                )
        if not found.rows:
            raise SubmissionError("there are no results in it")
        file = f"{suite.name}-v{suite.version}-{suite.digest}.html"
        write_report(Path(merged), out / file, found)
    archives = tuple(run.archive.name for run in runs)
    return Page(
        file,
        suite.name,
        suite.version,
        suite.digest,
        description,
        ships,
        bool(suite.commitment),
        archives,
        tuple(found.agents),
    )


def _names(runs: Sequence[_Run]) -> dict[tuple[str, str], str]:
    """Under which name each agent of each archive is shown: (sha256 of the archive, its name there) -> name; all different, but
    for the same records in several archives.
    """
    there = {(run.sha256, name): _records(run, name) for run in runs for name in _agents(run)}
    count = Counter(name for name, _ in {(key[1], records) for key, records in there.items()})
    names = {key: key[1] for key in there if count[key[1]] == 1}
    own: dict[tuple[str, str], str] = {}
    for key, records in there.items():
        if key in names:
            continue
        for length in range(6, 65):  # longer, if somebody has taken just this name
            name = own.get((key[1], records)) or f"{key[1][: 79 - length]}+{records[:length]}"
            if name not in names.values() or own.get((key[1], records)) == name:
                break
        names[key] = own[key[1], records] = name
    return names


def _agents(run: _Run) -> list[str]:
    return sorted({path.name for path in run.folder.glob("cells/*/*")})


def _records(run: _Run, agent: str) -> str:
    """A hash of an agent's records in an archive, and of its name."""
    found = hashlib.sha256(agent.encode())
    for path in sorted(run.folder.glob(f"cells/*/{agent}/*/{EPISODES}")):
        found.update(f"{path.relative_to(run.folder)} {sha256_of(path)}\n".encode())
    return found.hexdigest()


def _merge(run: _Run, merged: Path, names: dict[tuple[str, str], str]) -> None:
    """Put what a page shows of a run into the folder of the page's, as further names of the same files: cells, and the curves of their
    own trainings. What a run tells of jobs that it did not do (``problems.json``) may be of anybody's agent, and is not shown.
    """
    places = {run.folder / SUITE: run.folder / SUITE}
    places |= {path: path.with_name(names[run.sha256, path.name]) for path in run.folder.glob("cells/*/*")}
    curves = {run.folder / cell.training_folder for cell in found_cells(run.suite, run.folder) if cell.agent.train}
    places |= {path: path for path in curves if path.is_dir()}
    for path, place in places.items():
        target = merged / place.relative_to(run.folder)
        if target.exists():
            continue  # curves of a training of the same name: those of the first run
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            os.link(path, target)
        else:
            shutil.copytree(path, target, copy_function=os.link)
