"""Preference data in the forms of other tools: TRL's four, and back from HH-RLHF's and UltraFeedback's.

TRL knows neither soft labels nor ties nor annotators: a soft label is hardened, ties and skips are left out, and how many of each is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lmrl_datasets.preferences.schema import Fragment, Label, Pair, PreferenceError
from lmrl_datasets.preferences.store import LABELS, Preferences, is_preferences, write_pairs
from lmrl_datasets.schema import to_json
from lmrl_envs.files import FolderError, JsonLines, write_atomically
from lmrl_envs.files.untrusted import Refused, lines, shown

FORMS = ("explicit", "implicit", "messages", "unpaired")


def trl_rows(
    found: Preferences, form: str, annotators: Sequence[str] = (), multi_turn: bool = False
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Rows for TRL's trainers, and what was left out or changed.

    Args:
        found: the data.
        form: ``explicit`` (prompt, chosen, rejected as text), ``implicit`` (chosen and rejected begin alike), ``messages``
            (explicit, as lists of role and content), ``unpaired`` (prompt, completion, label: KTO).
        annotators: whose labels; default: everybody's.
        multi_turn: take games of several turns, too: trainers without a mask of assistant turns then learn the partner's words.

    Raises:
        PreferenceError: nothing is left, or games of several turns without ``multi_turn``.
    """
    if form not in FORMS:
        raise ValueError(f"form={form!r} is not one of {', '.join(FORMS)}")
    told: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    wanted = set(annotators) or {label.annotator for label in found.labels}
    told["skipped"] = sum(label.label is None and label.annotator in wanted for label in found.labels)
    for pair, label in found.labelled(tuple(annotators)):
        assert label.label is not None
        if label.label == 0.5:
            told["ties left out"] += 1
            continue
        if 0 < label.label < 1:
            told["soft labels hardened"] += 1
        shared, sides = _sides(pair)
        if not multi_turn and any(len(side) > 1 and side[1:] for side in (sides[0][1:], sides[1][1:])):
            raise PreferenceError(
                f"pair {pair.pair_id} is of several turns: a trainer without masks would learn the partner's words "
                "(--multi-turn takes them all the same)"
            )
        chosen, rejected = sides if label.label > 0.5 else sides[::-1]
        rows += _row(form, shared, chosen, rejected)
    if not rows:
        raise PreferenceError(f"{found.folder} has no label that says which of two is better")
    return rows, told


def _sides(pair: Pair) -> tuple[list[str], list[list[str]]]:
    """The texts that both sides begin with (an odd number of them: they end with an observation), and what follows on each, up to
    the last action."""
    texts = [[turn.text for turn in side.shown][:-1] for side in (pair.first, pair.second)]
    shared = 0
    while shared < min(map(len, texts)) - 1 and texts[0][shared] == texts[1][shared]:
        shared += 1
    shared -= 1 - shared % 2
    if shared < 1:
        raise PreferenceError(f"pair {pair.pair_id}: the two have no beginning in common, which TRL's prompt is")
    return texts[0][:shared], [own[shared:] for own in texts]


def _row(form: str, shared: list[str], chosen: list[str], rejected: list[str]) -> Iterator[dict[str, Any]]:
    prompt, texts = "\n".join(shared) + "\n", ["\n".join(side) for side in (chosen, rejected)]
    if form == "messages":
        told = [_messages(shared + side) for side in (chosen, rejected)]
        begin = len(shared)
        yield {"prompt": told[0][:begin], "chosen": told[0][begin:], "rejected": told[1][begin:]}
    elif form == "implicit":
        yield {"chosen": prompt + texts[0], "rejected": prompt + texts[1]}
    elif form == "explicit":
        yield {"prompt": prompt, "chosen": texts[0], "rejected": texts[1]}
    else:
        for text, is_good in zip(texts, (True, False), strict=True):
            yield {"prompt": prompt, "completion": text, "label": is_good}


def _messages(texts: list[str]) -> list[dict[str, str]]:
    return [{"role": "assistant" if k % 2 else "user", "content": text} for k, text in enumerate(texts)]


