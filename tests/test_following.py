"""Online training through a server that follows the policy: the same games and weights as here, and never another policy's."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
import test_chat_training
import torch
from policy_server import hash_of
from safetensors.torch import load_file
from test_chat_training import LORA, SHORT

from lmrl_agents.algorithms import ppo
from lmrl_agents.learning import online
from lmrl_agents.learning.following import Follower
from lmrl_agents.learning.run import METRICS, TrainingError, TrainingRun
from lmrl_agents.learning.train import train
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.steps import StepStore
from lmrl_agents.playing import policy_agent

ENV = "lmrl/Wordle-v0"
COUNTS = {"iterations": 2, "episodes": 3, "slots": 3, "learning_rate": 1e-3, "warmup": 0}


REWARD = """
class Sums:  # games of an untrained model are otherwise all alike
    def score(self, trajectories):
        return [[sum(action.encode()) % 7 / 7 for action in t.transcript.actions] for t in trajectories]
"""

checkpoint = test_chat_training.instruct
"""A Llama-shaped checkpoint in bfloat16 with a ChatML template, and more rows than tokens."""


class Process:
    """`policy_server.py` as a process, started again on the same port when it has died, so often as asked for."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [sys.executable, str(Path(__file__).with_name("policy_server.py")), str(folder), str(self.port)]
        self.command += options
        self.url, self.restarts, self.closed = f"http://127.0.0.1:{self.port}", 0, False
        self.process = self.start()
        threading.Thread(target=self.watch, daemon=True).start()

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def watch(self) -> None:
        while not self.closed:
            self.process.wait()
            if not self.closed and self.restarts > 0:
                self.restarts -= 1
                self.process = self.start()
            time.sleep(0.05)

    def ask(self, path: str, body: Any = None) -> Any:
        for _ in range(600):
            try:
                reply = httpx.request("GET" if body is None else "POST", self.url + path, json=body, timeout=60)
                return reply.json()
            except httpx.ConnectError:
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    def faults(self, **faults: Any) -> None:
        self.ask(
            "/faults", {"dies_after": -1, "other_after": -1, **dict.fromkeys(("half", "stale", "raw"), 0), **faults}
        )

    def close(self) -> None:
        self.closed = True
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def adapters(checkpoint: Path) -> Iterator[Process]:
    server = Process(checkpoint, "--lora")
    yield server
    server.close()


@pytest.fixture(scope="module")
def start(checkpoint: Path, wordle_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(run_of("bc", checkpoint, wordle_data, tmp_path_factory.mktemp("start") / "run"))


def run_of(
    algorithm: str, source: Path, data: Path, out: Path, start: Path | None = None, **settings: Any
) -> TrainingRun:
    own = {} if algorithm == "bc" else {f"{algorithm}.{key}": value for key, value in COUNTS.items()}
    own |= {"grpo.episodes": 1, "grpo.group_size": 3} if algorithm == "grpo" else {}
    own |= {f"{algorithm}.kl_limit": 0.0} if algorithm in ("ppo", "grpo", "reinforce") else {}
    own |= {"bc.learning_rate": 1e-2}
    run = TrainingRun(
        algorithm, ENV, str(data), out, preset="instruct", show_progress=False, report_to="none",
        overrides={"model.source": str(source), **SHORT, **LORA, "text.max_action_tokens": 3, **own, **settings},
    )  # fmt: skip
    run.start = start
    if algorithm != "bc" and start is not None:
        place = out.with_suffix(".py")
        place.write_text(REWARD, "utf-8")
        run.reward = f"{place}:Sums"
    return run


def follows(server: Process, **settings: Any) -> dict[str, Any]:
    told = {"server": f"{server.url}/v1", "deadline": 60.0, "timeout": 20.0, "tolerance": 1e-4, **settings}
    return {f"rollout.{name}": value for name, value in told.items()}


def metrics_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / METRICS).read_text().splitlines()]


