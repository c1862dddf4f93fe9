"""Games with a partner that answers otherwise when asked again: its answers are kept with the records, packed and replayed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lmrl_benchmarks.commands.cli import run as lmrl
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.manifest import write_manifest
from lmrl_benchmarks.running.records import EPISODES, PARTNER, SUMMARY
from lmrl_benchmarks.running.verify import verify_records

PARTNER_CODE = """
import random

class Coin:
    def __init__(self, prompt):
        self.prompt = prompt

    def reply(self, requests):
        return [self.prompt.parse(random.choice(["Yes.", "No."]), request) for request in requests]

    def close(self):
        pass

def make(argument, partner_prompt):
    return Coin(partner_prompt)
"""
SUITE = """
name = "coin"
version = 1
episodes = 12
seed = 3
training_seeds = [0]
agents = [{ name = "suboptimal" }]
[[tasks]]
id = "lmrl/TwentyQuestions-v1"
kwargs = { simulator = "coin.py:make" }
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coin.py").write_text(PARTNER_CODE)
    (tmp_path / "coin.toml").write_text(SUITE)
    assert lmrl(["leaderboard", "run", "coin.toml", "--out", "run", "--workers", "1"]) == 0
    (tmp_path / "coin.py").unlink()  # nobody needs the partner again
    return tmp_path / "run"


def test_answers_are_packed_and_replayed_without_the_partner(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder,) = run.glob("cells/*/suboptimal/seed-0")
    assert (folder / PARTNER).is_file()
    assert lmrl(["leaderboard", "submit", "run", "--to", "results"]) == 0
    shutil.rmtree(run)
    (archive,) = Path("results").iterdir()
    assert lmrl(["leaderboard", "verify", str(archive)]) == 0
    assert lmrl(["leaderboard", "publish", "results", "--out", "pages"]) == 0


def test_a_recording_that_is_changed_or_gone_is_found(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder,) = run.glob("cells/*/suboptimal/seed-0")
    lines = (folder / PARTNER).read_text().splitlines()
    flipped = [line.replace("Yes.", "#").replace("No.", "Yes.").replace("#", "No.") for line in lines]
    (folder / PARTNER).write_text("\n".join(flipped) + "\n")
    write_manifest(run)
    capsys.readouterr()
    assert lmrl(["leaderboard", "verify", "run"]) == 1
    told = capsys.readouterr().err
    assert "episode 0 (seed " in told and "episode 11 (seed " in told
    (folder / PARTNER).unlink()
    write_manifest(run)
    assert lmrl(["leaderboard", "verify", "run"]) == 1
    assert "cannot be asked again" in capsys.readouterr().err


def test_a_stopped_run_keeps_the_answers_of_its_games(run: Path, tmp_path: Path) -> None:
    """Games that a kill cut off are played again, and what was answered in them counts no more."""
    (tmp_path / "coin.py").write_text(PARTNER_CODE)
    (folder,) = run.glob("cells/*/suboptimal/seed-0")
    records = (folder / EPISODES).read_text().splitlines()
    (folder / EPISODES).write_text("".join(line + "\n" for line in records[::2]))
    (folder / SUMMARY).unlink()
    with (folder / PARTNER).open("a") as file:
        file.write('{"key": "cut')
    spec = json.loads((folder / "run.json").read_text())["spec"]
    spec.pop("agent_fingerprint")
    evaluate(EvaluationSpec(**spec), folder)
    assert list(verify_records(folder)) == []
