"""Experiment trackers, the real libraries: a run is written on this machine, gone on with, and read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.train import train
from lmrl_datasets import generate

MAZE = "lmrl/MazeFullyObserved-v0"
TINY = {"model.layers": 1, "model.width": 16, "model.heads": 1, "bc.steps": 8, "bc.log_every": 4, "bc.batch_size": 16}
SPEC = "tensorboard,wandb,mlflow,trackio"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was told to every tracker."""
    folder = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(folder / "trackio"))
        generate("maze/mixed-v0", folder / "data", episodes=40, seed=0)
        train(
            TrainingRun(
                "bc", MAZE, str(folder / "data"), folder / "run", show_progress=False, overrides=TINY, report_to=SPEC
            )
        )
    return folder


def test_wandb_writes_offline_runs_of_one_identity(told: Path) -> None:
    runs = list((told / "run" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(runs) == 2 and len({run.name for run in runs}) == 1
    assert list((told / "run" / "wandb").glob("offline-run-*/files/media/table/games*"))


def test_mlflow_holds_curve_settings_and_games(told: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{told / 'run' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("lmrl").experiment_id])
    assert [point.step for point in client.get_metric_history(run.info.run_id, "loss")] == [4, 8]
    assert run.data.params["env_id"] == f'"{MAZE}"' and run.info.status == "FINISHED"
    assert len(client.list_artifacts(run.info.run_id, "games")) == 10


def test_trackio_holds_the_curve(told: Path) -> None:
    assert [path for path in (told / "trackio").rglob("*") if path.is_file()]
    import sqlite3

    (database,) = (told / "trackio").glob("lmrl*.db")
    with sqlite3.connect(database) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        rows = connection.execute("select step, metrics from metrics").fetchall()
    assert "metrics" in tables and {step for step, _ in rows} >= {4, 8} and any("loss" in str(text) for _, text in rows)


def test_tensorboard_events(told: Path) -> None:
    assert [path for path in (told / "run" / "tensorboard").iterdir() if path.stat().st_size > 500]
