"""A folder of preference data.

``pairs.parquet``: the pairs; ``manifest.json``, written last: what made them, with their digest; ``labels.jsonl``: a line a label, which
grows, and is the state of the budget: a labelling that was stopped goes on behind its last whole line. ``gold.parquet`` and ``hidden.jsonl``
are the side files of gold: `load_gold` alone opens them, and no trainer calls it.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lmrl_datasets.preferences.schema import (
    PREFERENCES_VERSION,
    Gold,
    Label,
    Pair,
    PreferenceError,
)
from lmrl_datasets.schema import to_json
from lmrl_datasets.store import making_versions, naming_damage, require_pyarrow
from lmrl_envs.files import JsonLines, needs, replacing, sha256_of, write_json
from lmrl_envs.files.untrusted import Count, Refused, Schema, checked, convert, decode, read, shown

if TYPE_CHECKING:
    import pandas as pd

MANIFEST, PAIRS, GOLD = "manifest.json", "pairs.parquet", "gold.parquet"
LABELS, HIDDEN = "labels.jsonl", "hidden.jsonl"
COLUMNS = [
    "pair_id", "annotator", "label", "shown_first", "seconds", "env_id", "unit", "seed_first", "seed_second", "policy_first",
    "policy_second", "first", "second",
]  # fmt: skip


OBJECTS: dict[Any, tuple[str, ...]] = {Pair: ("env_kwargs", "first", "second"), Gold: ("first", "second")}
"""Fields that are JSON in a column of text."""


class PreferenceManifest(Schema, frozen=True):
    """A ``manifest.json`` of preference data."""

    preferences_version: Count
    spec: dict[str, Any]
    """What was sampled: task, unit, policies, seeds."""
    pairs: Count
    sha256: dict[str, str]
    packages: dict[str, str]


@dataclass(frozen=True)
class Preferences:
    """Pairs with their labels, as trainers see them: no gold."""

    folder: Path
    manifest: dict[str, Any]
    pairs: list[Pair]
    labels: list[Label]

    def labelled(self, annotators: Sequence[str] = ()) -> list[tuple[Pair, Label]]:
        """Every label that is none of a skip, with its pair, by pair and then as they were given."""
        wanted = [
            label
            for label in self.labels
            if label.label is not None and (not annotators or label.annotator in annotators)
        ]
        return [(self.pairs[label.pair_id], label) for label in sorted(wanted, key=lambda label: label.pair_id)]

    def to_pandas(self) -> pd.DataFrame:
        """A row for each label: ``pair_id``, ``annotator``, ``label`` (probability that the first is better; none: skipped),
        ``shown_first``, ``seconds``; of the pair ``env_id``, ``unit``, ``seed_first``, ``seed_second``, ``policy_first``,
        ``policy_second``, and what was shown as text, ``first`` and ``second``.

        Raises:
            gymnasium.error.DependencyNotInstalled: pandas is missing.
        """
        needs("a data frame", "pandas")
        import pandas as pd

        rows = [
            (
                label.pair_id, label.annotator, label.label, label.shown_first, label.seconds, pair.env_id, pair.unit,
                pair.seed_first, pair.seed_second, pair.first.policy, pair.second.policy,
                pair.first.shown.as_text(), pair.second.shown.as_text(),
            )
            for label in self.labels
            for pair in (self.pairs[label.pair_id],)
        ]  # fmt: skip
        return pd.DataFrame.from_records(rows, columns=COLUMNS)

    def fingerprint(self) -> str:
        """Of pairs and labels as they are now."""
        import hashlib

        text = self.manifest["sha256"][PAIRS] + "".join(to_json(msgspec.to_builtins(label)) for label in self.labels)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_preferences(folder: str | Path) -> bool:
    """Whether a folder holds preference data."""
    return (Path(folder) / PAIRS).is_file()


def write_pairs(folder: Path, spec: dict[str, Any], pairs: Iterable[Pair], gold: Iterable[Gold] | None) -> None:
    """Write pairs and gold, and the manifest last. Equal pairs give equal bytes."""
    pairs = list(pairs)
    _write(folder / PAIRS, pairs)
    digests = {PAIRS: sha256_of(folder / PAIRS)}
    if gold is not None:
        _write(folder / GOLD, list(gold))
        digests[GOLD] = sha256_of(folder / GOLD)
    record = PreferenceManifest(
        preferences_version=PREFERENCES_VERSION, spec=spec, pairs=len(pairs), sha256=digests, packages=making_versions()
    )
    write_json(folder / MANIFEST, msgspec.to_builtins(record))


def _write(path: Path, rows: Sequence[Schema]) -> None:
    """Rows as Parquet; what is an object becomes JSON."""
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in msgspec.to_builtins(row).items():
            columns.setdefault(name, []).append(to_json(value) if name in OBJECTS[type(row)] else value)
    with replacing(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd", compression_level=9, write_page_checksum=True)


def _read(path: Path, kind: Any, most: int) -> list[Any]:
    """The rows of a file. What many rows share, in a few bytes of the file, is one object of theirs."""
    import pyarrow.parquet as pq

    types = typing.get_type_hints(kind, include_extras=True)
    with naming_damage(path):
        if not path.is_file() and path.exists():
            raise ValueError("no plain file")
        file = pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=list(OBJECTS[kind]))
        if file.metadata.num_rows != most:
            raise ValueError(f"it has {file.metadata.num_rows} rows, its manifest says {most}")
        rows = []
        for batch in file.iter_batches(1024):
            columns = {name: _values(batch[name], types, name, kind, path) for name in batch.schema.names}
            rows += [convert(dict(zip(columns, row, strict=True)), kind) for row in zip(*columns.values(), strict=True)]
        return rows


def _values(column: Any, types: dict[str, Any], name: str, kind: Any, path: Path) -> list[Any]:
    if name not in OBJECTS[kind]:
        return column.to_pylist()
    found = [decode(text, types[name], path) for text in column.dictionary.to_pylist()]
    return [found[k] for k in column.indices.to_pylist()]


def read_preferences_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder of preference data.

    Raises:
        PreferenceError: there is none, it is damaged, or of a newer version.
    """
    path = folder / MANIFEST
    try:
        manifest = read(path, dict[str, Any])
        if isinstance(version := manifest.get("preferences_version"), int) and version > PREFERENCES_VERSION:
            raise PreferenceError(f"{path} has version {version}: update lmrl")
        if isinstance(digests := manifest.get("sha256"), dict) and digests.keys() - {GOLD} != {PAIRS}:
            raise PreferenceError(f"{path}: sha256 is of {shown(', '.join(digests))}, not of {PAIRS} (and {GOLD})")
        return checked(manifest, PreferenceManifest, path)
    except FileNotFoundError:
        raise PreferenceError(
            f"{folder} holds no preference data, or its collection has not finished (run it again to go on)"
        ) from None
    except (OSError, Refused) as problem:
        raise PreferenceError(f"{path} is damaged: {str(problem).removeprefix(f'{path}: ')}") from None


