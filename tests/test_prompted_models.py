"""Prompted agents with real models: a tiny one trained here, run in this process and behind `transformers serve`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
import torch
from chat_model import ENV_ID, EPISODES, SEED, train_chat_model

from lmrl_agents import AgentError, load_agent
from lmrl_agents.playing.conformance import check_agent, sample_requests
from lmrl_agents.prompting.prompts import NEW_GAME, messages_of
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import RecordFile
from lmrl_benchmarks.running.verify import verify_records
from lmrl_envs import Transcript
from lmrl_envs.files import FolderError

MAZE = "lmrl/MazeFullyObserved-v0"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny models are faster without a pool of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_chat_model(tmp_path_factory.mktemp("model") / "toy")


@pytest.fixture(scope="module")
def plain(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights without a chat template."""
    folder = tmp_path_factory.mktemp("plain") / "toy"
    shutil.copytree(model, folder)
    (folder / "chat_template.jinja").unlink()
    return folder


def evaluation(spec: str, **options) -> EvaluationSpec:
    return EvaluationSpec(ENV_ID, spec, EPISODES, SEED, agent_kwargs=options)


@pytest.fixture(scope="module")
def expert_return(tmp_path_factory: pytest.TempPathFactory) -> float:
    return evaluate(evaluation("expert"), tmp_path_factory.mktemp("expert"))["return_mean"]


@pytest.mark.parametrize("form", ["model", "plain"])
def test_a_model_that_knows_the_games_wins_them(form: str, expert_return: float, tmp_path: Path, request) -> None:
    folder = request.getfixturevalue(form)
    summary = evaluate(evaluation(f"transformers:{folder}", batch_size=3, max_tokens=12), tmp_path)
    assert summary["return_mean"] == expert_return and summary["success_rate"] == 1.0
    assert summary["prompt_tokens"] > 50 * EPISODES and summary["completion_tokens"] > EPISODES
    assert list(verify_records(tmp_path)) == []
    details = RecordFile(tmp_path).read()[0].details
    assert all(isinstance(d["raw"], str) and d["completion_tokens"] >= 1 and d["seconds"] > 0 for d in details)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_protocol_is_kept(temperature: float, model: Path) -> None:
    agent = load_agent(f"transformers:{model}", temperature=temperature, max_tokens=8)
    assert check_agent(agent, [ENV_ID, MAZE]).breaches == ()


def test_sampling_has_a_seed_per_request_and_leaves_the_global_stream_alone(model: Path) -> None:
    requests = sample_requests(MAZE, 8)  # not what the model has learned
    state = torch.get_rng_state()
    hot = load_agent(f"transformers:{model}", temperature=5.0, max_tokens=8)
    raw = [action.details["raw"] for action in hot.act_with_details(requests)]
    assert torch.equal(state, torch.get_rng_state()) and len(set(raw)) == len(raw)
    again = load_agent(f"transformers:{model}", temperature=5.0, max_tokens=8, batch_size=3)
    assert [action.details["raw"] for action in again.act_with_details(requests[::-1])][::-1] == raw


def test_what_does_not_fit_loses_examples_then_old_turns(model: Path) -> None:
    agent = load_agent(f"transformers:{model}", max_tokens=8, few_shot=1)
    backend = agent.backend
    texts = [f"text {k} " + "words " * 20 for k in range(41)]
    transcript = Transcript.from_texts(texts, [0.0] * 20)
    request = sample_requests(MAZE, 1)[0]
    long = type(request)(MAZE, 0, 0, transcript, "Play.")
    messages = agent.prompt(long)
    assert any(NEW_GAME in message["content"] for message in messages)
    assert not backend.fits(messages, 8)
    cut = agent._fitting(messages)
    shown = backend.tokenizer.decode(backend.prompter.encode(cut))
    assert backend.fits(cut, 8) and len(backend.prompter.encode(cut)) <= backend.room(8)
    assert "Play." in shown and "text 0 " in shown and "text 40 " in shown and "text 1 " not in shown
    assert NEW_GAME not in shown
    short = messages_of(request)
    assert agent._fitting(short) == short
    huge = type(request)(MAZE, 0, 0, Transcript.from_texts(["word " * 3000], []), "Play.")
    first, second = agent.act_with_details([huge, request])
    assert first.error is not None and re.search(r"\d+ tokens, this model takes 1016", first.error)
    assert second.error is None


def test_another_model_in_the_same_folder_does_not_go_on(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    evaluate(evaluation(f"transformers:{folder}", max_tokens=8), tmp_path / "eval")
    evaluate(evaluation(f"transformers:{folder}", max_tokens=8, batch_size=2), tmp_path / "eval")  # how, not what
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(FolderError, match="the agent's code or weights"):
        evaluate(evaluation(f"transformers:{folder}", max_tokens=8), tmp_path / "eval")


def test_models_that_cannot_be_used(model: Path) -> None:
    for spec, options, message in [
        ("transformers:no/such-model-here", {}, "cannot be loaded"),
        (f"transformers:{model}", {"dtype": "int4"}, "dtype='int4'"),
        (f"transformers:{model}", {"device": "no-such-device"}, "cannot be loaded"),
        (f"transformers:{model}", {"trust_remote_code": True}, "no argument 'trust_remote_code'"),
    ]:
        with pytest.raises(AgentError, match=message) as caught:
            load_agent(spec, **options)
        assert "\n" not in " ".join(str(caught.value).split())


@pytest.fixture(scope="module")
def served(model: Path):
    """URL of `transformers serve` with the model, on a free port of 127.0.0.1."""
    for needed in ("fastapi", "uvicorn", "accelerate", "httpx", "transformers.cli.serve"):
        pytest.importorskip(needed)
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model)]
    command += ["--host", "127.0.0.1", "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True)
    lines: list[str] = []
    listening = threading.Event()

    def read() -> None:
        for line in process.stdout or ():
            lines.append(line)
            if "running on http" in line:
                listening.set()

    threading.Thread(target=read, daemon=True).start()
    end = time.monotonic() + 180
    while not listening.wait(0.1):
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise AssertionError("transformers serve did not start:\n" + "".join(lines[-20:]))
    found = next(re.search(r"http://[\w.:]+", line) for line in lines if "running on http" in line)
    yield f"{found[0]}/v1" if found else ""
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_real_server_gives_the_same_score(
    served: str, model: Path, expert_return: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    options = {"base_url": served, "max_tokens": 8, "concurrency": 2}
    prices = {"usd_per_million_input": 1.0, "usd_per_million_output": 2.0, "max_cost_usd": 1.0}
    summary = evaluate(evaluation(f"openai:{model}", **options, **prices), tmp_path / "eval")
    assert summary["return_mean"] == expert_return and summary["errors"] == 0
    expected = (summary["prompt_tokens"] + 2 * summary["completion_tokens"]) / 1e6
    assert summary["cost_usd"] == pytest.approx(expected) and expected > 0
    with pytest.raises(AgentError, match="no-such-model"):
        load_agent("openai:no-such-model", **options).act(sample_requests(ENV_ID, 1))
