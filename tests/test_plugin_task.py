"""A task outside the package, in one folder and one row, is a task on every floor (docs/add-a-task.md)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent

# In a process of its own: the registry of this one is what other tests are parametrised over.
CODE = r"""
import json, gymnasium as gym, numpy as np
SUITE = "name = 'own'\nversion = 1\nepisodes = 2\nseed = 0\ntraining_seeds = [0]\n[[tasks]]\nid = 'toy/HotCold-v0'\n[[agents]]\nname = 'expert'\n"
import lmrl_envs, toy_task
from pathlib import Path
from fuzz.machines import QUICK, Batch, OneGame, run
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.verify import verify_records
from lmrl_datasets import generate, load_dataset

id = "toy/HotCold-v0"
out = Path(OUT)
lmrl_envs.check_text_env(id)
for machine in (OneGame, Batch):
    run(machine, id, seed=0, settings=QUICK)
assert id in lmrl_envs.task_ids() and gym.make("toy_task:" + id).spec.id == id

returns = []
for secret in range(1, 101):
    env = gym.make(id)
    env.reset(options={"secret": secret})
    player = lmrl_envs.make_policy(id, "expert")
    over = False
    while not over:
        _, _, over, _, info = env.step(player.act(env.unwrapped.transcript))
    assert info["success"]
    returns.append(env.unwrapped.transcript.episode_return)
assert abs(np.mean(returns) - toy_task.ROW.reference.optimum) < 1e-9

vector = gym.make_vec(id, num_envs=4, vectorization_mode="vector_entry_point")
vector.reset(seed=0)
assert len(vector.step(["50"] * 4)[0]) == 4

data = load_dataset(generate("hot_cold/suboptimal-v0", out / "data", episodes=30))
data.verify(replay=True)
summary = evaluate(EvaluationSpec(id, "policy:expert", 40, 0), out / "eval")
assert summary["success_rate"] == 1.0 and list(verify_records(out / "eval")) == []

from lmrl_benchmarks.reporting.boards import shown_games
from lmrl_benchmarks.reporting.report import write_report
from lmrl_benchmarks.reporting.results import load_results
from lmrl_benchmarks.running.cells import cells, evaluation_of
from lmrl_envs.files import provenance
from lmrl_benchmarks.running.suite import load_suite

(out / "own.toml").write_text(SUITE)
suite = load_suite(str(out / "own.toml"))
(cell,) = cells(suite, suite.agents)
evaluate(evaluation_of(suite, cell), cell.folder(out / "run"))
record = {"digest": suite.digest, "suite": suite.as_dict(), "provenance": provenance()}
(out / "run" / "suite.json").write_text(json.dumps(record))
(game, *_) = shown_games(load_results(out / "run").played)
assert game.picture["kind"] == "list" and game.picture["lines"][1:] == [
    f"{turn.action}: {turn.answer}" for turn in game.turns
]
page = write_report(out / "run", out / "report.html").read_text()
assert "Which number?\n50: " in page

from lmrl_benchmarks.commands.cli import run
from toy_task.env import HotColdEnv

assert run(["exploit", id, "--attempts", "2", "--out", str(out / "exploit")]) == 0
tallies = json.loads((out / "exploit" / "exploit.json").read_text())["families"]
assert [(tally["family"], tally["attempts"], tally["successes"]) for tally in tallies] == [("lists", 10, 0), ("orders", 6, 0)]
assert run(["exploit", id, "--simulator", "openai:some"]) == 2
honest = HotColdEnv._play
HotColdEnv._play = lambda self, action: honest(self, action.split()[0].strip(",|"))  # reads too kindly
assert run(["exploit", id, "--attempts", "1"]) == 1
HotColdEnv._play = honest
assert lmrl_envs.task(id).surface.draw(env.unwrapped).startswith("Which number?\n50: ")

from lmrl_agents.presets import load_preset
from lmrl_agents.prompting.extraction import extract
from lmrl_benchmarks.scores.references import computed, scale_of, variants

