"""What comes from elsewhere has one reader: strict, bounded, refused in one line that names the place and the field."""

from __future__ import annotations

import ast
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from lmrl_benchmarks.running.formats import RunFile, SummaryFile
from lmrl_benchmarks.running.records import Record
from lmrl_datasets.schema import plain, to_json
from lmrl_envs.files import JsonLines, finite, write_json
from lmrl_envs.files.untrusted import (
    DEPTH,
    Amount,
    Count,
    Integer,
    Number,
    Refused,
    Schema,
    convert,
    decode,
    lines,
    read,
    shown,
)  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("lmrl_envs", "datasets/lmrl_datasets", "agents/lmrl_agents", "benchmarks/lmrl_benchmarks")
READERS = {"lmrl_envs/files/untrusted.py", "lmrl_envs/files/archives.py"}
OWN = {
    "lmrl_envs/car_dealer/rules.py": "a table that ships",
    "lmrl_envs/guess_my_city/table.py": "tables that ship",
    "lmrl_envs/negotiation/policies.py": "plans that ship",
    "lmrl_envs/wordle/rules.py": "trees that ship, deeper than what comes from elsewhere may be",
    "lmrl_envs/contract/game.py": "states that it has just written, with the large integers of random numbers",
    "lmrl_envs/partners/chat_http.py": "bodies of replies, whose bytes it counts as they are unpacked; their JSON is read like all other",
}
"""Who else parses JSON or unpacks something, and why it may."""
PARSING = {
    "json.load", "json.loads", "json.JSONDecoder", "orjson.loads", "msgspec.json.decode", "msgspec.json.Decoder", "msgspec.convert",
    "zipfile.ZipFile", "lzma.open", "lzma.decompress", "lzma.LZMAFile", "gzip.open", "gzip.decompress",
    "bz2.open", "bz2.decompress", "zlib.decompress", "zlib.decompressobj", "pa.input_stream", "pa.CompressedInputStream",
    "pyarrow.input_stream", "shutil.unpack_archive", "pd.read_json", "pa.json.read_json",
}  # fmt: skip


