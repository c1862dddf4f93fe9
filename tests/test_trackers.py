"""Experiment trackers: what they are told of a run, through modules that record what is asked of them; `make test-bridges` uses the real ones."""

from __future__ import annotations

import struct
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.trackers import TRACKERS, TrackerError, identity, names_of, open_trackers, told_of
from lmrl_agents.learning.train import train
from lmrl_benchmarks.running.cells import Plan
from lmrl_benchmarks.running.suite import load_suite

MAZE = "lmrl/MazeFullyObserved-v0"
TINY = {"model.layers": 1, "model.width": 16, "model.heads": 1, "bc.steps": 8, "bc.log_every": 4, "bc.batch_size": 16}


class Told(SimpleNamespace):
    """What a library was asked."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """wandb, mlflow and trackio as far as they are used."""
    told = Told(wandb=[], mlflow=[], trackio=[])

    class Run:
        def __init__(self, name: str) -> None:
            self.calls = getattr(told, name)

        def log(self, values: dict, step: int | None = None) -> None:
            self.calls.append(("log", step, values))

        def finish(self) -> None:
            self.calls.append(("finish",))

    def starting(name: str):
        def init(*arguments, **named):
            getattr(told, name).append(("init", arguments, named))
            return Run(name)

        return init

    class MlflowClient:
        runs: list = []
        experiment = None

        def __init__(self, place: str) -> None:
            self.place = place

        def get_experiment_by_name(self, name: str):
            return MlflowClient.experiment

        def create_experiment(self, name: str, place: str | None) -> str:
            MlflowClient.experiment = SimpleNamespace(experiment_id="1")
            return "1"

        def search_runs(self, experiments: list, wanted: str) -> list:
            return [run for run in self.runs if wanted == f"tags.lmrl = '{run.tag}'"]

        def create_run(self, experiment: str, tags: dict, run_name: str):
            run = SimpleNamespace(tag=tags["lmrl"], info=SimpleNamespace(run_id=f"run {len(self.runs)}"))
            self.runs.append(run)
            told.mlflow.append(("init", self.place, {"tags": tags, "run_name": run_name}))
            return run

        def __getattr__(self, name: str):
            return lambda *arguments, **named: told.mlflow.append((name, arguments, named))

    table = lambda **named: ("table", named)  # noqa: E731
    modules = {
        "wandb": {"init": starting("wandb"), "Settings": SimpleNamespace, "Table": table},
        "trackio": {"init": starting("trackio"), "Table": table},
        "mlflow": {"MlflowClient": MlflowClient},
    }
    for name, entries in modules.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(entries)
        monkeypatch.setitem(sys.modules, name, module)
    return told


def test_a_run_is_told_to_every_tracker_and_shows_ten_games(maze_data: Path, tmp_path: Path, told: Told) -> None:
    spec = "tensorboard,wandb,mlflow,trackio"
    run = TrainingRun("bc", MAZE, str(maze_data), tmp_path / "run", show_progress=False, overrides=TINY, report_to=spec)
    train(run)
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    for calls in (told.wandb, told.trackio):
        begun = [call for call in calls if call[0] == "init"]
        assert len(begun) == 2 and begun[0] == begun[1]  # the second for the games, the same run
        config = begun[0][2]["config"]
        assert config["env_id"] == MAZE and config["tables"]["bc"]["steps"] == 8 and "python" in config
        logged = [call for call in calls if call[0] == "log"]
        assert [step for _, step, _ in logged] == [4, 8, None] and logged[0][2]["loss"] > 0
        assert calls[-1] == ("finish",)
    table = told.wandb[-2][2]["games"][1]
    assert table["columns"] == ["game", "text"] and len(table["data"]) == 10 and "return -" in table["data"][0][1]
    assert len(told.trackio[-2][2]["games"][1]["dataframe"]) == 10
    names = [call[0] for call in told.mlflow]
    assert names.count("init") == 1 and names.count("log_text") == 10 and names.count("set_terminated") == 2
    assert ("log_metric", ("run 0", "loss"), {"step": 4}) in [
        (n, a[:2], k) for n, a, k in told.mlflow[1:] if n == "log_metric"
    ]
    assert told.mlflow[0][1].startswith("sqlite:///")


def test_what_is_not_known_or_not_installed_is_said_before_training(
    maze_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = TrainingRun("bc", MAZE, str(maze_data), tmp_path / "run", show_progress=False, report_to="tensorbord")
    with pytest.raises(
        TrackerError, match="'tensorbord' is not known; choose of tensorboard, wandb, mlflow, trackio, none"
    ):
        train(run)
    assert not (tmp_path / "run").exists()
    for name in TRACKERS:
        monkeypatch.setitem(sys.modules, {"tensorboard": "tensorboardX"}.get(name, name), None)
    with pytest.raises(TrackerError, match="pip install wandb"):
        open_trackers("wandb", tmp_path, 0, {})
    with pytest.raises(TrackerError, match="pip install tensorboardX"):
        open_trackers("tensorboard", tmp_path, 0, {})
    assert open_trackers("auto", tmp_path, 0, {}) == []  # the default is no demand
    assert names_of("none") == names_of("") == [] and names_of("wandb, mlflow") == ["wandb", "mlflow"]


def test_a_run_is_known_by_its_folder_and_settings(tmp_path: Path) -> None:
    one = identity(tmp_path, {"seed": 0})
    assert one == identity(tmp_path, {"seed": 0})
    assert len({one, identity(tmp_path, {"seed": 1}), identity(tmp_path / "other", {"seed": 0})}) == 3


def test_what_is_added_at_the_end_hides_no_curve_and_nobody_asked_means_no_games(
    maze_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard hides the steps after a start that a file of events tells of."""
    import lmrl_agents.learning.train as training

    def size_of(first_step: int | None) -> int:
        folder = tmp_path / str(first_step)
        (tracker,) = open_trackers("tensorboard", folder, first_step, {})
        tracker.close()
        return sum(file.stat().st_size for file in (folder / "tensorboard").iterdir())

    header, begun, again = size_of(None), size_of(0), size_of(5)
    assert header < again < begun  # nothing; a start; the settings
    monkeypatch.setattr(training, "report_games", lambda run, final: pytest.fail("games were played"))
    for own in ({"report_to": "none"}, {}):
        out = tmp_path / own.get("report_to", "auto")
        train(TrainingRun("bc", MAZE, str(maze_data), out, show_progress=False, overrides=TINY, **own))
    assert not (tmp_path / "none" / "tensorboard").exists() and (tmp_path / "auto" / "tensorboard").exists()


