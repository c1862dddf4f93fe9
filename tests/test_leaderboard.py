"""Suites, runs, records, statistics, verification and the report."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import asdict

from lmrl_agents import load_agent
from lmrl_agents.playing.room import RoomSettings
from lmrl_benchmarks.reporting.report import write_report
from lmrl_benchmarks.reporting.results import load_results, overall_of
from lmrl_benchmarks.running.cells import Job, Plan, cells, evaluation_of
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.jobs import how_far
from lmrl_benchmarks.running.records import EPISODES, RecordError, RecordFile
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import SuiteError, load_suite, suite_names
from lmrl_benchmarks.running.verify import verify_records, verify_run
from lmrl_benchmarks.scores.references import computed, lmrl_applies, scale_of, variants
from lmrl_envs import normalized_score, task, task_ids
from lmrl_envs.files import FolderError

TOY = """
name = "toy"
version = 1
episodes = 30
seed = 7
training_seeds = [0, 1]
[[tasks]]
id = "lmrl/Wordle-v0"
[[tasks]]
id = "lmrl/MazePartiallyObserved-v0"
episodes = 20
[[agents]]
name = "random"
[[agents]]
name = "expert"
"""


@pytest.fixture(scope="module")
def suite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "toy.toml"
    path.write_text(TOY)
    return path


@pytest.fixture(scope="module")
def finished(suite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "toy"
    assert run_suite(load_suite(str(suite_file)), out, workers=2) == {}
    return out


def breaches(out: Path) -> list[str]:
    return [f"{name}: {breach}" for name, found in verify_run(out) for breach in found]


# -- suites


@pytest.mark.parametrize("name", suite_names())
def test_bundled_suites_load(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name and suite.tasks and (suite.agents or suite.max_cost_usd) and suite.description
    from lmrl_datasets import load_recipe

    for entry in suite.tasks:
        if entry.data:
            assert load_recipe(entry.data["name"]).env in (entry.id, entry.id.replace("Partially", "Fully"))
    from lmrl_agents.learning.train import algorithms

    assert all(agent.train in algorithms() for agent in suite.agents if agent.train)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("lmrl/Wordle-v0", "lmrl/Wordel-v0"), "Wordle"),
        (('name = "expert"', 'name = "random"'), "twice"),
        (("episodes = 30", "epochs = 30"), "not well formed"),
        (("[[agents]]", "[[agents"), "not well formed"),
    ],
)
def test_wrong_suites(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    (tmp_path / "wrong.toml").write_text(TOY.replace(*change))
    with pytest.raises(Exception, match=message):
        load_suite(str(tmp_path / "wrong.toml"))


def test_unknown_suite() -> None:
    with pytest.raises(SuiteError, match="quick"):
        load_suite("qick")


# -- runs


def test_a_run_is_whole_and_verifies(finished: Path) -> None:
    rows = load_results(finished).rows
    assert [(row.task, row.agent, row.episodes) for row in rows] == [
        ("Wordle", "random", 30),
        ("Wordle", "expert", 30),
        ("MazePartiallyObserved", "random", 20),
        ("MazePartiallyObserved", "expert", 20),
    ]
    assert all(row.noise_only and row.errors == 0 for row in rows)
    assert all(row.low <= row.score <= row.high for row in rows)
    assert rows[1].score > 80 > 30 > rows[0].score
    best = overall_of(rows)[0]
    assert list(verify_run(finished, workers=2)) == list(verify_run(finished))
    assert best.agent == "expert" and best.mean == pytest.approx((rows[1].score + rows[3].score) / 2)
    assert breaches(finished) == []


def test_workers_and_places_change_nothing(finished: Path, suite_file: Path, tmp_path: Path) -> None:
    run_suite(load_suite(str(suite_file)), tmp_path / "again", workers=1)
    for path in sorted(finished.glob(f"cells/**/{EPISODES}")):
        mine, other = (
            RecordFile(path.parent).read(),
            RecordFile(tmp_path / "again" / path.parent.relative_to(finished)).read(),
        )
        strip = lambda records: [{**asdict(record), "seconds": 0} for record in records]  # noqa: E731
        assert strip(mine) == strip(other)


def test_a_finished_run_runs_nothing_again(finished: Path, suite_file: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("cells/**/*.json*")}
    assert run_suite(load_suite(str(suite_file)), finished) == {}
    assert {path: path.stat().st_mtime_ns for path in finished.glob("cells/**/*.json*")} == before


def test_specs_are_not_mixed(finished: Path, suite_file: Path, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(TOY.replace("seed = 7", "seed = 8"))
    with pytest.raises(FolderError, match="digest"):
        run_suite(load_suite(str(tmp_path / "other.toml")), finished)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FolderError, match="not empty"):
        run_suite(load_suite(str(suite_file)), tmp_path)
    spec = EvaluationSpec("lmrl/Wordle-v0", "random", 5, 0)
    evaluate(spec, tmp_path / "eval")
    with pytest.raises(FolderError, match=r"holds another run \(differs in episodes\); choose"):
        evaluate(EvaluationSpec("lmrl/Wordle-v0", "random", 6, 0), tmp_path / "eval")


def test_a_job_that_fails_is_reported_and_what_needs_it_is_not_run(tmp_path: Path) -> None:
    broken = TOY + '\n[[agents]]\nname = "nobody"\nspec = "no-such-agent"\n'
    (tmp_path / "broken.toml").write_text(broken)
    failed = run_suite(load_suite(str(tmp_path / "broken.toml")), tmp_path / "run")
    assert len(failed) == 2 and all("no-such-agent" in problem for problem in failed.values())
    assert len(load_results(tmp_path / "run").rows) == 4


# -- records


def test_a_cut_line_is_played_again(tmp_path: Path) -> None:
    spec = EvaluationSpec("lmrl/Wordle-v0", "suboptimal", 12, 3)
    whole = evaluate(spec, tmp_path / "whole")
    evaluate(spec, tmp_path / "cut")
    path = tmp_path / "cut" / EPISODES
    path.write_text(path.read_text()[:-200])
    (tmp_path / "cut" / "summary.json").unlink()
    again = evaluate(spec, tmp_path / "cut")
    # The hash is of the records with their seconds.
    strip = lambda summary: {k: v for k, v in summary.items() if k not in ("seconds", "records_sha256")}  # noqa: E731
    assert strip(again) == strip(whole)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1][:30], *lines[2:]]) + "\n")
    with pytest.raises(RecordError, match="line 2"):
        RecordFile(tmp_path / "cut").read()


_EVALUATE = """
import sys, time
from pathlib import Path
import lmrl_benchmarks.running.evaluation as evaluation
evaluation.BATCH = 4
class Slow:
    def act(self, requests):
        time.sleep(0.002)
        return ["crane"] * len(requests)
