"""Full disks, homes that cannot be written, copies that broke off: nothing is lost but the batch under way."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_tools import FULL, failed_with_one_line, lmrl, no_file_beyond, small_disk, stripped
from faulty_server import FaultyServer
from test_datasets import digests

from lmrl_agents.playing.protocol import AgentStopped
from lmrl_benchmarks.commands.cli import run as cli
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import RecordFile
from lmrl_benchmarks.serve.human_records import HumanRecords
from lmrl_datasets import DatasetError, generate, load_dataset
from lmrl_envs.files import append_whole

MAZE, WORDLE = "lmrl/MazeFullyObserved-v0", "lmrl/Wordle-v0"
TINY = ["--set", "model.width=16", "model.layers=1", "bc.steps=6", "bc.batch_size=8", "bc.checkpoint_every=2"]


# -- full disks


def test_generation_on_a_full_disk(tmp_path: Path) -> None:
    whole = generate("maze/suboptimal-v0", tmp_path / "whole", episodes=1100)
    size = max(path.stat().st_size for path in whole.glob("*.parquet"))
    with small_disk(tmp_path / "disk", size * 3 // 4) as disk:
        folder = disk.path / "data"
        order = ["data", "generate", "maze/suboptimal-v0", "--episodes", 1100, "--out", folder]
        told = failed_with_one_line(disk.lmrl(*order))
        assert re.search(FULL, told) and str(folder / "train-0") in told  # which file it was
        assert not list(folder.glob(".*.tmp"))
        with pytest.raises(DatasetError, match="has not finished"):
            load_dataset(folder)
        disk.grow()
        assert disk.lmrl(*order).returncode == 0
        assert digests(folder) == digests(whole)


def test_evaluation_on_a_full_disk(tmp_path: Path) -> None:
    evaluate(EvaluationSpec(WORDLE, "random", 400, 0), tmp_path / "whole")
    size = (tmp_path / "whole" / "episodes.jsonl").stat().st_size
    with small_disk(tmp_path / "disk", size * 2 // 3) as disk:
        order = ["eval", "--agent", "random", "--env", WORDLE, "--episodes", 400, "--out", disk.path / "eval"]
        assert re.search(FULL, failed_with_one_line(disk.lmrl(*order)))
        text = (disk.path / "eval" / "episodes.jsonl").read_text()
        kept = RecordFile(disk.path / "eval").read()
        assert text.endswith("\n") and len(text.splitlines()) == len(kept) >= 64  # whole batches, nothing cut
        disk.grow()
        assert disk.lmrl(*order).returncode == 0
        assert stripped(disk.path / "eval") == stripped(tmp_path / "whole")


def test_training_on_a_full_disk(maze_data: Path, tmp_path: Path) -> None:
    order = ["train", "bc", "--env", MAZE, "--data", maze_data, *TINY]
    assert lmrl(*order, "--out", tmp_path / "whole").returncode == 0
    sizes = [path.stat().st_size for path in (tmp_path / "whole" / "checkpoint").iterdir()]
    with small_disk(tmp_path / "disk", sum(sizes) * 3 // 2, largest=max(sizes) // 2) as disk:
        out = disk.path / "run"
        line = failed_with_one_line(disk.lmrl(*order, "--out", out))
        assert re.search(FULL, line) and "--resume" in line
        assert not (out / ".checkpoint.new").exists() and not (out / "final").exists()
        if (out / "checkpoint").exists():  # the second one found no room beside the first
            assert json.loads((out / "checkpoint" / "state.json").read_text())["step"] == 2
        disk.grow()
        assert disk.lmrl(*order, "--out", out, "--resume").returncode == 0
        weights = Path("final", "weights.safetensors")
        assert (out / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()


SUITE = f"""
name = "two"
version = 1
episodes = 150
seed = 7
training_seeds = [0]
tasks = [{{ id = "{WORDLE}" }}, {{ id = "{MAZE}" }}]
agents = [{{ name = "random" }}]
"""


def test_a_leaderboard_run_on_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(SUITE)
    with small_disk(tmp_path / "disk", 96 * 1024) as disk:
        order = ["leaderboard", "run", tmp_path / "two.toml", "--out", disk.path / "run", "--workers", 1]
        done = disk.lmrl(*order)
        assert done.returncode == 1 and re.search(FULL, done.stderr) and "Traceback" not in done.stderr
        disk.grow()
        assert disk.lmrl(*order).returncode == 0
        assert cli(["leaderboard", "verify", str(disk.path / "run")]) == 0


def test_what_is_appended_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    append_whole(path, "first\n" * 100)
    for text in ("x" * 300, "y" * 300_000):  # less and more than a buffer
        with no_file_beyond(800), pytest.raises(OSError, match=FULL):
            append_whole(path, f"{text}\n")
        assert path.read_text() == "first\n" * 100
    append_whole(path, "second\n", sync=True)
    assert path.read_text() == "first\n" * 100 + "second\n"


def test_what_was_written_twice_counts_once(tmp_path: Path) -> None:
    """As a Ctrl-C leaves it that comes after a batch is on disk and before it is known to be."""
    spec = EvaluationSpec(WORDLE, "suboptimal", 6, 3)
    whole = evaluate(spec, tmp_path)
    path = tmp_path / "episodes.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:4], *lines[2:4]]))
    timed = {"seconds": 0, "records_sha256": ""}  # games that are played again take another time
    assert {**evaluate(spec, tmp_path), **timed} == {**whole, **timed}
    assert [record.episode for record in RecordFile(tmp_path).read()] == list(range(6))


def test_a_persons_game_on_a_full_disk_leaves_the_journal_whole(tmp_path: Path) -> None:
    from lmrl_benchmarks.running.suite import SuiteTask

    entry = SuiteTask(WORDLE)
    evaluate(EvaluationSpec(WORDLE, "random", 3, 20262), tmp_path / "eval")
    games = RecordFile(tmp_path / "eval").read()
    kept = HumanRecords(tmp_path / "run", [entry])
    kept.add(entry, games[0])
    journal = tmp_path / "run" / "human" / "Wordle" / "episodes.jsonl"
    with no_file_beyond(journal.stat().st_size + 100), pytest.raises(OSError, match=FULL):
        kept.add(entry, games[1])
    kept.add(entry, games[2])
    assert [json.loads(line)["episode"] for line in journal.read_text().splitlines()] == [0, 2]
    HumanRecords(tmp_path / "run", [entry])  # reads it again


def test_a_paid_answer_that_cannot_be_kept_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no failure of the episodes under way: nothing is scored, and what was kept is not paid for again."""
    from test_prompted import agent, sample_requests

    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    with FaultyServer(answer=lambda messages: "crane") as server:
        first = agent(server, concurrency=1)
        first.keep_in(tmp_path)
        first.act(sample_requests(WORDLE)[:2])
        size = (tmp_path / "answers.jsonl").stat().st_size
        with no_file_beyond(size + 40), pytest.raises(AgentStopped, match="cannot be written"):
            first.act(sample_requests(WORDLE)[:4])
        assert first.act(sample_requests(WORDLE)) == ["crane"] * 6  # there is room again: it goes on after the cut line
        asked = len(server.bodies)
        again = agent(server)
        again.keep_in(tmp_path)
        assert again.act(sample_requests(WORDLE)) == ["crane"] * 6 and len(server.bodies) == asked


