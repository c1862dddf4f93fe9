"""What can be checked of preference data: files, labels, and, played again, games, gold and scripted labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmrl_datasets.preferences.labellers import load_labeller
from lmrl_datasets.preferences.labelling import labels_of
from lmrl_datasets.preferences.schema import Fragment, Gold, Pair, PreferenceError
from lmrl_datasets.preferences.store import (
    GOLD,
    Preferences,
    load_gold,
    load_preferences,
    read_lines,
    read_preferences_manifest,
)
from lmrl_datasets.replay import make_recorded
from lmrl_envs import task, task_ids
from lmrl_envs.files import sha256_of
from lmrl_envs.files.arguments import from_elsewhere
from lmrl_envs.files.untrusted import shown


def verify_preferences(folder: Path, replay: bool = False, every: int = 1) -> Iterator[str]:
    """Breaches, one line each; none where all holds.

    Args:
        folder: of preference data.
        replay: play the games again and compare texts, ends and gold; label again what a scripted labeller of this package labelled.
        every: of so many pairs only one.

    Raises:
        PreferenceError: the folder holds no preference data, or they cannot be read.
    """
    task_ids()  # what is installed, and what this person named, is found before
    with from_elsewhere(folder):  # annotators, too, are whatever the labels say
        yield from list(_breaches(folder, replay, every))


def _breaches(folder: Path, replay: bool, every: int) -> Iterator[str]:
    manifest = read_preferences_manifest(folder)
    for name, digest in manifest["sha256"].items():
        if not (folder / name).is_file():
            yield f"{folder / name} is missing"
            return
        if sha256_of(folder / name) != digest:
            yield f"{folder / name} has been changed: its sha256 is not the manifest's"
            return
    found = load_preferences(folder)
    if not replay:
        return
    gold = load_gold(folder) if GOLD in manifest["sha256"] else None
    if gold is None:
        yield "these pairs were imported as text: there is no game to play again"
        return
    yield from _replayed(found, gold, every)
    yield from _relabelled(found, gold, every)


def _replayed(found: Preferences, gold: list[Gold], every: int) -> Iterator[str]:
    envs: dict[str, Any] = {}
    for pair, worth in list(zip(found.pairs, gold, strict=True))[::every]:
        key = f"{pair.env_id} {pair.env_kwargs}"
        try:
            if key not in envs:
                envs[key] = make_recorded(task(pair.env_id), pair.env_kwargs, "its game")
            for name, side, seed, own in (
                ("first", pair.first, pair.seed_first, worth.first),
                ("second", pair.second, pair.seed_second, worth.second),
            ):
                if why := _differs(envs[key], side, seed, own):
                    yield f"pair {pair.pair_id}, {name}: {why}"
        except (Exception, RecursionError, MemoryError) as problem:  # of a stranger's pairs, whatever they lead to
            yield f"pair {pair.pair_id}: {shown(str(problem), 300)}"
    for env in envs.values():
        env.close()


def _differs(env: Any, side: Fragment, seed: int, gold: tuple[float, ...]) -> str | None:
    """What is not as it is recorded when a game is played again."""
    texts, rewards, terminated, truncated = [env.reset(seed=seed)[0]], [], False, False
    for number, action in enumerate(side.actions):
        if terminated or truncated:
            return f"the game ends before action {number}, the record goes on"
        text, reward, terminated, truncated, _ = env.step(action)
        texts.append(text)
        rewards.append(float(reward))
    for number, (text, stored) in enumerate(zip(texts, side.observations, strict=True)):
        if text != stored:
            return f"observation {number} is {shown(text)}, the record says {shown(stored)}"
    if tuple(rewards[side.start :]) != gold:
        return f"gold is {rewards[side.start :]}, the side file says {list(gold)}"
    if (bool(terminated), bool(truncated)) != (side.terminated, side.truncated):
        return "the game ends otherwise than recorded"
    return None


def _relabelled(found: Preferences, gold: list[Gold], every: int) -> Iterator[str]:
    """Labels of scripted labellers, given again. Those of models, people and plug-ins are claimed."""
    groups: dict[tuple[str, int], dict[int, float | None]] = {}
    for label in found.labels:
        groups.setdefault((label.annotator, label.label_seed), {})[label.pair_id] = label.label
    for (annotator, seed), labels in groups.items():
        if not is_scripted(annotator):
            continue
        pairs = [found.pairs[number] for number in sorted(labels)[::every]]
        try:
            for again, _ in labels_of(load_labeller(annotator), annotator, seed, pairs, gold):
                if again.label != labels[again.pair_id]:
                    yield f"pair {again.pair_id}: {shown(annotator)} says {again.label}, the record says {labels[again.pair_id]}"
        except (Exception, RecursionError, MemoryError) as problem:
            yield f"labels by {shown(annotator)} cannot be given again: {shown(str(problem), 300)}"


def is_scripted(annotator: str) -> bool:
    """Whether an annotator is a scripted labeller that comes with this package."""
    from lmrl_envs import doors

    point = doors.installed("lmrl.labellers").get(annotator.partition(":")[0])
    if point is None or not point.value.startswith("lmrl_datasets."):
        return False
    try:
        return bool(getattr(load_labeller(annotator), "scripted", False))
    except (ValueError, PreferenceError):  # a constitution's file that is not here
        return False


def about(found: Preferences, gold: list[Gold] | None = None) -> list[tuple[str, str]]:
    """What preference data are, as rows of a table.

    Args:
        found: the data.
        gold: to tell how often each annotator agrees with its order, among pairs that are neither tied nor skipped.
    """
    spec = found.manifest["spec"]
    rows = [("task", spec.get("env_id") or "imported as text"), ("pairs", f"{len(found.pairs):,}")]
    rows += [(key.replace("_", " "), str(spec[key])) for key in ("unit", "agents", "seed", "source") if key in spec]
    policies = Counter(side.policy for pair in found.pairs for side in (pair.first, pair.second))
    rows.append(("policies", ", ".join(f"{name or 'unknown'} {count:,}" for name, count in policies.most_common(8))))
    alike = sum(pair.first.actions == pair.second.actions for pair in found.pairs)
    rows.append(("pairs of equal games", f"{alike:,}"))
    repeats = [line for line in read_lines(found.folder, len(found.pairs)) if line.mark == "repeat"]
    for annotator in dict.fromkeys(label.annotator for label in found.labels):
        own = [label for label in found.labels if label.annotator == annotator]
        ties, skips = sum(label.label == 0.5 for label in own), sum(label.label is None for label in own)
        given, mine = [label for label in own if label.label is not None], {label.pair_id: label.label for label in own}
        told = f"{len(own):,} labels, {ties:,} ties, {skips:,} skipped"
        if given:
            first = [
                label.label if label.shown_first == "first" else 1 - label.label
                for label in given
                if label.label is not None
            ]
            told += f"; the one shown first is better in {sum(first) / len(first):.1%}"
        if (
            gold is not None
            and (share := agreement([(found.pairs[x.pair_id], x.label) for x in given], gold)) is not None
        ):
            told += f"; agrees with gold in {share:.1%}"
        again = [
            (mine[line.pair_id], line.label) for line in repeats if line.annotator == annotator and line.pair_id in mine
        ]
        if again:
            told += f"; says the same again of {sum(a == b for a, b in again)} of {len(again)} pairs shown twice"
        rows.append((annotator, told))
    return rows


def agreement(labels: list[tuple[Pair, float | None]], gold: list[Gold]) -> float | None:
    """Share of labels on the side of the greater gold, ties of either left out; None if there are none."""
    hits = []
    for pair, label in labels:
        worth = gold[pair.pair_id]
        gap = sum(worth.first) - sum(worth.second)
        if gap and label is not None and label != 0.5:
            hits.append((label > 0.5) == (gap > 0))
    return sum(hits) / len(hits) if hits else None