def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have local play draw from the seeds that a server would see."""
    noise = policy_agent.TokenAgent.noise

    def seeded(self: Any, request: Any, candidate: int) -> np.random.Generator:
        return np.random.default_rng(int(noise(self, request, candidate).random() * 2**31))

    monkeypatch.setattr(policy_agent.Recorder, "noise", seeded, raising=False)


def weights_apart(a: Path, b: Path) -> float:
    """Length of the difference: Adam makes whole steps of single gradients that are nothing but rounding."""
    one, other = load_file(a / "weights.safetensors"), load_file(b / "weights.safetensors")
    assert one.keys() == other.keys()
    return float(sum((one[name] - other[name]).square().sum() for name in one)) ** 0.5


def as_served(policy: LanguageModel) -> dict[str, torch.Tensor]:
    """A policy's whole weights by the names that a server has for them."""
    head = policy.lm.get_output_embeddings()
    below = {name: weight for name, weight in policy.lm.state_dict().items() if not name.startswith("lm_head.")}
    return {**below, "lm_head.weight": head.weight}


def moves(*folders: Path, start: Path) -> list[torch.Tensor]:
    """What was learned since the start, one vector a model."""
    first, *rest = (load_file(folder / "weights.safetensors") for folder in (start, *folders))
    return [torch.cat([(after[name] - first[name]).flatten() for name in first]).double() for after in rest]


@pytest.mark.parametrize("algorithm", ["ppo", "grpo", "reinforce", "online_filtered_bc"])
def test_training_through_a_server_is_training_here(
    algorithm,
    adapters,
    checkpoint,
    wordle_data,
    start,
    tmp_path,
    monkeypatch,
) -> None:
    adapters.faults()
    there = train(run_of(algorithm, checkpoint, wordle_data, tmp_path / "there", start, **follows(adapters)))
    if algorithm != "online_filtered_bc":
        assert all(m["lag"] == 0 and m["server_apart"] < 1e-4 for m in metrics_of(tmp_path / "there"))
        assert all(m["importance"] == pytest.approx(1, abs=1e-4) for m in metrics_of(tmp_path / "there"))
    same_draws(monkeypatch)
    here = train(run_of(algorithm, checkpoint, wordle_data, tmp_path / "here", start))
    facts = [
        [(m["optimised"], m["turns"], m["action_tokens"]) for m in metrics_of(out)]
        for out in (tmp_path / "here", tmp_path / "there")
    ]
    assert facts[0] == facts[1], "the same games"
    assert weights_apart(here, there) < 0.005 * weights_apart(here, start) > 0
    names = [name for path, name in adapters.ask("/seen") if path == "/v1/load_lora_adapter"][-2:]
    assert [name.rpartition("-")[2] for name in names] == ["v0", "v1"]
    assert [m["id"] for m in adapters.ask("/v1/models")["data"]] == [str(checkpoint)], "the last one is taken off"
    assert not any((tmp_path / "there" / "served").iterdir())


