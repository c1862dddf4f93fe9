"""Results and datasets as data frames, tables and chats."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmrl_benchmarks
import lmrl_envs
from lmrl_benchmarks.commands.cli import COMMANDS, run
from lmrl_benchmarks.commands.terminal import write_table
from lmrl_benchmarks.reporting.results import load_results
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import load_suite
from lmrl_benchmarks.scores import references
from lmrl_datasets import load_dataset
from lmrl_datasets.exchange import write_chats
from lmrl_datasets.reading.finding import samples

DATA = "wordle/mixed-v0"

SUITE = """
name = "two"
version = 1
episodes = 6
seed = 0
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
    out = tmp_path_factory.mktemp("run")
    (out / "two.toml").write_text(SUITE)
    assert not run_suite(load_suite(str(out / "two.toml")), out / "run", workers=1)
    return out / "run"


def test_a_runs_episodes_are_rows_that_say_what_the_report_says(finished: Path) -> None:
    table = lmrl_benchmarks.results(finished)
    assert len(table) == 24 and set(table["suite"]) == {"two"} and table["error"].isna().all()
    assert not table.duplicated(["task", "agent", "seed", "episode"]).any()
    means = table.groupby(["task", "agent"])[["return", "score", "success", "turns"]].mean()
    for row in load_results(finished).rows:
        mine = means.loc[(row.task, row.agent)]
        assert mine["return"] == pytest.approx(row.returns) and mine["score"] == pytest.approx(row.score)
        assert mine["success"] == pytest.approx(row.success) and mine["turns"] == pytest.approx(row.length)
    games = table.groupby(["task", "episode"])["game"].nunique()
    assert (games == 1).all()  # all agents play the same games


def test_an_evaluations_folder_and_an_archive_are_read_alike(finished: Path, tmp_path: Path) -> None:
    cell = next(
        path.parent for path in finished.rglob("summary.json") if "expert" in str(path) and "Wordle" in str(path)
    )
    one = lmrl_benchmarks.results(cell)
    whole = lmrl_benchmarks.results(finished)
    same = whole[(whole["agent"] == "expert") & whole["task"].str.contains("Wordle")]
    assert one["game"].tolist() == same["game"].tolist()
    assert sorted(one["return"]) == sorted(same["return"]) and len(one) == 6
    assert run(["leaderboard", "submit", str(finished), "--to", str(tmp_path)]) == 0
    (archive,) = tmp_path.glob("*.tar.xz")
    pd.testing.assert_frame_equal(lmrl_benchmarks.results(archive), whole)


def test_no_text_of_a_csv_is_a_formula(tmp_path: Path) -> None:
    said = ["=HYPERLINK(1)", "+1", "-1 off", "@x", "\tx", "a=b", "", None]
    table = pd.DataFrame({"text": said, "number": np.arange(-4.0, 4.0), "mixed": [1, *said[:-1]]})
    write_table(table, tmp_path / "t.csv")
    found = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    assert found["text"].tolist() == ["'=HYPERLINK(1)", "'+1", "'-1 off", "'@x", "'\tx", "a=b", "", ""]
    assert found["number"].tolist() == table["number"].tolist()
    assert found["mixed"].tolist()[:3] == ["1", "'=HYPERLINK(1)", "'+1"]
    write_table(table[["text"]], tmp_path / "t.parquet")
    assert pd.read_parquet(tmp_path / "t.parquet")["text"].tolist()[:-1] == said[:-1], "Parquet has it as it was"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables_are_written_and_read_back(finished: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"table.{ending}"
    assert run(["leaderboard", "report", str(finished), f"--{ending}", str(path)]) == 0
    table = getattr(pd, f"read_{ending}")(path)
    assert table["return"].tolist() == lmrl_benchmarks.results(finished)["return"].tolist()
    assert run(["data", "export", DATA, str(path), "--sample", "--by", "turn"]) == 0
    assert len(getattr(pd, f"read_{ending}")(path)) == sum(len(e) for e in load_dataset(DATA, sample=True))
    assert run(["leaderboard", "report", str(finished)]) == 2


def test_a_tables_name_says_what_it_is(finished: Path, tmp_path: Path) -> None:
    assert run(["leaderboard", "report", str(finished), "--csv", str(tmp_path / "a.xls")]) == 2


@pytest.mark.parametrize("name", samples())
def test_every_dataset_is_a_frame_by_episode_and_by_turn(name: str) -> None:
    data = load_dataset(name, sample=True)[:40]
    episodes, turns = data.to_pandas(), data.to_pandas(by="turn")
    assert episodes["return"].tolist() == [e.episode_return for e in data] and len(episodes) == len(data)
    assert np.array_equal(episodes["turns"], data.lengths) and len(turns) == data.lengths.sum()
    by_game = turns.groupby("episode_id", sort=False)
    np.testing.assert_allclose(by_game["reward"].sum(), episodes["return"], atol=1e-9)
    np.testing.assert_allclose(by_game["return_to_go"].first(), episodes["return"], atol=1e-9)
    np.testing.assert_allclose(turns.loc[turns["last"], "return_to_go"], turns.loc[turns["last"], "reward"], atol=1e-9)
    whole = [text for e in data for text in e.observations[1:]]
    assert turns["next_observation"].tolist() == whole
    with pytest.raises(ValueError, match="choose one of"):
        data.to_pandas(by="game")  # type: ignore[arg-type]


def test_chats_are_what_trainers_take(tmp_path: Path) -> None:
    data = load_dataset(DATA, sample=True)[:20]
    assert write_chats(data, tmp_path / "a.jsonl") == 20
    first = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])
    roles = [message["role"] for message in first["messages"]]
    assert roles[:3] == ["system", "user", "assistant"] and first["return"] == data[0].episode_return
    assert [m["content"] for m in first["messages"] if m["role"] == "assistant"] == list(data[0].actions)
    assert write_chats(data, tmp_path / "b.jsonl", by="turn") == data.lengths.sum()
    rows = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert [row["completion"][0]["content"] for row in rows] == [a for e in data for a in e.actions]
    assert all(row["prompt"][-1]["role"] == "user" for row in rows)