evaluation.evaluate(evaluation.EvaluationSpec("lmrl/Wordle-v0", "slow", 300, 0), Path(sys.argv[1]), agent=Slow(), slots=2)
"""


def test_a_killed_evaluation_goes_on_without_duplicate_or_gap(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    out = tmp_path / "eval"
    for wanted in (2000, 20000):
        process = subprocess.Popen([sys.executable, "-c", _EVALUATE, str(out)], env=environment)
        path = out / EPISODES
        while process.poll() is None and (not path.exists() or path.stat().st_size < wanted):
            time.sleep(0.005)
        assert process.poll() is None, "the evaluation was over before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (out / "summary.json").exists()
    subprocess.run([sys.executable, "-c", _EVALUATE, str(out)], env=environment, check=True)
    records = RecordFile(out).read()
    assert [record.episode for record in records] == list(range(300))
    assert json.loads((out / "summary.json").read_text())["episodes"] == 300


class Failing:
    def act(self, requests):
        if any(request.episode == 2 for request in requests):
            raise RuntimeError("</script><script>alert(1)</script>")
        return ["\ud800<b>" for _ in requests]


class Rambling:
    """Longer than an environment keeps, but a good move if cut."""

    def act(self, requests):
        return ["move up" + " " * 9000 + "?" for _ in requests]


def test_actions_too_long_to_keep_verify(tmp_path: Path) -> None:
    summary = evaluate(EvaluationSpec("lmrl/MazeFullyObserved-v0", "rambling", 3, 0), tmp_path, agent=Rambling())
    assert summary["valid_rate"] == 0 and summary["return_mean"] == -400
    assert list(verify_records(tmp_path)) == []


def test_a_wrong_agent_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expert"):
        evaluate(EvaluationSpec("lmrl/Wordle-v0", "exprt", 3, 0), tmp_path / "eval")
    assert not (tmp_path / "eval").exists()


def test_live_simulators_are_not_asked_again(tmp_path: Path) -> None:
    evaluate(EvaluationSpec("lmrl/TwentyQuestions-v1", "random", 2, 0), tmp_path)
    path = tmp_path / "run.json"
    run = json.loads(path.read_text())
    run["spec"]["env_kwargs"] = {"simulator": "openai:some-model"}
    path.write_text(json.dumps(run))
    assert "cannot be asked again" in " ".join(verify_records(tmp_path))


_KILLER = """
import os, sys
class Killer:
    def act(self, requests):
        marker = os.environ["MARKER"]
        if requests[0].env_id == "lmrl/Wordle-v0" and not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), 9)
        return ["move up"] * len(requests)
