"""Rollouts beside other ways of playing the same games with the same model, in CPU seconds of one thread.

The model has 4 layers of width 256 and 4 heads, random weights, and reads Wordle letter by letter (260 tokens). Games are
played 64 at once through `Rollout`. An untrained model plays all 6 turns and nearly always writes 16 tokens (the cut). What
it writes is no word: it then reads 9 tokens a turn (`invalid` and two marks). In the second form it stands for a word of
the list, and is answered by 21 (paired feedback). The network has GPT-2's own activation, and in one row the same function in one
kernel, as our models of random weights name it, which helps Hugging Face's forward pass alone: the engine's has it anyway.

- Hugging Face: ``generate`` over the whole conversation each turn, at the same batch, in the same environment.
- TRL: the multi-turn path of GRPOTrainer (``environment_factory``: tool calls in a loop, ids in and ids out), the same model,
  the same ids, 64 games; its environment answers `invalid` at once, and what the model writes counts as a tool call.
"""

from __future__ import annotations

import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import gymnasium
import numpy as np
import torch
from limits import matmul_flops, memory_bandwidth
from models import ACTION, SIZE, SLOTS, WORDLE, as_published, fresh, letters
from peers import Peers
from table import Table

from lmrl_agents import load_agent
from lmrl_agents.models.engine import SlotEngine
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Generated, Sampling
from lmrl_agents.playing.policy_agent import Recorder
from lmrl_agents.playing.rollout import Rollout


class Speller(Recorder):
    """What it draws stands for a word of the list, if it has one."""

    words: Sequence[str] = ()

    def act(self, requests):
        sampled = self.sample(requests)
        if not self.words:
            return [self.policy.tokenizer.decode(action.ids) for action in sampled]
        return [self.words[zlib.crc32(bytes(str(action.ids), "ascii")) % len(self.words)] for action in sampled]


class EngineAgent(Speller):
    """Plays from the engine's caches."""

    def draw(self, requests, contexts):
        if not hasattr(self, "engine"):
            self.engine = SlotEngine(self.policy, self.sampling, SLOTS)
        uniforms = [np.random.default_rng((request.seed, len(request.transcript))).random for request in requests]
        sampled = self.engine.generate([request.episode for request in requests], contexts, uniforms)
        self.tokens_generated += sum(len(action.ids) for action in sampled)
        return sampled

    def finished(self, episodes: Sequence[int]) -> None:
        self.engine.release(episodes)


class ReprefillAgent(Speller):
    """Plays by Hugging Face's ``generate`` over whole conversations."""

    def draw(self, requests, contexts):
        tokenizer, model = self.policy.tokenizer, self.policy
        size = max(map(len, contexts))
        tokens = torch.tensor([[tokenizer.pad] * (size - len(c)) + list(c) for c in contexts])
        mask = torch.tensor([[0] * (size - len(c)) + [1] * len(c) for c in contexts])
        with torch.inference_mode():
            output = model.lm.generate(  # type: ignore[attr-defined]
                input_ids=tokens,
                attention_mask=mask,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                max_new_tokens=ACTION,
                eos_token_id=tokenizer.eoa,
                pad_token_id=tokenizer.pad,
            )
        sampled = []
        for row in output[:, size:].tolist():
            row = row[: row.index(tokenizer.eoa) + 1] if tokenizer.eoa in row else row
            sampled.append(Generated(tuple(row), ()))
        self.tokens_generated += sum(len(action.ids) for action in sampled)
        return sampled


def playing_rate(kind: type[Speller], model: LanguageModel, episodes: int, spelled: bool) -> float:
    """Generated tokens per CPU second, environment and all."""
    agent = kind(model, model.form, Sampling(max_tokens=ACTION))
    if spelled:
        agent.words = gymnasium.make(WORDLE).unwrapped.vocabulary  # type: ignore[attr-defined]
    rollout = Rollout(agent, WORDLE, {"feedback": "paired"} if spelled else None, slots=SLOTS)
    started = time.process_time()
    played = list(rollout.play(range(episodes), 0))
    spent = time.process_time() - started
    assert len(played) == episodes and not any(p.error for p in played)
    return agent.tokens_generated / spent


