"""Labels of pairs by a labeller, up to a budget; stopped, it goes on behind the last whole label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from lmrl_datasets.preferences.labellers import Labeller, Verdict, load_labeller, shown_pair
from lmrl_datasets.preferences.schema import Gold, Hidden, Label, Pair, PreferenceError
from lmrl_datasets.preferences.store import (
    GOLD,
    HIDDEN,
    LABELS,
    load_gold,
    load_preferences,
    read_lines,
)
from lmrl_datasets.schema import to_json
from lmrl_envs.doors import told
from lmrl_envs.files import JsonLines, locked
from lmrl_envs.work import Progress

BATCH = 256
"""Pairs that a labeller is asked about at once: what a kill can lose at most."""


def label_pairs(
    folder: Path,
    annotator: str,
    seed: int = 0,
    budget: int | None = None,
    labeller: Labeller | None = None,
    progress: Progress | None = None,
) -> int:
    """Have an annotator label pairs that it has not labelled yet, in order; returns how many it has labelled then.

    A label follows from the seed, the annotator and the pair, whatever was labelled before.

    Args:
        folder: of preference data.
        annotator: the labeller's spec, which labels are told apart by.
        seed: of the labelling.
        budget: labels that the annotator gives in all; default: one for each pair.
        labeller: if it is made already.
        progress: called with (labels, budget).

    Raises:
        ValueError: no such labeller, or a budget above the number of pairs.
        PreferenceError: the labeller gives no probability.
    """
    labeller = labeller or load_labeller(annotator)
    with locked(folder / ".lock", "labelling"):
        found = load_preferences(folder)
        gold = load_gold(folder) if GOLD in found.manifest["sha256"] else None
        budget = len(found.pairs) if budget is None else budget
        if budget > len(found.pairs):
            raise ValueError(f"{budget} labels are wanted, {folder} has {len(found.pairs)} pairs")
        _repair(folder, len(found.pairs))
        have = {label.pair_id for label in found.labels if label.annotator == annotator}
        waiting = [pair for pair in found.pairs if pair.pair_id not in have][: max(0, budget - len(have))]
        size = getattr(labeller, "batch", BATCH)
        for k in range(0, len(waiting), size):
            given = list(labels_of(labeller, annotator, seed, waiting[k : k + size], gold))
            hidden = [to_json(msgspec.to_builtins(behind)) for _, behind in given if behind is not None]
            JsonLines(folder / HIDDEN).append(hidden)
            JsonLines(folder / LABELS).append(to_json(msgspec.to_builtins(label)) for label, _ in given)
            if progress is not None:
                progress(len(have) + min(k + size, len(waiting)), budget)
        return len(have) + len(waiting)


def labels_of(
    labeller: Labeller,
    annotator: str,
    seed: int,
    pairs: Sequence[Pair],
    gold: Sequence[Gold] | Mapping[int, Gold] | None,
) -> Iterator[tuple[Label, Hidden | None]]:
    """Labels of some pairs, turned back to the pairs' own order, and what stands behind them."""
    shown = [shown_pair(pair, gold[pair.pair_id] if gold else None, seed, annotator) for pair in pairs]
    try:
        said = list(
            islice(labeller.label([one for one, _ in shown]), len(pairs) + 1)
        )  # what never ends is not waited for
    except (ValueError, PreferenceError, KeyboardInterrupt):
        raise
    except BaseException as problem:  # that it asks for the end, too
        raise PreferenceError(f"labeller {annotator!r}: {told(problem)}") from None
    if len(said) != len(pairs):
        raise PreferenceError(f"labeller {annotator!r} gave {len(said)} labels for {len(pairs)} pairs")
    for pair, verdict, (_, turned) in zip(pairs, said, shown, strict=True):
        verdict = verdict if isinstance(verdict, Verdict) else Verdict(verdict)
        label = verdict.label
        if label is not None:
            if not isinstance(label, int | float) or not 0 <= label <= 1:
                raise PreferenceError(f"labeller {annotator!r} says {label!r} of pair {pair.pair_id}: no probability")
            label = float(1 - label if turned else label)
        behind = None
        if verdict.utilities is not None:
            first, second = verdict.utilities[:: -1 if turned else 1]
            behind = Hidden(pair_id=pair.pair_id, annotator=annotator, first=first, second=second, group=verdict.group)
        yield (
            Label(
                pair_id=pair.pair_id, annotator=annotator, label=label, shown_first="second" if turned else "first",
                both_orders=verdict.both_orders, label_seed=seed, principle=verdict.principle, critique=verdict.critique,
                votes=verdict.votes, agreement=verdict.agreement, seconds=verdict.seconds,
            ),
            behind,
        )  # fmt: skip


def _repair(folder: Path, pairs: int) -> None:
    """Drop lines that a kill cut or a person took back, and what is known of pairs whose label it took."""
    lines = read_lines(folder, pairs)
    labels = {(row.pair_id, row.annotator, row.mark): row for row in lines}
    kept = {key[:2] for key in labels if not key[2]}
    hidden = {(row.pair_id, row.annotator): row for row in JsonLines(folder / HIDDEN).read(Hidden)}
    for name, rows in ((LABELS, labels.values()), (HIDDEN, [row for key, row in hidden.items() if key in kept])):
        if (folder / name).is_file():
            JsonLines(folder / name).rewrite(to_json(msgspec.to_builtins(row)) for row in rows)
