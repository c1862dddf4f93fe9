"""Whatever a file from elsewhere says, in any of its fields: nothing outside is opened, written, imported, started or connected to."""

from __future__ import annotations

import inspect
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from lmrl_benchmarks.commands.cli import run as lmrl
from lmrl_benchmarks.running.manifest import write_manifest
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import load_suite
from lmrl_datasets import DatasetError
from lmrl_datasets.replay import make_recorded
from lmrl_datasets.schema import JSON_COLUMNS
from lmrl_envs import task, task_ids
from tests.attacks.mutations import places

SUITE = """
name = "toy"
version = 1
description = "Small."
episodes = 2
seed = 1
training_seeds = [0]
tasks = [{ id = "lmrl/Wordle-v0" }]
agents = [{ name = "random" }]
"""
SEEN: list[str] = []
WATCHED: list[Path] = []
"""The folder of canaries, while somebody watches."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not WATCHED:
        return
    folder = str(WATCHED[0])
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect"):
        SEEN.append(f"{event} {arguments!r}"[:300])
    elif event in ("open", "import", "os.listdir", "os.scandir", "os.rename", "os.remove", "os.mkdir") and any(
        folder in str(argument) for argument in arguments[:3] if isinstance(argument, str | bytes | Path)
    ):
        SEEN.append(f"{event} {arguments[:2]!r}"[:300])


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("canaries")
    (folder / "words.txt").write_text("crane\nabout\n")
    (folder / "evil.py").write_text("import lmrl_envs\nx = 5\n")
    (folder / "model").mkdir()
    for name in ("config.json", "lmrl.json", "tokenizer.json", "adapter_config.json", "reward.json", "recording.jsonl"):
        (folder / "model" / name).write_text("{}")
    (folder / "engine").write_text("#!/bin/sh\nexit 1\n")
    (folder / "engine").chmod(0o755)
    if _audit not in HOOKED:
        sys.addaudithook(_audit)
        HOOKED.append(_audit)
    return folder


HOOKED: list[Any] = []


def values(folder: Path) -> list[Any]:
    """What might make somebody open, run or ask something."""
    file, code, model = folder / "words.txt", folder / "evil.py", folder / "model"
    texts = [
        f"{file}",
        f"{code}:x",
        f"{code}:lmrl/Wordle-v0",
        f"{code}",
        f"{model}",
        f"replay:{file}",
        f"file://{file}",
    ]
    texts += [f"{name}:{model}" for name in ("transformers", "learned", "judge", "best_of", "trained", "local")]
    texts += [
        f"constitution:{file}",
        "openai:m",
        f"stockfish:{folder / 'engine'}",
        f"uci:{folder / 'engine'}",
        "owner/name",
    ]
    texts += [f"best_of:4,{code}:x,random", "http://127.0.0.1:9/v1", f"../../../../../..{file}"]
    options = {
        "record": f"{folder / 'made.jsonl'}",
        "base_url": "http://127.0.0.1:9/v1",
        "path": f"{folder / 'engine'}",
    }
    return [*texts, [f"{file}"], {"simulator": "openai:m", "simulator_options": options}, options]


@pytest.fixture
def watched(canaries: Path) -> Iterator[Callable[[], list[str]]]:
    """What was seen since it was asked last."""
    SEEN.clear()
    WATCHED.append(canaries)

    def seen() -> list[str]:
        found = list(SEEN)
        SEEN.clear()
        return found

    yield seen
    WATCHED.clear()
    assert not list(canaries.glob("made*"))


def test_a_canary_is_seen(canaries: Path, watched: Callable[[], list[str]], tmp_path: Path) -> None:
    """A person may name what he likes."""
    command = [
        "eval",
        "--agent",
        "random",
        "--env",
        "lmrl/Wordle-v0",
        "--episodes",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    assert lmrl([*command, "--env-arg", f"vocabulary={canaries / 'words.txt'}"]) in (0, 1, 2)
    assert any("words.txt" in line for line in watched())


# -- arguments of environments


@pytest.mark.parametrize("env_id", task_ids())
def test_no_argument_from_elsewhere_reaches_out(
    env_id: str, canaries: Path, watched: Callable[[], list[str]], request: pytest.FixtureRequest
) -> None:
    row = task(env_id)
    kind: Any = gymnasium.spec(row.id).entry_point
    kind = gymnasium.envs.registration.load_env_creator(kind) if isinstance(kind, str) else kind
    names = {name for level in kind.__mro__ for name in inspect.signature(level.__init__).parameters} - {"self", "args"}
    every = request.config.getoption("--mutations", default=None) is not None
    for number, name in enumerate(sorted(names)):
        for k, value in enumerate(values(canaries)):
            if not every and (number + k) % 4:
                continue
            try:
                env = make_recorded(row, {name: value}, "here")
                env.reset(seed=0)
                env.step("x")
                env.close()
            except (DatasetError, gymnasium.error.DependencyNotInstalled):
                pass
            assert not (found := watched()), (name, value, found)


# -- files


def leaves(value: Any) -> list[tuple[Any, ...]]:
    """The places of texts and of objects, one of each list."""
    found: dict[str, tuple[Any, ...]] = {}
    for place in places(value):
        at = value
        for key in place:
            at = at[key]
        if isinstance(at, str | dict) and place:
            found.setdefault(str([key for key in place if not isinstance(key, int)]), place)
    return list(found.values())


def replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a place; an object gets it as further entries."""
    value = json.loads(json.dumps(value))
    parent, at = None, value
    for key in place:
        parent, at = at, at[key]
    if isinstance(at, dict):
        at.update(new if isinstance(new, dict) else {"vocabulary": new, "spec": new, "simulator": new})
    else:
        assert parent is not None
        parent[place[-1]] = new
    return value


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "toy.toml").write_text(SUITE)
    assert run_suite(load_suite(str(folder / "toy.toml")), folder / "run", workers=1) == {}
    write_manifest(folder / "run")
    return folder / "run"