"""


def test_a_killed_worker_loses_no_job(suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "killer.py").write_text(_KILLER)
    monkeypatch.setenv("MARKER", str(tmp_path / "killed"))
    suite = load_suite(str(suite_file))
    assert run_suite(suite, tmp_path / "run", agents=suite.only(["random", f"{tmp_path}/killer.py:Killer"])) == {}
    assert (tmp_path / "killed").exists() and len(load_results(tmp_path / "run").rows) == 4


def test_who_plays_beside_an_agent_that_dies_loses_nothing(suite_file: Path, tmp_path: Path) -> None:
    deaths = tmp_path / "deaths"
    (tmp_path / "dies.py").write_text(
        "import os, signal\nclass D:\n    def act(self, requests):\n"
        f"        with open({str(deaths)!r}, 'a') as file:\n            file.write('x')\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "waits.py").write_text(
        "import os, time\nclass W:\n    def act(self, requests):\n        for _ in range(600):\n"
        f"            if os.path.exists({str(deaths)!r}) and os.path.getsize({str(deaths)!r}) >= 2:\n                break\n"
        "            time.sleep(0.1)\n        return ['move up'] * len(requests)\n"
    )
    suite = load_suite(str(suite_file))
    told = run_suite(
        suite, tmp_path / "run", agents=suite.only([f"{tmp_path}/dies.py:D", f"{tmp_path}/waits.py:W"]), workers=2
    )
    assert deaths.read_text() == "xxxxx" * 2  # in each of its cells, five times in a row
    assert len(told) == 2 and all("dies.py-D" in name and "was killed (SIGKILL" in why for name, why in told.items())
    assert {row.agent for row in load_results(tmp_path / "run").rows} == {"waits.py-W"}
    found = breaches(tmp_path / "run")
    assert found and all("dies.py-D" in problem and "was killed" in problem for problem in found), found


_RUN = """
import sys
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import load_suite
from pathlib import Path
if __name__ == "__main__":
    run_suite(load_suite(sys.argv[1]), Path(sys.argv[2]))
