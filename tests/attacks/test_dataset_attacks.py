"""Datasets and JSON lines of strangers and of bad luck: every damage is found and named, and nothing in them names a file."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmrl_benchmarks.commands.cli import run
from lmrl_datasets import DatasetError, load_dataset, read_jsonl
from lmrl_datasets.coverage import coverage
from lmrl_datasets.exchange import write_jsonl
from lmrl_datasets.reading.stats import summarize
from lmrl_datasets.replay import make_recorded
from lmrl_datasets.store import MANIFEST, describe_shard
from lmrl_envs import task
from lmrl_envs.files import write_json
from tests.attacks.forgery import edit

NAME = "wordle/mine-v0"
SECRET = "dummy-secret-123"

# -- JSON lines


@pytest.fixture(scope="module")
def rows(wordle_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_jsonl(load_dataset(wordle_data)[:4], path)
    return [json.loads(line) for line in path.read_text().splitlines()]


def imported(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "some.jsonl").write_bytes(content)
    return read_jsonl(tmp_path / "some.jsonl", tmp_path / "data", NAME)


HOSTILE_LINES: list[tuple[Any, str]] = [
    ({"seed": -1}, "seed: Expected int >= 0"),
    ({"seed": 2**63}, "seed: Expected int <="),
    ({"seed": True}, "seed: Expected int, got bool"),
    ({"seed": 1.0}, "seed: Expected int, got float"),
    ({"episode_id": -1}, "episode_id: Expected int >= 0"),
    ({"terminated": True, "truncated": True}, "either is terminated or truncated"),
    ({"terminated": False, "truncated": False}, "either is terminated or truncated"),
    ({"terminated": True, "truncated": False, "stopped": True}, "one that was stopped is truncated"),
    ({"rewards": []}, "T \\+ 1, T and T"),
    ({"observations": [], "actions": [], "rewards": []}, "T \\+ 1, T and T"),
    ({"info": {"x": 2**70}}, "info: an integer of more than 64 bits"),
    ({"info": []}, "info: Expected object, got array"),
    ({"options": None}, "options: Expected object, got null"),
    ({"more": 1}, "unknown field 'more'"),
    ({"env_id": "os:path"}, r"env_id 'os:path' is not known here"),
    ({"env_kwargs": {"vocabulary": "/proc/self/environ"}}, "name no files"),
    ({"env_kwargs": {"vocabulary": "/dev/zero"}}, "name no files"),
    ({"env_kwargs": {"vocabulary": ["crane"] * 20_000}}, "at most 15000"),
    ({"env_kwargs": {"nonsense": 1}}, "cannot be made with"),
    ({"env_kwargs": {"simulator": "os:system"}}, "asked only by name"),
]


@pytest.mark.parametrize(("change", "message"), HOSTILE_LINES, ids=range(len(HOSTILE_LINES)))
def test_hostile_lines_leave_no_half_folder(
    change: dict[str, Any], message: str, rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUMMY_TOKEN", SECRET)
    text = "".join(json.dumps({**row, **change}) + "\n" for row in rows)
    with pytest.raises(DatasetError, match=message) as refused:
        imported(tmp_path, text.encode())
    assert r"some.jsonl" in str(refused.value) and "\n" not in str(refused.value) and SECRET not in str(refused.value)
    assert len(str(refused.value)) < 1000 and not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "line 5: Expected object, got array"),
        (b'{"info": ' + b"[" * 100_000, "line 5: info: Expected object, got array"),
        (b'{"rewards": [1e400]', "line 5: rewards.0.: Number out of range"),
        (b'{"actions": ["\xff"]', "line 5: .*UTF-8"),
        (b"\x00", "line 5: JSON is malformed"),
        (b'"' + b"x" * (33 << 20), "line 5: more than"),
    ],
    ids=range(6),
)
def test_a_bad_line_is_named(content: bytes, message: str, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    good = "".join(json.dumps(row) + "\n" for row in rows).encode()
    with pytest.raises(DatasetError, match=rf"some\.jsonl {message}"):
        imported(tmp_path, good + content)
    assert not (tmp_path / "data").exists()


def test_marks_and_blank_lines_are_passed_over(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    lines = [json.dumps(row | {"episode_id": 7}).encode() for row in rows]
    data = load_dataset(imported(tmp_path, b"\xef\xbb\xbf" + b"\r\n\n \n".join(lines)))
    assert [episode.episode_id for episode in data] == [0, 1, 2, 3]
    data.verify(replay=True)


def test_the_command_prints_no_file(
    rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret.txt").write_text(SECRET)
    path = tmp_path / "bad.jsonl"
    for name in (str(tmp_path / "secret.txt"), "secret.txt", "/etc/passwd"):
        path.write_text(json.dumps({**rows[0], "env_kwargs": {"vocabulary": name}}))
        assert run(["data", "import", str(path), "--name", NAME, "--out", str(tmp_path / "x")]) == 1
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and SECRET not in told and "root:" not in told and "no files" in told


def test_a_persons_own_arguments_may_name_files(wordle_data: Path, tmp_path: Path) -> None:
    words = list(make_words())
    (tmp_path / "mine.txt").write_text("\n".join(words))
    data = load_dataset(wordle_data, env_id="lmrl/Wordle-v0", vocabulary=str(tmp_path / "mine.txt"))
    assert data[3].observations == load_dataset(wordle_data)[3].observations and len(data.take(np.arange(5))[:2]) == 2
    assert coverage(data[:3])["episodes"] == 3
    with pytest.raises(DatasetError, match="name no files"):
        make_recorded(task("lmrl/Wordle-v0"), {"vocabulary": str(tmp_path / "mine.txt")}, "here")


def make_words() -> tuple[str, ...]:
    """Those of the environment's default list."""
    env: Any = gymnasium.make("lmrl/Wordle-v0").unwrapped
    return env.vocabulary