def test_tensorboard_alone_holds_settings_commit_curve_and_ten_games(maze_data: Path, tmp_path: Path) -> None:
    from tensorboardX.event_file_writer import EventFileWriter  # noqa: F401 - makes the classes of its messages
    from tensorboardX.proto.event_pb2 import Event

    run = TrainingRun(
        "bc", MAZE, str(maze_data), tmp_path, show_progress=False, overrides=TINY, report_to="tensorboard"
    )
    train(run)
    curve, texts = dict[int, float](), dict[str, list[str]]()
    for file in sorted((tmp_path / "tensorboard").iterdir()):
        content, place = file.read_bytes(), 0
        while place < len(content):  # length and its check, 12 bytes; a message; its check, 4
            (length,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            place += 16 + length
            for value in event.summary.value:
                if value.tag == "loss":
                    curve[event.step] = value.simple_value
                elif value.HasField("tensor"):
                    texts.setdefault(value.tag.partition("/")[0], []).append(value.tensor.string_val[0].decode())
    assert list(curve) == [4, 8]
    assert len(texts["games"]) == 10 and all("return -" in text for text in texts["games"])
    (config,) = texts["config"]
    assert f'"env_id": "{MAZE}"' in config and '"git"' in config and '"packages"' in config


def test_runs_of_a_suite_are_named_by_suite_task_agent_and_seed(
    maze_data: Path, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = load_suite("matrix")
    jobs = [job for job in Plan(suite, suite.agents, "cpu", report_to="wandb").jobs.values() if job.kind == "train"]
    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "settings", lambda self: {})  # their data are not there
        runs = [TrainingRun(data="", out=tmp_path / job.folder, **job.arguments[0]) for job in jobs]
        names = [told_of(run) for run in runs]
    assert {run.out.name for run in runs} == {"seed-0", "seed-1", "seed-2"} and {run.report_to for run in runs} == {
        "wandb"
    }
    assert len({one["name"] for one in names}) == len(runs) == 3 * len({one["group"] for one in names})
    bc = [one for one in names if one["name"].startswith(f"matrix-v{suite.version} MazePartiallyObserved bc-nano")]
    assert {one["name"].removeprefix(one["group"]) for one in bc} == {" seed 0", " seed 1", " seed 2"}

    # What a run starts from is another run.
    tiny = {**TINY, "mc.steps": 2, "mc.batch_size": 4, "mc.betas": [1.0], "mc.validation_episodes": 1}
    cell = {"suite": "mine-v1", "task": "Maze", "agent": "mc-nano"}
    train(
        TrainingRun(
            "mc", MAZE, str(maze_data), tmp_path / "seed-0", show_progress=False, overrides=tiny, cell=cell,
            report_to="wandb,mlflow,trackio",
        )
    )  # fmt: skip
    group = "mine-v1 Maze mc-nano"
    expected = {f"{group}-start": f"{group}-start seed 0", group: f"{group} seed 0"}
    by_wandb = {call[2]["group"]: call[2]["name"] for call in told.wandb if call[0] == "init"}
    by_trackio = {call[2]["group"]: call[1][1] for call in told.trackio if call[0] == "init"}
    by_mlflow = {call[2]["tags"]["group"]: call[2]["run_name"] for call in told.mlflow if call[0] == "init"}
    assert by_wandb == by_mlflow == expected
    assert {key: name.rpartition("-")[0] for key, name in by_trackio.items()} == expected
    assert told.wandb[0][2]["config"]["cell"] == {**cell, "agent": "mc-nano-start", "seed": 0}
