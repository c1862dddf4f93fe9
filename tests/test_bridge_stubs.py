"""Bridges to packages that cannot be installed here, against stubs of the interfaces as they were read: verl 0.9, NeMo Gym 0.7."""

from __future__ import annotations

import asyncio
import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import gymnasium
import pytest

import lmrl_envs

WORDLE = "lmrl/Wordle-v0"


def stub(monkeypatch: pytest.MonkeyPatch, name: str, **contents: Any) -> None:
    parts = name.split(".")
    for k in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:k]), ModuleType(".".join(parts[:k])))
    vars(sys.modules[name]).update(contents)


def expert(texts: list[str]) -> str:
    """What the expert says to a conversation of Wordle."""
    policy = lmrl_envs.make_policy(WORDLE, "expert", seed=0)
    return [
        policy.act(lmrl_envs.Transcript.from_texts(texts[:k], [0.0] * (k // 2))) for k in range(1, len(texts) + 1, 2)
    ][-1]


def replayed(seed: int, actions: list[str]) -> float:
    env = gymnasium.make(WORDLE)
    env.reset(seed=seed)
    outcomes = [env.step(action) for action in actions]
    assert outcomes[-1][2]
    return sum(outcome[1] for outcome in outcomes)


class Tokenizer:
    """A character is a token; a message is ``[role]text$``, and ``$`` ends it."""

    eos_token_id = ord("$")

    def apply_chat_template(self, messages, tokenize, add_generation_prompt, return_dict) -> list[int]:
        text = "".join(f"[{m['role']}]{m['content']}$" for m in messages)
        return [*map(ord, text + ("[assistant]" if add_generation_prompt else ""))]

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return [*map(ord, text)]

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        return "".join(map(chr, ids)).replace("$", "")


@pytest.fixture
def verl(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    class AgentLoopBase:
        def __init__(self, length: int, server: Any) -> None:
            self.rollout_config = SimpleNamespace(response_length=length)
            self.tokenizer, self.server_manager = Tokenizer(), server

    stub(
        monkeypatch, "verl.experimental.agent_loop.agent_loop", AgentLoopBase=AgentLoopBase,
        AgentLoopOutput=SimpleNamespace, register=lambda name: lambda cls: cls,
    )  # fmt: skip
    monkeypatch.delitem(sys.modules, "lmrl_bridges.verl", raising=False)
    return importlib.import_module("lmrl_bridges.verl")


class Server:
    """Plays Wordle well; checks that it is asked with what was said before, token by token."""

    def __init__(self, ends: bool = True) -> None:
        self.ends, self.before = ends, []

    async def generate(self, request_id: str, prompt_ids: list[int], sampling_params: dict) -> Any:
        assert prompt_ids[: len(self.before)] == self.before
        texts = [part.split("]", 1)[1] for part in "".join(map(chr, prompt_ids)).split("$")[1:-1]]
        said = [*map(ord, expert(texts) + ("$" if self.ends else ""))]
        self.before = prompt_ids + said
        return SimpleNamespace(token_ids=said, log_probs=[-0.5] * len(said))


@pytest.mark.parametrize("ends", [True, False])
def test_verl_plays_the_rows_game(verl: ModuleType, ends: bool) -> None:
    row = verl.rows(WORDLE, 2, seed=1)[1]
    output = asyncio.run(verl.LmrlAgentLoop(1000, Server(ends)).run({}, **row))
    ids, mask = output.response_ids, output.response_mask
    assert len(ids) == len(mask) == len(output.response_logprobs)
    own = "".join(chr(i) if m else "\n" for i, m in zip(ids, mask, strict=True))
    actions = [part.strip("$") for part in own.split("\n") if part]
    assert output.reward_score == replayed(row["seed"], actions) and output.num_turns == 1 + 2 * len(actions)
    assert {log for log, m in zip(output.response_logprobs, mask, strict=True) if not m} <= {0.0}


def test_verl_scores_a_game_cut_off_by_the_least(verl: ModuleType) -> None:
    output = asyncio.run(verl.LmrlAgentLoop(20, Server()).run({}, **verl.rows(WORDLE, 1)[0]))
    assert output.reward_score == lmrl_envs.task(WORDLE).return_range[0] and len(output.response_ids) <= 20


@pytest.fixture
def nemo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    class GymnasiumServer:
        def __init__(self) -> None:
            self.session_state: dict[str, Any] = {}

        async def end(self, response: str, row: dict, session: str) -> Any:
            """As the server's endpoint of steps."""
            answer = SimpleNamespace(text=response)
            found = await self.step(answer, row, session)  # type: ignore[attr-defined]
            if found[2] or found[3]:
                await self.close_session(session)  # type: ignore[attr-defined]
            return found

    stub(
        monkeypatch, "resources_servers.gymnasium.base", GymnasiumServer=GymnasiumServer,
        extract_text=lambda response: response.text,
    )  # fmt: skip
    monkeypatch.delitem(sys.modules, "lmrl_bridges.nemo_gym", raising=False)
    return importlib.import_module("lmrl_bridges.nemo_gym")


def test_nemo_gym_plays_sessions(nemo: ModuleType) -> None:
    rows = nemo.rows(WORDLE, 2, seed=3)
    assert rows[0]["responses_create_params"]["input"][0]["role"] == "system"

    async def play(server: Any, row: dict, session: str) -> float:
        opening, _ = await server.reset(row, session)
        texts, total, over = [opening], 0.0, False
        while not over:
            said = expert(texts)
            text, reward, *ends, info = await server.end(f"Answer: {said}", row, session)
            texts += [said, text]
            total, over = total + reward, any(ends)
        assert info["finished"] == 1.0 and replayed(row["seed"], texts[1::2]) == pytest.approx(total)
        return total

    async def all_of_them() -> None:
        server = nemo.LmrlServer()
        await asyncio.gather(play(server, rows[0], "a"), play(server, rows[1], "b"), play(server, rows[0], "c"))
        assert server.session_state == {}
        await server.reset(rows[0], "d")
        _, reward, *_ = await server.end("crane", rows[0], "d")
        assert reward == lmrl_envs.task(WORDLE).return_range[0]

    asyncio.run(all_of_them())
