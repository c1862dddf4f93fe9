"""Values of guided policies: read by hand-made tables, recorded, and shown where an agent is watched."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lmrl_agents import load_agent
from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.guided import GuidedPolicy
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.sampling import Generated
from lmrl_agents.models.tokenizer import train_tokenizer
from lmrl_agents.models.tokens import TextFormat
from lmrl_agents.playing.explain import explain
from lmrl_agents.playing.protocol import AgentError, Request
from lmrl_agents.playing.rerank import Candidate
from lmrl_benchmarks.reporting.thoughts import thoughts_of
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import RecordFile
from lmrl_benchmarks.running.verify import verify_records
from lmrl_envs import Transcript

MAZE = "lmrl/MazePartiallyObserved-v0"
TEXTS = [
    "There is a wall above you.",
    "There are walls to your left, below you.",
    "move up",
    "move left",
    "move down",
] * 3


class Echo(nn.Module):
    """A network whose state at a token is that token."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, input_ids: torch.Tensor, **_) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=torch.nn.functional.one_hot(input_ids, self.size).float())


def by_tables(value: bool = True):
    """A guided policy whose numbers are functions of the last token: "move" always, then up (.7), left (.3) or down (0)."""
    tokenizer = train_tokenizer(TEXTS, units="words", max_size=400)
    move, up, left, down = (tokenizer.encode(text)[-1] for text in ("move", "move up", "move left", "move down"))
    assert len(tokenizer.encode("move left")) == 2
    size = len(tokenizer)
    odds, q = torch.full((size, size), -30.0), torch.zeros(size, size)
    odds[tokenizer.act, move] = 0.0
    odds[move, [up, left, down]] = torch.tensor([0.7, 0.3, 0.0001]).log()
    odds[[up, left, down], tokenizer.eoa] = 0.0
    q[move, [up, left, down]] = torch.tensor([-5.0, -3.0, 99.0])
    q[[tokenizer.act, up, left], [move, tokenizer.eoa, tokenizer.eoa]] = 77.0  # never trained: nothing is decided there
    model = SimpleNamespace(networks=[Echo(size)], logits=lambda states: states[0] @ odds, tokenizer=tokenizer)
    model.device, model.max_positions = torch.device("cpu"), 64
    heads = {"q1": None, "q2": None} | ({"value": None} if value else {})
    critic = SimpleNamespace(trunk=Echo(size), heads=heads, least_q=lambda states: states @ q)
    critic.value = lambda states: states @ torch.eye(size)[move] * -4.0
    policy = GuidedPolicy(model, critic, beta=0.0, support=0.01)  # type: ignore[arg-type]
    context = [tokenizer.obs, *tokenizer.encode(TEXTS[0]), tokenizer.act]
    return policy, context, (move, up, tokenizer.eoa)


def test_values_by_hand() -> None:
    policy, context, action = by_tables()
    short = [policy.tokenizer.obs, policy.tokenizer.act]
    told = explain(policy, TextFormat(), [context, short], [action, action])
    assert told[0] == told[1]
    assert (told[0].value, told[0].action, told[0].advantage) == (-4.0, -5.0, -1.0)
    assert told[0].tokens == (None, -5.0, None)
    assert told[0].alternatives == (("move left", -3.0), ("move up", -5.0))  # "move down" has no support
    assert explain(policy, TextFormat(), [], []) == []


def test_without_a_v_head_the_value_is_the_mean_of_q() -> None:
    policy, context, action = by_tables(value=False)
    (told,) = explain(policy, TextFormat(), [context], [action])
    assert told.value == pytest.approx(0.7 * -5 + 0.3 * -3, abs=1e-3)


def test_what_is_forced_has_no_value() -> None:
    policy, context, action = by_tables()
    policy.support = 0.5  # "up" alone is left
    (told,) = explain(policy, TextFormat(), [context], [action])
    assert (told.value, told.action, told.advantage, told.alternatives) == (None, None, None, ())
    assert told.tokens == (None, None, None)


def test_many_ways_are_not_listed() -> None:
    policy, context, action = by_tables()
    policy.support = 0.0  # every token, after every token
    (told,) = explain(policy, TextFormat(), [context], [action])
    assert told.alternatives == () and told.tokens == (77.0, -5.0, 77.0)


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a guided model, not trained."""
    folder = tmp_path_factory.mktemp("guided")
    tokenizer = train_tokenizer(TEXTS, units="words", max_size=400)
    form = TextFormat(context_turns=1, max_tokens=64, max_action_tokens=4)
    model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1, max_positions=64), tokenizer, form, 0)
    critic = Critic.beside(model, CriticConfig(("value", "q1")), initial=-2.0)
    model.save(folder, {"env_id": MAZE, "decoding": {"beta": 1.0, "support": 0.0}})
    critic.save(folder)
    return folder


def test_values_are_recorded_and_change_nothing_else(guided: Path, tmp_path: Path) -> None:
    plain, valued = tmp_path / "plain", tmp_path / "valued"
    evaluate(EvaluationSpec(MAZE, str(guided), 3, 0), plain)
    evaluate(EvaluationSpec(MAZE, str(guided), 3, 0, agent_kwargs={"record_values": True}), valued)
    without, records = RecordFile(plain).read(), RecordFile(valued).read()
    assert [record.actions for record in records] == [record.actions for record in without]
    assert not any("value" in details for record in without for details in record.details)
    for record in records:
        for details in record.details:
            assert details["value"] == -2.0 and details["action_value"] == -2.0 and details["advantage"] == 0.0
    assert list(verify_records(valued)) == []


def test_a_model_without_a_critic_has_no_values_to_record(guided: Path, tmp_path: Path) -> None:
    for file in guided.iterdir():
        if not file.name.startswith("critic"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(AgentError, match="without values"):
        load_agent(str(tmp_path), record_values=True)


def test_a_watched_agent_tells_its_values(guided: Path) -> None:
    agent = load_agent(str(guided))
    request = Request(MAZE, 0, 7, Transcript.from_texts([TEXTS[0]], []))
    agent.tell_all()
    (action,) = agent.act_with_details([request])
    thoughts = thoughts_of(action.text, json.loads(json.dumps(action.details)))
    assert (thoughts.value, thoughts.action_value) == (-2.0, -2.0)
    assert thoughts.tokens and all(token["value"] == -2.0 for token in thoughts.tokens)
    policy, context, ids = by_tables()
    agent.policy, agent.ranked = policy, lambda requests: [[Candidate(Generated(ids, (0.0, -0.3, 0.0)))]]
    agent.contexts = lambda requests: [context]
    (action,) = agent.act_with_details([request])
    thoughts = thoughts_of(action.text, action.details)
    assert thoughts.alternatives == [{"action": "move left", "value": -3.0}, {"action": "move up", "value": -5.0}]
    assert action.text == "move up" and [token["value"] for token in thoughts.tokens] == [None, -5.0, None]


def test_odd_values_in_records_are_left_out_of_the_page() -> None:
    told = {"value": float("nan"), "action_value": "high", "alternatives": [["up", 1.5], ["left"], 3, ["down", None]]}
    thoughts = thoughts_of("up", told)
    assert (thoughts.value, thoughts.action_value) == (None, None)
    assert thoughts.alternatives == [{"action": "up", "value": 1.5}]
