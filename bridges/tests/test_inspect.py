"""Tasks in Inspect AI itself: the scores are those of `lmrl eval`, and logs replay."""

from __future__ import annotations

from pathlib import Path

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import read_eval_log
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from player import Expert, action, chat

import lmrl_envs
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import RecordFile
from lmrl_bridges import inspect as bridge
from lmrl_datasets.schema import DatasetError

GAMES = 12


def model(env_id: str, tool: bool = False):
    def answer(messages, tools, choice, config):
        said = action(env_id, chat([("tool" if m.role == "tool" else m.role, _called(m) or m.text) for m in messages]))
        if tool:
            (offered,) = tools
            (argument,) = offered.parameters.properties
            out = ModelOutput.for_tool_call("mockllm/model", offered.name, {argument: said})
        else:
            out = ModelOutput.from_content("mockllm/model", said)
        out.usage = ModelUsage()  # else it is counted by a tokenizer that asks the network
        return out

    return get_model("mockllm/model", custom_outputs=answer)


def _called(message) -> str:
    return next(iter(message.tool_calls[0].arguments.values())) if getattr(message, "tool_calls", None) else ""


@pytest.mark.parametrize("env_id", ["lmrl/Wordle-v0", "lmrl/TwentyQuestions-v1", "lmrl/CarDealer-v1"])
def test_a_score_is_lmrl_evals_game_by_game(env_id: str, tmp_path: Path) -> None:
    (log,) = inspect_eval(
        bridge.game(env=env_id, games=GAMES, seed=3), model=model(env_id), log_dir=str(tmp_path / "log"), display="none"
    )
    assert log.status == "success", log.error
    evaluate(EvaluationSpec(env_id, "own", GAMES, 3), tmp_path / "eval", agent=Expert())
    records = RecordFile(tmp_path / "eval").read()
    samples = sorted(log.samples, key=lambda sample: sample.id)
    assert [tuple(s.store["lmrl"]["actions"]) for s in samples] == [record.actions for record in records]
    assert [s.scores["outcome"].value["return"] for s in samples] == [record.score(-99) for record in records]
    assert [s.scores["outcome"].value["success"] for s in samples] == [float(record.success) for record in records]
    assert [s.store["lmrl"]["info"] for s in samples] == [record.info for record in records]
    assert bridge.replay(log.location) == GAMES


def test_answers_by_a_tool(tmp_path: Path) -> None:
    env_id = "lmrl/Wordle-v0"
    logs = [
        inspect_eval(
            bridge.game(env=env_id, games=3, tools=tools), model=model(env_id, tools), log_dir=str(tmp_path / str(tools)),
            display="none",
        )[0]
        for tools in (False, True)
    ]  # fmt: skip
    games = [{s.id: s.store["lmrl"] for s in log.samples} for log in logs]
    assert games[0] == games[1] and len(games[0]) == 3


def test_an_unfinished_game_scores_the_least_and_a_changed_log_is_found(tmp_path: Path) -> None:
    env_id = "lmrl/Wordle-v0"
    (log,) = inspect_eval(
        bridge.game(env=env_id, games=2), model=model(env_id), log_dir=str(tmp_path), display="none", message_limit=4
    )
    for sample in log.samples:
        assert sample.scores["outcome"].value["return"] == lmrl_envs.task(env_id).return_range[0]
        assert not sample.scores["outcome"].value["finished"]
    log = read_eval_log(log.location)
    assert bridge.replay(log) == 2
    log.samples[0].store["lmrl"]["rewards"][0] = 1.0
    with pytest.raises(DatasetError, match="earns"):
        bridge.replay(log)
