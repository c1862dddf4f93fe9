"""Reranking: candidates drawn beside each other, scored by hand-made tables and by critics, and recorded."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from test_explain import MAZE, TEXTS, by_tables

from lmrl_agents import load_agent
from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.sampling import Generated, generate
from lmrl_agents.models.tokenizer import train_tokenizer
from lmrl_agents.models.tokens import TextFormat
from lmrl_agents.playing.policy_agent import LanguageModelAgent
from lmrl_agents.playing.protocol import AgentError, Request
from lmrl_agents.playing.rerank import Candidate, rank, score_for
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import RecordFile
from lmrl_benchmarks.running.verify import verify_records
from lmrl_envs import Transcript
from lmrl_envs.files import FolderError


def drawn(tokenizer, *actions: tuple[str, tuple[float, ...]]) -> list[Generated]:
    return [Generated((*tokenizer.encode(text), tokenizer.eoa), logprobs) for text, logprobs in actions]


def told(tokenizer, ranked: list[Candidate]) -> list[tuple[str, float | None, int]]:
    return [(tokenizer.decode(one.action.ids), one.score, one.times) for one in ranked]


def test_scores_by_hand() -> None:
    policy, context, _ = by_tables()  # Q of "up" -5 and of "left" -3 where V is -4; nothing else decides anything
    tokenizer = policy.tokenizer
    up, left = ("move up", (0.0, -0.4, -0.3)), ("move left", (0.0, -1.2, 0.0))
    games = [drawn(tokenizer, up, left, up), drawn(tokenizer, up)]

    def best(score: str) -> list[tuple[str, float | None, int]]:
        first, second = rank(policy, policy.critic, [context, context], games, score)
        assert len(second) == 1 and tokenizer.decode(second[0].action.ids) == "move up"
        return told(tokenizer, first)

    assert best("q") == [("move left", -3.0, 1), ("move up", -5.0, 2)]
    assert best("advantage") == [("move left", 1.0, 1), ("move up", -1.0, 2)]
    assert best("logprob") == [("move up", pytest.approx(-0.7), 2), ("move left", pytest.approx(-1.2), 1)]
    assert best("mean_logprob")[0] == ("move up", pytest.approx(-0.7 / 3), 2)
    # Length decides between the two: the longer action is likelier by token.
    short, long = Generated((5,), (-0.5,)), Generated((5, 6, 7), (-0.2, -0.2, -0.2))
    for score, winner in (("logprob", short), ("mean_logprob", long)):
        assert rank(policy, None, [context], [[long, short]], score)[0][0].action is winner


def test_values_of_positions_are_read_before_the_last_token() -> None:
    policy, context, _ = by_tables()
    tokenizer, critic = policy.tokenizer, policy.critic
    worth = torch.zeros(len(tokenizer))
    worth[tokenizer.encode("move left")[-1]], worth[tokenizer.encode("move up")[-1]] = 2.0, -1.0
    critic.tokenizer, critic.heads = tokenizer, {"value": None}
    critic.value = lambda states: states @ worth
    critic.parameters = lambda: iter([worth])
    critic.states = lambda batch: critic.trunk(batch.tokens).last_hidden_state[batch.state_row, batch.state_column]
    games = [drawn(tokenizer, ("move up", (0.0,) * 3), ("move left", (0.0,) * 3))]
    (ranked,) = rank(policy, critic, [context], games, "value")
    assert told(tokenizer, ranked) == [("move left", 2.0, 1), ("move up", -1.0, 1)]


def test_what_is_forced_needs_no_score_and_ties_go_to_the_first() -> None:
    policy, context, _ = by_tables()
    up, left = ("move up", (0.0, -0.5, 0.0)), ("move left", (0.0, -0.5, 0.0))
    policy.support = 0.5  # "up" alone is left
    (ranked,) = rank(policy, policy.critic, [context], [drawn(policy.tokenizer, up, up)], "q")
    assert told(policy.tokenizer, ranked) == [("move up", None, 2)]
    for first, second in ((up, left), (left, up)):
        (ranked,) = rank(policy, None, [context], [drawn(policy.tokenizer, first, second)], "logprob")
        assert policy.tokenizer.decode(ranked[0].action.ids) == first[0]


@pytest.fixture(scope="module", params=["window", "whole"])
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models with a critic of actions, one of positions, none; drawn from by `generate` or from kept caches."""
    found = {}
    for name, heads in (("actions", ("value", "q1", "q2")), ("positions", ("value",)), ("none", ())):
        folder = tmp_path_factory.mktemp(name)
        tokenizer = train_tokenizer(TEXTS, units="words", max_size=400)
        turns = 1 if request.param == "window" else None
        form = TextFormat(context_turns=turns, max_tokens=64, max_action_tokens=4)
        model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1, max_positions=64), tokenizer, form, 0)
        model.save(folder, {"env_id": MAZE, "decoding": {"beta": 3.0, "support": 0.0}})
        if heads:
            critic = Critic.beside(model, CriticConfig(heads))
            torch.manual_seed(1)
            with torch.no_grad():
                for parameter in critic.heads.parameters():
                    parameter.normal_()
            critic.save(folder)
        found[name] = folder
    return found


