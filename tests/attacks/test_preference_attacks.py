"""Preference data from elsewhere: they load no code, open no other file, and what is wrong with them is named."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from lmrl_benchmarks.commands.cli import run as lmrl
from lmrl_benchmarks.serve.compare import Comparing
from lmrl_benchmarks.serve.environments import Refused
from lmrl_datasets.preferences.schema import Gold, Pair
from lmrl_datasets.preferences.store import GOLD, LABELS, MANIFEST, OBJECTS, PAIRS
from lmrl_envs import task_ids
from tests.attacks.mutations import dumped, mutated, mutated_file, mutated_lines

CHANGES, SHARDS = 120, 2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prefs") / "data"
    assert (
        lmrl(
            ["prefs", "collect", "--env", "lmrl/Wordle-v0", "--out", str(folder), "--labels", "4", "--agent", "random"]
        )
        == 0
    )
    assert lmrl(["prefs", "label", str(folder), "--labeller", "biased:k=2"]) == 0
    return folder


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    kind = Pair if name == PAIRS else Gold
    rows = pq.read_table(folder / name).to_pylist()
    return [{key: json.loads(value) if key in OBJECTS[kind] else value for key, value in row.items()} for row in rows]


def write_rows(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """The rows, and a manifest that fits."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = Pair if name == PAIRS else Gold
    told = [{k: dumped(v).decode() if k in OBJECTS[kind] else v for k, v in row.items()} for row in rows]
    pq.write_table(pa.Table.from_pylist(told), folder / name, compression="zstd")
    about = json.loads((folder / MANIFEST).read_text())
    about["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    about["pairs"] = len(rows)
    (folder / MANIFEST).write_text(json.dumps(about))


def relabelled(folder: Path, **changes: Any) -> None:
    labels = [json.loads(line) | changes for line in (folder / LABELS).read_text().splitlines()]
    (folder / LABELS).write_text("".join(json.dumps(label) + "\n" for label in labels))


def every_command(folder: Path, out: Path) -> list[list[str]]:
    commands = [
        ["verify", str(folder), "--replay"],
        ["info", str(folder), "--gold"],
        ["show", str(folder), "1", "--gold"],
    ]
    return [*commands, ["export", str(folder), "--out", str(out / "x.jsonl"), "--multi-turn"]]


def asked(command: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    status = lmrl(["prefs", *command])
    told = capsys.readouterr()
    return status, told.out + told.err


# -- files and code


@pytest.mark.parametrize("labeller", ["biased:k=2", "lazy", "gold"])
def test_a_pair_loads_no_code(data: Path, tmp_path: Path, labeller: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder, mark = Path(shutil.copytree(data, tmp_path / "data")), tmp_path / "was here"
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w')\n")
    rows = rows_of(folder, PAIRS)
    for row in rows:
        row["env_id"] = f"{tmp_path}/evil.py:lmrl/Wordle-v0"
    write_rows(folder, PAIRS, rows)
    for command in [
        *every_command(folder, tmp_path),
        ["label", str(folder), "--labeller", labeller + ",e=.2" if ":" in labeller else labeller + ":e=.2"],
    ]:
        asked(command, capsys)
    status, told = asked(["verify", str(folder), "--replay"], capsys)
    assert status == 1 and "if you trust" in told and not mark.exists()


def test_a_pair_that_is_compared_loads_no_code_and_opens_no_file(data: Path, tmp_path: Path) -> None:
    """As `lmrl serve --compare` shows it."""
    folder, mark = Path(shutil.copytree(data, tmp_path / "data")), tmp_path / "was here"
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w')\n")
    os.mkfifo(tmp_path / "pipe")  # would be waited for
    wrong: tuple[tuple[str, Any, str], ...] = (
        (f"{tmp_path}/evil.py:lmrl/Wordle-v0", {}, "if you trust"),
        ("evil:lmrl/Wordle-v0", {}, "no task"),
        ("lmrl/Wordle-v0", {"vocabulary": "/proc/self/environ"}, "cannot be made"),
        ("lmrl/Wordle-v0", {"vocabulary": str(tmp_path / "pipe")}, "cannot be made"),
        ("lmrl/MazeFullyObserved-v0", {"x": 1}, "cannot be made"),
    )
    for env_id, env_kwargs, why in wrong:
        write_rows(
            folder, PAIRS, [row | {"env_id": env_id, "env_kwargs": env_kwargs} for row in rows_of(folder, PAIRS)]
        )
        with pytest.raises(Refused, match=f"Pair 0: .*{why}") as refused:
            Comparing(folder, "ann").state()
        assert refused.value.status == 422 and not mark.exists() and "PATH" not in str(refused.value)
    for env_id in (
        id for id in task_ids() if id != "lmrl/Chess-v0"
    ):  # texts of another game are drawn, or shown as they are
        write_rows(folder, PAIRS, [row | {"env_id": env_id, "env_kwargs": {}} for row in rows_of(folder, PAIRS)])
        assert len(Comparing(folder, "ann").state()["sides"]) == 2


def test_an_annotator_opens_no_file(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A labeller that reads a file is anybody's word in a stranger's labels: a pipe would be waited for, a device read for ever."""
    folder = Path(shutil.copytree(data, tmp_path / "data"))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "mine.toml").write_text('principles = [{ text = "x", scorer = "gold" }]')
    (tmp_path / "evil.py").write_text("raise SystemExit('code was run')")
    for name in (tmp_path / "mine.toml", "../mine.toml", tmp_path / "pipe", "/dev/zero", "/proc/self/environ", "."):
        relabelled(folder, annotator=f"constitution:{name}", label=0.125)
        status, told = asked(["verify", str(folder), "--replay"], capsys)
        assert status == 0 and "PATH" not in told, name  # it was not read: what it says is a claim
    for spec in (f"{tmp_path}/evil.py:x", "os:system", "judge:openai:m"):
        relabelled(folder, annotator=spec)
        assert asked(["verify", str(folder), "--replay"], capsys)[0] == 0
    (folder / "own.toml").write_text((tmp_path / "mine.toml").read_text())
    relabelled(folder, annotator="constitution:own.toml", label=0.125)
    assert asked(["verify", str(folder), "--replay"], capsys)[0] == 1  # what lies with the labels is read
    (tmp_path / "deep.toml").write_text("x = " + "[" * 100_000)
    for name, why in (("pipe", "no plain file"), ("deep.toml", "constitution:")):
        status, told = asked(["label", str(folder), "--labeller", f"constitution:{tmp_path}/{name}"], capsys)
        assert status in (1, 2) and why in told and "Traceback" not in told


@pytest.mark.parametrize("name", ["/etc/hostname", "../../x", "pipe", "more.parquet"])
def test_a_manifest_names_its_own_files(
    data: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(data, tmp_path / "data"))
    about = json.loads((folder / MANIFEST).read_text())
    about["sha256"][name] = "0" * 64
    (folder / MANIFEST).write_text(json.dumps(about))
    for command in every_command(folder, tmp_path):
        status, told = asked(command, capsys)
        assert status == 1 and "manifest.json: sha256 is of" in told
    del about["sha256"][name], about["sha256"][PAIRS]
    (folder / MANIFEST).write_text(json.dumps(about))
    assert asked(["info", str(folder)], capsys)[0] == 1


def test_a_game_that_every_pair_repeats_is_held_once(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(data, tmp_path / "data"))
    (row, *_), (gold, *_) = rows_of(folder, PAIRS), rows_of(folder, GOLD)
    row["first"]["actions"] = ["x" * 1000] * 50
    row["first"]["observations"] = ["y" * 1000] * 51
    write_rows(folder, PAIRS, [row | {"pair_id": k} for k in range(1000)])
    write_rows(folder, GOLD, [gold | {"pair_id": k} for k in range(1000)])
    (folder / LABELS).write_text("")
    assert (folder / PAIRS).stat().st_size < 100_000
    tracemalloc.start()
    try:
        assert asked(["show", str(folder), "2"], capsys)[0] == 0
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 40 << 20


# -- single changes


def forged(data: Path, target: Path, rng: random.Random) -> str:
    """A copy with one change, hashes made to fit; returns what was changed."""
    import pyarrow as pa

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(data, target)
    name = rng.choice([PAIRS, PAIRS, GOLD, LABELS, MANIFEST])
    if name in (LABELS, MANIFEST):
        change = mutated_lines if name == LABELS else lambda text, rng: mutated_file(MANIFEST, text, rng)
        content, what = change((target / name).read_bytes(), rng)
        (target / name).unlink() if content is None else (target / name).write_bytes(content)
        return f"{name}: {what}"
    while True:
        rows, what = mutated(rows_of(target, name), rng)
        try:
            write_rows(target, name, rows)
        except (pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError):  # no column
            continue
        return f"{name}: row {what}"


@pytest.mark.parametrize("shard", range(SHARDS))
def test_single_changes_to_preferences(
    data: Path, tmp_path: Path, shard: int, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is changed, each command holds, or ends with lines that name the file or the pair."""
    count = request.config.getoption("--mutations", default=None) or CHANGES
    wrong, passed = [], 0
    for number in range(shard, count, SHARDS):
        what = f"change {number}, {forged(data, tmp_path / 'copy', random.Random(f'prefs {number}'))}"
        for command in every_command(tmp_path / "copy", tmp_path):
            try:
                status, told = asked(command, capsys)
            except Exception as problem:
                wrong.append(f"{what}: {command[0]}: {type(problem).__name__}: {problem}"[:300])
                continue
            passed += command[0] == "verify" and status == 0
            named = str(tmp_path / "copy") in told or "pair" in told or "labels by" in told
            if "Traceback" in told or not told.replace("\n", "").isprintable() or not (status == 0 or named):
                wrong.append(f"{what}: {command[0]}: {told}"[:300])
    assert not wrong, "\n".join(wrong)
    assert 0 < passed < count / SHARDS


# -- imports

LINES: dict[str, tuple[str, str]] = {
    "half a pair of UTF-16": (json.dumps({"prompt": "a", "chosen": "\ud800", "rejected": "b"}), "half a pair"),
    "a list": ("[1]", "Expected object"),
    "brackets": ('{"chosen": ' + "[" * 5000, "lists and objects"),
    "an integer of 70 bits": (
        json.dumps({"prompt": "a", "chosen": "b", "rejected": "c", "score_chosen": 2**70}),
        "64 bits",
    ),
    "no text": (json.dumps({"chosen": [{"content": 5}, {"content": None}], "rejected": []}), "does not go from"),
    "one side": (json.dumps({"prompt": "a", "chosen": "b"}), "neither dialogues"),
    "escapes": (json.dumps({"\x1b[2J": 1}), "neither dialogues"),
    "a cut line": ('{"prompt": "a", "chosen"', "truncated"),
}


@pytest.mark.parametrize("name", LINES)
def test_hostile_lines_are_named_and_leave_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, why = LINES[name]
    good = json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"})
    (tmp_path / "x.jsonl").write_text(f"{good}\n{line}\n")
    status, told = asked(["import", str(tmp_path / "x.jsonl"), "--out", str(tmp_path / "out")], capsys)
    assert status == 1 and "x.jsonl" in told and "line 2" in told and why in told and told.strip().isprintable()
    assert not (tmp_path / "out").exists()


def test_what_is_shown_is_plain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]52;c;x\x07\u202e"
    rows = [{"prompt": evil, "chosen": evil + "b", "rejected": evil + "c"}] * 2
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert asked(["import", str(tmp_path / "x.jsonl"), "--out", str(tmp_path / "out")], capsys)[0] == 0
    relabelled(tmp_path / "out", annotator=evil, critique=evil)
    for command in (
        ["info", str(tmp_path / "out")],
        ["show", str(tmp_path / "out"), "1"],
        ["verify", str(tmp_path / "out")],
    ):
        told = asked(command, capsys)[1]
        assert "\x1b" not in told and "\x07" not in told and "\u202e" not in told