def write_trl(rows: Sequence[dict[str, Any]], told: Counter[str], found: Preferences, form: str, out: Path) -> None:
    """Rows as JSON lines, and a card beside them (``.md``) that says what they are and what was left out."""
    write_atomically(out, "".join(f"{to_json(row)}\n" for row in rows))
    spec = found.manifest["spec"]
    counts = "".join(f"- {name}: {count}\n" for name, count in sorted(told.items()) if count)
    write_atomically(
        out.with_suffix(".md"),
        f"# Preferences of {spec.get('env_id') or 'imported text'}\n\n{len(rows)} rows in TRL's form `{form}`, from labels by "
        f"{', '.join(sorted({label.annotator for label in found.labels}))}.\n\n{counts}",
    )


# -- in

_TURN = re.compile(r"\n\n(Human|Assistant): ")


def import_pairs(source: Path, out: Path) -> int:
    """Make preference data of JSON lines in the form of HH-RLHF, UltraFeedback (binarized) or TRL; returns the number of pairs.

    Such pairs are text alone: they can be shown, labelled by whoever needs no gold, and exported.

    Raises:
        PreferenceError: a row is of neither form; the message has its number.
        FolderError: the folder holds something.
    """
    if out.exists() and (is_preferences(out) or any(out.iterdir())):
        raise FolderError(f"{out} is not empty; choose another folder")
    pairs, labels = [], []
    try:
        for number, row in lines(source, dict[str, Any]):
            chosen, rejected = _imported(row, f"{source}, line {number}")
            if re.search("[\ud800-\udfff]", "".join((*chosen, *rejected))):
                raise PreferenceError(f"{source}, line {number}: half a pair of UTF-16 is no text")
            k = len(pairs)
            sides = [
                Fragment(observations=(*side[::2], ""), actions=tuple(side[1::2]), policy=name)
                for side, name in ((chosen, "chosen"), (rejected, "rejected"))
            ]
            alike = next((i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), len(chosen))
            turned = k % 2 == 1  # so that the first is not always the better
            if turned:
                sides.reverse()
            pairs.append(
                Pair(
                    pair_id=k, env_id="", env_kwargs={}, seed_first=0, seed_second=0, shared=alike, unit="game",
                    first=sides[0], second=sides[1],
                )
            )  # fmt: skip
            scores = row.get("score_chosen"), row.get("score_rejected")
            label = 0.5 if None not in scores and scores[0] == scores[1] else float(not turned)
            labels.append(Label(pair_id=k, annotator="imported", label=label))
    except Refused as problem:
        raise PreferenceError(str(problem)) from None
    if not pairs:
        raise PreferenceError(f"{source} holds no rows")
    out.mkdir(parents=True, exist_ok=True)
    import msgspec

    JsonLines(out / LABELS).rewrite(to_json(msgspec.to_builtins(label)) for label in labels)
    write_pairs(out, {"env_id": "", "unit": "game", "source": source.name}, pairs, None)
    return len(pairs)


def _imported(row: dict[str, Any], where: str) -> tuple[list[str], list[str]]:
    """The texts of both sides, a person's and the assistant's in turn, from whatever form the row has."""
    sides = []
    for name in ("chosen", "rejected"):
        value = row.get(name)
        if isinstance(value, str) and isinstance(row.get("prompt"), str):
            texts = [row["prompt"], value]
        elif isinstance(value, str) and _TURN.match(value):
            texts = _TURN.split(value)[2::2]
        elif isinstance(value, list):
            before = row["prompt"] if isinstance(row.get("prompt"), list) else []
            texts = [
                entry.get("content")
                for entry in [*before, *value]
                if isinstance(entry, dict) and entry.get("role") != "system"
            ]
        else:
            raise PreferenceError(
                f"{where}: neither dialogues (Human, Assistant), nor prompt, chosen and rejected, nor lists of messages: {shown(row)}"
            )
        if len(texts) < 2 or len(texts) % 2 or not all(isinstance(text, str) for text in texts):
            raise PreferenceError(f"{where}: {name} does not go from a person to the assistant, in turn")
        sides.append([str(text) for text in texts])
    return sides[0], sides[1]
