"""Archives from elsewhere: plain files out of a ``.tar.xz``, into a folder and nowhere else, of bounded size. Others read no archives."""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from lmrl_envs.files.untrusted import NAME, RATIO, SMALL, Refused, opened, shown

UNPACKED, MEMBERS = 4 << 30, 100_000
"""Bytes and files that an archive may unpack to."""
VALUES = 64_000_000
"""Values in an archive's files: some 100 bytes each once they are read, whatever they weigh there."""
BLOCK = 1 << 20
"""Bytes that are read at once."""


def unpack(archive: Path, folder: Path) -> dict[str, tuple[str, int]]:
    """Unpack a ``.tar.xz`` of plain files into an empty folder; returns the sha256 and size of each, by its path.

    Raises:
        Refused: no archive; a member that is no plain file inside the folder (links, devices, folders, files with holes, odd
            names), or there twice, case apart; more than `MEMBERS` files, `UNPACKED` bytes or `VALUES`.
    """
    found, values = {}, 0
    with _archive_errors(archive), opened(archive) as file, lzma.open(file) as packed:
        for path, size, source in members(_Forward(packed, os.fstat(file.fileno()).st_size)):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with target.open("xb") as copy:
                while block := source.read(BLOCK):
                    digest.update(block)
                    copy.write(block)
                    values += sum(map(block.count, (b",", b"[", b"{")))
                    if values > VALUES:
                        raise Refused(f"{shown(path)!r}: more values than are read")
            found[path] = (digest.hexdigest(), size)
    return found


@contextlib.contextmanager
def _archive_errors(archive: Path) -> Iterator[None]:
    try:
        yield
    except Refused as problem:
        raise Refused(str(problem) if str(problem).startswith(str(archive)) else f"{archive}: {problem}") from None
    except (Exception, RecursionError, MemoryError) as problem:  # tarfile raises whatever odd headers lead it to
        raise Refused(f"{archive}: no archive: {type(problem).__name__}: {shown(str(problem))}") from None


def members(file: Any) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Path, size and content of each member of a tar file, which are plain files of a folder. Each is read before the next.

    Args:
        file: the tar file, uncompressed, opened for reading.

    Raises:
        Refused: see `unpack`.
        tarfile.TarError, and others: it is no tar file.
    """
    seen: set[str] = set()
    total = 0
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined] # tarfile keeps all that it has read
            path = member_path(member.name).as_posix()
            total += member.size
            if not member.isreg() or member.issparse():
                raise Refused(f"{shown(member.name)!r} is no plain file")
            if path.lower() in seen or total > UNPACKED or len(seen) >= MEMBERS:  # one file where case does not count
                raise Refused(f"{shown(member.name)!r} is there twice, or there is more than a run can be")
            seen.add(path.lower())
            source = archive.extractfile(member)
            assert source is not None
            yield path, member.size, source


def member_path(name: str) -> PurePosixPath:
    """The path of an archive's member inside the folder that it is unpacked to.

    Raises:
        Refused: an absolute path, one that leaves the folder, a long one, or one with odd parts.
    """
    path = PurePosixPath(name)
    plain = len(name) <= 1000 and "\\" not in name and "\0" not in name and "//" not in name and not name.endswith("/")
    if not plain or path.is_absolute() or not path.parts or not all(NAME.fullmatch(part) for part in path.parts):
        raise Refused(f"holds the path {shown(name)!r}, which is none of a run")
    return path


class _Forward:
    """What a compressed file unpacks to, read from its beginning to its end, for tarfile.

    A name in an archive may claim to be as long as memory is large, and compresses to nothing; tarfile reads it in one go. And
    it looks back by a byte after each member, for which `lzma.LZMAFile` would begin again at the file's beginning.
    """

    def __init__(self, file: lzma.LZMAFile, whole: int) -> None:
        self._file, self._whole = file, whole
        self._at, self._last, self._back = 0, b"", 0

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        if not 0 <= size <= 4 * BLOCK:
            raise tarfile.ReadError(f"a header of {size} bytes")
        again, self._back = self._last[: min(self._back, size)], 0
        data = again + self._file.read(size - len(again))
        self._at += len(data)
        self._last = data[-1:] or self._last
        if self._at > SMALL and self._at > RATIO * self._whole:
            raise Refused(f"{self._whole} bytes have become {self._at}, no more are unpacked")
        return data

    def seek(self, position: int) -> None:
        if position == self._at - 1 and self._last and not self._back:
            self._at, self._back = position, 1
        elif position < self._at:
            raise tarfile.ReadError("a member that points back")
        while self._at < position and self.read(min(BLOCK, position - self._at)):
            pass