# -- folders


def rewritten(folder: Path, change: Callable[[dict[str, list[Any]]], None], **kwargs: Any) -> None:
    """Change the columns of the first shard; digests and statistics are made to fit."""
    path = sorted(folder.glob("*.parquet"))[0]
    table = pq.read_table(path)
    columns = table.to_pydict()
    change(columns)
    pq.write_table(pa.table(columns, schema=kwargs.get("schema", table.schema)), path)
    fitting(folder)


def fitting(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["shards"] = [describe_shard(folder / shard["file"]) for shard in manifest["shards"]]
    manifest["episodes"] = sum(shard["rows"] for shard in manifest["shards"])
    tables = [pq.read_table(folder / shard["file"]) for shard in manifest["shards"]]
    rewards = [row for table in tables for row in table["rewards"].to_pylist()]
    success = [value for table in tables for value in table["success"].to_pylist()]
    returns = [sum(row or [0.0]) for row in rewards]
    manifest["statistics"] = summarize("lmrl/Wordle-v0", returns, [len(row or []) for row in rewards], success)
    write_json(
        folder / MANIFEST,
        {**manifest, "statistics": {k: v for k, v in manifest["statistics"].items() if v is None or math.isfinite(v)}},
    )


def put(name: str, row: int, value: Any) -> Callable[[dict[str, list[Any]]], None]:
    def change(columns: dict[str, list[Any]]) -> None:
        columns[name][row] = value(columns[name][row]) if callable(value) else value

    return change


def swapped(columns: dict[str, list[Any]]) -> None:
    for values in columns.values():
        values[2], values[3] = values[3], values[2]


def without_turns(columns: dict[str, list[Any]]) -> None:
    columns["actions"][5], columns["rewards"][5], columns["observations"][5] = [], [], ["x"]


def twice(columns: dict[str, list[Any]]) -> None:
    for values in columns.values():
        values.append(values[0])


DAMAGED: dict[str, tuple[Callable[[dict[str, list[Any]]], None], str]] = {
    "a row twice": (twice, "row 100: episode_id is 0, in its place it is 100"),
    "another order": (swapped, "row 2: episode_id is 3"),
    "rows of another task": (put("env_id", 5, "lmrl/Chess-v0"), "row 5: env_id is not the manifest's"),
    "rows of other arguments": (put("env_kwargs", 5, '{"feedback":"paired"}'), "row 5: env_kwargs is not the manifest's"),
    "arguments equal in Python alone": (put("env_kwargs", 5, '{"a":1}'), "row 5: env_kwargs is not the manifest's"),
    "a list for info": (put("info", 5, "[]"), "info: Expected object, got array"),
    "NaN in info": (put("info", 5, '{"x":NaN}'), "info: JSON is malformed"),
    "deep info": (put("info", 5, '{"x":' + "[" * 99 + "]" * 99 + "}"), "more than 32 lists"),
    "a reward too many": (put("rewards", 5, lambda row: [*row, 0.0]), "row 5: an episode has T . 1 observations"),
    "an observation too few": (put("observations", 5, lambda row: row[:-1]), "row 5: an episode has"),
    "no turns": (without_turns, "row 5: an episode has"),
    "an infinite reward": (put("rewards", 5, lambda row: [float("inf"), *row[1:]]), "row 5: a reward is no finite number"),
    "a reward that is NaN": (put("rewards", 5, lambda row: [float("nan"), *row[1:]]), "row 5: a reward is no finite number"),
    "no end": (put("terminated", 5, False), "row 5: an episode ends terminated or truncated"),
    "two ends": (put("truncated", 5, True), "row 5: an episode ends terminated or truncated"),
    "stopped and terminated": (put("stopped", 5, True), "row 5: an episode that was stopped is truncated"),
    "a seed below 0": (put("seed", 5, -1), "row 5: seed is below 0"),
    "nothing for a text": (put("policy", 5, None), "row 5: policy is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_of_rows_is_found_and_named(name: str, wordle_data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(wordle_data, tmp_path / "copy")
    change, message = DAMAGED[name]
    rewritten(folder, change)
    with pytest.raises(DatasetError, match=rf"train-00000-of-00003\.parquet.*{message}"):
        load_dataset(folder).verify()


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        ({"providers": ["expert"] * 65}, "manifest.json.*candidates.providers: Expected array of length <= 64"),
        ({"providers": "expert"}, "manifest.json.*candidates.providers: Expected array, got str"),
        ({"least": 1.5}, "manifest.json.*candidates.least: Expected int, got float"),
        ({"chance": True}, "manifest.json.*candidates.chance: Expected float, got bool"),
        ({"env": 1}, "manifest.json.*candidates: unknown field 'env'"),
        ({"providers": ["x.py:make"]}, "copy: candidates: lmrl/Wordle-v0 has no policy 'x.py:make'"),
        ({"noise": -1}, "copy: candidates: .*noise=-1"),
        ({"least": 2**62}, "copy: episode 0: info is not what the environment says"),
    ],
)
def test_what_was_offered_is_text_and_little(
    offered: dict[str, Any], message: str, wordle_data: Path, tmp_path: Path
) -> None:
    """Each provider is made anew for every game of a replay, by a name of the task's own table."""
    folder = shutil.copytree(wordle_data, tmp_path / "copy")
    edit(folder / MANIFEST, lambda manifest: manifest["recipe"].update(candidates=offered))
    with pytest.raises(DatasetError, match=message):
        load_dataset(folder).verify(replay=True)


def test_a_changed_info_is_found_by_replay(wordle_data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(wordle_data, tmp_path / "copy")
    rewritten(folder, put("info", 5, lambda text: text.replace('"secret":"', '"secret":"x')))
    load_dataset(folder).verify()
    with pytest.raises(DatasetError, match="copy: episode 5: info is not what the environment says"):
        load_dataset(folder).verify(replay=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"episodes": 10**9}, "says 1000000000 episodes; its files have 300 rows"),
        ({"episodes": 299}, "says 299 episodes; its files have 300 rows"),
        ({"shards": [{"rows": 10**9}]}, "cannot have the 1000000000 rows"),
        ({"shards": [{"rows": 101}]}, "it has 100 rows, its manifest says 101"),
        ({"shards": [{"rows": 10**9, "bytes": 10**12}]}, r"has \d+ bytes, its manifest says 1000000000000"),
        ({"shards": [{"rows": True}]}, r"shards\[0\]\.rows: Expected int, got bool"),
        ({"shards": [{"file": "../x.parquet"}]}, r"shards\[0\]\.file"),
        ({"statistics": None}, "statistics: Expected object"),
        ({"statistics": {}}, "statistics in the manifest are not"),
        ({"recipe": {"env_kwargs": {"vocabulary": "/etc/passwd"}}}, "env_kwargs is not the manifest's|name no files"),
        ({"more": 1}, "unknown field 'more'"),
    ],
    ids=range(11),
)
def test_a_manifest_that_lies_is_found(change: dict[str, Any], message: str, wordle_data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(wordle_data, tmp_path / "copy")
    manifest = json.loads((folder / MANIFEST).read_text())
    for key, value in change.items():
        if key == "shards":
            manifest["shards"][0] |= value[0]
        elif key == "recipe":
            manifest["recipe"] |= value
        else:
            manifest[key] = value
    (folder / MANIFEST).write_text(json.dumps(manifest))
    for replay in (False, True):
        with pytest.raises(DatasetError, match=message) as found:
            load_dataset(folder).verify(replay=replay)
        assert "root:" not in str(found.value) and str(folder) in str(found.value)


def test_shards_of_another_kind_are_named_where_they_are_read(wordle_data: Path, tmp_path: Path) -> None:
    """Extra columns, others of order, a pipe, one episode more than the manifest says: reading says so, not only verify."""

    def more(table: pa.Table) -> pa.Table:
        return table.append_column("more", pa.array([1] * len(table)))

    def reordered(table: pa.Table) -> pa.Table:
        return table.select(list(reversed(table.column_names)))

    for number, change in enumerate((more, reordered, lambda table: table.slice(1))):
        folder = shutil.copytree(wordle_data, tmp_path / str(number))
        path = folder / "train-00000-of-00003.parquet"
        pq.write_table(change(pq.read_table(path)), path)
        manifest = json.loads((folder / MANIFEST).read_text())
        manifest["shards"][0] |= {"bytes": path.stat().st_size, "sha256": describe_shard(path)["sha256"]}
        (folder / MANIFEST).write_text(json.dumps(manifest))
        for use in (lambda d: d[0], list, lambda d: d.stats(), lambda d: d.verify()):
            with pytest.raises(DatasetError, match=r"train-00000-of-00003\.parquet is damaged: it"):
                use(load_dataset(folder))
    folder = shutil.copytree(wordle_data, tmp_path / "pipe")
    (folder / "train-00000-of-00003.parquet").unlink()
    os.mkfifo(folder / "train-00000-of-00003.parquet")
    with pytest.raises(DatasetError, match=r"train-00000-of-00003\.parquet is damaged: no plain file"):
        load_dataset(folder)[0]


def last_byte(chunk: Any) -> int:
    """Where the last page of a column ends."""
    starts = [chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset]
    return min(starts) + chunk.total_compressed_size - 1


def test_bad_luck_is_found_by_reading(wordle_data: Path, tmp_path: Path) -> None:
    """A flipped bit in a page: its checksum does not fit, whatever reads it."""
    folder = shutil.copytree(wordle_data, tmp_path / "copy")
    path = folder / "train-00001-of-00003.parquet"
    chunk = pq.read_metadata(path).row_group(0).column(4)  # texts of observations
    data = bytearray(path.read_bytes())
    data[last_byte(chunk)] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"train-00001-of-00003\.parquet is damaged"):
        list(load_dataset(folder))