@pytest.mark.parametrize(
    "command", [["envs"], ["agents", "list"], ["data", "list"], ["data", "info", DATA], ["data", "stats", DATA]]
)
def test_listings_are_json_on_request(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--json", *(["--sample"] if DATA in command else [])]) == 0
    found = json.loads(capsys.readouterr().out)
    if command == ["envs"]:
        assert "lmrl/MazeFullyObserved-v0" in [row["id"] for row in found]
    if command == ["data", "list"]:
        assert DATA in [row["name"] for row in found]
    assert found


LISTINGS = {
    "envs": ["envs"],
    "agents": ["agents", "list"],
    "datasets": ["data", "list"],
    "stats": ["data", "stats", DATA, "--sample"],
    "eval": ["eval", "--agent", "random", "--env", "lmrl/Wordle-v0", "--episodes", "3", "--out", "{out}"],
    "exploit": ["exploit", "lmrl/CarDealer-v1", "--attempts", "1"],
    "simulator": ["simulator", "check", "scripted", "--env", "lmrl/TwentyQuestions-v1", "--rows", "12"],
}


@pytest.mark.parametrize("command", LISTINGS.values(), ids=LISTINGS)
def test_every_listing_is_json_and_both_kinds_of_table(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = [tmp_path / "t.csv", tmp_path / "t.parquet"]
    words = [word.format(out=tmp_path / "run") for word in command]
    assert run([*words, "--json", "--csv", str(tables[0]), "--parquet", str(tables[1])]) == 0
    assert json.loads(capsys.readouterr().out)
    as_text, typed = pd.read_csv(tables[0]), pd.read_parquet(tables[1])
    assert len(typed) == len(as_text) > 0 and list(typed.columns) == list(as_text.columns)
    assert len(typed) == 3 or command[0] != "eval"


def test_the_commands_that_list_are_those_tested() -> None:
    named = {" ".join(words[: 2 if words[0] in ("agents", "data", "simulator") else 1]) for words in LISTINGS.values()}
    takes = set()
    for name, (place, _) in COMMANDS.items():
        module, function = place.split(":")
        made = getattr(importlib.import_module(f"lmrl_benchmarks.commands.{module}"), function)
        assert "json" not in inspect.signature(made).parameters or name == "data info", f"{name}: JSON, and no table"
        takes |= {name} if "listing" in inspect.signature(made).parameters else set()
    assert takes == named | {"leaderboard contamination", "prefs info", "ratings"}, (
        "which need runs, pairs or talks of their own"
    )


def test_references_are_measured_by_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["references", "measure", "lmrl/Wordle-v0", "--games", "300"]) == 0
    (entry,) = tomllib.loads(capsys.readouterr().out)["variant"]
    assert entry["id"] == "lmrl/Wordle-v0" and entry["kwargs"] == {}
    assert entry["random"] == pytest.approx(-5.9515, abs=0.1)


def test_an_entry_without_arguments_is_the_scale_of_a_row_without_references(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"id": "lmrl/Wordle-v0", "kwargs": {}, "random": -6.0, "optimum": -2.0, "optimum_is": "exact", "how": "h"}
    row = dataclasses.replace(lmrl_envs.task("lmrl/Wordle-v0"), reference=None)
    monkeypatch.setattr(references, "task", lambda id: row)
    monkeypatch.setattr(references, "variants", lambda id: [])
    assert references.scale_of(row.id, {}) is None
    monkeypatch.setattr(references, "variants", lambda id: [entry])
    scale = references.scale_of(row.id, {})
    assert scale is not None and scale.score(-4.0) == 50.0