def bound(vocabulary: int, read: int, turns: int = 6) -> tuple[str, float]:
    """Drawn tokens per CPU second if products ran at the processor's rate and caches were read at memory's, nothing else.

    Per token drawn: its own products, those of the ``read / ACTION`` tokens that are read for it, and the keys and values of
    the conversation so far, which is half of its final length on average.
    """
    products = 2 * 12 * SIZE["layers"] * SIZE["width"] ** 2
    flops = products * (1 + read / ACTION) + 2 * vocabulary * SIZE["width"]
    context = turns * (read + ACTION) / 2
    bytes_read = 2 * SIZE["layers"] * SIZE["width"] * 4 * context
    return "products and caches at the machine's rates", 1 / (flops / matmul_flops() + bytes_read / memory_bandwidth())


class Counted(Rollout):
    """Counts steps of slots."""

    steps: list[tuple[int, int, bool]]

    def _ask(self, acting):
        self.steps.append((len(acting), len(self._live), bool(self._waiting)))
        return super()._ask(acting)


def occupancy(episodes: int) -> dict[str, float]:
    """Shares of slot steps that hold a game, games of the suboptimal policy (1 to 6 turns)."""
    rollout = Counted(load_agent("suboptimal"), WORDLE, slots=SLOTS)
    rollout.steps = []
    played = sorted(rollout.play(range(episodes), 0), key=lambda p: p.episode)
    lengths = [len(p.actions) for p in played]
    waiting = [(live, slots) for live, slots, more in rollout.steps if more]
    everything = [(live, slots) for live, slots, _ in rollout.steps]
    # Without refilling, 64 games wait for the longest of them.
    batches = [lengths[i : i + SLOTS] for i in range(0, len(lengths), SLOTS)]
    return {
        "until no game waits": sum(a for a, _ in waiting) / max(1, sum(b for _, b in waiting)),
        "in all": sum(a for a, _ in everything) / sum(b for _, b in everything),
        "in lock step, without refilling": sum(lengths) / sum(max(batch) * len(batch) for batch in batches),
    }


def rows(table: Table, peers: Peers) -> None:
    """All rows of rollouts."""
    tokenizer = letters()
    fused, model = fresh(tokenizer).eval(), as_published(fresh(tokenizer)).eval()
    episodes = 16 if table.quick else 2 * SLOTS
    with tempfile.TemporaryDirectory() as folder:
        model.lm.save_pretrained(folder)
        tokenizer.save(Path(folder))
        order = {"folder": folder, "games": 8 if table.quick else SLOTS, "turns": 6, "action": ACTION}
        for network, spelled, read in ((model, False, 9), (fused, False, 9), (model, True, 21)):
            for kind in (ReprefillAgent, Speller, EngineAgent):
                playing_rate(kind, network, 2, spelled)  # what is loaded at first is not counted

            def contender(kind: type[Speller], network: LanguageModel = network, spelled: bool = spelled):
                return lambda: playing_rate(kind, network, episodes, spelled)

            title = f"Wordle, {read} tokens read and 16 drawn a turn, 64 games at once"
            title += ", the activation in one kernel" if network is fused else ""
            others = {"Hugging Face generate": contender(ReprefillAgent)}
            table.compare(
                title,
                contender(EngineAgent),
                others,
                unit="tokens drawn/s",
                target=4,
                limit=bound(len(tokenizer), read),
            )
            if network is model and not spelled:
                table.compare(
                    f"{title}, beside TRL's multi-turn path",
                    contender(EngineAgent),
                    {"TRL GRPOTrainer, environment_factory": lambda: peers.ask("trl", "trl_rollout", order)["rate"]},
                    unit="tokens drawn/s",
                    target=1.3,
                    limit=bound(len(tokenizer), read),
                    note="TRL's environment answers at once; parsing of its tool calls is left out",
                )
    table.find("slots that hold a game", occupancy(200 if table.quick else 2000))
