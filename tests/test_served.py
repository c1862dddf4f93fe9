"""Trained models on a server: ids in and out, held to the same model played here; exported folders; servers that fail."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faulty_server import FaultyServer
from test_explain import MAZE, TEXTS

from lmrl_agents import load_agent
from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.sampling import Sampling, generate
from lmrl_agents.models.tokenizer import train_tokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_agents.playing.protocol import AgentError, AgentStopped, Request
from lmrl_agents.playing.served import ServedAgent
from lmrl_benchmarks.commands.agents import export
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import RecordFile
from lmrl_envs import Transcript
from lmrl_envs.files import FolderError

RUN = "import sys; from lmrl_benchmarks.commands.cli import main; sys.argv[0] = 'lmrl'; main()"

TURNS = ("window", "whole")


@pytest.fixture(scope="module", params=TURNS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = train_tokenizer(TEXTS, units="words", max_size=400)
    form = TextFormat(context_turns=1 if request.param == "window" else None, max_tokens=64, max_action_tokens=4)
    # Composed output rows and no tying, so that an export has something to put together.
    config = ModelConfig(layers=2, width=16, heads=1, max_positions=64, compose=True)
    model = LanguageModel.create(config, tokenizer, form, 0)
    with torch.no_grad():  # so that greedy actions differ by context
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    model.save(folder, {"env_id": MAZE})
    return folder


def serving(folder: Path, **faults: Any) -> FaultyServer:
    """The endpoint of vLLM that takes ids, by its documentation; the model is the folder's."""
    model, lock = LanguageModel.load(folder), threading.Lock()

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        assert body["return_token_ids"] and body["stop_token_ids"] == [model.tokenizer.eoa] and body["ignore_eos"]
        sampling = Sampling(body["temperature"], body["top_k"], body["top_p"], body["max_tokens"])
        with lock:
            (drawn,) = generate(model, [body["prompt"]], [np.random.default_rng(body.get("seed", 0)).random], sampling)
        ends = drawn.ids[-1] == model.tokenizer.eoa
        choice = {
            "index": 0,
            "text": model.tokenizer.decode(drawn.ids),
            "finish_reason": "stop" if ends else "length",
            "token_ids": list(drawn.ids),
            "logprobs": {"token_logprobs": list(drawn.logprobs)},
        }
        return {"id": "cmpl-1", "object": "text_completion", "choices": [choice]}

    return FaultyServer(whole=answer, **faults)


def requests(n: int, turns: int = 2) -> list[Request]:
    texts = [TEXTS[0], "move up", TEXTS[1], "move left", TEXTS[0]]
    return [Request(MAZE, i, 100 + i, Transcript.from_texts(texts[: 2 * turns + 1], [-1.0] * turns)) for i in range(n)]


def served(folder: Path, server: FaultyServer, **arguments: Any) -> ServedAgent:
    options = {"served_model": "toy-model", "backoff": 0.01, "timeout": 5.0, "deadline": 10.0}
    agent = load_agent(str(folder), server=server.url, **{**options, **arguments})
    assert isinstance(agent, ServedAgent)
    return agent


def test_greedy_games_are_those_of_the_model_played_here(folder: Path, tmp_path: Path) -> None:
    spec = {"agent": str(folder), "env_id": MAZE, "episodes": 3, "seed": 5}
    here, there = tmp_path / "here", tmp_path / "there"
    evaluate(EvaluationSpec(**spec, agent_kwargs={"temperature": 0.0}), here)
    with serving(folder) as server:
        arguments = {"temperature": 0.0, "server": server.url, "served_model": "toy-model"}
        evaluate(EvaluationSpec(**spec, agent_kwargs=arguments), there)
        sent = {tuple(body["prompt"]) for body in server.bodies}
    assert len(sent) >= 3

    def played(out: Path) -> list[Any]:
        return [(r.episode, r.actions, r.rewards) for r in RecordFile(out).read()]

    assert played(here) == played(there)


def test_sampled_ids_come_back_with_their_log_probabilities(folder: Path) -> None:
    model = LanguageModel.load(folder)
    with serving(folder) as server:
        agent = served(folder, server, record_logprobs=True)
        asked = requests(6)
        drawn = agent.sample(asked)
        assert drawn == agent.sample(asked[:3]) + agent.sample(asked[3:]), "an action depends on its request alone"
        assert len({action.ids for action in drawn}) > 1
        contexts = agent.contexts(asked)
        assert sorted(map(tuple, contexts)) == sorted(tuple(body["prompt"]) for body in server.bodies[:6])
        details = agent.act_with_details(asked)
    for context, action, told in zip(contexts, drawn, details, strict=True):
        ids = torch.tensor([[*context, *action.ids]])
        with torch.inference_mode():
            logprobs = torch.log_softmax(model.lm(input_ids=ids).logits[0], dim=1)
        expected = [float(logprobs[len(context) - 1 + k, token]) for k, token in enumerate(action.ids)]
        assert action.logprobs == pytest.approx(expected, abs=1e-4)
        assert [x for _, x in told.details["token_logprobs"]] == pytest.approx(expected, abs=1e-3)
        assert told.details["completion_tokens"] == len(action.ids)