CELL = "cells/Wordle/random/seed-0"


@pytest.mark.parametrize(
    "name", ["suite.json", f"{CELL}/run.json", f"{CELL}/summary.json", f"{CELL}/episodes.jsonl", "digests.json"]
)
def test_no_field_of_a_run_reaches_out(
    name: str,
    run: Path,
    canaries: Path,
    watched: Callable[[], list[str]],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    text = (run / name).read_text()
    first, *rest = text.splitlines(keepends=True) if name.endswith("l") else [text]
    whole = json.loads(first)
    every = request.config.getoption("--mutations", default=None) is not None
    tried = 0
    for number, place in enumerate(leaves(whole)):
        for k, value in enumerate(values(canaries)):
            if not every and (number + k) % 11:
                continue
            out = Path(shutil.copytree(run, tmp_path / f"{number}-{k}"))
            (out / name).write_text(
                json.dumps(replaced(whole, place, value)) + "\n" * name.endswith("l") + "".join(rest)
            )
            if name != "digests.json":
                write_manifest(out)
            lmrl(["leaderboard", "verify", str(out)])
            lmrl(["leaderboard", "report", str(out), "--html", str(tmp_path / "x.html")])
            tried += 1
            assert not (found := watched()), (place, value, found)
            shutil.rmtree(out)
    assert tried > 5


def test_no_field_of_a_line_or_dataset_reaches_out(
    run: Path, canaries: Path, watched: Callable[[], list[str]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert lmrl(["data", "import", str(run / CELL), "--name", "wordle/x-v0", "--out", str(tmp_path / "data")]) == 0
    assert lmrl(["data", "export", str(tmp_path / "data"), str(tmp_path / "x.jsonl")]) == 0
    watched()
    line = json.loads((tmp_path / "x.jsonl").read_text().splitlines()[0])
    manifest = json.loads((tmp_path / "data/manifest.json").read_text())
    shard = manifest["shards"][0]["file"]
    table = pq.read_table(tmp_path / "data" / shard)
    row = {key: json.loads(v) if key in JSON_COLUMNS else v for key, v in table.slice(0, 1).to_pylist()[0].items()}
    every = request.config.getoption("--mutations", default=None) is not None
    for kind, whole in (("line", line), ("manifest", manifest), ("row", row)):
        for number, place in enumerate(leaves(whole)):
            for k, value in enumerate(values(canaries)):
                if not every and (number + k) % 11:
                    continue
                new = replaced(whole, place, value)
                folder = tmp_path / "copy"
                shutil.rmtree(folder, ignore_errors=True)
                if kind == "line":
                    (tmp_path / "y.jsonl").write_text(json.dumps(new) + "\n")
                    lmrl(["data", "import", str(tmp_path / "y.jsonl"), "--name", "wordle/y-v0", "--out", str(folder)])
                else:
                    shutil.copytree(tmp_path / "data", folder)
                if kind == "manifest":
                    (folder / "manifest.json").write_text(json.dumps(new))
                if kind == "row":
                    told = {key: json.dumps(v) if key in JSON_COLUMNS else v for key, v in new.items()}
                    try:
                        pq.write_table(pa.Table.from_pylist([told], schema=table.schema), folder / shard)
                    except (pa.ArrowException, TypeError):
                        continue  # no column holds it
                for command in (["verify", "--replay"], ["show"], ["info"], ["stats"]):
                    lmrl(["data", command[0], str(folder), *command[1:]])
                assert not (found := watched()), (kind, place, value, found)
