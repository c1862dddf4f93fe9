"""Submissions: what is packed, what is refused, and the published pages."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from lmrl_benchmarks.commands.cli import run as lmrl
from lmrl_benchmarks.reporting.publish import publish
from lmrl_benchmarks.reporting.submission import MANIFEST, SubmissionError, pack, unpack
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import load_suite

TOY = """
name = "toy"
version = 3
description = "Two small tasks."
episodes = 12
seed = 7
training_seeds = [0]
[[tasks]]
id = "lmrl/Wordle-v0"
[[tasks]]
id = "lmrl/MazeFullyObserved-v0"
[[agents]]
name = "random"
[[agents]]
name = "expert"
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submission")
    (folder / "toy.toml").write_text(TOY)
    assert run_suite(load_suite(str(folder / "toy.toml")), folder / "run", workers=1) == {}
    (folder / "run" / "report.html").write_text("not a record")
    (folder / "run" / "training" / "x" / "y" / "seed-0" / "final").mkdir(parents=True)
    (folder / "run" / "training" / "x" / "y" / "seed-0" / "final" / "weights.safetensors").write_bytes(b"\0" * 100)
    (folder / "run" / "training" / "x" / "y" / "seed-0" / "metrics.jsonl").write_text('{"step": 1}\n')
    return folder / "run"


