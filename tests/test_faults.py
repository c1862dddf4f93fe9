"""Faults of processes, with real ones: servers, engines and workers that die, clocks that jump, forks, two runs at once."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium as gym
import pytest
from fault_tools import command, failed_with_one_line, start, stripped, wait_for
from serving import environment
from test_datasets import digests

import lmrl_envs
from lmrl_agents.playing.protocol import AgentStopped
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import RecordFile
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import load_suite
from lmrl_benchmarks.running.verify import verify_records
from lmrl_datasets import generate, load_dataset
from lmrl_envs.partners.uci import UciPartner

ROOT = Path(__file__).resolve().parents[1]
MAZE, WORDLE = "lmrl/MazeFullyObserved-v0", "lmrl/Wordle-v0"

# -- model servers


class ModelServer:
    """A server that plays Wordle well, in a process of its own that can be killed, stopped and started again."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.start()

    def start(self) -> None:
        code = "import sys, threading; from chat_player import playing\n"
        code += f"with playing('{WORDLE}', port=int(sys.argv[1])):\n    print(flush=True); threading.Event().wait()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(self.port)], stdout=subprocess.PIPE, env=environment()
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


def _spec(server: ModelServer, **changes: float) -> EvaluationSpec:
    settings = {"timeout": 0.5, "backoff": 0.2, "max_retries": 8, "concurrency": 2, **changes}
    return EvaluationSpec(WORDLE, "openai:toy-model", 12, 0, agent_kwargs={"base_url": server.url, **settings})


