"""The same suite twice: in other directories, with other numbers of workers and hash seeds, the same results."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fault_tools import command
from serving import environment

SUITE = """
name = "twice"
version = 1
episodes = 12
seed = 7
training_seeds = [0]
tasks = [
  { id = "lmrl/MazePartiallyObserved-v0", data = { name = "maze/mixed-v0", episodes = 60 } },
  { id = "lmrl/CarDealer-v1" },
]
[[agents]]
name = "random"
[[agents]]
name = "suboptimal"
[[agents]]
name = "bc"
train = "bc"
[agents.settings]
"model.width" = 16
"model.layers" = 1
"bc.steps" = 8
"bc.batch_size" = 16
"bc.log_every" = 2
"bc.checkpoint_every" = 4
"bc.evaluate_every" = 4
"bc.evaluation_episodes" = 4
"""

MEASURED = {"seconds", "seconds_per_action", "cpu_seconds", "tokens_per_second", "records_sha256"}
"""Times: the only numbers of a run that differ (docs/reproducibility.md names them)."""
MADE_BY = {"provenance"}
"""Machine, packages and commit: the same here, unless somebody commits meanwhile."""
PLACES = {"data"}
"""Of ``final/lmrl.json``: where the data lay."""
WHEN = ("tensorboard/", "report.html", "digests.json")
"""Events say when they happened; the page shows times, machine and commit; digests are of files with times."""


SECRETS = {name: "top-secret-0123456789" for name in ("OPENAI_API_KEY", "LMRL_TOKEN", "HF_TOKEN")}


def _cleaned(value: Any, without: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _cleaned(inner, without) for key, inner in value.items() if key not in without}
    return [_cleaned(inner, without) for inner in value] if isinstance(value, list) else value


def contents(out: Path) -> dict[str, Any]:
    """Every file of a run by its path: JSON without what is measured, all others as bytes."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        name = path.relative_to(out).as_posix()
        if any(part in name for part in WHEN) or path.name.startswith("."):
            continue
        without = MEASURED | MADE_BY | (PLACES if path.name == "lmrl.json" else set())
        if path.suffix == ".json":
            found[name] = _cleaned(json.loads(path.read_text("utf-8")), without)
        elif path.suffix == ".jsonl":
            found[name] = [_cleaned(json.loads(line), without) for line in path.read_text("utf-8").splitlines()]
        else:
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any], list[Path]]:
    made, places = [], []
    for hash_seed, workers in ((1, 1), (20, 2)):
        place = tmp_path_factory.mktemp(f"place-{hash_seed}")
        (place / "suite.toml").write_text(SUITE)
        own = environment(PYTHONHASHSEED=str(hash_seed), LMRL_CACHE=str(place / "cache"), **SECRETS)
        order = command("leaderboard", "run", "suite.toml", "--out", "run", "--workers", workers)
        done = subprocess.run(order, cwd=place, env=own, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
        made.append(contents(place / "run"))
        places.append(place)
    return made[0], made[1], places


def test_a_suite_run_twice_gives_the_same_files(runs: tuple[dict[str, Any], dict[str, Any], list[Path]]) -> None:
    one, two, _ = runs
    assert sorted(one) == sorted(two)
    assert [name for name in one if one[name] != two[name]] == []
    kinds = {Path(name).name for name in one}
    assert {"episodes.jsonl", "summary.json", "weights.safetensors", "metrics.jsonl", "manifest.json"} <= kinds
    assert sum(name.endswith("episodes.jsonl") for name in one) == 2 * 2 + 1 and any(".parquet" in name for name in one)


def test_no_file_of_a_run_holds_a_key(runs: tuple[dict[str, Any], dict[str, Any], list[Path]]) -> None:
    """Records, logs, checkpoints, events, caches: keys that lay in the environment are in none."""
    files = [path for place in runs[2] for path in place.rglob("*") if path.is_file()]
    assert len(files) > 80
    assert [path for path in files if b"top-secret" in path.read_bytes()] == []


def test_only_what_is_documented_is_left_out() -> None:
    text = (Path(__file__).resolve().parents[1] / "docs" / "reproducibility.md").read_text("utf-8")
    for name in MEASURED | MADE_BY | PLACES | set(WHEN):
        assert f"`{name}`" in text, f"docs/reproducibility.md does not name {name}"