@pytest.fixture(scope="module")
def archive(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(finished, tmp_path_factory.mktemp("archives"))


def test_an_archive_holds_the_records_and_says_where_they_are_from(
    finished: Path, archive: Path, tmp_path: Path
) -> None:
    manifest = unpack(archive, tmp_path / "there")
    assert manifest["suite"] == "toy" and manifest["suite_version"] == 3 and manifest["agents"] == ["expert", "random"]
    assert manifest["suite_digest"] == load_suite(str(finished.parent / "toy.toml")).digest
    assert {"packages", "processor", "git", "python"} <= manifest["provenance"].keys()
    names = set(manifest["files"])
    assert "cells/Wordle/expert/seed-0/episodes.jsonl" in names and "training/x/y/seed-0/metrics.jsonl" in names
    assert not any("weights" in name or "report" in name or "/." in name for name in names)
    for name, entry in manifest["files"].items():
        assert (tmp_path / "there" / name).read_bytes() == (finished / name).read_bytes()
        assert (tmp_path / "there" / name).stat().st_size == entry["bytes"]
    assert pack(finished, tmp_path / "again").read_bytes() == archive.read_bytes()


def test_the_command_verifies_packs_and_publishes(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lmrl(["leaderboard", "submit", str(finished), "--to", str(tmp_path / "results")]) == 0
    [archive] = (tmp_path / "results").iterdir()
    assert lmrl(["leaderboard", "verify", str(archive)]) == 0
    assert "4 cells checked, 0 breaches" in capsys.readouterr().out
    assert lmrl(["leaderboard", "publish", str(tmp_path / "results"), "--out", str(tmp_path / "pages")]) == 0
    index = (tmp_path / "pages" / "index.html").read_text()
    [page] = [path for path in (tmp_path / "pages").glob("*.html") if path.name != "index.html"]
    assert page.name in index and "Two small tasks." in index and "expert" in page.read_text()


def test_a_run_that_does_not_hold_is_not_packed(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    path = out / "cells/Wordle/expert/seed-0/episodes.jsonl"
    path.write_text(
        path.read_text()
        .replace('"rewards": [-1.0', '"rewards": [0.0', 1)
        .replace('"rewards":[-1.0', '"rewards":[0.0', 1)
    )
    assert lmrl(["leaderboard", "submit", str(out), "--to", str(tmp_path / "results")]) == 2
    message = capsys.readouterr().err
    assert "does not verify" in message and "earns" in message and message.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_who_plays_one_task_plays_all(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    shutil.rmtree(out / "cells/Wordle/random")
    with pytest.raises(SubmissionError, match="random on Wordle, seed 0: missing"):
        pack(out, tmp_path)
    shutil.rmtree(out / "cells/MazeFullyObserved/random")  # an agent left out altogether is no matter
    assert "expert" in unpack(pack(out, tmp_path / "results"), tmp_path / "there")["agents"]


def _member(name: str, data: bytes = b"x", **kind: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    for key, value in kind.items():
        setattr(member, key, value)
    member.size = len(data) if member.isreg() else 0
    return member, data


HOSTILE = {
    "a path upwards": _member("../outside.txt"),
    "a path upwards inside": _member("cells/../../outside.txt"),
    "an absolute path": _member("/nowhere/lmrl-outside.txt"),
    "a hidden file": _member("cells/.bashrc"),
    "a backslash": _member("cells\\..\\outside.txt"),
    "a link": _member("cells/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": _member("cells/link", type=tarfile.LNKTYPE, linkname="../outside"),
    "a device": _member("cells/device", type=tarfile.CHRTYPE),
    "a folder": _member("cells/folder", type=tarfile.DIRTYPE),
    "a file twice": _member("suite.json"),
    "a file that is not listed": _member("cells/more.txt"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_archives_write_nothing_outside_their_folder(archive: Path, tmp_path: Path, what: str) -> None:
    member, data = HOSTILE[what]
    hostile = tmp_path / "hostile.tar.xz"
    with tarfile.open(archive) as good, tarfile.open(hostile, "w:xz") as bad:
        for entry in good:
            bad.addfile(entry, good.extractfile(entry))
        bad.addfile(member, io.BytesIO(data))
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    before = {path for path in tmp_path.rglob("*") if folder not in path.parents}
    with pytest.raises(SubmissionError, match=r"hostile|none of a run"):
        unpack(hostile, folder)
    assert {path for path in tmp_path.rglob("*") if folder not in path.parents} == before
    assert not any(path.is_symlink() for path in folder.rglob("*")) and not Path("/nowhere/lmrl-outside.txt").exists()


def test_a_link_first_and_a_file_through_it(tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.tar.xz"
    with tarfile.open(hostile, "w:xz") as bad:
        for member, data in (_member("cells", type=tarfile.SYMTYPE, linkname=".."), _member("cells/escaped.txt")):
            bad.addfile(member, io.BytesIO(data))
    with pytest.raises(SubmissionError, match="no plain file"):
        unpack(hostile, tmp_path / "inner")
    assert not (tmp_path / "escaped.txt").exists()


def _changed(archive: Path, target: Path, name: str, change) -> Path:
    with tarfile.open(archive) as good, tarfile.open(target, "w:xz") as bad:
        for entry in good:
            file = good.extractfile(entry)
            assert file is not None
            data = file.read()
            if entry.name == name:
                data = change(data)
                if data is None:
                    continue
            entry.size = len(data)
            bad.addfile(entry, io.BytesIO(data))
    return target


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("cells/Wordle/expert/seed-0/summary.json", lambda data: data.replace(b"1", b"2", 1), "was changed"),
        ("cells/Wordle/expert/seed-0/summary.json", lambda data: None, "is missing"),
        (MANIFEST, lambda data: None, "is no submission"),
        (MANIFEST, lambda data: data[:50], "damaged"),
        (MANIFEST, lambda data: json.dumps({**json.loads(data), "schema_version": 99}).encode(), "update lmrl"),
    ],
)
def test_changed_archives_are_refused(archive: Path, tmp_path: Path, name: str, change, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        unpack(_changed(archive, tmp_path / "changed.tar.xz", name, change), tmp_path / "there")


def test_what_is_no_archive_is_refused(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, data in (("text", b"hello"), ("cut", archive.read_bytes()[:-200]), ("empty", b"")):
        path = tmp_path / f"{name}.tar.xz"
        path.write_bytes(data)
        assert lmrl(["leaderboard", "verify", str(path)]) == 2
        assert "is no submission" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    with pytest.raises(SubmissionError, match="holds no archives"):
        publish(tmp_path / "none", tmp_path / "pages")


def test_two_runs_of_a_suite_share_a_page(finished: Path, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "class A:\n    def act(self, requests):\n        return ['crane'] * len(requests)\n"
    )
    suite = load_suite(str(finished.parent / "toy.toml"))
    out = tmp_path / "run"
    run_suite(suite, out, agents=suite.only(["random", f"{tmp_path}/mine.py:A"]), workers=1)
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(archive, results / "a.tar.xz")
    shutil.move(pack(out, tmp_path / "packed"), results / "b.tar.xz")
    published = publish(results, tmp_path / "pages")
    [page] = published.pages
    assert page.archives == ("a.tar.xz", "b.tar.xz") and not published.refused
    # Nobody has a name that two bring to himself.
    randoms = [name for name in page.agents if name.startswith("random+")]
    assert sorted(page.agents) == sorted(["expert", "mine.py-A", *randoms]) and len(set(randoms)) == 2