def test_long_games_are_cut_as_they_are_here(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, units="words", max_size=400)
    form = TextFormat(max_tokens=400, max_action_tokens=4)  # longer than the network can read
    model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1, max_positions=64), tokenizer, form, 0)
    model.save(tmp_path, {"env_id": MAZE})
    texts = [TEXTS[0], *["move up", TEXTS[1]] * 30]
    request = Request(MAZE, 0, 1, Transcript.from_texts(texts, [-1.0] * 30))
    here = load_agent(str(tmp_path), temperature=0.0)
    with serving(tmp_path) as server:
        agent = served(tmp_path, server, temperature=0.0)
        assert agent.act([request]) == here.act([request])
        (context,) = agent.contexts([request])
        assert len(context) > 60 and server.bodies[0]["prompt"] == context[-60:]


def test_games_played_here_and_on_a_server_are_not_mixed(folder: Path, tmp_path: Path) -> None:
    spec = {"agent": str(folder), "env_id": MAZE, "episodes": 2, "seed": 5}
    evaluate(EvaluationSpec(**spec), tmp_path / "run")
    with serving(folder) as server, pytest.raises(FolderError):
        arguments = {"server": server.url, "served_model": "toy-model"}
        evaluate(EvaluationSpec(**spec, agent_kwargs=arguments), tmp_path / "run")


def test_an_export_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = tmp_path / "hf"
    done = subprocess.run(
        [sys.executable, "-c", RUN, "agents", "export", str(folder), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    card = (out / "README.md").read_text("utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n") and "lmrl" in card.split("---")[1]
    ours = LanguageModel.load(folder)
    other = AutoModelForCausalLM.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.get_vocab() == ours.tokenizer.hf.get_vocab()
    episode = TokenEpisode.from_transcript(requests(1)[0].transcript, False, False, ours.tokenizer, ours.form)
    ids = torch.tensor([ours.form.context(episode)])
    with torch.inference_mode():
        assert torch.allclose(other(input_ids=ids).logits, ours.lm(input_ids=ids).logits, atol=1e-6)
    again = subprocess.run(done.args, capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "exists" in again.stderr


@pytest.mark.parametrize(
    "mode", ["rate_limit", "server_error", "drop", "cut_body", "truncated_json", "html", "other_json"]
)
def test_passing_faults_change_no_action(folder: Path, tmp_path: Path, mode: str) -> None:
    with serving(folder) as server, serving(folder, script=[mode, mode]) as faulty:
        agents = served(folder, server), served(folder, faulty, concurrency=1)
        for agent in agents:
            agent.keep_in(tmp_path)  # of one run: the seeds that a server sees follow from a secret of it
        expected, found = (agent.act(requests(3)) for agent in agents)
        assert found == expected
        assert len(faulty.bodies) == 5


Change = Callable[[dict[str, Any]], None]


def spoiled(folder: Path, change: Change) -> FaultyServer:
    server = serving(folder)
    good = server.whole
    assert good is not None

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        found = good(body)
        change(found["choices"][0])
        return found

    server.whole = answer
    return server


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda choice: choice.pop("token_ids"), "sends no token ids"),
        (lambda choice: choice.pop("logprobs"), "sends no token ids"),
        (lambda choice: choice.update(logprobs={"token_logprobs": [0.0]}, token_ids=[1, 2]), "sends no token ids"),
        (lambda choice: choice.update(logprobs={"token_logprobs": [0.0]}, token_ids=[10**6]), "is it another model"),
        (lambda choice: choice.update(logprobs={"token_logprobs": []}, token_ids=[]), "0 tokens"),
        (lambda choice: choice.update(logprobs={"token_logprobs": [float("nan")]}, token_ids=[5]), "did not send"),
        (lambda choice: choice.update(logprobs={"token_logprobs": [0.0]}, token_ids=[float("inf")]), "did not send"),
        (lambda choice: choice.update(logprobs={"token_logprobs": [0.0]}, token_ids=[5.7]), "did not send"),
        (lambda choice: choice.update(logprobs={"token_logprobs": [0.0]}, token_ids="5"), "did not send"),
        (lambda choice: choice.update(logprobs={"token_logprobs": [3.0]}, token_ids=[5]), "did not send"),
        (
            lambda choice: choice.update(logprobs={"token_logprobs": [0.0]}, token_ids=[5], finish_reason="stop"),
            "without its end token",
        ),
    ],
)
def test_answers_that_are_no_actions_stop_the_run(folder: Path, change: Change, why: str) -> None:
    with spoiled(folder, change) as server, pytest.raises(AgentStopped, match=why):
        served(folder, server, max_retries=1).act(requests(2))


def test_a_server_that_is_gone_or_hangs_stops_the_run(folder: Path) -> None:
    with serving(folder, then="hang") as server, pytest.raises(AgentStopped, match="did not answer"):
        served(folder, server, timeout=0.2, max_retries=1).act(requests(2))
    with serving(folder) as server:
        agent = served(folder, server, max_retries=1)
    with pytest.raises(AgentStopped, match="no connection"):
        agent.act(requests(2))


def test_what_cannot_be_served_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = LanguageModel.load(folder)
    model.save(tmp_path, {"env_id": MAZE, "decoding": {"beta": 3.0, "support": 0.0}})
    Critic.beside(model, CriticConfig(("value", "q1", "q2"))).save(tmp_path)
    with serving(folder) as server:
        with pytest.raises(AgentError, match="guided by values"):
            served(tmp_path, server)
        with pytest.raises(AgentError, match="no temperature was chosen"):
            served(folder, server, temperature="best")
        with pytest.raises(AgentError, match="base_url"):
            load_agent(str(folder), server="file:///etc/passwd", served_model="toy")
    assert export(tmp_path, tmp_path / "hf") == 0
    assert "values are not exported" in capsys.readouterr().err
