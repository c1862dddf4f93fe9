"""Dataset cards: how a dataset was made, its statistics beside the published ones, licence and use.

    python -m lmrl_datasets.cards datasets/cards DATASET_FOLDER ...

writes one card per dataset and a table of all of them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lmrl_datasets.dataset import Dataset, load_dataset
from lmrl_datasets.store import write_atomically

_ROWS = ("episodes", "length_mean", "length_std", "success_rate", "return_mean", "return_std")
# Tolerances within which a published figure counts as reproduced: relative for means and deviations, absolute for rates.
_RELATIVE = {"length_mean": 0.05, "length_std": 0.15, "return_mean": 0.05, "return_std": 0.15}
_ABSOLUTE = {"success_rate": 0.03, "return_mean": 0.1}


def reproduced(key: str, here: float, published: float) -> bool:
    """Whether a figure is the published one within the stated tolerance."""
    distance = abs(here - published)
    return distance <= _RELATIVE.get(key, 0.0) * abs(published) or distance <= _ABSOLUTE.get(key, 0.0)


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def card(data: Dataset) -> str:
    """The card of a dataset, with the YAML header of the Hugging Face Hub."""
    recipe, stats = data.manifest["recipe"], data.stats()
    published = recipe["published"]
    lines = [
        "---",
        "license: mit",
        "language: en",
        "task_categories: [reinforcement-learning, text-generation]",
        f"pretty_name: lmrl {data.name}",
        f"size_categories: [{_size(len(data))}]",
        "configs:",
        "- config_name: default",
        "  data_files: [{split: train, path: 'train-*.parquet'}]",
        "---",
        "",
        f"# {data.name}",
        "",
        recipe["description"].strip(),
        "",
        f"Task `{data.env_id}`, policy `{recipe['policy']}`, seed {data.manifest['seed']}. Made by",
        "",
        f"    {data.manifest['command']}",
        "",
        "The same command gives the same bytes. Observations can be worded for every id of the family at loading.",
        "",
        "| | here | LMRL-Gym, Table 1 | reproduced |" if published else "| | here |",
        "|---|---|---|---|" if published else "|---|---|",
    ]
    for key in _ROWS:
        row = f"| {key.replace('_', ' ')} | {_shown(stats[key])} |"
        if published:
            there = published.get(key)
            verdict = (
                "" if key == "episodes" or there is None else "yes" if reproduced(key, stats[key], there) else "no"
            )
            row += f" {'' if there is None else _shown(there)} | {verdict} |"
        lines.append(row)
    if recipe["notes"].strip():
        lines += ["", "## What of the published row cannot be matched", "", recipe["notes"].strip()]
    lines += [
        "",
        "## Use",
        "",
        "For training and comparing offline reinforcement learning methods. The behaviour policies are scripted: the texts hold "
        "no personal data. MIT licence.",
        "",
    ]
    return "\n".join(lines)


def _size(n: int) -> str:
    return (
        "n<1K"
        if n < 1000
        else "1K<n<10K"
        if n < 10_000
        else "10K<n<100K"
        if n < 100_000
        else "100K<n<1M"
        if n < 1_000_000
        else "1M<n<10M"
    )


def write_cards(target: Path, folders: list[Path]) -> None:
    """Write a card for each dataset folder, and README.md with a table of all."""
    rows = [
        "# Datasets",
        "",
        "Made here, with the statistics of LMRL-Gym's Table 1 in brackets; tolerances: means 5 %, standard deviations 15 %, "
        "success .03, returns 5 % or .1. Rows that cannot be matched are explained on their card.",
        "",
        "| dataset | episodes | length | length std | success | return | return std |",
        "|---|---|---|---|---|---|---|",
    ]
    for folder in folders:
        data = load_dataset(folder)
        published, stats = data.manifest["recipe"]["published"], data.stats()
        name = data.name.replace("/", "--")
        cells = [f"[{data.name}]({name}.md)", f"{len(data):,}"]
        for key in ("length_mean", "length_std", "success_rate", "return_mean", "return_std"):
            there = f" ({_shown(published[key])})" if key in published else ""
            cells.append(_shown(stats[key]) + there)
        rows.append(f"| {' | '.join(cells)} |")
        write_atomically(target / f"{name}.md", card(data))
    write_atomically(target / "README.md", "\n".join(rows) + "\n")


if __name__ == "__main__":
    write_cards(Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]])
