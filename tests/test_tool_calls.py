"""Prompted agents that answer by calls of a task's tool, against servers with and without tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_player import player
from faulty_server import FaultyServer

pytest.importorskip("httpx")
from lmrl_agents import AgentError, load_agent
from lmrl_agents.playing.conformance import sample_requests
from lmrl_agents.playing.scripted import expert
from lmrl_agents.prompting.prompted import PromptedAgent, PromptSettings
from lmrl_agents.prompting.spending import Budget
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import RecordFile
from lmrl_benchmarks.running.verify import verify_records
from lmrl_envs import task, task_ids
from lmrl_envs.language.answers import Tool
from lmrl_envs.partners.local_model import LocalModel
from lmrl_envs.partners.server_forms import as_calls

WORDLE = "lmrl/Wordle-v0"
Write = Callable[[Tool, str], Any]
WRITTEN: dict[str, Write] = {
    "text": lambda tool, action: json.dumps({tool.argument: action}),
    "object": lambda tool, action: {tool.argument: action},
    "another name": lambda tool, action: json.dumps({"answer": action}),
    "cut": lambda tool, action: json.dumps({tool.argument: action})[:-1],
}


def in_words(messages: list[dict[str, Any]], tool: Tool) -> list[dict[str, str]]:
    """The chat that a server with tools is sent, as it would be without; checks that calls and results belong together."""
    found, open_call = [], None
    for message in messages:
        if message["role"] == "assistant":
            (call,) = message["tool_calls"]
            assert call["type"] == "function" and call["function"]["name"] == tool.name and open_call is None
            open_call = call["id"]
            found.append({"role": "assistant", "content": json.loads(call["function"]["arguments"])[tool.argument]})
        elif message["role"] == "tool":
            assert message["tool_call_id"] == open_call
            open_call = None
            found.append({"role": "user", "content": message["content"]})
        else:
            assert open_call is None
            found.append(message)
    return found


def calling(env_id: str, write: Write = WRITTEN["text"]) -> FaultyServer:
    """A server with tools, that plays a task well by calls."""
    tool, play = task(env_id).surface.answer_form.tool, player(env_id)

    def whole(body: dict[str, Any]) -> dict[str, Any]:
        assert body["tools"] == [tool.schema()] and body["tool_choice"] == "required"
        call = {"name": tool.name, "arguments": write(tool, play(in_words(body["messages"], tool)))}
        calls = [{"id": "x", "type": "function", "function": call}]
        message = {"role": "assistant", "content": "It seems best.", "tool_calls": calls}
        return {"model": "toy-model", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}

    return FaultyServer(whole=whole)


def evaluated(server: FaultyServer, env_id: str, out: Path, episodes: int = 3) -> dict[str, Any]:
    options = {"base_url": server.url, "tools": True, "history": "all", "backoff": 0.01}
    return evaluate(EvaluationSpec(env_id, "openai:toy-model", episodes, 0, agent_kwargs=options), out)


@pytest.mark.parametrize(
    "env_id", ["lmrl/Wordle-v0", "lmrl/MazeFullyObserved-v0", "lmrl/TwentyQuestions-v1", "lmrl/Negotiation-v0"]
)
def test_calls_play_as_words_do(env_id: str, tmp_path: Path) -> None:
    with calling(env_id) as server:
        summary = evaluated(server, env_id, tmp_path / "calls")
    words = evaluate(EvaluationSpec(env_id, "expert", 3, 0), tmp_path / "words", agent=expert())
    assert summary["errors"] == 0 and summary["return_mean"] == words["return_mean"]
    record = RecordFile(tmp_path / "calls").read()[0]
    tool = task(env_id).surface.answer_form.tool
    for action, told in zip(record.actions, record.details, strict=True):
        assert (
            told["called"]
            and told["reasoning"] == "It seems best."
            and json.loads(told["raw"]) == {tool.argument: action}
        )
    assert list(verify_records(tmp_path / "calls")) == []


@pytest.mark.parametrize("style", WRITTEN)
def test_calls_are_read_however_they_are_written(style: str) -> None:
    requests = sample_requests(WORDLE)[:1]
    with calling(WORDLE, lambda tool, action: WRITTEN[style](tool, "crane")) as server:
        agent = load_agent("openai:toy-model", base_url=server.url, tools=True)
        assert agent.act(requests) == ["crane"]
        agent.close()


@pytest.mark.parametrize(
    ("says", "form"),
    [
        ("tool_choice 'required' is not supported", "no tool_choice"),
        ("toy-model does not support tools", "no tool_choice, no tools"),
    ],
)
def test_a_server_without_tools_is_answered_in_words(says: str, form: str, tmp_path: Path) -> None:
    word, refused = player(WORDLE), "tools" if form.endswith("tools") else "tool_choice"

    def answer(body: dict[str, Any]) -> dict[str, Any] | str:
        messages = (
            in_words(body["messages"], task(WORDLE).surface.answer_form.tool) if "tools" in body else body["messages"]
        )
        return {"choices": [{"message": {"content": word(messages)}}]}

    with FaultyServer(whole=answer) as server:
        server.refuses = lambda body: says if refused in body else None
        summary = evaluated(server, WORDLE, tmp_path, episodes=2)
        tries = sum(refused in body for body in server.bodies)
    record = RecordFile(tmp_path).read()[0]
    assert summary["errors"] == 0 and summary["success_rate"] == 1 and 0 < tries <= 4
    assert {told["form"] for told in record.details} == {form} and "called" not in record.details[0]


def test_only_servers_have_tools() -> None:
    here = object.__new__(LocalModel)
    with pytest.raises(ValueError, match="behind a server"):
        PromptedAgent("transformers:x", here, PromptSettings(tools=True), Budget(None, None))
    with calling(WORDLE) as server, pytest.raises(AgentError, match="no argument 'tool'; did you mean 'tools'"):
        load_agent("openai:toy-model", base_url=server.url, tool=True)


@pytest.mark.parametrize("env_id", task_ids())
def test_every_tasks_tool_takes_any_action(env_id: str) -> None:
    tool = task(env_id).surface.answer_form.tool
    schema = tool.schema()["function"]
    assert (
        schema["name"].isidentifier()
        and schema["parameters"]["required"] == [tool.argument]
        and tool.does
        and tool.means
    )
    for action in ('he said "{no}"', "two\nlines", "\u00e9\u4e2d", ""):
        calls = as_calls([{"role": "user", "content": "?"}, {"role": "assistant", "content": action}], tool)
        assert tool.read(calls[1]["tool_calls"][0]["function"]["arguments"]) == action
    for none in ("", "{", "[]", "3", '{"other": "x"}', "[" * 100_000):
        assert tool.read(none) is None
    assert tool.read(json.dumps({tool.argument: 3})) is None