"""


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(
        "import os, time\nclass S:\n    def act(self, requests):\n"
        f"        open({str(tmp_path)!r} + f'/pid-{{os.getpid()}}', 'w').close()\n        time.sleep(600)\n"
    )
    (tmp_path / "run.py").write_text(_RUN)
    (tmp_path / "slow.toml").write_text(TOY.replace('name = "random"', f'name = "s"\nspec = "{tmp_path}/sleeper.py:S"'))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "slow.toml"), str(tmp_path / "out")], env=environment
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("pid-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(path.name[4:]) for path in tmp_path.glob("pid-*")]
    assert workers
    process.kill()
    process.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_errors_score_the_minimum_and_hostile_text_is_recorded(tmp_path: Path) -> None:
    spec = EvaluationSpec("lmrl/MazeFullyObserved-v0", "failing", 4, 0)
    summary = evaluate(spec, tmp_path, agent=Failing())
    assert summary["errors"] == 1 and summary["valid_rate"] == 0
    assert summary["return_mean"] == task("lmrl/MazeFullyObserved-v0").return_range[0] == -400
    assert list(verify_records(tmp_path)) == []


# -- verification: every way to tamper is found


def _cell(out: Path) -> Path:
    return out / "cells" / "Wordle" / "expert" / "seed-0"


def _edit_records(change):
    def tamper(out: Path) -> None:
        path = _cell(out) / EPISODES
        records = [json.loads(line) for line in path.read_text().splitlines()]
        changed = change(records)
        path.write_text("".join(json.dumps(r) + "\n" for r in (changed if changed is not None else records)))

    return tamper


def _edit_json(name: str, change):
    def tamper(out: Path) -> None:
        path = out / name if name == "suite.json" else _cell(out) / name
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return tamper


TAMPERINGS = {
    "a reward": (_edit_records(lambda r: r[3]["rewards"].__setitem__(0, 0.0)), "earns"),
    "an action": (_edit_records(lambda r: r[3]["actions"].__setitem__(0, "about")), "observation|earns|ends"),
    "an observation": (_edit_records(lambda r: r[3]["observations"].__setitem__(1, "g g g g g")), "observation"),
    "a dropped episode": (_edit_records(lambda r: r[:-1]), "missing"),
    "a doubled episode": (_edit_records(lambda r: [*r, r[0]]), "more than once"),
    "an episode in another's place": (_edit_records(lambda r: r[1].update(r[0], episode=1)), "another seed"),
    "a seed": (_edit_records(lambda r: r[2].update(seed=1)), "another seed"),
    "an end": (_edit_records(lambda r: r[2].update(terminated=False, truncated=True)), "ends"),
    "success": (_edit_records(lambda r: [{**x, "success": False} for x in r]), "success is"),
    "validity": (_edit_records(lambda r: r[1].update(valid_actions=0)), "valid"),
    "what was revealed": (_edit_records(lambda r: r[1]["info"].update(secret="crane")), "last info"),
    "a pinned secret": (
        _edit_records(
            lambda r: r[1].update(
                options={"secret": "crane"}, actions=["crane"], rewards=[0.0], observations=["Wordle:", "g g g g g"]
            )
        ),
        "reset options",
    ),
    "episodes cut before they cost": (
        _edit_records(
            lambda r: (
                [x.update(actions=[], rewards=[], observations=x["observations"][:1], terminated=False) for x in r]
                and None
            )
        ),
        "mid-game",
    ),
    "a bad cell left out": (lambda out: shutil.rmtree(_cell(out)), "missing"),
    "another agent's records": (
        lambda out: (shutil.rmtree(_cell(out)), shutil.copytree(out / "cells/Wordle/random/seed-0", _cell(out))),
        'agent is "random"',
    ),
    "an error in a played game": (_edit_records(lambda r: r[4].update(error="it hurt")), "played to its end"),
    "the summary": (_edit_json("summary.json", lambda s: s.update(return_mean=0.0)), "return_mean"),
    "the number of episodes": (_edit_json("run.json", lambda s: s["spec"].update(episodes=10)), "episodes"),
    "the evaluation seed": (_edit_json("run.json", lambda s: s["spec"].update(seed=1)), "seed"),
    "the suite": (_edit_json("suite.json", lambda s: s["suite"].update(episodes=10)), "digest"),
    "a cut file": (lambda out: (_cell(out) / EPISODES).write_text("{\n{}\n"), "damaged"),
    "what no replay can tell": (_edit_records(lambda r: r[2].update(seconds=0.0)), "changed since it was written"),
    "the task": (_edit_json("run.json", lambda s: s["spec"].update(env_id="lmrl/Wordle-v9")), "env_id is"),
    "a lost summary": (lambda out: (_cell(out) / "summary.json").unlink(), "missing"),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_tampering_is_found(finished: Path, tmp_path: Path, what: str) -> None:
    import re

    tamper, message = TAMPERINGS[what]
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    tamper(out)
    found = breaches(out)
    assert found and re.search(message, " ".join(found)), found


# -- report


def test_report_is_one_file_without_network(finished: Path, tmp_path: Path) -> None:
    page = write_report(finished, tmp_path / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "src=" not in page and "@import" not in page
    assert page.count('<details class="one"') == 12 and "MazePartiallyObserved" in page
    assert "<svg" in page and "one seed" in page
    expert = normalized_score(
        "lmrl/Wordle-v0", json.loads((_cell(finished) / "summary.json").read_text())["return_mean"]
    )
    assert f"{expert:.1f}" in page


def test_hostile_transcripts_show_as_text(finished: Path, suite_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    (tmp_path / "evil.py").write_text(
        "class E:\n"
        "    def act(self, requests):\n"
        "        return ['</div></details><script>document.title=\"hacked\"</script><img src=x onerror=alert(1)>'] * len(requests)\n"
    )
    suite = load_suite(str(suite_file))
    assert run_suite(suite, out, agents=suite.only([f"{tmp_path}/evil.py:E"])) == {}
    page = write_report(out, tmp_path / "report.html").read_text()
    assert "hacked" in page and "<script>document.title" not in page and "<img" not in page
    assert breaches(out) == []


def test_scripted_agents_are_those_of_the_registry() -> None:
    assert load_agent("expert").describe() == {"kind": "scripted", "policy": "expert"}


# -- what a machine lacks, and what is played in turn


def test_missing_needs_are_said_and_nothing_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKFISH_PATH", str(tmp_path / "no-engine"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    text = TOY.replace(
        'id = "lmrl/MazePartiallyObserved-v0"\n', 'id = "lmrl/Chess-v0"\nkwargs = { simulator = "stockfish" }\n'
    )
    text += (
        '[[agents]]\nname = "gpt"\nspec = "openai:some-model"\n[[agents]]\nname = "odd"\ntrain = "no_such_algorithm"\n'
    )
    text = text.replace(
        'id = "lmrl/Wordle-v0"\n', 'id = "lmrl/Wordle-v0"\ndata = { name = "wordle/mixed-v0", sample = true }\n'
    )
    (tmp_path / "needy.toml").write_text(text)
    out = tmp_path / "run"
    told = run_suite(load_suite(str(tmp_path / "needy.toml")), out, workers=1)
    assert {name: reason.split(":")[0] for name, reason in told.items() if "gpt" not in name} == {
        "eval random Chess-stockfish seed 0": "needs Stockfish",
        "eval expert Chess-stockfish seed 0": "needs Stockfish",
        "eval odd Wordle seed 0": "needs what is not installed",
        "eval odd Wordle seed 1": "needs what is not installed",
    }
    assert "no_such_algorithm" in told["eval odd Wordle seed 0"] and "bc" in told["eval odd Wordle seed 0"]
    assert told["eval gpt Wordle seed 0"].startswith("needs") and "\n" not in "".join(told.values())
    results = load_results(out)
    assert [(row.task, row.agent) for row in results.rows] == [("Wordle", "random"), ("Wordle", "expert")]
    assert results.missing == told
    page = write_report(out, tmp_path / "report.html", results).read_text()
    assert "Not run" in page and page.count("needs Stockfish") == 2
    assert "needs Stockfish" in " ".join(breaches(out))


def test_a_suite_without_agents_asks_for_them(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="--agents"):
        run_suite(load_suite("llm"), tmp_path / "run")


def test_the_cost_cap_reaches_agents_that_cost(tmp_path: Path) -> None:
    suite = load_suite("llm")
    paid, free = suite.only(["openai:vendor/model-x", "transformers:some/folder"])
    assert (paid.name, free.name) == ("openai-vendor--model-x", "transformers-some--folder")
    [first] = [cell for cell in cells(suite, [paid]) if cell.task.slug == "Wordle"]
    assert evaluation_of(suite, first).agent_kwargs == {"max_cost_usd": suite.max_cost_usd}
    assert all(evaluation_of(suite, cell).agent_kwargs == {} for cell in cells(suite, [free]))
    with pytest.raises(SuiteError, match="share the name"):
        suite.only(["transformers:/a/model", "transformers:/b/model"])


def test_starts_go_round_over_the_episodes(tmp_path: Path) -> None:
    starts = [[1, 1], [1, 11], [6, 6]]
    spec = EvaluationSpec("lmrl/MazeFullyObserved-v0", "expert", 7, 3, each={"start": starts})
    evaluate(spec, tmp_path / "maze", slots=4)
    records = RecordFile(tmp_path / "maze").read()
    assert [record.options["start"] for record in records] == [starts[k % 3] for k in range(7)]
    assert all(
        f"position is at position {r.options['start'][0]}, {r.options['start'][1]}" in r.observations[0]
        for r in records
    )
    assert list(verify_records(tmp_path / "maze")) == []
    path = tmp_path / "maze" / EPISODES
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0].replace("[1,1]", "[6,6]").replace("[1, 1]", "[6, 6]"), *lines[1:]]) + "\n")
    assert "reset options" in " ".join(verify_records(tmp_path / "maze"))
    evaluate(EvaluationSpec("lmrl/ChessEndgames-v0", "random", 3, 3, each={"index": 645}), tmp_path / "chess")
    assert [record.options for record in RecordFile(tmp_path / "chess").read()] == [{"index": k} for k in range(3)]


def test_the_papers_starts_are_all_of_the_maze() -> None:
    from lmrl_envs.maze.rules import named_maze

    [maze] = [task for task in load_suite("paper").tasks if task.slug == "MazeFullyObserved"]
    assert sorted(map(tuple, maze.each["start"])) == sorted(named_maze("double_t").starts)
    assert maze.episodes == 32 * len(maze.each["start"])


def test_digests_of_suites_without_the_new_keys_stand() -> None:
    assert load_suite("learning-maze").digest == "57c71cc10a5571f8"  # what benchmarks/results was recorded with


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ('[[agents]]\nname = "../../etc"\n', "letters, digits"),
        ('[[tasks]]\nid = "lmrl/Chess-v0"\neach = { fen = [] }\n', "each.*length >= 1"),
        ('[[tasks]]\nid = "lmrl/Chess-v0"\nepisodes = 0\n', "episodes: Expected int >= 1"),
        ('[[agents]]\nname = "a/b"\n', "letters, digits"),
        ('[[agents]]\nname = "p"\ntrain = "ppo"\nstart = "expert"\n', "no other trained agent"),
        ('[[agents]]\nname = "p"\ntrain = "ppo"\nstart = "p"\n', "no other trained agent"),
        ('[[agents]]\nname = "p"\ntrain = "ppo"\nstart = "q"\n[[agents]]\nname = "q"\ntrain = "bc"\nstart = "p"\n', "no other"),
    ],
)  # fmt: skip
def test_names_and_starts_of_suites_are_checked(tmp_path: Path, addition: str, message: str) -> None:
    (tmp_path / "wrong.toml").write_text(TOY + addition)
    with pytest.raises(SuiteError, match=message):
        load_suite(str(tmp_path / "wrong.toml"))


def test_models_that_others_start_from_are_trained_first(tmp_path: Path) -> None:
    agents = (
        '[[agents]]\nname = "next"\ntrain = "filtered_bc"\nstart = "clone"\n[[agents]]\nname = "clone"\ntrain = "bc"\n'
    )
    text = TOY.replace(
        'id = "lmrl/Wordle-v0"\n', 'id = "lmrl/Wordle-v0"\ndata = { name = "wordle/mixed-v0", episodes = 50 }\n'
    )
    (tmp_path / "chain.toml").write_text(text + agents)
    suite = load_suite(str(tmp_path / "chain.toml"))
    plan = Plan(suite, suite.agents, "cpu")
    assert plan.lacking == {}
    assert plan.jobs["train filtered_bc-nano-from-clone Wordle seed 1"].needs == (
        "data wordle/mixed-v0 50", "train bc-nano Wordle seed 1",
    )  # fmt: skip
    later = plan.jobs["train filtered_bc-nano-from-clone Wordle seed 1"]
    assert later.arguments[2] == "training/Wordle/bc-nano/seed-1"
    assert plan.folders(later) == ["data/wordle--mixed-v0-50", "training/Wordle/bc-nano/seed-1"]
    assert plan.jobs["eval next Wordle seed 1"].needs == ("train filtered_bc-nano-from-clone Wordle seed 1",)
    assert sum(name.startswith("train bc") for name in plan.jobs) == 2  # once for each seed, though two agents need it


# -- references of variants


def test_variants_are_measured_by_their_own_references() -> None:
    default = scale_of("lmrl/MazeFullyObserved-v0", {})
    assert default is not None and default.source == "task table" and default.score(default.optimum) == 100
    umaze = scale_of("lmrl/MazeFullyObserved-v0", {"layout": "umaze"})
    assert umaze is not None and umaze.optimum_is == "exact" and "variant" in umaze.source
    from lmrl_envs.maze.rules import named_maze

    maze = named_maze("umaze")
    assert umaze.optimum == pytest.approx(-np.mean([maze.distance[start] - 1 for start in maze.starts]), abs=1e-4)
    assert scale_of("lmrl/MazeFullyObserved-v0", {"layout": "random:9x9"}) is None
    assert scale_of("lmrl/CarDealer-v1", {"reward": "revenue"}) is None
    # LMRL-Gym's scale is for its own reward, which is not the default one here.
    assert [lmrl_applies("lmrl/CarDealer-v1", {"reward": r}) for r in ("deal", "fancy", "revenue")] == [
        False,
        True,
        False,
    ]
    for wording in ({"feedback": "paired"}, {"duplicates": "standard"}, {}):
        assert scale_of("lmrl/Wordle-v0", wording) == scale_of("lmrl/Wordle-v0", {})


def test_a_variant_without_references_has_no_score(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text(TOY.replace("[[agents]]", 'kwargs = { layout = "random:3x3" }\n[[agents]]', 1))
    out = tmp_path / "run"
    run_suite(load_suite(str(tmp_path / "odd.toml")), out, workers=1)
    results = load_results(out)
    [row] = [row for row in results.rows if row.task == "MazePartiallyObserved-random-3x3" and row.agent == "expert"]
    assert row.score is None and row.low is None and row.lmrl is None and row.returns < 0
    assert {entry.tasks for entry in results.overall} == {1}
    summary = json.loads((results.played[-1].path / "summary.json").read_text())
    assert summary["normalized_score"] is None and summary["reference"] is None
    assert "no references for this variant" in write_report(out, tmp_path / "report.html", results).read_text()
    assert breaches(out) == []


@pytest.mark.parametrize("name", suite_names())
def test_every_task_of_the_bundled_suites_has_a_scale(name: str) -> None:
    for entry in load_suite(name).tasks:
        assert scale_of(entry.id, entry.kwargs) is not None, entry.slug


def test_bundled_references_are_in_order() -> None:
    """100 is above 0, and the random policy still scores about 0 on a few games (a smoke test of the file)."""
    from lmrl_agents.playing.rollout import Rollout

    entries = [entry for id in task_ids() for entry in variants(id)]
    assert len(entries) >= 20
    for entry in entries:
        scale = scale_of(entry["id"], entry["kwargs"])
        assert scale is not None and scale.optimum > scale.random, entry
    [entry] = [e for e in variants("lmrl/MazePartiallyObserved-v0") if e["kwargs"] == {"layout": "umaze"}]
    bare = {key: entry[key] for key in ("id", "kwargs")}
    again = computed({**bare, "games": 200})
    assert again["optimum"] == entry["optimum"] and again["optimum_is"] == "exact"
    assert again["random"] == pytest.approx(entry["random"], abs=10)
    scale = scale_of("lmrl/TwentyQuestions-v1", {"split": "test"})
    assert scale is not None
    played = Rollout(load_agent("random"), "lmrl/TwentyQuestions-v1", {"split": "test"}).play(
        range(300), 5, "validation"
    )
    assert abs(scale.score(float(np.mean([game.transcript.episode_return for game in played])))) < 15


# -- versions, engines, kills


def test_versions_are_not_mixed(
    finished: Path, suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    _edit_json("run.json", lambda r: r["provenance"]["packages"].update(lmrl="0.0.9"))(out)
    assert "recorded with lmrl 0.0.9, the run with" in " ".join(breaches(out))
    _edit_json("suite.json", lambda r: r["provenance"]["packages"].update(lmrl="0.0.9"))(out)
    assert "verify with that version" in " ".join(breaches(out))
    with pytest.raises(FolderError, match=r"lmrl: 0\.0\.9 there, "):
        run_suite(load_suite(str(suite_file)), out)
    with pytest.raises(FolderError, match=r"lmrl: 0\.0\.9 there, "):
        run = json.loads((_cell(out) / "run.json").read_text())["spec"]
        run.pop("agent_fingerprint")
        evaluate(EvaluationSpec(**run), _cell(out))


def _stockfish() -> bool:
    from gymnasium.error import DependencyNotInstalled

    from lmrl_envs.partners.uci import find_engine

    try:
        find_engine()
    except DependencyNotInstalled:
        return False
    return True


@pytest.mark.skipif(not _stockfish(), reason="Stockfish is not installed")
def test_games_against_an_engine_are_verified_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kwargs = {"simulator": "stockfish", "elo": 1350, "pool_size": 1, "max_moves": 12}
    evaluate(EvaluationSpec("lmrl/Chess-v0", "random", 2, 0, kwargs), tmp_path)
    monkeypatch.setenv("STOCKFISH_PATH", str(tmp_path / "no-engine"))
    assert list(verify_records(tmp_path)) == []
    path = tmp_path / EPISODES
    records = [json.loads(line) for line in path.read_text().splitlines()]
    records[0]["actions"][2] = "Ke9"
    records[1]["observations"][3] = records[1]["observations"][2]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    *found, changed = verify_records(tmp_path)
    assert "changed since it was written" in changed
    assert len(found) == 2 and all(
        "no legal reply" in breach or "turn" in breach or "observation" in breach for breach in found
    )


def test_ten_kills_at_random_moments_lose_at_most_a_batch(tmp_path: Path) -> None:
    import multiprocessing
    import random

    context, rng = multiprocessing.get_context("fork"), random.Random(10)
    out, path, kept = tmp_path / "eval", tmp_path / "eval" / EPISODES, 0
    for _ in range(10):
        process = context.Process(target=_evaluate_slowly, args=(out,))
        process.start()
        wanted = kept + rng.randrange(
            24
        )  # so much progress, and not so many seconds, which a busy machine makes nothing of
        while process.is_alive() and (path.read_bytes().count(b"\n") if path.exists() else 0) < wanted:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.01))
        process.kill()
        process.join()
        whole = RecordFile(out).read() if path.exists() else []
        numbers = [record.episode for record in whole]
        assert len(set(numbers)) == len(numbers) >= kept
        kept = len(numbers)
    assert kept > 0
    _evaluate_slowly(out)
    evaluate(EvaluationSpec("lmrl/Wordle-v0", "slow", 400, 0), tmp_path / "whole", agent=_Slow(0.0), slots=2)
    strip = lambda folder: [{**asdict(record), "seconds": 0} for record in RecordFile(folder).read()]  # noqa: E731
    assert strip(out) == strip(tmp_path / "whole")


class _Slow:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def act(self, requests):
        time.sleep(self.seconds)
        return ["crane"] * len(requests)


def _evaluate_slowly(out: Path) -> None:
    import lmrl_benchmarks.running.evaluation as evaluation

    evaluation.BATCH, before = 4, evaluation.BATCH
    try:
        evaluate(EvaluationSpec("lmrl/Wordle-v0", "slow", 400, 0), out, agent=_Slow(0.0005), slots=2)
    finally:
        evaluation.BATCH = before


def test_a_killed_run_goes_on(suite_file: Path, finished: Path, tmp_path: Path) -> None:
    import random

    (tmp_path / "run.py").write_text(_RUN)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    rng = random.Random(3)
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, str(tmp_path / "run.py"), str(suite_file), str(tmp_path / "out")], env=environment
        )
        time.sleep(rng.uniform(0.8, 2.5))
        process.kill()
        process.wait()
    assert run_suite(load_suite(str(suite_file)), tmp_path / "out", workers=1) == {}
    assert breaches(tmp_path / "out") == []
    assert [(r.task, r.agent, r.score) for r in load_results(tmp_path / "out").rows] == [
        (r.task, r.agent, r.score) for r in load_results(finished).rows
    ]


def test_an_agent_that_hangs_loses_only_its_own_cells(suite_file: Path, tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text(
        "import time\nclass H:\n    def act(self, requests):\n        if 'Wordle' in requests[0].env_id:\n"
        "            time.sleep(600)\n        return ['move up'] * len(requests)\n"
    )
    suite = load_suite(str(suite_file))
    chosen = suite.only(["random", f"{tmp_path}/hangs.py:H"])
    told = run_suite(suite, tmp_path / "run", agents=chosen, workers=2, room=RoomSettings(patience=1.0))
    assert list(told) == ["eval hangs.py-H Wordle seed 0"] and "no answer within 1 s" in next(iter(told.values()))
    assert len(load_results(tmp_path / "run").rows) == 3
    assert "no answer" in load_results(tmp_path / "run").missing["eval hangs.py-H Wordle seed 0"]


def test_progress_tells_of_the_whole_and_of_cells(suite_file: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int, list[str]]] = []
    run_suite(load_suite(str(suite_file)), tmp_path / "run", workers=1, progress=lambda *now: told.append(now))
    assert told[0][:2] == (0, 4) and told[-1] == (4, 4, [])
    assert any(name.startswith("eval expert Wordle seed 0") for _, _, names in told for name in names)
    assert not list((tmp_path / "run").rglob(".progress"))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".progress").write_text("64/1000")
    (tmp_path / "a" / "metrics.jsonl").write_text('{"step": 10, "loss": 1.0}\n{"step": 20, "loss": 0.5}\n')
    assert how_far(tmp_path, Job("eval", "eval a", "a")) == "(64/1000)"
    assert how_far(tmp_path, Job("train", "train a", "a")) == "(step 20)"
    assert how_far(tmp_path, Job("train", "train b", "nothing")) == ""