def parsers(tree: ast.AST) -> list[str]:
    """Calls and mentions that parse JSON or an archive."""
    found = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    found = [name for name in found if name in PARSING]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "tarfile.open":
            modes = [
                ast.unparse(arg) for arg in (*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode"))
            ]
            found += [] if modes and modes[0].strip("'\"").startswith("w") else ["tarfile.open"]
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found += sorted(names & PARSING)
    return found


def test_json_and_archives_are_parsed_in_one_place_alone() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 150
    found = {path.relative_to(ROOT).as_posix(): parsers(ast.parse(path.read_text("utf-8"))) for path in files}
    assert {name: calls for name, calls in found.items() if calls and name not in OWN and name not in READERS} == {}
    assert all(found[name] for name in {*READERS, *OWN})  # an exception that is none any more goes


@pytest.mark.parametrize(
    "code",
    [
        "json.loads(x)", "from json import loads", "map(json.loads, x)", "tarfile.open(x)", "tarfile.open(fileobj=x, mode='r:xz')",
        "lzma.open(x)", "zipfile.ZipFile(x)", "pa.input_stream(x, compression='zstd')", "json.JSONDecoder()",
    ],
)  # fmt: skip
def test_the_check_finds_parsers(code: str) -> None:
    assert parsers(ast.parse(code))
    assert not parsers(ast.parse("tarfile.open(x, 'w:xz')\njson.dumps(x)"))


def test_nothing_is_written_that_is_no_json() -> None:
    """Every call of json.dumps either cannot hold a NaN or says that it may not; what it writes, other programs read."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"x": [float("nan")]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(Path(os.devnull), {"x": float("inf")})
    assert finite({"a": float("nan"), "b": [1.5, float("-inf")], "c": "x"}) == {"a": None, "b": [1.5, None], "c": "x"}


# -- types


class Thing(Schema, frozen=True):
    """Fields of all kinds."""

    count: Count = 0
    place: Integer = 0
    number: Number = 0.0
    amount: Amount = 0.0
    flag: bool = False
    text: str = ""
    numbers: tuple[Number, ...] = ()
    anything: Any = None


WRONG: list[tuple[str, str]] = [
    ('{"count": 1.0}', "count: Expected int, got float"),
    ('{"count": true}', "count: Expected int, got bool"),
    ('{"count": "1"}', "count: Expected int, got str"),
    ('{"count": -1}', "count: Expected int >= 0"),
    ('{"count": 1e3}', "count: Expected int, got float"),
    (f'{{"place": {2**63}}}', "place: Expected int <="),
    (f'{{"place": {"9" * 5000}}}', "place: Integer value out of range"),
    ('{"number": 1e400}', "number: Number out of range"),
    ('{"number": 1e101}', "number: Expected float <="),
    ('{"number": true}', "number: Expected float, got bool"),
    ('{"number": NaN}', "JSON is malformed"),
    ('{"anything": -Infinity}', "JSON is malformed"),
    ('{"amount": -0.1}', "amount: Expected float >="),
    ('{"flag": 1}', "flag: Expected bool, got int"),
    ('{"text": null}', "text: Expected str, got null"),
    ('{"numbers": [1, "2"]}', r"numbers\[1\]: Expected float, got str"),
    (f'{{"anything": {{"deep": [{2**64}]}}}}', "anything: an integer of more than 64 bits"),
    ('{"anything": [1e200]}', "anything: 1e.200 is no number"),
    ('{"contu": 1}', "unknown field 'contu'; did you mean 'count'"),
    (f'{{"{"x" * 5000}": 1}}', "unknown field 'x{77}...'"),
    ('{"\\u001b]52;c;x\\u0007": 1}', r"unknown field '\?\]52;c;x\?'"),
    ("[1]", "Expected object, got array"),
    ("5", "Expected object, got int"),
    ("", "Input data was truncated"),
    ('{"count": 1', "Input data was truncated"),
    ('{"count": 1} x', "JSON is malformed: trailing characters"),
    ("[" * 100_000, "Expected object, got array"),
    (f'{{"anything": {"[" * 100_000}', "more than 32 lists and objects"),
    (f'{{"anything": {"[" * (DEPTH + 1)}{"]" * (DEPTH + 1)}}}', "anything: more than 32 lists and objects"),
    ('{"text": "\\ud800", "count": 1.0}', "count: Expected int, got float"),
    ('{"text": "\\ud800", "anything": NaN}', "NaN is no JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(Refused, match=f"^here: {message}") as refused:
        decode(text, Thing, "here")
    assert len(str(refused.value)) < 500 and str(refused.value).isprintable()


def test_what_is_right_is_read() -> None:
    assert decode('{"number": 1, "anything": [[1, 2.5], {"a": null}]}', Thing).number == 1.0
    assert decode(b'{"text": "\\ud800"}', Thing).text == "\ud800"  # half a pair is legal in JSON, and agents say it
    assert convert({"numbers": [1, 2.5]}, Thing).numbers == (1.0, 2.5)
    with pytest.raises(Refused, match=r"too: 100 bytes, at most 10"):
        decode("1" * 100, Any, "too", most=10)
    assert shown("\x1b[2J" + "x" * 200) == "?[2J" + "x" * 73 + "..." and shown(10**5000) == "an integer of 16610 bits"


def test_no_random_text_raises_anything_else() -> None:
    """A thousand mutated records, runs and summaries: read or refused."""
    rng = random.Random(5)
    record = Record(0, 1, ("a", "b"), ("x",), (1.0,), True, False, True, 1, 0.5, info={"secret": [1, {"k": None}]})
    texts = [record.line(), '{"schema_version":1,"spec":{"each":{"a":[1]}},"provenance":{"packages":{"lmrl":"1"}}}']
    pieces = [*'{}[],:"\\', "null", "true", "1e999", "NaN", "-", "0" * 30, "\\ud800", "\x00", "é", '"":', "[" * 50]
    for n in range(1_000):
        text = list(texts[n % 2])
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(text))
            text[at : at + rng.randrange(3)] = [rng.choice(pieces)]
        for kind in (Record, RunFile, SummaryFile, dict[str, Any]):
            try:
                found = decode("".join(text), kind, "x")
            except Refused as problem:
                assert "\n" not in str(problem) and len(str(problem)) < 600
            else:
                plain(
                    found
                    if isinstance(found, dict)
                    else {name: getattr(found, name) for name in ("episode",) if hasattr(found, name)}
                )


# -- files


def test_only_plain_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(Refused, match="no plain file"):
            read(path)
        with pytest.raises(Refused, match="no plain file"):
            list(lines(path))
    with pytest.raises(OSError):
        read(tmp_path)
    (tmp_path / "large.json").write_bytes(b" " * 100)
    with pytest.raises(Refused, match=r"large\.json: more than 10 bytes"):
        read(tmp_path / "large.json", most=10)
    (tmp_path / "long.jsonl").write_bytes(b"1\n" + b"2" * 100 + b"\n")
    with pytest.raises(Refused, match=r"long\.jsonl line 2: more than 10 bytes"):
        list(lines(tmp_path / "long.jsonl", most=10))


def test_a_small_file_becomes_no_large_one(tmp_path: Path) -> None:
    """98 kB once became a line of 3 GiB."""
    pa = pytest.importorskip("pyarrow")
    for name, line in (("line", bytes(1 << 20)), ("many", b" " * ((1 << 20) - 1) + b"\n")):
        path = tmp_path / f"{name}.jsonl.zst"
        with pa.output_stream(str(path), compression="zstd") as file:
            for _ in range(80):
                file.write(line)
        assert path.stat().st_size < 20_000
        with pytest.raises(Refused, match=r"line 1: more than|have become"):
            list(lines(path))


def test_byte_order_marks_blank_lines_and_cut_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"a": 2}\n{"a": ')
    growing = JsonLines(path)
    assert growing.read(dict[str, int]) == [{"a": 1}, {"a": 2}] and growing.damaged == [5]
    assert growing.read(dict[str, int], strict=True) == [{"a": 1}, {"a": 2}]
    with pytest.raises(Refused, match=r"x\.jsonl line 5: "):
        list(lines(path, dict[str, int]))
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read(path) == {"a": 1}
    json.dumps(read(path), allow_nan=False)
