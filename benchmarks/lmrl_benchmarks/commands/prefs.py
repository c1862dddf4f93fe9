"""``lmrl prefs ...``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table
from tyro.conf import OmitArgPrefixes, Positional, arg

from lmrl_agents.playing.collecting import Collection
from lmrl_agents.playing.collecting import collect as sample
from lmrl_agents.playing.room import close, open_agent
from lmrl_agents.settings import KeyValues
from lmrl_benchmarks.commands.terminal import ON_TERMINAL, TABLES, Listing, shown, write_table
from lmrl_datasets.preferences.checking import about, verify_preferences
from lmrl_datasets.preferences.exchange import import_pairs, trl_rows, write_trl
from lmrl_datasets.preferences.labellers import load_labeller
from lmrl_datasets.preferences.labelling import label_pairs
from lmrl_datasets.preferences.store import load_gold, load_preferences
from lmrl_envs import load_task
from lmrl_envs.files import printable
from lmrl_envs.work import progress_bar


def collect(
    env: str,
    out: Path,
    agent: tuple[str, ...] = ("suboptimal",),
    labels: int = 1000,
    labeller: str = "gold",
    unit: str = "game",
    seed: int = 0,
    different_seeds: bool = False,
    env_arg: Annotated[KeyValues, arg(name="env-arg")] = {},
) -> int:
    """Play pairs of games and have them labelled. Stopped, the same command goes on where it was.

    Args:
        env: Task id, module:id or file.py:id.
        out: Folder of the data.
        agent: Who plays: one, or two that play one game of each pair.
        labels: Number of pairs, and of labels.
        labeller: Who labels them, such as gold:k=8,e=.1 or lazy:check=.2, module:factory or file.py:factory; "" for nobody yet.
        unit: game, or segment:K for K actions from any state.
        seed: Of games and labels. The same seed gives the same bytes.
        different_seeds: Each game of a pair from a seed of its own.
        env_arg: Arguments of the environment, as key=value.
    """
    row = load_task(env)
    if labeller:
        load_labeller(labeller)  # a wrong name is told before anything is played
    wanted = Collection(row.spec, list(agent), labels, seed, unit, different_seeds, env_arg)
    with contextlib.ExitStack() as stack:
        players = []
        for spec in agent:
            players.append(open_agent(spec))
            stack.callback(close, players[-1])
        with progress_bar(f"pairs of {row.spec}", "pairs") as tell:
            sample(wanted, players, out, progress=tell)
    return label(out, labeller, seed=seed) if labeller else 0


def label(folder: Positional[Path], labeller: str, labels: int | None = None, seed: int = 0) -> int:
    """Have pairs labelled by a further annotator, or go on with a labelling that was stopped.

    Args:
        folder: Of the data.
        labeller: As in lmrl prefs collect.
        labels: How many labels the annotator gives in all; by default one for each pair.
        seed: Of the labels.
    """
    with progress_bar(f"labels by {labeller}", "labels") as tell:
        count = label_pairs(folder, labeller, seed, labels, progress=tell)
    print(printable(f"{count} labels by {labeller} in {folder}"))
    return 0


def info(folder: Positional[Path], gold: bool = False, listing: OmitArgPrefixes[Listing] = ON_TERMINAL) -> None:
    """What preference data are: task, pairs, annotators, ties and skips.

    Args:
        folder: Of the data.
        gold: Open the side file, and tell how often each annotator agrees with it.
        listing: How it is told.
    """
    told = about(load_preferences(folder), load_gold(folder) if gold else None)
    whole = {key: str(value) for key, value in told}
    if listing.tells([whole], whole):
        return
    table = Table(show_header=False, box=None)
    for key, value in told:
        table.add_row(shown(key), shown(value))
    Console(highlight=False).print(table)


def show(folder: Positional[Path], number: Positional[int], gold: bool = False) -> int:
    """Print a pair as a person reads it, with its labels.

    Args:
        folder: Of the data.
        number: Of the pair.
        gold: Say what each is worth.
    """
    found = load_preferences(folder)
    if not 0 <= number < len(found.pairs):
        raise ValueError(f"there is no pair {number}: {folder} has {len(found.pairs)}")
    pair = found.pairs[number]
    worth = load_gold(folder)[number] if gold else None
    for name, side in (("first", pair.first), ("second", pair.second)):
        rewards = getattr(worth, name) if worth else None
        print(f"-- {name}" + (f" (gold {sum(rewards):g})" if rewards is not None else ""))
        print("\n".join(f"{'> ' if turn.is_action else ''}{printable(turn.text)}" for turn in side.shown))
    for label in found.labels:
        if label.pair_id == number:
            said = "skipped" if label.label is None else f"{label.label:g} for the first"
            print(printable(f"{label.annotator}: {said} (shown first: the {label.shown_first})"))
            if label.critique:
                print(printable(label.critique))
    return 0


def verify(folder: Positional[Path], replay: bool = False, every: int = 1) -> int:
    """Check preference data: files and labels; with --replay every game, all gold and every scripted label again.

    Args:
        folder: Of the data.
        replay: Play the games again.
        every: One pair of so many.
    """
    breaches = list(verify_preferences(folder, replay, every))
    for breach in breaches[:20]:
        print(printable(breach), file=sys.stderr)
    if len(breaches) > 20:
        print(f"and {len(breaches) - 20} more", file=sys.stderr)
    print(f"{folder}: {len(breaches)} breaches" if breaches else f"{folder} holds")
    return 1 if breaches else 0


def export(
    folder: Positional[Path],
    out: Path,
    form: str = "explicit",
    annotator: tuple[str, ...] = (),
    multi_turn: bool = False,
) -> int:
    """Write preference data as JSON lines for TRL's trainers, with a card beside them, or as a table, a row for each label.

    Args:
        folder: Of the data.
        out: File (.jsonl; .csv or .parquet for a table).
        form: explicit, implicit, messages or unpaired.
        annotator: Whose labels; by default everybody's.
        multi_turn: Take games of several turns, too.
    """
    found = load_preferences(folder)
    if out.suffix in TABLES:
        print(f"{write_table(found.to_pandas(), out):,} labels in {out}")
        return 0
    rows, told = trl_rows(found, form, annotator, multi_turn)
    write_trl(rows, told, found, form, out)
    counts = "".join(f", {count} {name}" for name, count in sorted(told.items()) if count)
    print(f"{len(rows)} rows in {out}{counts}")
    return 0


def import_file(source: Positional[Path], out: Path) -> int:
    """Make preference data of JSON lines in the form of HH-RLHF, UltraFeedback or TRL.

    Args:
        source: JSON lines, also .zst.
        out: Folder.
    """
    print(f"{import_pairs(source, out)} pairs in {out}")
    return 0
