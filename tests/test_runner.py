"""How a suite is run: cells, training in the right game, and a Ray cluster in place of processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from lmrl_benchmarks.reporting.results import load_results
from lmrl_benchmarks.running.cells import Plan, cells, evaluation_of
from lmrl_benchmarks.running.evaluation import evaluate
from lmrl_benchmarks.running.records import EPISODES, RecordFile
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import Suite, load_suite
from lmrl_benchmarks.running.verify import verify_run
from lmrl_datasets.cluster import archive, replace_folder

SPLIT = """
name = "split"
version = 1
episodes = 50
seed = 11
training_seeds = [0]
[[tasks]]
id = "lmrl/Wordle-v0"
[[tasks]]
id = "lmrl/TwentyQuestions-v1"
[[agents]]
name = "random"
[[agents]]
name = "expert"
"""


def suite_of(folder: Path, text: str) -> Suite:
    (folder / "suite.toml").write_text(text)
    return load_suite(str(folder / "suite.toml"))


def records_of(out: Path) -> dict[str, list[dict[str, Any]]]:
    """Place -> records without the time they took."""
    return {
        str(path.parent.relative_to(out)): [
            {**json.loads(record.line()), "seconds": 0} for record in RecordFile(path.parent).read()
        ]
        for path in sorted(out.glob(f"cells/**/{EPISODES}"))
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cells of the suite, each evaluated in one piece."""
    folder = tmp_path_factory.mktemp("whole")
    suite = suite_of(folder, SPLIT)
    for cell in cells(suite, suite.agents):
        evaluate(evaluation_of(suite, cell), cell.folder(folder))
    return folder


@pytest.mark.parametrize("workers", [1, 3])
def test_records_do_not_depend_on_workers(workers: int, whole: Path, tmp_path: Path) -> None:
    suite = suite_of(tmp_path, SPLIT)
    assert run_suite(suite, tmp_path / "run", workers=workers) == {}
    assert records_of(tmp_path / "run") == records_of(whole)
    assert [breach for _, found in verify_run(tmp_path / "run") for breach in found] == []
    assert list((tmp_path / "run").glob("cells/*/*/seed-0/agent.json"))


def test_a_cell_that_was_killed_is_gone_on_with(whole: Path, tmp_path: Path) -> None:
    suite = suite_of(tmp_path, SPLIT)
    out, cell = tmp_path / "run", cells(suite, suite.agents)[0]
    run_suite(suite, out, agents=suite.only(["expert"]))
    folder = cell.folder(out)
    evaluate(evaluation_of(suite, cell), folder)
    lines = (folder / EPISODES).read_text().splitlines(keepends=True)
    first = {**json.loads(lines[0]), "seconds": 123.0}  # to be known again
    (folder / EPISODES).write_text(json.dumps(first) + "\n" + "".join(lines[1:5]) + lines[5][:40])
    (folder / "summary.json").unlink()
    assert run_suite(suite, out) == {}
    assert records_of(out) == records_of(whole)
    assert sum(record.seconds == 123.0 for record in RecordFile(folder).read()) == 1  # it was not played again


def test_a_cell_that_fails_is_told_in_the_report(tmp_path: Path) -> None:
    text = SPLIT.replace('id = "lmrl/TwentyQuestions-v1"', 'id = "lmrl/MazeFullyObserved-v0"\nkwargs = {layout = "no"}')
    suite = suite_of(tmp_path, text)
    told = run_suite(suite, tmp_path / "run", agents=suite.only(["random"]))
    assert list(told) == ["eval random MazeFullyObserved-no seed 0"] and "layout='no'" in next(iter(told.values()))
    missing = load_results(tmp_path / "run").missing
    assert list(missing) == list(told) and "layout='no'" in missing[next(iter(told))]


def test_training_plays_the_game_that_the_suite_names(tmp_path: Path) -> None:
    """Online agents learn against the opponent they meet, and never in held-out positions."""
    text = """
name = "opponents"
version = 1
episodes = 20
seed = 1
training_seeds = [0]
[[tasks]]
id = "lmrl/MazeFullyObserved-v0"
kwargs = { layout = "umaze" }
train_kwargs = { layout = "umaze", max_moves = 7 }
data = { name = "maze/mixed-v0", sample = true }
[[tasks]]
id = "lmrl/ChessEndgames-v0"
kwargs = { positions = "evaluation", simulator = "random" }
train_kwargs = { simulator = "random" }
data = { name = "chess_endgames/mixed-v0", sample = true }
[[agents]]
name = "bc"
train = "bc"
settings = { "bc.steps" = 4, "bc.temperatures" = [] }
[[agents]]
name = "reinforce"
train = "reinforce"
start = "bc"
settings = { "reinforce.iterations" = 1, "reinforce.episodes" = 4, "reinforce.evaluate_every" = 0 }
"""
    suite = suite_of(tmp_path, text)
    plan = Plan(suite, suite.agents, "cpu")
    trained = {name: job.arguments[0]["env_kwargs"] for name, job in plan.jobs.items() if job.kind == "train"}
    assert len(trained) == 4
    for name, kwargs in trained.items():
        assert kwargs == ({"simulator": "random"} if "Chess" in name else {"layout": "umaze", "max_moves": 7})
    other = suite_of(tmp_path, text.replace("max_moves = 7", "max_moves = 8"))
    assert other.digest != suite.digest
    out = tmp_path / "run"
    assert run_suite(replace(suite, tasks=suite.tasks[:1]), out, workers=1) == {}
    lines = [json.loads(line) for line in next(out.glob("training/*/reinforce*/seed-0/metrics.jsonl")).open()]
    turns = [line["turns"] for line in lines if "turns" in line]
    assert turns and max(turns) <= 7  # the games of training were cut where its arguments say
    assert (
        max(len(record["actions"]) for record in records_of(out)["cells/MazeFullyObserved-umaze/reinforce/seed-0"]) > 7
    )


