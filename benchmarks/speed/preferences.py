"""Learning from pairs of headlines: our trainers beside TRL's on the same network, rows and batches, in pairs per CPU second of one thread; and
how long 10,000 pairs, and the best of 256 on 80 prompts, take as they are called.

A step of ours reads what `lmrl train` reads: both sides of a pair, shared tokens in both. Whole commands are timed from the folder of pairs to the
folder of the model.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models import SIZE, as_published
from peers import Peers
from table import Table
from training import timed_updates

from lmrl_agents.algorithms import dpo
from lmrl_agents.learning.preference_pairs import episodes_of
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.train import train
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.playing.collecting import Collection, collect
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.rollout import Rollout
from lmrl_datasets.preferences import load_preferences
from lmrl_datasets.preferences.labelling import label_pairs

HEADLINE, DATA, WRITER, READER = "lmrl/Headline-v0", "headline/mixed-v0", "suboptimal", "gold:k=8,e=.1"
PAIRS, BATCH, WIDE = 10_000, 64, {f"model.{name}": value for name, value in SIZE.items()}
AIMS = {
    "`lmrl train reward_model` on 10,000 pairs": 90,
    "`lmrl train dpo` on 10,000 pairs, each once": 60,
    "`best_of:256` on 80 prompts": 30,
}
"""CPU seconds of the whole of it."""
NANO: dict[str, Any] = {}
"""The preset's own size, which the aims are of."""


def pairs_in(folder: Path, count: int) -> None:
    """Collect and label pairs."""
    collect(Collection(HEADLINE, [WRITER], count, 0), [load_agent(WRITER)], folder, 256)
    label_pairs(folder, READER, 0)


def saved(out: Path, data: Path, size: dict[str, Any]) -> Path:
    """A model of this size, cloned for one step, with the rows that peers read: chosen and rejected in turn, and where their actions begin."""
    own = {"bc.steps": 1, "bc.batch_size": 2, **size}
    folder = train(TrainingRun("bc", HEADLINE, DATA, out, sample=True, show_progress=False, overrides=own))
    model = as_published(LanguageModel.load(folder))
    model.lm.save_pretrained(folder)
    found = load_preferences(data)
    rows, openings = [], []
    for pair, label in found.labelled():
        if label.label not in (0.0, 1.0):
            continue
        both = episodes_of([pair.first, pair.second], model.tokenizer, model.form)
        for episode in both if label.label else both[::-1]:
            ids, begins = model.form.join(episode, 0, len(episode.actions))
            rows.append({"input_ids": ids})
            openings.append(begins[0])
    (folder / "rows.json").write_text(json.dumps(rows))
    (folder / "openings.json").write_text(json.dumps(openings))
    return folder


def our_rate(algorithm: str, folder: Path, data: Path, warm: int, steps: int) -> float:
    """Pairs per CPU second of one of our trainers. DPO's reference is read once before the steps, TRL's within them: what it took is added."""
    marks: list[tuple[float, int]] = []
    before: list[float] = []
    length: dict[str, Any] = {"dpo.steps": warm + steps}
    if algorithm == "reward_model":  # one pair in ten validates
        length = {"reward_model.epochs": 1, "reward_model.first": BATCH * (warm + steps) * 10 // 9 + 10}
    with tempfile.TemporaryDirectory() as out:
        run = TrainingRun(
            algorithm, HEADLINE, str(data), Path(out) / "run", show_progress=False, start=folder,
            overrides={f"{algorithm}.batch_size": BATCH, **length},
        )  # fmt: skip
        with timed_updates(marks), timed_reference(before):
            train(run)
    each = (marks[warm + steps - 1][0] - marks[warm - 1][0]) / (steps * BATCH) + sum(before) / len(
        load_preferences(data).pairs
    )
    return 1 / each


@contextmanager
def timed_reference(spent: list[float]) -> Iterator[None]:
    """CPU seconds in which DPO's reference reads the pairs."""
    original = dpo.predict_logprobs

    def predict(*arguments, **named):
        started = time.process_time()
        found = original(*arguments, **named)
        spent.append(time.process_time() - started)
        return found

    dpo.predict_logprobs = predict
    try:
        yield
    finally:
        dpo.predict_logprobs = original


def whole(algorithm: str, data: Path, start: Path, out: Path, count: int) -> float:
    """CPU seconds of a command: every pair once for dpo, as often as the preset says for the reward model."""
    overrides = {"dpo.steps": -(-count // BATCH)} if algorithm == "dpo" else {}
    started = time.process_time()
    train(TrainingRun(algorithm, HEADLINE, str(data), out, show_progress=False, start=start, overrides=overrides))
    return time.process_time() - started


def rows(table: Table, peers: Peers) -> None:
    """All rows of learning from pairs."""
    warm, steps, count = (1, 2, 300) if table.quick else (3, 12, PAIRS)
    with tempfile.TemporaryDirectory() as scratch:
        place, data = Path(scratch), Path(scratch) / "pairs"
        pairs_in(data, count)
        starts: list[Path] = []
        for name, size in (("2 layers of 64", NANO), ("4 layers of 256", WIDE)):
            folder = saved(place / name.replace(" ", "-"), data, size)
            starts.append(folder)
            order = {"folder": str(folder), "batch": 2 * BATCH, "warm": warm, "steps": steps}
            for algorithm, script, peer in (
                ("reward_model", "trl_reward", "TRL RewardTrainer"),
                ("dpo", "trl_dpo", "TRL DPOTrainer"),
            ):
                table.compare(
                    f"`{algorithm}`, {BATCH} pairs of headlines a step, {name}",
                    lambda a=algorithm, f=folder: our_rate(a, f, data, warm, steps),
                    {peer: lambda s=script, o=order: peers.ask("trl", s, o)["pairs"]},
                    unit="pairs/s",
                    target=1.5,
                )
        commands(table, data, starts[0], place, count)


def commands(table: Table, data: Path, start: Path, place: Path, count: int) -> None:
    """CPU seconds of whole commands. What the best is chosen of is drawn from a clone that has learned to end its headlines."""
    spent = [whole(name, data, start, place / name, count) for name in ("reward_model", "dpo")]
    prompts, tried = (2, 8) if table.quick else (80, 256)
    own = {"bc.steps": 1 if table.quick else 300}
    clone = train(TrainingRun("bc", HEADLINE, DATA, place / "clone", sample=True, show_progress=False, overrides=own))
    agent = load_agent(f"best_of:{tried},learned:{place / 'reward_model'},{clone}")
    started = time.process_time()
    played = list(Rollout(agent, HEADLINE, slots=prompts).play(range(prompts), 0))
    spent.append(time.process_time() - started)
    assert len(played) == prompts and not any(p.error for p in played)
    found = {name: {"seconds": own, "aim": aim} for (name, aim), own in zip(AIMS.items(), spent, strict=True)}
    table.find("CPU seconds of commands", found)