def test_samples_have_checksums_in_their_pages() -> None:
    """Generation writes them; the samples that ship are what generation makes."""
    from lmrl_datasets.reading.finding import samples

    for name in samples():
        data = load_dataset(name, sample=True)
        path = data.folder / data.manifest["shards"][0]["file"]
        content = bytearray(path.read_bytes())
        chunk = pq.read_metadata(path).row_group(0).column(6)
        content[last_byte(chunk)] ^= 1
        with pytest.raises(OSError, match="CRC"):
            pq.ParquetFile(pa.BufferReader(bytes(content)), page_checksum_verification=True).read(["rewards"])


def test_a_text_that_every_row_repeats_is_held_once(wordle_data: Path, tmp_path: Path) -> None:
    """A few kilobytes in which 100 rows have the same 8 MB: 800 MB, if each row had its own."""
    folder = shutil.copytree(wordle_data, tmp_path / "copy")
    manifest = json.loads((folder / MANIFEST).read_text())
    path = folder / manifest["shards"][0]["file"]
    table = pq.read_table(path).slice(0, 100)
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), pa.array(["x" * 8_000_000]))
    table = table.set_column(table.schema.get_field_index("policy"), "policy", text)
    pq.write_table(table.replace_schema_metadata(None), path, compression="zstd", store_schema=False)
    manifest["shards"] = [describe_shard(path)]
    manifest["episodes"] = 100
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert path.stat().st_size < 1 << 20
    pool = pa.default_memory_pool()
    before = pool.max_memory() or 0
    with pytest.raises(DatasetError, match="statistics in the manifest are not those"):
        load_dataset(folder).verify()
    assert (pool.max_memory() or 0) - before < 300 << 20