_INTERRUPTED = """
import signal, sys
from pathlib import Path
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import load_suite
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
    suite = load_suite(sys.argv[1])
    run_suite(suite, Path(sys.argv[2]), agents=suite.only([sys.argv[3]]), workers=1)
"""


def test_ctrl_c_ends_a_run_at_once(tmp_path: Path) -> None:
    """Not only when the games under way are over."""
    suite_of(tmp_path, SPLIT)
    (tmp_path / "run.py").write_text(_INTERRUPTED)
    (tmp_path / "slow.py").write_text(
        "import os, time\nclass A:\n    def act(self, requests):\n        open(os.environ['MARK'], 'w').close()\n"
        "        time.sleep(300)\n        return ['crane'] * len(requests)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "MARK": str(tmp_path / "mark")}
    command = [sys.executable, "run.py", "suite.toml", "out", "slow.py:A"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        while not (tmp_path / "mark").exists() and process.poll() is None:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
    finally:
        watchdog.cancel()
    assert process.returncode not in (0, -signal.SIGKILL)  # it ended by itself, not by the watchdog


# -- Ray


def test_folders_travel_whole(tmp_path: Path) -> None:
    there = tmp_path / "cells" / "seed-0"
    (there / ".hidden").mkdir(parents=True)
    (there / "deep").mkdir()
    (there / "deep" / "a.bin").write_bytes(b"\x00\xff")
    (there / ".progress").write_text("1/2 3")
    (there / ".hidden" / EPISODES).write_text("{}")
    content = archive(there)
    (there / "left.json").write_text("of an earlier try")
    replace_folder(there, content)
    assert [str(path.relative_to(there)) for path in sorted(there.rglob("*")) if path.is_file()] == ["deep/a.bin"]
    assert (there / "deep" / "a.bin").read_bytes() == b"\x00\xff"
    assert sorted(path.name for path in there.parent.iterdir()) == ["seed-0"]


_ON_RAY = """
import sys
from pathlib import Path
from lmrl_agents.playing.room import RoomSettings
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import load_suite
if __name__ == "__main__":
    suite = load_suite(sys.argv[1])
    agents = suite.only(["random", "expert", "bc", sys.argv[3], sys.argv[4]])
    print(run_suite(suite, Path(sys.argv[2]), agents=agents, workers=2, room=RoomSettings(patience=6.0), ray="local"))
"""

_FAULTY = """
import os, time
class Hangs:
    def act(self, requests):
        time.sleep(600)
        return ["crane"] * len(requests)
class Dies:
    def act(self, requests):
        if not os.path.exists(os.environ["MARK"]):
            open(os.environ["MARK"], "w").close()
            os._exit(1)
        return ["crane"] * len(requests)
"""


def test_a_ray_cluster_gives_the_same_records(whole: Path, tmp_path: Path) -> None:
    """On a real cluster of this machine: a trained agent, one that hangs and one whose process dies once."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install lmrl[ray]")
    data = 'data = { name = "wordle/mixed-v0", episodes = 60 }\n'
    text = SPLIT.replace('id = "lmrl/Wordle-v0"\n', f'id = "lmrl/Wordle-v0"\n{data}')
    text += '[[agents]]\nname = "bc"\ntrain = "bc"\nsettings = { "bc.steps" = 4, "bc.temperatures" = [] }\n'
    suite = suite_of(tmp_path, text.replace('[[tasks]]\nid = "lmrl/TwentyQuestions-v1"\n', ""))
    (tmp_path / "run.py").write_text(_ON_RAY)
    (tmp_path / "faulty.py").write_text(_FAULTY)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "MARK": str(tmp_path / "mark")}
    environment["RAY_raylet_start_wait_time_s"] = "200"
    faulty = [f"{tmp_path}/faulty.py:{name}" for name in ("Hangs", "Dies")]
    command = [sys.executable, "run.py", "suite.toml", "ray", *faulty]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads((tmp_path / "ray" / "problems.json").read_text())
    assert list(told) == ["eval faulty.py-Hangs Wordle seed 0"] and "no answer" in next(iter(told.values()))
    found = records_of(tmp_path / "ray")
    for agent in ("random", "expert"):
        assert found[f"cells/Wordle/{agent}/seed-0"] == records_of(whole)[f"cells/Wordle/{agent}/seed-0"]
    assert len(found["cells/Wordle/bc/seed-0"]) == len(found["cells/Wordle/faulty.py-Dies/seed-0"]) == 50
    run_suite(suite, tmp_path / "here", agents=suite.only(["bc"]), workers=1)
    assert records_of(tmp_path / "here")["cells/Wordle/bc/seed-0"] == found["cells/Wordle/bc/seed-0"]
    assert run_suite(suite, tmp_path / "ray") == {}  # gone on with here: all there