assert extract(lmrl_envs.task(id).surface.answer_form, "Between 25 and 50, so I will try 37.") == "37"
tables = load_preset("nano", id)
assert tables["bc"]["steps"] == 50 and tables["text"]["units"] == "characters" and tables["filtered_bc"]["steps"] == 600
assert load_preset("small", id)["text"]["units"] == "words"
small = scale_of(id, {"highest": 10})
assert small.optimum == -1.9 and scale_of(id, {"highest": 11}) is None
assert scale_of(id, {"highest": 100}) == scale_of(id, {}) and small != scale_of(id, {})
summary = evaluate(EvaluationSpec(id, "expert", 200, 0, env_kwargs={"highest": 10}), out / "small")
assert abs(summary["normalized_score"] - 100) < 5 and summary["reference"]["optimum"] == -1.9
[entry] = variants(id)
again = computed({"id": id, "kwargs": entry["kwargs"], "games": 2000})
assert again["optimum"] == -1.9 and abs(again["random"] - entry["random"]) < 0.2

try:
    lmrl_envs.register_task(lmrl_envs.Task(**{**vars(toy_task.ROW), "summary": "another"}))
except ValueError as problem:
    assert "taken" in str(problem)
else:
    raise AssertionError("a second row of the same id was accepted")
print("all floors")
"""


UNSCORED = """
import dataclasses
from pathlib import Path
import lmrl_envs, toy_task
from lmrl_benchmarks.commands.play import envs
from lmrl_benchmarks.reporting.report import print_table, write_report
from lmrl_benchmarks.reporting.results import load_results
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running import cells, runner
from lmrl_benchmarks.running.suite import load_suite
from lmrl_benchmarks.running.verify import verify_run
from lmrl_datasets import generate, load_dataset

out = Path(OUT)
lmrl_envs.register_task(dataclasses.replace(toy_task.ROW, id="toy/Unscored-v0", family="unscored", reference=None,
    entry_point="toy_task.env:HotColdEnv", vector_entry_point="toy_task.env:HotColdVectorEnv"))
data = load_dataset(generate("unscored/expert-v0", out / "data", episodes=20))
assert data.manifest["statistics"]["normalized_score"] is None
summary = evaluate(EvaluationSpec("toy/Unscored-v0", "expert", 8, 0), out / "eval")
assert summary["normalized_score"] is None is summary["normalized_score_lmrl"]
suite = load_suite(SUITE)
runner._claim(suite, out / "run")
for cell in cells.cells(suite, suite.agents):
    evaluate(cells.evaluation_of(suite, cell), cell.folder(out / "run"))
results = load_results(out / "run")
assert [(row.score, row.returns < 0) for row in results.rows] == [(None, True)] * 2
print_table(results)
assert "no references" in write_report(out / "run", out / "report.html", results).read_text()
assert all(not breaches for _, breaches in verify_run(out / "run"))
envs()
print("without a score")
"""
SUITE = """
name = "unscored"
version = 1
episodes = 4
seed = 7
training_seeds = [0]
[[tasks]]
id = "toy/Unscored-v0"
[[agents]]
name = "random"
[[agents]]
name = "expert"
"""


def ran(code: str, tmp_path: Path) -> str:
    """What a process prints last in which the task was registered."""
    path = os.pathsep.join([str(TESTS), *(p for p in sys.path if p)])
    result = subprocess.run(
        [sys.executable, "-c", code.replace("OUT", repr(str(tmp_path)))],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().splitlines()[-1]


def test_a_task_of_ones_own(tmp_path: Path) -> None:
    assert ran(CODE, tmp_path) == "all floors"


def test_a_task_without_references_has_returns_and_no_scores(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE)
    assert ran(UNSCORED.replace("SUITE", repr(str(tmp_path / "suite.toml"))), tmp_path) == "without a score"


def test_the_walk_through_shows_these_very_files() -> None:
    page = (TESTS.parent / "docs" / "add-a-task.md").read_text("utf-8")
    for name in (
        "__init__.py",
        "rules.py",
        "env.py",
        "policies.py",
        "surface.py",
        "attacks.py",
        "attacks.toml",
        "presets.toml",
        "references.toml",
    ):
        assert (TESTS / "toy_task" / name).read_text("utf-8").strip() in page, (
            f"docs/add-a-task.md shows another {name}"
        )
