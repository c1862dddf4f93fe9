"""Speed of rollouts and training beside other ways of doing the same, in CPU seconds of one thread.

The model has 4 layers of width 256 and 4 heads, random weights, and reads Wordle letter by letter (260 tokens, or 8,192
with unused ones added, where the output layer dominates). Contenders take turns; the figures are medians over the turns.

- Rollouts: games of the real Wordle environment through `Rollout`, 64 at once. An untrained model plays all 6 turns and
  nearly always writes 16 tokens (the cut). What it writes is no word: it then reads 9 tokens a turn (`invalid` and two
  marks). In the second form it stands for a word of the list, and is answered by 21 (paired feedback). The peer is
  Hugging Face's ``generate`` over the whole conversation each turn, at the same batch.
- Slots: which part of them holds a game, for the suboptimal policy's games (1 to 6 turns), until no game waits and in all.
- BC: our trainer beside TRL's SFTTrainer (``--peers``: the Python of an environment with trl), same model, same rows,
  loss on the actions.
- ILQL: our trainer beside plain PyTorch with values of all tokens at all positions; same rows and sizes.
- PPO: the share of its time that goes into playing, with `sampling.generate` and with the engine.

    python benchmarks/speed/agents.py --peers <environment>/bin/python --json speed-agents.json
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F

import lmrl_agents.online
import lmrl_agents.ppo
import lmrl_agents.training as training
from lmrl_agents import load_agent
from lmrl_agents.algorithms import train
from lmrl_agents.engine import SlotEngine
from lmrl_agents.lm_agent import Recorder
from lmrl_agents.model import LanguageModel, ModelConfig
from lmrl_agents.rollout import Rollout
from lmrl_agents.sampling import Generated, Sampling
from lmrl_agents.session import Session
from lmrl_agents.tokens import Row, TaskTokenizer, TextFormat, TokenEpisode, collate, episode_rows, train_tokenizer
from lmrl_agents.training import TrainingRun
from lmrl_datasets import load_dataset

WORDLE, DATA = "lmrl/Wordle-v0", "wordle/mixed-v0"
SIZE = {"layers": 4, "width": 256, "heads": 4, "max_positions": 512}
SLOTS, ACTION, BATCH = 64, 16, 32

Rows = list[tuple[str, float, str]]
Facts = dict[str, float]


def letters(size: int = 0) -> TaskTokenizer:
    """One token per character; unused ones up to a size."""
    texts = [turn.text for episode in load_dataset(DATA, sample=True) for turn in episode.transcript]
    tokenizer = train_tokenizer(texts, units="characters")
    if size > len(tokenizer):
        tokenizer.hf.add_tokens([f"<unused {i}>" for i in range(size - len(tokenizer))])
        tokenizer = TaskTokenizer(tokenizer.hf)
    return tokenizer


def fresh(tokenizer: TaskTokenizer) -> LanguageModel:
    """The model, the same each time."""
    return LanguageModel.create(ModelConfig(**SIZE), tokenizer, TextFormat(max_action_tokens=ACTION), seed=0)


def in_turn(contenders: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Medians of what each measures."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, measure in contenders.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


# -- rollouts


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


def playing_rate(kind: type[Speller], model: LanguageModel, episodes: int, spelled: bool, facts: Facts) -> float:
    """Generated tokens per CPU second, environment and all."""
    agent = kind(model, model.form, Sampling(max_tokens=ACTION))
    if spelled:
        agent.words = gymnasium.make(WORDLE).unwrapped.vocabulary  # type: ignore[attr-defined]
    rollout = Rollout(agent, WORDLE, {"feedback": "paired"} if spelled else None, slots=SLOTS)
    started = time.process_time()
    played = list(rollout.play(range(episodes), 0))
    spent = time.process_time() - started
    assert len(played) == episodes and not any(p.error for p in played)
    if isinstance(agent, EngineAgent):
        counts = agent.engine.counts
        facts["tokens drawn a turn"] = agent.tokens_generated / sum(len(p.actions) for p in played)
        facts["tokens of contexts that were kept"] = counts.kept / (counts.kept + counts.copied + counts.read)
        first = sum(len(p.actions) for p in played)
        facts["rows of decoding that were live"] = (counts.generated - first) / max(1, counts.rows)
    return agent.tokens_generated / spent


def rollout_rows(rows: Rows, repeats: int, episodes: int) -> None:
    model = fresh(letters()).eval()
    kinds: dict[str, type[Speller]] = {"hf": ReprefillAgent, "generate": Speller, "engine": EngineAgent}
    for spelled, read in ((False, 9), (True, 21)):
        facts: Facts = {}
        for kind in kinds.values():
            playing_rate(kind, model, 2, spelled, {})  # what is loaded at first is not counted
        rates = in_turn(
            {name: partial(playing_rate, kind, model, episodes, spelled, facts) for name, kind in kinds.items()},
            repeats,
        )
        title = f"Wordle, {read} tokens read and 16 drawn a turn, 64 games at once"
        rows.append((f"{title}: Hugging Face generate", rates["hf"], "tokens/s"))
        rows.append(("  sampling.generate, equal contexts once", rates["generate"], "tokens/s"))
        rows.append(("  engine, caches kept across turns", rates["engine"], "tokens/s"))
        rows.append(("  engine is faster than Hugging Face by", rates["engine"] / rates["hf"], "x"))
        rows.extend((f"  {name}", value, "") for name, value in facts.items())


class Counted(Rollout):
    """Counts steps of slots."""

    steps: list[tuple[int, int, bool]]

    def _ask(self, acting):
        self.steps.append((len(acting), len(self._live), bool(self._waiting)))
        return super()._ask(acting)


def occupancy_rows(rows: Rows, episodes: int) -> None:
    rollout = Counted(load_agent("suboptimal"), WORDLE, slots=SLOTS)
    rollout.steps = []
    played = sorted(rollout.play(range(episodes), 0), key=lambda p: p.episode)
    lengths = [len(p.actions) for p in played]
    waiting = [(live, slots) for live, slots, more in rollout.steps if more]
    for name, steps in (("until no game waits", waiting), ("in all", [(a, b) for a, b, _ in rollout.steps])):
        share = sum(a for a, _ in steps) / sum(b for _, b in steps)
        rows.append((f"slots that hold a game, {episodes} games in {SLOTS} slots, {name}", share, ""))
    # Without refilling, 64 games wait for the longest of them.
    batches = [lengths[i : i + SLOTS] for i in range(0, len(lengths), SLOTS)]
    lock = sum(lengths) / sum(max(batch) * len(batch) for batch in batches)
    rows.append(("  the same games in lock step, without refilling", lock, ""))


# -- training


@contextmanager
def timed_updates(marks: list[tuple[float, int]]) -> Iterator[None]:
    """Marks CPU time and tokens at every update of our trainers."""
    original = Session.update

    def update(self, *arguments, **named):
        result = original(self, *arguments, **named)
        marks.append((time.process_time(), named.get("tokens", 0)))
        return result

    Session.update = update
    try:
        yield
    finally:
        Session.update = original


def our_rate(algorithm: str, tokenizer: TaskTokenizer, warm: int, steps: int, **settings: Any) -> float:
    """Tokens per CPU second of one of our trainers."""
    marks: list[tuple[float, int]] = []
    tables = {f"model.{name}": value for name, value in SIZE.items()} | {"model.compose": False}
    tables |= {"text.units": "characters", "text.view": "plain", "text.max_action_tokens": ACTION}
    tables |= {f"{algorithm}.steps": warm + steps, f"{algorithm}.batch_size": BATCH, "bc.batch_size": BATCH}
    tables |= settings
    if algorithm != "bc":
        tables |= {"bc.steps": 1}
    with tempfile.TemporaryDirectory() as out, trainers_take(tokenizer, algorithm):
        run = TrainingRun(
            algorithm, WORDLE, DATA, Path(out) / "run", sample=True, show_progress=False, overrides=tables
        )
        with timed_updates(marks):
            train(run)
    last = marks[-(steps + 1) :]
    return sum(tokens for _, tokens in last[1:]) / (last[-1][0] - last[0][0])


@contextmanager
def trainers_take(tokenizer: TaskTokenizer | None, algorithm: str) -> Iterator[None]:
    """Trainers take this tokenizer and train none; an algorithm without a table in the preset has its defaults."""
    make, preset = training.train_tokenizer, training.load_preset
    if tokenizer is not None:
        training.train_tokenizer = lambda *_, **__: tokenizer
    training.load_preset = lambda *arguments: {algorithm: {}, **preset(*arguments)}
    try:
        yield
    finally:
        training.train_tokenizer, training.load_preset = make, preset


def data_rows(tokenizer: TaskTokenizer) -> list[Row]:
    """The rows that our trainers read."""
    form = TextFormat(max_action_tokens=ACTION)
    return [
        row
        for e in load_dataset(DATA, split="train", sample=True, env_id=WORDLE)
        for row in episode_rows(
            TokenEpisode.from_transcript(e.transcript, e.terminated, e.truncated, tokenizer, form), form
        )
    ]


def trl_rate(python: str, tokenizer: TaskTokenizer, warm: int, steps: int) -> float:
    """Tokens per CPU second of TRL's SFTTrainer.

    Raises:
        RuntimeError: it does not run; with the end of what it said.
    """
    count = (warm + steps) * BATCH
    data = data_rows(tokenizer)
    rows = [data[i % len(data)] for i in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        model = fresh(tokenizer)
        model.lm.save_pretrained(folder)
        tokenizer.save(Path(folder))
        text = [{"input_ids": r.tokens.tolist(), "completion_mask": r.action_mask.astype(int).tolist()} for r in rows]
        (Path(folder) / "rows.json").write_text(json.dumps(text))
        command = [python, str(Path(__file__).with_name("trl_sft.py")), folder, str(Path(folder) / "rows.json")]
        result = subprocess.run(
            [*command, str(BATCH), str(warm), str(steps)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            cwd=folder,
        )
    if result.returncode:
        raise RuntimeError(result.stderr.strip()[-300:])
    return json.loads(result.stdout.splitlines()[-1])["rate"]


def bc_rows(rows: Rows, sizes: list[int], repeats: int, peers: str | None, warm: int, steps: int) -> None:
    for size in sizes:
        tokenizer = letters(size)
        contenders = {"ours": lambda t=tokenizer: our_rate("bc", t, warm, steps)}
        if peers:
            contenders["trl"] = lambda t=tokenizer: trl_rate(peers, t, warm, steps)
        try:
            rates = in_turn(contenders, repeats)
        except RuntimeError as problem:
            print(f"TRL not measured: {problem}")
            return
        rows.append((f"BC, {BATCH} rows a step, {len(tokenizer):,} tokens: lmrl", rates["ours"], "tokens/s"))
        if "trl" in rates:
            rows.append(("  TRL's SFTTrainer", rates["trl"], "tokens/s"))
            rows.append(("  lmrl is faster by", rates["ours"] / rates["trl"], "x"))
    if not peers:
        print("TRL not measured: give --peers")


def plain_ilql_rate(tokenizer: TaskTokenizer, warm: int, steps: int) -> float:
    """ILQL as one writes it down: every head at every position, then masks."""
    data = data_rows(tokenizer)
    trunk = fresh(tokenizer).lm.base_model
    width, vocabulary = SIZE["width"], len(tokenizer)
    net = torch.nn.ModuleDict(
        {
            "trunk": trunk,
            "q1": torch.nn.Linear(width, vocabulary),
            "q2": torch.nn.Linear(width, vocabulary),
            "v": torch.nn.Linear(width, 1),
        }
    )
    target = copy.deepcopy(net).requires_grad_(False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    rng, marks = np.random.default_rng(0), []
    for _ in range(warm + steps):
        batch = collate([data[i] for i in rng.integers(len(data), size=BATCH)], [1.0] * BATCH, tokenizer.pad)
        mask = batch.attention_mask.long()
        hidden = net["trunk"](input_ids=batch.tokens, attention_mask=mask).last_hidden_state
        with torch.no_grad():
            slow = target["trunk"](input_ids=batch.tokens, attention_mask=mask).last_hidden_state
            slow_q = torch.minimum(target["q1"](slow), target["q2"](slow))[:, :-1]
        q1, q2, v = net["q1"](hidden)[:, :-1], net["q2"](hidden)[:, :-1], net["v"](hidden)[..., 0]
        chosen, acts = batch.tokens[:, 1:, None], batch.action_mask[:, 1:]
        # The state before the next action token; after the last one there is none.
        after = torch.zeros_like(v[:, :-1])
        for b in range(len(batch.length)):
            places = torch.nonzero(acts[b])[:, 0]
            after[b, places[:-1]] = v[b, places[1:]].detach()
        y = batch.rewards[:, 1:] + 0.99 * after
        u = slow_q.gather(2, chosen)[..., 0] - v[:, :-1]
        count = acts.sum()
        loss = (torch.abs(0.8 - (u < 0).float()) * u.square() * acts).sum() / (2 * count)
        for q in (q1, q2):
            loss = loss + ((q.gather(2, chosen)[..., 0] - y).square() * acts).sum() / (2 * count)
            entropy = F.cross_entropy(q.flatten(0, 1), batch.tokens[:, 1:].flatten(), reduction="none")
            loss = loss + 0.01 * (entropy.view_as(y) * acts).sum() / count
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for slow_one, fast in zip(target.parameters(), net.parameters(), strict=True):
                slow_one.mul_(0.97).add_(fast, alpha=0.03)
        marks.append((time.process_time(), int(batch.length.sum())))
    return sum(tokens for _, tokens in marks[warm:]) / (marks[-1][0] - marks[warm - 1][0])


def ilql_rows(rows: Rows, sizes: list[int], repeats: int, warm: int, steps: int) -> None:
    settings = {"ilql.betas": [1.0], "ilql.validation_episodes": 1, "ilql.hidden": 0, "ilql.compose": False}
    for size in sizes:
        tokenizer = letters(size)
        rates = in_turn(
            {
                "ours": lambda t=tokenizer: our_rate("ilql", t, warm, steps, **settings),
                "plain": lambda t=tokenizer: plain_ilql_rate(t, warm, steps),
            },
            repeats,
        )
        rows.append((f"ILQL, {BATCH} rows a step, {len(tokenizer):,} tokens: lmrl", rates["ours"], "tokens/s"))
        rows.append(("  plain PyTorch, all tokens at all positions", rates["plain"], "tokens/s"))
        rows.append(("  lmrl is faster by", rates["ours"] / rates["plain"], "x"))


def ppo_rows(rows: Rows, iterations: int) -> None:
    """Preset nano, Wordle, from a policy cloned for 100 steps."""
    for name, kind in (("sampling.generate", Recorder), ("the engine", EngineAgent)):
        spent = {"play": 0.0}
        original, recorder = lmrl_agents.ppo.play, lmrl_agents.online.Recorder

        def timed(*arguments, spent=spent, original=original, **named):
            started = time.process_time()
            found = original(*arguments, **named)
            spent["play"] += time.process_time() - started
            return found

        lmrl_agents.ppo.play, lmrl_agents.online.Recorder = timed, kind
        try:
            with tempfile.TemporaryDirectory() as out, trainers_take(None, "ppo"):
                settings = {"ppo.iterations": iterations, "bc.steps": 100}
                run = TrainingRun(
                    "ppo", WORDLE, DATA, Path(out) / "run", sample=True, show_progress=False, overrides=settings
                )
                folder = train(run)
                whole = json.loads((folder / "lmrl.json").read_text())["cpu_seconds"]
        finally:
            lmrl_agents.ppo.play, lmrl_agents.online.Recorder = original, recorder
        rows.append((f"PPO, preset nano, rounds of play by {name}: seconds a round", whole / iterations, "s"))
        rows.append(("  share of it that is play", spent["play"] / whole, ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="Python of a virtual environment with trl")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each contender")
    parser.add_argument("--episodes", type=int, default=128, help="games of a rollout")
    parser.add_argument("--steps", type=int, default=12, help="training steps that are timed")
    parser.add_argument("--warm", type=int, default=3, help="training steps before them")
    parser.add_argument("--rounds", type=int, default=4, help="rounds of PPO")
    parser.add_argument("--vocabularies", type=int, nargs="*", default=[0, 8192], help="tokens (0: the letters alone)")
    parser.add_argument("--only", nargs="*", default=["rollout", "slots", "bc", "ilql", "ppo"], help="parts to run")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: Rows = []
    parts: dict[str, Callable[[], None]] = {
        "rollout": lambda: rollout_rows(rows, arguments.repeats, arguments.episodes),
        "slots": lambda: occupancy_rows(rows, 2000),
        "bc": lambda: bc_rows(
            rows, arguments.vocabularies, arguments.repeats, arguments.peers, arguments.warm, arguments.steps
        ),
        "ilql": lambda: ilql_rows(rows, arguments.vocabularies, arguments.repeats, arguments.warm, arguments.steps),
        "ppo": lambda: ppo_rows(rows, arguments.rounds),
    }
    for name in arguments.only:
        before = len(rows)
        parts[name]()
        for title, value, unit in rows[before:]:
            print(
                f"{title:<76}{value:>12,.3f} {unit}" if value < 100 else f"{title:<76}{value:>12,.0f} {unit}",
                flush=True,
            )
    if arguments.json:
        record = {
            "rows": [{"name": title.strip(), "value": value, "unit": unit} for title, value, unit in rows],
            "python": platform.python_version(),
            "torch": torch.__version__,
            "platform": platform.platform(),
            "load": os.getloadavg(),
        }
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
