"""Dataset cards: how a dataset was made, its statistics beside the published ones, what it covers, licence and use.

Every finished dataset folder holds its card as README.md, with the header of the Hugging Face Hub, and can be pushed there as
it is. The cards of this repository come from

    python -m lmrl_datasets.cards datasets/cards DATASET_FOLDER ...

which writes one card per dataset and a table of all of them; rows of datasets not named are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from lmrl_datasets.coverage import in_words
from lmrl_datasets.reading.finding import load_dataset
from lmrl_envs import task
from lmrl_envs.files import write_atomically

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


def card(manifest: dict[str, Any]) -> str:
    """The card of a dataset, from what its manifest says."""
    name, recipe = manifest["name"], manifest["recipe"]
    paragraphs = [
        "\n".join(_header(manifest)),
        f"# {name}",
        recipe["description"].strip(),
        f"Task `{manifest['env_id']}`, policy `{recipe['policy']}`, seed {manifest['seed']}. Made by",
        f"    {manifest['command']}",
        "with the versions that manifest.json names; the same command gives the same bytes. Load it with "
        f'`lmrl_datasets.load_dataset("{name}")`, or any Parquet reader: one row is one episode of T actions and rewards and '
        "T + 1 observations. Observations can be worded for every id of the family at loading.",
        "\n".join(_statistics(manifest["statistics"], recipe["published"])),
    ]
    if recipe["notes"].strip():
        paragraphs += ["## About the published row", recipe["notes"].strip()]
    if manifest.get("coverage"):
        lines = [*in_words(manifest["coverage"]), *_achievable(manifest)]
        paragraphs += ["## What it covers", "\n".join(f"- {line}" for line in lines)]
    paragraphs += [
        "## Use",
        "For training and comparing offline reinforcement learning methods. The behaviour policies are scripted: the texts hold "
        "no personal data. MIT licence.",
    ]
    return "\n\n".join(paragraphs) + "\n"


def _achievable(manifest: dict[str, Any]) -> Iterator[str]:
    """What the best play earns on the average, beside the data."""
    row, stats = task(manifest["env_id"]), manifest["statistics"]
    known: dict[str, Any] = vars(row.reference) if row.reference is not None else {}
    kwargs = {key: value for key, value in manifest["recipe"]["env_kwargs"].items() if key != "split"}
    if kwargs:  # another game than the row's, with a best of its own
        variants = row.toml("references").get("variant", [])
        known = next((one for one in variants if one["id"] == row.id and one["kwargs"] == kwargs), {})
    if not known:
        return
    best, optimum = manifest["coverage"]["best_return"], known["optimum"]
    line = (
        f"The best possible mean return is {optimum:.4g} ({known['optimum_is']}); that of the data is "
        f"{stats['return_mean']:.4g}"
    )
    if best is not None:
        above = "above" if optimum > best + 1e-9 else "not above"
        line += f". As a mean over all starts it is {above} the best single episode of {best:.4g}"
    yield f"{line}."


def _header(manifest: dict[str, Any]) -> Iterator[str]:
    yield from ("---", "license: mit", "language: en", "task_categories: [reinforcement-learning, text-generation]")
    yield from ("tags: [lmrl, offline-reinforcement-learning, gymnasium]", f"pretty_name: lmrl {manifest['name']}")
    yield f"size_categories: [{_size(manifest['statistics']['episodes'])}]"
    yield from ("configs:", "- config_name: default", "  data_files: [{split: train, path: 'train-*.parquet'}]", "---")


def _statistics(stats: dict[str, Any], published: dict[str, float]) -> Iterator[str]:
    yield "| | here | LMRL-Gym, Table 1 | reproduced |" if published else "| | here |"
    yield "|---|---|---|---|" if published else "|---|---|"
    for key in _ROWS:
        row = f"| {key.replace('_', ' ')} | {_shown(stats[key])} |"
        if published:
            there = published.get(key)
            verdict = ""
            if key != "episodes" and there is not None:
                verdict = "yes" if reproduced(key, stats[key], there) else "no"
            row += f" {'' if there is None else _shown(there)} | {verdict} |"
        yield row


def _size(n: int) -> str:
    """The Hub's category."""
    names = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M")
    return names[sum(n >= limit for limit in (1_000, 10_000, 100_000, 1_000_000))]


def write_cards(target: Path, folders: list[Path]) -> None:
    """Write a card for each dataset folder, and README.md with a table of them and of those that stood there."""
    table = target / "README.md"
    there = table.read_text("utf-8").splitlines(keepends=True) if table.exists() else []
    rows = {line[3:].partition("]")[0]: line for line in there if line.startswith("| [")}
    for data in map(load_dataset, folders):
        published, stats = data.manifest["recipe"]["published"], data.stats()
        name = data.name.replace("/", "--")
        cells = [f"[{data.name}]({name}.md)", f"{len(data):,}"]
        for key in _ROWS[1:]:
            there_is = published.get(key)
            missed = there_is is not None and not reproduced(key, stats[key], there_is)
            cells.append(_shown(stats[key]) + "*" * missed + ("" if there_is is None else f" ({_shown(there_is)})"))
        returns = data.manifest["coverage"]["returns"]
        cells.append(f"{returns['majority']:.4g} / {returns['expert']:.4g}" if returns else "")
        rows[data.name] = f"| {' | '.join(cells)} |\n"
        write_atomically(target / f"{name}.md", card(data.manifest))
    head = resources.files("lmrl_datasets").joinpath("cards.md").read_text("utf-8")
    write_atomically(table, head + "".join(rows.values()))


if __name__ == "__main__":
    write_cards(Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]])