def requests(n: int, turns: int = 2) -> list[Request]:
    texts = [TEXTS[0], "move up", TEXTS[1], "move left", TEXTS[0]]
    transcript = Transcript.from_texts(texts[: 2 * turns + 1], [-1.0] * turns)
    return [Request(MAZE, i, 100 + i, transcript) for i in range(n)]


@pytest.mark.parametrize("kind", ["actions", "positions", "none"])
def test_the_best_of_what_the_policy_would_draw(folders: dict[str, Path], kind: str) -> None:
    folder = folders[kind]
    for score in {"actions": ("q", "advantage"), "positions": ("value",), "none": ()}[kind] + ("logprob",):
        agent = LanguageModelAgent(folder, candidates=6, score=score)
        ranked = agent.ranked(requests(5))
        alone = [LanguageModelAgent(folder, candidates=6, score=score).ranked([r])[0] for r in requests(5)]
        for one, other, request in zip(ranked, alone, requests(5), strict=True):
            assert [c.action.ids for c in one] == [c.action.ids for c in other]
            assert [c.score for c in one] == pytest.approx([c.score for c in other], abs=1e-4)
            assert sum(c.times for c in one) == 6 and len({c.action.ids for c in one}) == len(one)
            assert [c.score for c in one] == sorted((c.score for c in one), reverse=True)
            # Each candidate is a draw of the policy itself, with random numbers of its own.
            seeds = [(request.seed, len(request.transcript), *([k] if k else [])) for k in range(6)]
            sources = [np.random.default_rng(seed).random for seed in seeds]
            contexts = agent.contexts([request]) * 6
            expected = [g.ids for g in generate(agent.policy, contexts, sources, agent.sampling)]
            assert {c.action.ids: c.times for c in one} == {ids: expected.count(ids) for ids in expected}
        assert len({c.action.ids for group in ranked for c in group}) > 6
        assert agent.act(requests(5)) == [agent.policy.tokenizer.decode(group[0].action.ids) for group in ranked]


def test_one_candidate_is_plain_sampling_and_values_then_do_not_tilt(folders: dict[str, Path]) -> None:
    plain = LanguageModelAgent(folders["none"])
    # The three have the same policy: what values they have is part of what they are.
    assert len({LanguageModelAgent(folder).fingerprint() for folder in folders.values()}) == 3
    assert LanguageModelAgent(folders["none"], candidates=1).act(requests(8)) == plain.act(requests(8))
    assert "candidates" not in plain.describe()
    guided = LanguageModelAgent(folders["actions"])
    reranking = LanguageModelAgent(folders["actions"], candidates=4)
    assert (guided.beta, reranking.beta) == (3.0, 0.0)  # of the data's policy, unless told otherwise
    assert LanguageModelAgent(folders["actions"], candidates=4, beta=2.0).beta == 2.0
    assert reranking.describe() | {"candidates": 4, "score": "q"} == reranking.describe()


def test_candidates_are_recorded_and_their_tokens_counted(folders: dict[str, Path], tmp_path: Path) -> None:
    for name, score in (("actions", "q"), ("positions", "value"), ("none", "logprob")):
        how = {"candidates": 5, "record_values": name != "none"}
        evaluate(EvaluationSpec(MAZE, str(folders[name]), 2, 0, agent_kwargs=how), tmp_path / name)
        records = RecordFile(tmp_path / name).read()
        assert list(verify_records(tmp_path / name)) == []
        for record in records:
            for action, details in zip(record.actions, record.details, strict=True):
                told = details["candidates"]
                assert told[0][0] == action and sum(times for _, _, times in told) == 5
                assert all(math.isfinite(value) for _, value, _ in told)
                if score == "q":
                    assert told[0][1] == pytest.approx(details["action_value"], abs=2e-3)
        agent = LanguageModelAgent(folders[name], candidates=5)
        (action,) = agent.act_with_details(requests(1))
        assert action.details["completion_tokens"] == agent.tokens_generated
    other = EvaluationSpec(MAZE, str(folders["actions"]), 2, 0, agent_kwargs={"candidates": 6, "record_values": True})
    with pytest.raises(FolderError, match="agent_kwargs"):
        evaluate(other, tmp_path / "actions")


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        ("none", {"candidates": 4, "temperature": 0}, "all are the same"),
        ("none", {"candidates": 0}, "candidates=0"),
        ("none", {"candidates": 4, "score": "q"}, "choose one of logprob, mean_logprob"),
        ("positions", {"candidates": 4, "score": "advantage"}, "choose one of value, logprob"),
        ("actions", {"candidates": 4, "score": "value"}, "choose one of q, advantage"),
        ("actions", {"score": "q"}, "more than one"),
    ],
)
def test_refusals(folders: dict[str, Path], name: str, how: dict, message: str) -> None:
    with pytest.raises(AgentError, match=message):
        load_agent(str(folders[name]), **how)


def test_by_default_the_critic_scores(folders: dict[str, Path]) -> None:
    for name, score in (("actions", "q"), ("positions", "value"), ("none", "logprob")):
        assert score_for(LanguageModelAgent(folders[name]).critic, None) == score
