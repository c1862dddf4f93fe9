"""Datasets leave and come back: JSON lines, Minari, the Hub's card; and are made on a Ray cluster with the same bytes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gymnasium.error import DependencyNotInstalled

from lmrl_benchmarks.commands.cli import run
from lmrl_datasets import DatasetError, generate, load_dataset, read_jsonl
from lmrl_datasets.cards import write_cards
from lmrl_datasets.exchange import to_minari, write_jsonl
from lmrl_datasets.reading.finding import samples
from lmrl_envs.files import FolderError

NAME = "wordle/mine-v0"


def lines_of(data_folder: Path, tmp_path: Path, count: int = 5) -> list[dict[str, Any]]:
    write_jsonl(load_dataset(data_folder)[:count], tmp_path / "all.jsonl")
    return [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]


def write(tmp_path: Path, rows: list[Any]) -> Path:
    path = tmp_path / "some.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst"])
def test_json_lines_come_back_as_they_went(wordle_data: Path, tmp_path: Path, suffix: str) -> None:
    data = load_dataset(wordle_data)
    path = tmp_path / f"episodes{suffix}"
    assert write_jsonl(data, path) == 300
    back = load_dataset(read_jsonl(path, tmp_path / "back", NAME, shard_size=120))
    assert back.name == NAME and list(back) == list(data) and back.stats() == data.stats()
    back.verify(replay=True)
    write_jsonl(back, tmp_path / f"again{suffix}")
    assert (tmp_path / f"again{suffix}").read_bytes() == path.read_bytes()


def test_what_can_be_left_out(wordle_data: Path, tmp_path: Path) -> None:
    kept = ("env_id", "seed", "observations", "actions", "rewards", "terminated", "truncated")
    rows = [{key: row[key] for key in kept} for row in lines_of(wordle_data, tmp_path)]
    data = load_dataset(read_jsonl(write(tmp_path, rows), tmp_path / "data", NAME))
    assert [episode.episode_id for episode in data] == [0, 1, 2, 3, 4] and data[0].policy == "unknown"
    assert data.recover_environment().spec.id == "lmrl/Wordle-v0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: "{", "line 3: "),
        (lambda row: "[]", "line 3: Expected object, got array"),
        (lambda row: {**row, "reward": 1}, "unknown field 'reward'; did you mean 'rewards'"),
        (lambda row: {k: v for k, v in row.items() if k != "actions"}, "line 3: .*required field actions"),
        (lambda row: {**row, "actions": row["actions"][:-1]}, "T \\+ 1, T and T"),
        (lambda row: {**row, "actions": [1] * len(row["actions"])}, "line 3: actions\\[0\\]: Expected str, got int"),
        (lambda row: {**row, "rewards": [float("nan")] * len(row["rewards"])}, "line 3: JSON is malformed"),
        (lambda row: {**row, "terminated": 1}, "line 3: terminated: Expected bool, got int"),
        (lambda row: {**row, "seed": "7"}, "line 3: seed: Expected int, got str"),
        (lambda row: {**row, "env_id": "lmrl/MazeFullyObserved-v0"}, "line 3: env_id .* a dataset is of one task"),
        (lambda row: {**row, "env_kwargs": {"feedback": "paired"}}, "line 3: env_kwargs"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_written(wordle_data: Path, tmp_path: Path, change, message: str) -> None:
    rows: list[Any] = lines_of(wordle_data, tmp_path)
    rows[2] = change(rows[2])
    with pytest.raises(DatasetError, match=message):
        read_jsonl(write(tmp_path, rows), tmp_path / "data", NAME)
    assert not (tmp_path / "data").exists()


def test_other_wrong_imports(wordle_data: Path, tmp_path: Path) -> None:
    rows = lines_of(wordle_data, tmp_path)
    path = write(tmp_path, rows)
    with pytest.raises(DatasetError, match="holds no episode"):
        read_jsonl(_empty(tmp_path), tmp_path / "x", NAME)
    with pytest.raises(DatasetError, match="is missing"):
        read_jsonl(tmp_path / "none.jsonl", tmp_path / "x", NAME)
    with pytest.raises(ValueError, match=r"must end in \.jsonl"):
        read_jsonl(tmp_path / "none.csv", tmp_path / "x", NAME)
    with pytest.raises(ValueError, match="must look like"):
        read_jsonl(path, tmp_path / "x", "mine")
    write_jsonl(load_dataset(wordle_data), tmp_path / "whole.jsonl.zst")
    (tmp_path / "cut.jsonl.zst").write_bytes((tmp_path / "whole.jsonl.zst").read_bytes()[:-200])
    with pytest.raises(DatasetError, match=r"cut\.jsonl\.zst"):
        read_jsonl(tmp_path / "cut.jsonl.zst", tmp_path / "x", NAME)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("precious")
    with pytest.raises(FolderError, match="not empty"):
        read_jsonl(path, tmp_path / "taken", NAME)
    read_jsonl(path, tmp_path / "data", NAME)
    with pytest.raises(DatasetError, match="already"):
        read_jsonl(path, tmp_path / "data", NAME)
    gone = write(tmp_path, [{**row, "env_id": "lmrl/Wordle-v9"} for row in rows])
    with pytest.raises(DatasetError, match=r"Wordle-v9.*is not known here"):
        read_jsonl(gone, tmp_path / "x", NAME)


def _empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty.jsonl"
    path.write_text("")
    return path


def test_minari_holds_the_same_episodes(wordle_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari", reason="Minari is not installed: pip install lmrl[minari]")
    pytest.importorskip("h5py", reason="Minari's HDF5 storage needs h5py")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    data = load_dataset(wordle_data)[:20]
    to_minari(data, "lmrl/wordle/test-v0")
    stored = minari.load_dataset("lmrl/wordle/test-v0")
    assert stored.total_episodes == 20 and stored.total_steps == sum(map(len, data))
    for ours, theirs in zip(data, stored.iterate_episodes(), strict=True):
        assert tuple(theirs.observations) == ours.observations and tuple(theirs.actions) == ours.actions
        assert tuple(theirs.rewards) == ours.rewards
        assert theirs.terminations[-1] == ours.terminated and theirs.truncations[-1] == ours.truncated
        assert not theirs.terminations[:-1].any() and bool(theirs.infos["success"][0]) == ours.success
    env = stored.recover_environment()
    assert env.reset(seed=data[0].seed)[0] == data[0].observations[0]
    with pytest.raises(DatasetError, match="already"):
        to_minari(data, "lmrl/wordle/test-v0")


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = str(tmp_path / "episodes.jsonl.zst"), str(tmp_path / "data")
    assert run(["data", "export", "wordle/mixed-v0", file, "--sample"]) == 0
    assert run(["data", "import", file, "--name", NAME, "--out", folder]) == 0
    assert run(["data", "verify", folder]) == 0
    capsys.readouterr()
    assert run(["data", "info", folder]) == 0
    shown = capsys.readouterr().out
    assert (
        NAME in shown
        and "start states (what is hidden counted)" in shown
        and "lmrl data import episodes.jsonl.zst" in shown
    )
    assert run(["data", "info", "maze/mixed-v0", "--sample"]) == 0
    assert "Greedy BC is already optimal" in capsys.readouterr().out
    assert run(["data", "export", "wordle/mixed-v0", "--sample"]) == 2
    assert "give either a file name or --minari ID" in capsys.readouterr().err


def test_without_minari_one_line_says_what_to_install(wordle_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(DependencyNotInstalled, match=r"pip install .lmrl\[minari\]"):
        to_minari(load_dataset(wordle_data))


@pytest.mark.parametrize("name", samples())
def test_a_folder_can_be_pushed_to_the_hub_as_it_is(name: str) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="the card is checked with huggingface_hub")
    data = load_dataset(name, sample=True)
    card = hub.DatasetCard.load(data.folder / "README.md")
    assert card.data.license == "mit" and card.data.configs[0]["data_files"][0]["split"] == "train"
    shards = sorted(path.name for path in data.folder.glob(card.data.configs[0]["data_files"][0]["path"]))
    assert shards == [shard["file"] for shard in data.manifest["shards"]]
    assert data.manifest["command"] in card.text and f"{len(data):,}" in card.text


def test_a_ray_cluster_makes_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install lmrl[ray]")
    whole = generate("maze/mixed-v0", tmp_path / "here", episodes=40, shard_size=10)
    program = "import sys; from lmrl_datasets import generate; generate('maze/mixed-v0', sys.argv[1], episodes=40, shard_size=10, ray='local')"
    command = [sys.executable, "-c", program, str(tmp_path / "ray")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "ray") == digests(whole)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_no_ray_cluster_is_one_line(tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install lmrl[ray]")
    arguments = ["data", "generate", "maze/mixed-v0", "--episodes", "5", "--out", str(tmp_path / "none")]
    assert run([*arguments, "--ray", address]) == 1
    assert f"no Ray cluster at '{address}'" in capsys.readouterr().err
    assert not list((tmp_path / "none").glob("*.parquet"))


def test_without_ray_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyNotInstalled, match=r"pip install .lmrl\[ray\]"):
        generate("maze/mixed-v0", tmp_path / "data", episodes=5, ray="local")


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.iterdir() if not path.name.startswith("."))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_table_of_cards_keeps_the_rows_of_datasets_not_named(tmp_path: Path) -> None:
    maze, house = (load_dataset(name, sample=True).folder for name in ("maze/mixed-v0", "text_nav/mixed-v0"))
    write_cards(tmp_path, [maze, house])
    before = (tmp_path / "README.md").read_text("utf-8")
    for name in ("maze--mixed-v0", "text_nav--mixed-v0"):
        assert f"({name}.md)" in before and (tmp_path / f"{name}.md").exists()
    assert "| 1,240 | 20.1 (19.7) |" in before
    write_cards(tmp_path, [maze])
    assert (tmp_path / "README.md").read_text("utf-8") == before