def test_a_recording_goes_on_after_a_full_disk(tmp_path: Path) -> None:
    from partner_toys import ToyPrompt, ask

    from lmrl_envs.partners import PartnerReply
    from lmrl_envs.partners.replay import ModelReply, Recording, ReplayPartner

    requests = [ask(n, "Is it even?") for n in range(3)]
    answers = [ModelReply(f"{n}", PartnerReply(f"{n}")) for n in range(3)]
    recording = Recording(tmp_path / "replies.jsonl", ToyPrompt.name, "toy")
    recording.write(requests[:1], answers[:1])
    with no_file_beyond(recording.path.stat().st_size + 30), pytest.raises(OSError, match=FULL):
        recording.write(requests[1:2], answers[1:2])
    recording.write(requests[2:], answers[2:])
    with pytest.warns(UserWarning, match="1 cut"):
        replay = ReplayPartner(recording.path, ToyPrompt())
    assert [reply.text for reply in replay.reply([requests[0], requests[2]])] == ["0", "2"]


def test_events_on_a_full_disk_are_an_error_and_no_hang(tmp_path: Path) -> None:
    """tensorboardX's own writer waits for ever for its thread, which died."""
    from lmrl_agents.learning.metrics import Metrics

    metrics = Metrics(tmp_path / "metrics.jsonl", 0, report_to="tensorboard")
    with no_file_beyond(20_000), pytest.raises(OSError, match=FULL):
        for step in range(2000):
            metrics.log(step, loss=1.0, accuracy=0.5)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(len(lines)))


