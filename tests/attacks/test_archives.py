"""Hostile archives: refused in one line that names the archive, nothing outside its folder, little memory, little time."""

from __future__ import annotations

import io
import json
import lzma
import random
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmrl_benchmarks.commands.cli import run
from lmrl_benchmarks.reporting.submission import MANIFEST, SubmissionError, unpack
from lmrl_envs.files.archives import VALUES
from lmrl_envs.files.archives import unpack as unpack_files
from lmrl_envs.files.untrusted import Refused

LARGE = 3 << 30


def sparse_pax(size: int) -> bytes:
    """A member of a size that takes no room: GNU's sparse format 1.0 in PAX headers."""
    member = tarfile.TarInfo(MANIFEST)
    member.size = 512
    member.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": MANIFEST, "GNU.sparse.realsize": str(size),
    }  # fmt: skip
    map_of_holes = f"1\n{size}\n0\n".encode().ljust(512, b"\0")
    return member.tobuf(tarfile.PAX_FORMAT) + map_of_holes + bytes(1024)


def sparse_old(size: int) -> bytes:
    """The same in GNU's old format: a member of type S."""
    member = tarfile.TarInfo(MANIFEST)
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 0
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (size, 0)
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header) + bytes(1024)


def headers(kind: bytes, count: int) -> bytes:
    """Headers in a row, each about the next."""
    data = b""
    for _ in range(count):
        member = tarfile.TarInfo("long")
        member.type, member.size = kind, 16
        data += member.tobuf(tarfile.GNU_FORMAT) + b"9 path=ab\n".ljust(512, b"\0")
    return data + bytes(1024)


def files(content: dict[str, bytes], **attributes: Any) -> bytes:
    """Plain members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in attributes.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def manifest(**changes: Any) -> bytes:
    made = {"git": None, "processor": "", "cpus": 1, "platform": "", "python": "", "packages": {}}
    whole = {
        "schema_version": 1, "suite": "s", "suite_version": 1, "suite_digest": "x", "agents": [], "provenance": made, "files": {},
    }  # fmt: skip
    return files({MANIFEST: json.dumps({**whole, **changes}).encode()})


HOSTILE: dict[str, Callable[[], bytes]] = {
    "sparse": lambda: sparse_pax(LARGE),
    "sparse, old": lambda: sparse_old(LARGE),
    "sparse map of text": lambda: sparse_pax(LARGE).replace(b"1\n3221225472\n", b"x\n3221225472\n"),
    "long names in a row": lambda: headers(tarfile.GNUTYPE_LONGNAME, 1200),
    "PAX headers in a row": lambda: headers(tarfile.XHDTYPE, 1200),
    "a deep path": lambda: files({"/".join("a" * 1900): b""}),
    "a long path": lambda: files({"a" * 3000: b""}),
    "a path upwards": lambda: files({"../x": b""}),
    "an absolute path": lambda: files({"/etc/x": b""}),
    "a path with a newline": lambda: files({"a\nb": b""}),
    "a link": lambda: files({"x": b""}, type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": lambda: files({"x": b""}, type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "a device": lambda: files({"x": b""}, type=tarfile.CHRTYPE),
    "a pipe": lambda: files({"x": b""}, type=tarfile.FIFOTYPE),
    "a folder": lambda: files({"x": b""}, type=tarfile.DIRTYPE),
    "a file and a folder of one name": lambda: files({"x": b"", "x/y": b""}),
    "names that differ in case": lambda: files({"cells/A/x.json": b"{}", "cells/a/x.json": b"{}"}),
    "too much": lambda: _claimed(1 << 40),
    "a negative size": lambda: _claimed(-1),
    "no manifest": lambda: files({"x": b""}),
    "a manifest that is a list": lambda: files({MANIFEST: b"[]"}),
    "a nested manifest": lambda: files({MANIFEST: b"[" * 100_000}),
    "a large manifest": lambda: files({MANIFEST: b" " * (17 << 20)}),
    "files is a list": lambda: manifest(files=[]),
    "files is null": lambda: manifest(files=None),
    "a size that is a float": lambda: manifest(files={"x": {"sha256": "", "bytes": 1.0}}),
    "provenance without git": lambda: manifest(provenance={"packages": {}}),
    "an unknown key": lambda: manifest(more=1),
    "nothing": lambda: b"",
    "no tar": lambda: b"hello" * 1000,
}  # fmt: skip


def _claimed(size: int) -> bytes:
    member = tarfile.TarInfo("x")
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def packed(path: Path, data: bytes) -> Path:
    path.write_bytes(lzma.compress(data, preset=0))
    return path


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused_by_name(name: str, tmp_path: Path) -> None:
    archive, folder = packed(tmp_path / "bad.tar.xz", HOSTILE[name]()), tmp_path / "there"
    folder.mkdir()
    started = time.process_time()
    with pytest.raises(SubmissionError, match=r"bad\.tar\.xz") as refused:
        unpack(archive, folder)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 600
    assert time.process_time() - started < 30
    assert {path.name for path in tmp_path.iterdir()} == {"bad.tar.xz", "there"}
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 20 << 20


def test_the_command_names_a_hostile_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = packed(tmp_path / "bad.tar.xz", HOSTILE["sparse"]())
    assert archive.stat().st_size < 1000
    assert run(["leaderboard", "verify", str(archive)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "bad.tar.xz" in told and "no plain file" in told


def test_what_a_small_archive_unpacks_to_is_bounded(tmp_path: Path) -> None:
    """A kilobyte of zeros' zeros: 80 MB would be in the folder."""
    with lzma.open(tmp_path / "bomb.tar.xz", "wb", preset=0) as file:
        member = tarfile.TarInfo("x")
        member.size = 100 << 20
        file.write(member.tobuf())
        for _ in range(100):
            file.write(bytes(1 << 20))
    (tmp_path / "there").mkdir()
    with pytest.raises(Refused, match=r"bomb\.tar\.xz: \d+ bytes have become \d+"):
        unpack_files(tmp_path / "bomb.tar.xz", tmp_path / "there")


