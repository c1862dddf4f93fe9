"""Training beside other ways of computing the same, in tokens per CPU second of one thread: same model, rows and sizes.

- BC: our trainer beside TRL's SFTTrainer, loss on the actions.
- ILQL: our trainer beside plain PyTorch with values of all tokens at all positions.

The network has GPT-2's own activation, as its checkpoints have; rows that say "one kernel" have the same function as our models of
random weights name it, which helps the forward passes of transformers alone: ours has it anyway.
"""

from __future__ import annotations

import copy
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from limits import matmul_flops
from models import ACTION, BATCH, DATA, SIZE, WORDLE, as_published, data_episodes, data_rows, fresh, letters
from peers import Peers
from table import Contender, Table

import lmrl_agents.learning.run
import lmrl_agents.learning.start
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.train import train
from lmrl_agents.models.steps import StepStore
from lmrl_agents.models.tokenizer import TaskTokenizer

Row = tuple[list[int], list[bool]]


@contextmanager
def timed_updates(marks: list[tuple[float, int]]) -> Iterator[None]:
    """Marks CPU time and tokens at every update of our trainers."""
    original = Session.update

    def update(self, *arguments, **named):
        read = self.tokens
        result = original(self, *arguments, **named)
        marks.append((time.process_time(), self.tokens - read))
        return result

    Session.update = update
    try:
        yield
    finally:
        Session.update = original


@contextmanager
def trainers_take(tokenizer: TaskTokenizer | None, algorithm: str) -> Iterator[None]:
    """Trainers take this tokenizer and train none; an algorithm without a table in the preset has its defaults."""
    start: Any = lmrl_agents.learning.start
    run: Any = lmrl_agents.learning.run
    make, preset = start.train_tokenizer, run.load_preset
    if tokenizer is not None:
        start.train_tokenizer = lambda *_, **__: tokenizer
    run.load_preset = lambda *arguments: {algorithm: {}, **preset(*arguments)}
    try:
        yield
    finally:
        start.train_tokenizer, run.load_preset = make, preset


def our_rate(
    algorithm: str, tokenizer: TaskTokenizer | None, warm: int, steps: int, source: str = "config", **settings: Any
) -> float:
    """Tokens per CPU second of one of our trainers; its network is the folder's, or one of random weights."""
    marks: list[tuple[float, int]] = []
    tables = {f"model.{name}": value for name, value in SIZE.items()} | {"model.compose": False}
    tables |= {"text.units": "characters", "text.view": "plain", "text.max_action_tokens": ACTION}
    tables |= {f"{algorithm}.steps": warm + steps, f"{algorithm}.batch_size": BATCH, "bc.batch_size": BATCH}
    tables |= {"model.source": source, **settings}
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


def bound(vocabulary: int, action_share: float, passes: float = 1.0) -> tuple[str, float]:
    """Tokens per CPU second if the products of forward and backward ran at the processor's rate and nothing else were done.

    Three products for each of the forward pass's, the output layer at action tokens alone.
    """
    forward = 2 * 12 * SIZE["layers"] * SIZE["width"] ** 2 + 2 * vocabulary * SIZE["width"] * action_share
    return "all products at the machine's rate", matmul_flops() / (3 * forward * passes)


def write_rows(folder: Path, rows: Sequence[Row]) -> None:
    """As `peers/trl_sft.py` reads them."""
    text = [{"input_ids": ids, "completion_mask": [int(acts) for acts in mask]} for ids, mask in rows]
    (folder / "rows.json").write_text(json.dumps(text))


class Saved:
    """A model with its tokenizer in a folder, and the rows that peers read."""

    def __init__(self, folder: Path, tokenizer: TaskTokenizer, count: int, published: bool) -> None:
        model = fresh(tokenizer)
        (as_published(model) if published else model).lm.save_pretrained(folder)
        tokenizer.save(folder)
        data = data_rows(tokenizer)
        rows = [data[i % len(data)] for i in range(count)]
        write_rows(folder, rows)
        self.data = data
        self.action_share = sum(sum(mask) for _, mask in data) / sum(len(ids) for ids, _ in data)


# -- ILQL


def plain_ilql_rate(tokenizer: TaskTokenizer, warm: int, steps: int, published: bool) -> float:
    """ILQL as one writes it down: every head at every position, then masks."""
    model = fresh(tokenizer)
    store = StepStore.of(data_episodes(tokenizer), model.form, tokenizer.pad)
    trunk = (as_published(model) if published else model).lm.base_model
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
        batch = store.clone_batch(rng.integers(store.groups, size=BATCH))
        mask = (torch.arange(batch.tokens.shape[1]) < batch.length[:, None]).long()
        place = batch.state_row[batch.state], batch.state_column[batch.state]
        acts, rewards = torch.zeros_like(mask, dtype=torch.bool), torch.zeros(mask.shape)
        tokens = torch.zeros_like(mask)
        acts[place], rewards[place], tokens[place] = True, batch.reward, batch.token
        hidden = net["trunk"](input_ids=batch.tokens, attention_mask=mask).last_hidden_state
        with torch.no_grad():
            slow = target["trunk"](input_ids=batch.tokens, attention_mask=mask).last_hidden_state
            slow_q = torch.minimum(target["q1"](slow), target["q2"](slow))
        q1, q2, v, chosen = net["q1"](hidden), net["q2"](hidden), net["v"](hidden)[..., 0], tokens[..., None]
        # The state before the next action token; after the last one there is none.
        after = torch.zeros_like(v)
        for b in range(len(batch.length)):
            places = torch.nonzero(acts[b])[:, 0]
            after[b, places[:-1]] = v[b, places[1:]].detach()
        y = rewards + 0.99 * after
        u = slow_q.gather(2, chosen)[..., 0] - v
        count = acts.sum()
        loss = (torch.abs(0.8 - (u < 0).float()) * u.square() * acts).sum() / (2 * count)
        for q in (q1, q2):
            loss = loss + ((q.gather(2, chosen)[..., 0] - y).square() * acts).sum() / (2 * count)
            entropy = F.cross_entropy(q.flatten(0, 1), tokens.flatten(), reduction="none")
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


def rows(table: Table, peers: Peers) -> None:
    """All rows of training."""
    warm, steps = (1, 2) if table.quick else (3, 12)
    settings = {"ilql.betas": [1.0], "ilql.validation_episodes": 1, "ilql.hidden": 0, "ilql.compose": False}
    for size, published in ((0, True), (0, False), (8192, True)):
        tokenizer = letters(size)
        title = f"{BATCH} rows a step, {len(tokenizer):,} tokens" + (
            "" if published else ", the activation in one kernel"
        )
        with tempfile.TemporaryDirectory() as folder:
            saved = Saved(Path(folder), tokenizer, (warm + steps) * BATCH, published)
            order = {"folder": folder, "batch": BATCH, "warm": warm, "steps": steps}

            def ours(algorithm: str, t: TaskTokenizer = tokenizer, source: str = folder, **more: Any) -> Contender:
                return lambda: our_rate(algorithm, t, warm, steps, source, **more)

            table.compare(
                f"BC, {title}",
                ours("bc"),
                {"TRL SFTTrainer": lambda order=order: peers.ask("trl", "trl_sft", order)["rate"]},
                unit="tokens/s",
                target=1.5,
                limit=bound(len(tokenizer), saved.action_share),
            )
            plain = "plain PyTorch, all tokens at all positions"
            table.compare(
                f"ILQL, {title}",
                ours("ilql", **settings),
                {plain: lambda t=tokenizer, p=published: plain_ilql_rate(t, warm, steps, p)},
                unit="tokens/s",
                target=1.5,
            )
