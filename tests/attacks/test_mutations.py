"""A campaign of single changes: each is found, refused by name, or harmless; none passes verification and breaks the page."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lmrl_agents.playing.protocol import Action
from lmrl_agents.playing.scripted import ScriptedAgent
from lmrl_benchmarks.reporting import report
from lmrl_benchmarks.reporting.publish import publish
from lmrl_benchmarks.reporting.results import Results, load_results
from lmrl_benchmarks.reporting.submission import MANIFEST, pack, run_folder
from lmrl_benchmarks.running.cells import cells, evaluation_of
from lmrl_benchmarks.running.evaluation import evaluate
from lmrl_benchmarks.running.manifest import write_manifest
from lmrl_benchmarks.running.records import EPISODES, SUMMARY, WRITTEN, RecordFile
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import SuiteAgent, load_suite, suite_from
from lmrl_benchmarks.running.summary import summary_of
from lmrl_datasets import DatasetError, generate, load_dataset
from lmrl_datasets.schema import JSON_COLUMNS
from lmrl_datasets.store import MANIFEST as STORED
from tests.attacks.forgery import repack
from tests.attacks.mutations import dumped, mutated, mutated_file

SUITE = """
name = "toy"
version = 1
description = "Small."
episodes = 3
seed = 1
training_seeds = [0, 1]
[[tasks]]
id = "lmrl/Wordle-v0"
data = { name = "wordle/mixed-v0", sample = true }
[[tasks]]
id = "lmrl/MazeFullyObserved-v0"
each = { start = [[7, 6], [6, 6]] }
[[agents]]
name = "suboptimal"
[[agents]]
name = "bc"
train = "bc"
agent_kwargs = { temperature = 0.5 }
"""
CHANGES, SHARDS = 200, 8

FIGURES: dict[str, dict[str, str]] = {}


class Talkative(ScriptedAgent):
    """Tells of its actions what models tell."""

    def act_with_details(self, requests: list[Any]) -> list[Action]:
        told = {"prompt_tokens": 5, "completion_tokens": 2, "cost_usd": 0.25, "value": -1.5, "raw": "text"}
        more = {"token_logprobs": [["a", -0.5]], "alternatives": [["b", 0.25]], "attempts": 2}
        return [Action(action, {**told, **more}) for action in self.act(requests)]

    def describe(self) -> dict[str, Any]:
        return {"kind": "talkative", "size": 3}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A submission with everything in it: trained agents, curves, details, an agent added by name, a cell that was not run."""
    place = tmp_path_factory.mktemp("mutations")
    (place / "toy.toml").write_text(SUITE)
    suite, out = load_suite(str(place / "toy.toml")), place / "run"
    assert run_suite(suite, out, agents=suite.only(["suboptimal"]), workers=1) == {}
    for agent in (suite.agent("bc"), SuiteAgent(name="openai-m")):
        for k, cell in enumerate(cells(suite, [agent])):
            player = Talkative("random" if k % 2 else "expert")
            evaluate(evaluation_of(suite, cell), cell.folder(out), agent=player)
            if agent.train:
                folder = out / cell.training_folder
                (folder / "final").mkdir(parents=True)
                (folder / "train.json").write_text('{"algorithm": "bc", "seed": 0, "tables": {"bc": {"steps": 10}}}')
                (folder / "final/lmrl.json").write_text('{"algorithm": "bc", "parameters": 10, "seed": 0}')
                steps = [{"step": s, "loss": 0.5, "evaluation/return_mean": -3.0 + s} for s in (1, 2)]
                (folder / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    (out / "problems.json").write_text('{"eval other Wordle seed 0": "needs a server"}')
    write_manifest(out)
    return pack(out, place)


def replayed(folder: Path) -> dict[str, Any]:
    """What the page shows as replayed: the numbers of all rows, and what the environments said in every game."""
    found = load_results(folder)
    rows = [
        (
            r.task,
            r.agent,
            r.seeds,
            r.episodes,
            r.score,
            r.returns,
            r.success,
            r.length,
            r.valid,
            r.errors,
            r.lmrl,
            r.scale,
        )
        for r in found.rows
    ]
    games = [
        (played.cell.task.slug, played.cell.agent.name, played.cell.seed, r["episode"], r["observations"], r["rewards"])
        for played in found.played
        for r in (played.record(i) for i in range(len(played.returns)))
    ]
    return {"rows": rows, "games": games, "seed": found.suite.seed, "sealed": found.suite.commitment}


def forged(archive: Path, target: Path, rng: random.Random) -> str:
    """Write the archive with one change, hashes and sums made to fit as far as a forger can; returns what was changed."""
    with tarfile.open(archive) as members:
        files = {member.name: members.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    weights = [4 if name.endswith((EPISODES, "run.json", "suite.json")) else 1 for name in files]
    (name,) = rng.choices(list(files), weights)
    data, what = mutated_file(name, files[name], rng)
    changes = {name: data}
    if name.endswith(EPISODES) and data is not None:
        folder = name.removesuffix(EPISODES)
        changes[folder + SUMMARY] = _fitting_summary(folder, files, data, target.parent, sums=rng.random() < 0.5)
    if name == "suite.json" and data is not None and rng.random() < 0.5:
        changes[name] = _fitting_digest(data)
    if MANIFEST in changes and data is None:
        changes[MANIFEST] = b"{}"
    repack(archive, target, {key: (lambda _, value=value: value) for key, value in changes.items()})
    return f"{name}: {what}"


def _fitting_summary(folder: str, files: dict[str, bytes], data: bytes, place: Path, sums: bool) -> bytes:
    summary = json.loads(files[folder + SUMMARY])
    with contextlib.suppress(Exception):  # the forger's own tools choke on it
        if sums:
            (place / EPISODES).write_bytes(data)
            spec = json.loads(files[folder + "run.json"])["spec"]
            summary = json.loads(json.dumps(summary_of(spec, RecordFile(place).read())))
    return json.dumps({**summary, WRITTEN: hashlib.sha256(data).hexdigest()}).encode()


def _fitting_digest(data: bytes) -> bytes:
    try:
        value = json.loads(data)
        return json.dumps({**value, "digest": suite_from(value["suite"]).digest}).encode()
    except Exception:
        return data


@pytest.fixture
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of equal numbers are drawn once: most changes that pass change none, and drawing is what takes long."""
    really, known = report.all_figures, FIGURES

    def figures(results: Results) -> dict[str, str]:
        curves = [path.read_bytes() for path in sorted(results.out.glob("training/*/*/*/*.jsonl"))]
        key = repr((results.rows, results.overall, curves))
        if key not in known:
            known[key] = really(results)
        return known[key]

    monkeypatch.setattr(report, "all_figures", figures)


@pytest.mark.usefixtures("drawn_once")
@pytest.mark.parametrize("shard", range(SHARDS))
def test_single_changes_to_an_archive(
    archive: Path, tmp_path: Path, shard: int, request: pytest.FixtureRequest
) -> None:
    count = request.config.getoption("--mutations", default=None) or CHANGES
    with run_folder(archive) as folder:
        honest = replayed(folder)
    results, wrong, passed = tmp_path / "results", [], 0
    results.mkdir()
    for number in range(shard, count, SHARDS):
        rng = random.Random(number)
        (results / "a.tar.xz").unlink(missing_ok=True)
        what = f"change {number}, {forged(archive, results / 'a.tar.xz', rng)}"
        try:
            published = publish(results, tmp_path / "pages")
        except Exception as problem:
            wrong.append(f"{what}: {type(problem).__name__}: {problem}"[:300])
            continue
        why = published.refused.get("a.tar.xz")
        if why is None:
            passed += 1
            with run_folder(results / "a.tar.xz") as folder:
                if replayed(folder) != honest:
                    wrong.append(f"{what}: not found")
        elif "no page can be made" in why or "\n" in why or re.match(r"\w+Error\b", why):
            wrong.append(f"{what}: {why}")
    assert not wrong, "\n".join(wrong)
    assert 0 < passed < count / SHARDS  # both kinds were tried


# -- datasets


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutations") / "wordle"
    generate("wordle/mixed-v0", folder, episodes=8)
    return folder


def shown_of(folder: Path) -> list[Any]:
    """What is replayed of a dataset's games; of actions any with the same effect may stand for another."""
    return [
        (e.observations, e.rewards, e.terminated, e.truncated, e.success, len(e.actions))
        for e in load_dataset(str(folder)).iter_episodes()
    ]


def forged_dataset(dataset: Path, target: Path, rng: random.Random) -> str:
    """A copy of the dataset with one change, whose hashes and sizes fit; returns what was changed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(dataset, target)
    manifest = target / STORED
    entry = json.loads(manifest.read_text())["shards"][0]
    if rng.random() < 0.3:
        data, what = mutated_file(STORED, manifest.read_bytes(), rng)
        manifest.unlink() if data is None else manifest.write_bytes(data)
        return f"{STORED}: {what}"
    table = pq.read_table(target / entry["file"])
    while True:
        rows = [
            {key: json.loads(value) if key in JSON_COLUMNS else value for key, value in row.items()}
            for row in table.to_pylist()
        ]
        rows, what = mutated(rows, rng)
        with contextlib.suppress(pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError):  # no column
            for row in rows:
                row |= {key: dumped(row[key]).decode() for key in JSON_COLUMNS if key in row}
            schema = table.schema if rng.random() < 0.8 else None
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), target / entry["file"])
            break
    path = target / entry["file"]
    fits = {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "rows": len(rows)}
    about = json.loads(manifest.read_text())
    about["shards"][0] |= fits
    about["episodes"] = len(rows)
    manifest.write_text(json.dumps(about))
    if rng.random() < 0.5:
        with contextlib.suppress(Exception):  # the forger's own tools choke on it
            about["statistics"] = load_dataset(str(target)).stats()
            manifest.write_text(json.dumps(about))
    return f"{entry['file']}: row {what}"


@pytest.mark.parametrize("shard", range(2))
def test_single_changes_to_a_dataset(dataset: Path, tmp_path: Path, shard: int, request: pytest.FixtureRequest) -> None:
    count = request.config.getoption("--mutations", default=None) or CHANGES
    honest, wrong, passed = shown_of(dataset), [], 0
    for number in range(shard, count, 2):
        rng = random.Random(f"dataset {number}")
        what = f"change {number}, {forged_dataset(dataset, tmp_path / 'copy', rng)}"
        try:
            load_dataset(str(tmp_path / "copy")).verify(replay=True)
            passed += 1
            # The first rows, with all counts and hashes to fit, are a dataset as well: a smaller one.
            if (found := shown_of(tmp_path / "copy")) != honest[: len(found)]:
                wrong.append(f"{what}: not found")
        except DatasetError as problem:
            if "\n" in str(problem) or str(tmp_path) not in str(problem):
                wrong.append(f"{what}: {problem}"[:400])
        except Exception as problem:
            wrong.append(f"{what}: {type(problem).__name__}: {problem}"[:400])
    assert not wrong, "\n".join(wrong)
    assert 0 < passed < count / 2