def test_no_values_without_end_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty objects take 24 times the room that they have in a file: an archive of 2 MB would have taken 100 GB."""
    assert VALUES < 10**8
    monkeypatch.setattr("lmrl_envs.files.archives.VALUES", 10**6)
    with lzma.open(tmp_path / "bomb.tar.xz", "wb", preset=0) as file:
        for name, size, block in (("noise", 1, random.randbytes(1 << 16)), ("episodes.jsonl", 2, b"{}," * (1 << 18))):
            member = tarfile.TarInfo(name)
            member.size = size * (len(block) // 3 * 3 if size > 1 else len(block))
            file.write(member.tobuf())
            for _ in range(size):
                file.write(block)
            file.write(bytes(-member.size % 512))
    (tmp_path / "there").mkdir()
    with pytest.raises(Refused, match=r"bomb\.tar\.xz: 'episodes\.jsonl': more values than are read"):
        unpack_files(tmp_path / "bomb.tar.xz", tmp_path / "there")


def test_members_of_whole_blocks_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tarfile looks back by a byte after each member, for which LZMAFile begins again: hours for an archive of 4 GiB."""
    content = {f"f{k}": random.Random(k).randbytes(1 << 16) for k in range(20)}
    archive = packed(tmp_path / "ok.tar.xz", files(content))
    read: list[int] = []
    monkeypatch.setattr(lzma.LZMAFile, "seek", lambda *_: pytest.fail("begins again"))
    original = lzma.LZMAFile.read
    monkeypatch.setattr(lzma.LZMAFile, "read", lambda self, size=-1: read.append(size) or original(self, size))
    (tmp_path / "there").mkdir()
    found = unpack_files(archive, tmp_path / "there")
    assert {name: (tmp_path / "there" / name).read_bytes() for name in found} == content
    assert sum(read) < 2 * (20 << 16)


def test_every_flipped_bit_is_refused_or_harmless(tmp_path: Path) -> None:
    """Of an archive that unpacks: whatever comes of it, an error names it."""
    data = lzma.compress(files({"a": b"1" * 700, "b/c": b"2" * 90}), preset=0)
    rng = random.Random(3)
    for n in range(60):
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path, folder = tmp_path / "flipped.tar.xz", tmp_path / str(n)
        path.write_bytes(changed[: rng.choice([None, rng.randrange(len(data))])])
        folder.mkdir()
        try:
            found = unpack_files(path, folder)
        except Refused as problem:
            assert "flipped.tar.xz" in str(problem)
        else:
            assert [(folder / name).stat().st_size for name in found] == [size for _, size in found.values()]