# -- homes


def test_a_home_that_cannot_be_written(maze_data: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o555)
    names = ("XDG_CACHE_HOME", "LMRL_CACHE", "LMRL_DATA", "MPLCONFIGDIR", "HF_HOME")
    at_home = {"HOME": str(home), **dict.fromkeys(names, "")}
    train = ["train", "bc", "--env", MAZE, "--data", maze_data, "--out", tmp_path / "run", *TINY]
    for order in (
        train,
        ["eval", "--agent", tmp_path / "run", "--env", MAZE, "--episodes", 4, "--out", tmp_path / "eval"],
    ):
        done = lmrl(*order, bound=True, **at_home)
        assert done.returncode == 0, done.stderr
    line = failed_with_one_line(lmrl("data", "generate", "maze/mixed-v0", "--episodes", 10, bound=True, **at_home))
    assert "Permission denied" in line and str(home) in line
    assert not list(home.iterdir())


# -- copies that broke off


def _zeros(path: Path) -> None:
    """As a copy leaves a file whose room was reserved before its content came."""
    size = path.stat().st_size
    os.truncate(path, size // 3)
    os.truncate(path, size)


BREAKS: dict[str, Callable[[Path], object]] = {
    "a shard is missing": Path.unlink,
    "a shard is cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a shard is empty": lambda path: os.truncate(path, 0),
    "a shard ends in zeros": _zeros,
    "the manifest is missing": lambda path: (path.parent / "manifest.json").unlink(),
    "the manifest is cut": lambda path: os.truncate(path.parent / "manifest.json", 300),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_dataset_whose_copy_broke_off(
    what: str, wordle_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No command takes a part for the whole; copied again, it is as it was."""
    copy = tmp_path / "copy"
    shutil.copytree(wordle_data, copy)
    BREAKS[what](sorted(copy.glob("*.parquet"))[1])
    train = ["train", "bc", "--env", WORDLE, "--data", str(copy), "--out", str(tmp_path / "run"), *TINY]
    for order in (["data", "verify", str(copy)], ["data", "stats", str(copy)], train):
        status, told = cli(order), capsys.readouterr().err
        assert status in (1, 2) and len(told.splitlines()) == 1, told
        assert "manifest.json" in told if "manifest" in what else "train-00001-of-00003.parquet" in told
    assert not (tmp_path / "run" / "final").exists()
    shutil.copytree(wordle_data, copy, dirs_exist_ok=True)
    assert cli(["data", "verify", str(copy)]) == 0
    resume = ["--resume"] if (tmp_path / "run").exists() else []
    assert cli([*train, *resume]) == 0


def test_a_model_whose_copy_broke_off(maze_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lmrl_agents.learning.run import TrainingRun
    from lmrl_agents.learning.train import train

    overrides = {"model.width": 16, "model.layers": 1, "bc.steps": 1, "bc.batch_size": 8}
    train(TrainingRun("bc", MAZE, str(maze_data), tmp_path / "run", show_progress=False, overrides=overrides))
    weights = tmp_path / "run" / "final" / "weights.safetensors"
    whole = weights.read_bytes()
    order = [
        "eval",
        "--agent",
        str(tmp_path / "run"),
        "--env",
        MAZE,
        "--episodes",
        "2",
        "--out",
        str(tmp_path / "eval"),
    ]
    for content in (whole[:-100], b"", None):
        weights.write_bytes(content) if content is not None else weights.unlink()
        status, told = cli(order), capsys.readouterr().err
        assert status in (1, 2) and len(told.splitlines()) == 1 and "weights are missing or damaged" in told
    assert not (tmp_path / "eval").exists()  # nothing was scored
    weights.write_bytes(whole)
    assert cli(order) == 0