def test_whole_weights_go_through_the_folder_that_is_served(wordle_data, tmp_path, monkeypatch) -> None:
    small: dict[str, Any] = {"preset": "nano", "report_to": "none", "show_progress": False}
    own = {
        "text.max_action_tokens": 12,
        "model.compose": True,
        "bc.steps": 10,
        "ppo.kl_limit": 0.0,  # no round is taken back
        **{f"ppo.{k}": v for k, v in COUNTS.items()},
    }
    first = train(TrainingRun("bc", ENV, str(wordle_data), tmp_path / "first", overrides=own, **small))
    assert LanguageModel.load(first).config.compose
    (tmp_path / "sums.py").write_text(REWARD, "utf-8")
    small["reward"] = f"{tmp_path / 'sums.py'}:Sums"
    folder = tmp_path / "served"
    LanguageModel.load(first).export(folder)
    server, told, adopt = Process(folder), [], Follower.adopt

    def watching(self: Follower, version: int) -> None:
        adopt(self, version)
        told.append((hash_of(as_served(self.policy)), server.ask("/weights")["sha256"]))

    monkeypatch.setattr(Follower, "adopt", watching)
    try:
        given = {**own, **follows(server, folder=str(folder))}
        there = train(
            TrainingRun("ppo", ENV, str(wordle_data), tmp_path / "there", start=first, overrides=given, **small)
        )
        assert [path for path, _ in server.ask("/seen") if path != "/v1/completions"] == [
            "/sleep", "/wake_up", "/collective_rpc", "/wake_up",
        ] * 2  # fmt: skip
        assert [trained == served for trained, served in told] == [True, True], "to the last bit"
        assert told[0] != told[1], "it has learned in between"
        again = TrainingRun("ppo", ENV, str(wordle_data), tmp_path / "other", start=there, overrides=given, **small)
        for fault in ("stale", "half"):
            server.faults(**{fault: 3})
            again.out = tmp_path / fault
            with pytest.raises(TrainingError, match=r"round 0: .*has other weights than version 0 of the policy"):
                train(again)
        server.faults(other_after=8)
        again.out = tmp_path / "other"
        with pytest.raises(TrainingError, match=r"other weights than version 0 .* the round is not learned from"):
            train(again)
        assert not metrics_of(tmp_path / "other")
    finally:
        server.close()
    same_draws(monkeypatch)
    here = train(TrainingRun("ppo", ENV, str(wordle_data), tmp_path / "here", start=first, overrides=own, **small))
    # Adam makes whole steps of single gradients that are nothing but rounding: where it went is compared, not every weight.
    assert torch.nn.functional.cosine_similarity(*moves(here, there, start=first), dim=0) > 0.999
    for ours, theirs in zip(metrics_of(here.parent), metrics_of(there.parent), strict=True):
        assert (ours["optimised"], ours["action_tokens"]) == (theirs["optimised"], theirs["action_tokens"])
        assert theirs["server_apart"] < 1e-5 and theirs["importance"] == pytest.approx(1, abs=1e-5)
    assert metrics_of(here.parent)[0]["kl_moved"] == pytest.approx(metrics_of(there.parent)[0]["kl_moved"], rel=1e-4)


def test_a_server_that_fails_is_asked_again_and_the_games_are_the_same(
    adapters,
    checkpoint,
    wordle_data,
    start,
    tmp_path,
) -> None:
    adapters.faults()
    plain = train(run_of("reinforce", checkpoint, wordle_data, tmp_path / "plain", start, **follows(adapters)))
    adapters.restarts = 1
    # The first adapter is read by halves, then not at all; in the first round an answer is another model's, and the server dies.
    adapters.faults(half=1, stale=1, renamed=1, dies_after=16)
    failed = train(run_of("reinforce", checkpoint, wordle_data, tmp_path / "failed", start, **follows(adapters)))
    assert adapters.restarts == 0
    assert weights_apart(plain, failed) < 0.005 * weights_apart(plain, start) > 0
    loaded = [name for path, name in adapters.ask("/seen") if path == "/v1/load_lora_adapter"]
    assert [name.rpartition("-")[2] for name in loaded] == ["v0", "v1"], (
        "since it died: the version in play, then the next"
    )


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        ({"half": 3}, "has other weights than version 0"),
        ({"stale": 3}, "has other weights than version 0"),
        ({"fails": 3}, "with status 500: out of memory"),
        ({"renamed": 10**6}, "answered as 'another', not as"),
    ],
)
def test_never_is_anything_learned_from_another_policy(
    faults,
    why,
    adapters,
    checkpoint,
    wordle_data,
    start,
    tmp_path,
) -> None:
    adapters.faults(**faults)
    with pytest.raises(TrainingError, match=f"round 0: rollout.server: .*{why}"):
        train(run_of("ppo", checkpoint, wordle_data, tmp_path / "run", start, **follows(adapters)))
    assert not metrics_of(tmp_path / "run"), "nothing was learned"
    adapters.faults(fails=0, renamed=0)


def test_log_probabilities_of_another_temperature_stop_the_run(
    adapters,
    checkpoint,
    wordle_data,
    start,
    tmp_path,
) -> None:
    adapters.faults(raw=1)
    run = run_of(
        "ppo", checkpoint, wordle_data, tmp_path / "run", start, **follows(adapters), **{"ppo.temperature": 0.7}
    )
    with pytest.raises(TrainingError, match="processed_logprobs"):
        train(run)
    adapters.faults()