def _without_costs(out: Path) -> list[dict[str, object]]:
    return [{**record, "details": ()} for record in stripped(out)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """The records of the evaluation when nothing happens."""
    os.environ.setdefault("OPENAI_API_KEY", "sk-none")
    server, out = ModelServer(), tmp_path_factory.mktemp("undisturbed") / "eval"
    try:
        evaluate(_spec(server, timeout=60), out)
    finally:
        server.kill()
    return _without_costs(out)


@pytest.mark.parametrize("fault", ["killed and started again", "stopped for a while"])
def test_a_server_that_comes_back_costs_nothing(
    fault: str, undisturbed: list[dict[str, object]], tmp_path: Path
) -> None:
    server, out = ModelServer(), tmp_path / "eval"
    answers = out / "answers.jsonl"

    def disturb() -> None:
        wait_for(lambda: answers.is_file() and answers.read_text().count("\n") >= 5, "the fifth answer")
        if fault.startswith("killed"):
            server.kill()
            server.start()
        else:
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(1.5)
            server.process.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        summary = evaluate(_spec(server), out)
    finally:
        thread.join()
        server.kill()
    retried = [details.get("attempts", 1) for record in RecordFile(out).read() for details in record.details]
    assert summary["errors"] == 0 and max(retried) > 1
    assert _without_costs(out) == undisturbed and list(verify_records(out)) == []


def test_a_server_that_stays_away_stops_the_run_and_scores_nothing(
    undisturbed: list[dict[str, object]], tmp_path: Path
) -> None:
    server, out = ModelServer(), tmp_path / "eval"
    answers = out / "answers.jsonl"
    spec = _spec(server, backoff=0.01, max_retries=2)

    def disturb() -> None:
        wait_for(lambda: answers.is_file() and answers.read_text().count("\n") >= 12, "the twelfth answer")
        server.kill()

    thread = threading.Thread(target=disturb)
    thread.start()
    with pytest.raises(AgentStopped, match="is the server running"):
        evaluate(spec, out)
    thread.join()
    paid = answers.read_text().count("\n")
    assert not (out / "summary.json").exists() and not any(record.error for record in RecordFile(out).read())
    server.start()
    try:
        evaluate(spec, out)
    finally:
        server.kill()
    assert _without_costs(out) == undisturbed
    answered = [json.loads(line)["key"] for line in answers.read_text().splitlines()]
    assert len(answered) == len(set(answered)) > paid >= 12  # nothing was asked, and paid for, twice


# -- engines


def _engine(path: Path, seconds: float) -> str:
    """A program that speaks UCI, thinks for so long, and answers e7e5."""
    go = f"sleep {seconds}; echo bestmove e7e5"
    path.write_text(
        f'#!/bin/sh\nwhile read line; do case "$line" in uci) echo uciok;; isready) echo readyok;; go*) {go};; quit) exit;; esac; done\n'
    )
    path.chmod(0o755)
    return str(path)


def test_a_slow_engine_is_waited_for_and_one_that_is_too_slow_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKFISH_PATH", _engine(tmp_path / "slow", 0.4))
    env = gym.make("lmrl/Chess-v0", simulator="stockfish", nodes=10, spaced=False)
    env.reset(seed=0)
    text, reward, *_ = env.step("e4")
    assert text.startswith("rnbqkbnr/pppp1ppp/8/4p3/4P3/8/") and reward == 0
    base = env.unwrapped
    assert isinstance(base, lmrl_envs.PartnerTextEnv)
    base.partner.close()
    base.partner = too_slow = UciPartner(_engine(tmp_path / "slower", 30), timeout=0.2)
    before = base.get_state()
    with pytest.raises(lmrl_envs.SimulatorError, match=r"failed 6 times .*no answer within 0\.2 s"):
        env.step("Nf3")
    assert base.get_state() == before and not too_slow.pids
    env.close()


# -- workers


def test_a_worker_that_is_killed_ends_the_generation_with_one_line(tmp_path: Path) -> None:
    out = tmp_path / "data"
    order = ["data", "generate", "maze/suboptimal-v0", "--episodes", "1200", "--workers", "2", "--out", str(out)]
    process = start(*order)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    pair: list[int] = []

    def workers() -> list[int]:
        found = [int(pid) for pid in children.read_text().split()]
        with contextlib.suppress(OSError):  # one that came and went between the two looks
            return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return []

    wait_for(lambda: len(seen := workers()) == 2 and pair.extend(seen) is None, "two workers")
    killed, other = pair
    os.kill(killed, signal.SIGKILL)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 1 and "a worker process died" in told and "Traceback" not in told
    wait_for(lambda: not Path(f"/proc/{other}").exists(), "the end of the other worker")
    assert not (out / "manifest.json").exists() and not list(out.glob(".*.tmp"))
    generate("maze/suboptimal-v0", out, episodes=1200)
    assert digests(out) == digests(generate("maze/suboptimal-v0", tmp_path / "whole", episodes=1200))


# -- clocks

_JUMPING = """
import os, time
real, jump, begin = time.time, float(os.environ["JUMP"]), time.monotonic()
time.time = lambda: real() + (jump if time.monotonic() - begin > 0.5 else 0.0)
time.time_ns = lambda: int(time.time() * 1e9)
"""
_SLEEPER = """
import time
class Sleeper:
    def act(self, requests):
        time.sleep(0.6)
        return ["crane"] * len(requests)
"""
_SUITE = """
name = "one"
version = 1
episodes = 10
seed = 7
training_seeds = [0]
tasks = [{{ id = "lmrl/Wordle-v0" }}]
agents = [{{ name = "sleeper", spec = "{folder}/sleeper.py:Sleeper" }}]
"""


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_clock_that_jumps_by_an_hour_changes_nothing(jump: int, tmp_path: Path) -> None:
    """In the run's process and in its workers; an agent counts as hanging after half an hour."""
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(_JUMPING)
    (tmp_path / "sleeper.py").write_text(_SLEEPER)
    (tmp_path / "one.toml").write_text(_SUITE.format(folder=tmp_path))
    path = os.pathsep.join([str(tmp_path / "clock"), *(entry for entry in sys.path if entry)])
    order = ["leaderboard", "run", tmp_path / "one.toml", "--out", tmp_path / "run", "--patience", 1800]
    process = start(*order, PYTHONPATH=path, JUMP=str(jump))
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0, told
    assert run_suite(load_suite(str(tmp_path / "one.toml")), tmp_path / "still") == {}
    cell = Path("cells", "Wordle", "sleeper", "seed-0")
    assert stripped(tmp_path / "run" / cell) == stripped(tmp_path / "still" / cell)


WALL_CLOCK = {
    "agents/lmrl_agents/learning/trackers.py": "TensorBoard shows when",
    "lmrl_envs/partners/server_replies.py": "a server that names a date, and not its own: capped",
}


def test_the_wall_clock_is_read_only_to_be_told() -> None:
    found = set()
    for folder in ("lmrl_envs", "datasets", "agents", "benchmarks/lmrl_benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Attribute) and (ast.unparse(node) in _READS or node.attr == "st_mtime"):
                    found.add(path.relative_to(ROOT).as_posix())
    assert found == set(WALL_CLOCK)


_READS = {"time.time", "time.time_ns", "time.localtime", "time.gmtime", "datetime.datetime.now", "datetime.now"}


# -- forks

_FORK = """
import json, os, sys, warnings
import torch
from lmrl_agents import load_agent
from lmrl_agents.playing.rollout import Rollout
from lmrl_envs.partners.model_partner import openai_partner
from partner_toys import ToyPrompt, ask
warnings.simplefilter("ignore", DeprecationWarning)
agents = {"suboptimal": load_agent("suboptimal"), "trained": load_agent(sys.argv[1])}
partner = openai_partner("toy", ToyPrompt(), base_url=sys.argv[2], concurrency=1, temperature=1.0, max_retries=0)

def play():
    ids = ["lmrl/Wordle-v0", "lmrl/TwentyQuestions-v1"]
    games = [("suboptimal", id) for id in ids] + [("trained", "lmrl/MazeFullyObserved-v0")]
    played = [Rollout(agents[name], id, slots=2).play(range(3), 5) for name, id in games]
    found = [[(p.episode, p.transcript.as_text(), p.transcript.rewards) for p in sorted(ps, key=lambda p: p.episode)] for ps in played]
    return json.dumps(found)

def talk(who):
    asked = [ask(3, "Is it even?" if (i + who) % 2 else "Is it odd?", seed=i) for i in range(12)]
    return [partner.reply([request])[0].text for request in asked] == ["No." if (i + who) % 2 else "Yes." for i in range(12)]

torch.set_num_threads(1)
before = play()
assert talk(0)  # a connection is open now
reader, writer = os.pipe()
child = os.fork()
same = talk(1 if child else 0) and play() == before
if not child:
    os.write(writer, b"1" if same else b"0")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0 and os.read(reader, 1) == b"1" and same
print("the same")
"""


def test_a_fork_after_everything_is_loaded_plays_the_same(maze_data: Path, tmp_path: Path) -> None:
    """Parent and child at the same time: environments, knowledge, a trained model, a connection to a server."""
    from faulty_server import FaultyServer
    from test_partners_openai import oracle

    from lmrl_agents.learning.run import TrainingRun
    from lmrl_agents.learning.train import train

    overrides = {"model.width": 16, "model.layers": 1, "bc.steps": 2, "bc.batch_size": 8}
    train(TrainingRun("bc", MAZE, str(maze_data), tmp_path / "run", show_progress=False, overrides=overrides))

    def slowly(messages: list[dict[str, str]]) -> str:
        time.sleep(0.05)  # so that one asks while the other waits
        return oracle(messages)

    with FaultyServer(answer=slowly) as server:
        arguments = [sys.executable, "-c", _FORK, str(tmp_path / "run"), server.url]
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment(), timeout=120)
    assert done.stdout == "the same\n", done.stderr


# -- two runs in one directory

TWICE = {
    "data generate": (
        ["data", "generate", "maze/suboptimal-v0", "--episodes", "1200"],
        ".lock-0-of-1",
        "generating",
    ),
    "eval": (["eval", "--agent", "suboptimal", "--env", WORDLE, "--episodes", "3000"], "run.json", "evaluating"),
    "train": (
        ["train", "bc", "--env", MAZE, "--data", "{data}", "--set", "model.width=16", "bc.steps=60"],
        "train.json",
        "training",
    ),
    "leaderboard run": (["leaderboard", "run", "{suite}", "--workers", "1"], "suite.json", "running a suite"),
}


@pytest.mark.parametrize("what", TWICE)
def test_two_runs_in_one_directory(what: str, maze_data: Path, tmp_path: Path) -> None:
    """The second one is refused in one line; the first, stopped in its midst meanwhile, ends as if it had been alone."""
    words, sign, doing = TWICE[what]
    (tmp_path / "sleeper.py").write_text(_SLEEPER)
    (tmp_path / "one.toml").write_text(_SUITE.format(folder=tmp_path))
    out = tmp_path / "out"
    order = [word.format(data=maze_data, suite=tmp_path / "one.toml") for word in words] + ["--out", str(out)]
    first = start(*order)
    try:
        wait_for((out / sign).exists, sign)
        time.sleep(0.05)  # a lock is taken once its file is there
        first.send_signal(signal.SIGSTOP)
        assert first.poll() is None, "the first run was over before the second began"
        resume = ["--resume"] if what == "train" else []
        done = subprocess.run(command(*order, *resume), capture_output=True, text=True, env=environment(), timeout=120)
        assert f"another process is {doing} in {out}" in failed_with_one_line(done)
        first.send_signal(signal.SIGCONT)
        told = first.communicate(timeout=300)[1]
        assert first.returncode == 0, told
    finally:
        first.kill()
    if what == "data generate":
        load_dataset(out).verify()
    elif what == "eval":
        assert list(verify_records(out)) == []