def load_preferences(folder: str | Path) -> Preferences:
    """Read pairs and labels; gold stays closed.

    Raises:
        PreferenceError: the folder holds none, or they are damaged.
    """
    folder = Path(folder)
    manifest = read_preferences_manifest(folder)
    pairs: list[Pair] = _read(folder / PAIRS, Pair, manifest["pairs"])
    for number, pair in enumerate(pairs):
        for side in (pair.first, pair.second):
            if (
                pair.pair_id != number
                or len(side.observations) != len(side.actions) + 1
                or side.start >= len(side.actions)
            ):
                raise PreferenceError(f"{folder / PAIRS}: pair {number} is damaged")
    return Preferences(folder, manifest, pairs, read_labels(folder, len(pairs)))


def read_labels(folder: Path, pairs: int) -> list[Label]:
    """All labels that stand, see `standing`; of one annotator's labels of a pair the last counts, and repeats are none.

    Raises:
        PreferenceError: a damaged line that is not the last, or a label of no pair.
    """
    lines = read_lines(folder, pairs)
    return list({(label.pair_id, label.annotator): label for label in lines if label.mark != "repeat"}.values())


def read_lines(folder: Path, pairs: int) -> list[Label]:
    """Labels and repeats that stand, in their order; a last line that a kill cut is left out.

    Raises:
        PreferenceError: as `read_labels`.
    """
    try:
        lines: list[Label] = JsonLines(folder / LABELS).read(Label, strict=True)
    except (Refused, OSError) as problem:
        raise PreferenceError(str(problem)) from None
    for label in lines:
        if label.pair_id >= pairs:
            raise PreferenceError(f"{folder / LABELS}: there is no pair {label.pair_id}")
    return standing(lines)


def standing(lines: Iterable[Label]) -> list[Label]:
    """The lines that no later ``void`` of their annotator takes back."""
    kept: list[Label | None] = []
    own: dict[str, list[int]] = {}
    for label in lines:
        places = own.setdefault(label.annotator, [])
        if label.mark != "void":
            places.append(len(kept))
            kept.append(label)
        elif places:
            kept[places.pop()] = None
    return [label for label in kept if label is not None]


def load_gold(folder: str | Path) -> list[Gold]:
    """The side file of gold. Nothing that trains may call this.

    Raises:
        PreferenceError: there is none, or it is damaged.
    """
    folder = Path(folder)
    manifest = read_preferences_manifest(folder)
    if GOLD not in manifest["sha256"]:
        raise PreferenceError(f"{folder}: these pairs have no gold: they were imported as text")
    rows: list[Gold] = _read(folder / GOLD, Gold, manifest["pairs"])
    if any(row.pair_id != number for number, row in enumerate(rows)):
        raise PreferenceError(f"{folder / GOLD}: the pairs are not in order")
    return rows