def test_play_and_learning_overlap_within_the_lag(
    adapters,
    checkpoint,
    wordle_data,
    start,
    tmp_path,
    monkeypatch,
) -> None:
    adapters.faults(slow=0.005)
    given = {**follows(adapters, max_lag=1, truncation=1.5), "ppo.iterations": 3}
    run, at_work = run_of("ppo", checkpoint, wordle_data, tmp_path / "run", start, **given), []
    whole = ppo._learn

    def learn(*args: Any) -> Any:
        began = len(adapters.ask("/seen"))
        time.sleep(0.3)
        found = whole(*args)
        at_work.append(len(adapters.ask("/seen")) - began)
        return found

    monkeypatch.setattr(ppo, "_learn", learn)
    train(run)
    lines = metrics_of(tmp_path / "run")
    assert [m["lag"] for m in lines] == [0, 1, 1]
    assert lines[0]["server_apart"] < 1e-4 < lines[1]["server_apart"], "older weights drew, and say so"
    assert lines[0]["importance"] == pytest.approx(1, abs=1e-4) and 0.5 < lines[1]["importance"] <= 1.5
    assert all(n > 3 for n in at_work[:2]) and at_work[2] == 0, "games were played while the policy learned"
    adapters.faults(slow=0.0)


def test_what_older_weights_drew_counts_by_its_truncated_ratio(checkpoint, wordle_data, start, tmp_path) -> None:
    run = run_of(
        "ppo", checkpoint, wordle_data, tmp_path, start, **{"rollout.server": "http://x/v1", "rollout.max_lag": 1}
    )
    model, config = LanguageModel.load(start / "."), ppo.Config(episodes=2, slots=2)
    steps = StepStore.of(online.play(run, model, range(2), config), model.form, model.tokenizer.pad)
    true = steps.logprob.copy()
    steps.logprob = true - np.log(np.resize([0.5, 1.0, 3.0], len(true)))  # the server said so
    told: dict[str, float] = {}
    session: Any = SimpleNamespace(run=run, acting=model, log=told.update)
    weights = online.off_policy_weights(session, steps, config)
    assert weights == pytest.approx(np.resize([0.5, 1.0, 2.0], len(true)), abs=1e-4)
    assert steps.logprob == pytest.approx(true, abs=1e-4) and told["server_apart"] == pytest.approx(np.log(3), abs=1e-4)
    run.overrides["rollout.max_lag"] = 0
    steps.logprob = true - 0.1
    with pytest.raises(TrainingError, match=r"up to 0\.1 from those of the policy"):
        online.off_policy_weights(session, steps, config)


@pytest.mark.parametrize(
    ("algorithm", "settings", "why"),
    [
        ("ppo", {"rollout.server": "http://a:b@x/v1"}, "must hold no credentials"),
        ("ppo", {"rollout.server": "http://x/v1", "rollout.lag": 1}, "rollout has no setting 'lag'"),
        ("ppo", {"rollout.max_lag": 1}, r"rollout\.server is missing"),
        ("ppo", {"rollout.server": "http://x/v1", "rollout.max_lag": -1}, "max_lag=-1 must be"),
        (
            "ppo",
            {"rollout.server": "http://x/v1,http://y/v1"},
            "2 addresses in rollout.server for 1 training processes",
        ),
        ("ppo", {"rollout.server": "http://x/v1", "model.lora_rank": 0}, "through the folder that it serves"),
        ("bc", {"rollout.server": "http://x/v1"}, "is for online algorithms"),
        ("nlpo", {"rollout.server": "http://x/v1"}, "plays by more than the policy's weights"),
    ],
)
def test_what_no_server_can_play_is_refused(algorithm, settings, why, checkpoint, wordle_data, start, tmp_path) -> None:
    own = start if settings.get("model.lora_rank") != 0 else None
    run = run_of(algorithm, checkpoint, wordle_data, tmp_path / "run", own, **{"bc.steps": 1, **settings})
    with pytest.raises((TrainingError, ValueError), match=why):
        train(run)
