"""``lmrl data ...``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from tyro.conf import OmitArgPrefixes, Positional

from lmrl_benchmarks.commands.terminal import ON_TERMINAL, TABLES, Listing, as_json, shown, wide_console, write_table
from lmrl_benchmarks.running.records import read_as_dataset
from lmrl_datasets import Dataset, load_dataset, read_jsonl
from lmrl_datasets import generate as make
from lmrl_datasets.coverage import coverage, in_words
from lmrl_datasets.exchange import to_minari, write_chats, write_jsonl
from lmrl_datasets.reading.finding import data_home, installed_datasets, samples
from lmrl_datasets.recipes import dataset_names, load_recipe
from lmrl_envs.files import printable
from lmrl_envs.work import progress_bar


def list_datasets(listing: OmitArgPrefixes[Listing] = ON_TERMINAL) -> None:
    """List all datasets: what plays, size, and whether it is here (generated, or as a sample in the package).

    Args:
        listing: How it is told.
    """
    here, shipped = set(installed_datasets()), set(samples())
    recipes = [load_recipe(name) for name in dataset_names()]
    rows = [
        {
            "name": recipe.name, "env_id": recipe.env, "policy": recipe.policy, "episodes": recipe.episodes,
            "generated": recipe.name in here, "sample": recipe.name in shipped,
        }
        for recipe in recipes
    ]  # fmt: skip
    if listing.tells(rows):
        return
    table = Table()
    for column in ("name", "task", "policy", "episodes", "here"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        where = ", ".join(kind for kind in ("generated", "sample") if row[kind])
        table.add_row(row["name"], row["env_id"], row["policy"], f"{row['episodes']:,}", where or "-")
    wide_console().print(table)


def generate(
    name: Positional[str],
    episodes: int | None = None,
    out: Path | None = None,
    seed: int = 0,
    workers: int = 1,
    shard: str | None = None,
    ray: str | None = None,
) -> int:
    """Generate a dataset. A run that was stopped is taken up again by the same command.

    Args:
        name: Dataset name, such as wordle/mixed-v0 (lmrl data list).
        episodes: Number of episodes; by default the published size.
        out: Folder; by default where datasets are looked for by name.
        seed: Seed of the dataset. The same seed gives the same bytes, whatever the number of workers.
        workers: Processes.
        shard: i/n: make only every n-th file from the i-th (from 0); for several machines on one folder.
        ray: Make the files on the Ray cluster at this address ("local": on this machine); same bytes.
    """
    part = None
    if shard is not None:
        which, _, of = shard.partition("/")
        if not (which.isdigit() and of.isdigit()):
            raise ValueError(f"--shard {shard!r} is not i/n")
        part = (int(which), int(of))
    with progress_bar(name, "episodes") as tell:
        folder = make(
            name,
            out or data_home() / name,
            episodes=episodes,
            seed=seed,
            workers=workers,
            shard=part,
            ray=ray,
            progress=tell,
        )
    if (folder / "manifest.json").is_file():
        print(f"{load_dataset(folder)} in {folder}")
    else:
        print(f"this part is done; other shards of {folder} are still missing")
    return 0


def info(name: Positional[str], sample: bool = False, json: bool = False) -> None:
    """What a dataset is: who plays what, files, versions, statistics, and what it covers.

    Args:
        name: Dataset name or folder.
        sample: Take the sample that ships with the package.
        json: Print JSON.
    """
    data = load_dataset(name, sample=sample)
    if json:
        return as_json({**data.manifest, "coverage": data.manifest.get("coverage") or coverage(data)})
    manifest, recipe, console = data.manifest, data.manifest["recipe"], Console(highlight=False)
    console.print(f"[bold]{shown(data.name)}[/bold]  {shown(data.folder)}")
    console.print(shown(recipe["description"].strip()), style="italic", soft_wrap=True)
    table = Table(show_header=False, box=None)
    size = sum(shard["bytes"] for shard in manifest["shards"])
    for key, value in {
        "task": f"{data.env_id} {data.env_kwargs or ''}",
        "policy": recipe["policy"],
        "episodes": f"{len(data):,} in {len(manifest['shards'])} files, {size / 1e6:,.2f} MB",
        "made by": manifest["command"],
        "versions": ", ".join(f"{package} {version}" for package, version in manifest["packages"].items()),
        "schema": manifest["schema_version"],
    }.items():
        table.add_row(key, shown(value))
    console.print(table)
    _print_stats(data, data.stats(), console)
    console.print("covers:")
    for line in in_words(manifest.get("coverage") or coverage(data)):
        console.print(f"- {shown(line)}", soft_wrap=True)


def stats(name: Positional[str], sample: bool = False, listing: OmitArgPrefixes[Listing] = ON_TERMINAL) -> None:
    """Statistics of a dataset, beside those of LMRL-Gym's Table 1 where there are any.

    Args:
        name: Dataset name or folder.
        sample: Take the sample that ships with the package.
        listing: How it is told.
    """
    data = load_dataset(name, sample=sample)
    found = data.stats()
    if not listing.tells([{"name": data.name, **found}], found):
        _print_stats(data, found, Console())


def _print_stats(data: Dataset, found: Mapping[str, Any], console: Console) -> None:
    published = data.manifest["recipe"].get("published", {})
    table = Table(title=f"{shown(data.name)}: {len(data):,} episodes", title_justify="left")
    for column in ("", "here", "published"):
        table.add_column(column, justify="left" if not column else "right")
    for key, value in found.items():
        here = "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
        table.add_row(key, here, f"{published[key]:g}" if key in published else "")
    console.print(table)


def verify(name: Positional[str], replay: bool = False, sample: bool = False) -> int:
    """Check a dataset: every file against the manifest's digests; with --replay every reward against the environment.

    Args:
        name: Dataset name or folder.
        replay: Play every stored action again and compare texts, rewards and ends.
        sample: Take the sample that ships with the package.
    """
    data = load_dataset(name, sample=sample)
    with progress_bar("replay", "episodes", show=replay) as tell:
        data.verify(replay, tell)
    print(
        f"{printable(data.name)}: {len(data):,} episodes, all files as in the manifest"
        + (", all rewards replayed" if replay else "")
    )
    return 0


def export(
    name: Positional[str],
    file: Positional[Path | None] = None,
    minari: str | None = None,
    messages: bool = False,
    by: Literal["episode", "turn"] = "episode",
    sample: bool = False,
) -> int:
    """Write a dataset as JSON lines, one episode each, as chats, as a table, or as a Minari dataset.

    Args:
        name: Dataset name or folder.
        file: File to write, ending in .jsonl or .jsonl.zst; in .csv or .parquet for a table.
        messages: Write chats, as trainers of language models take them.
        by: What a row of a table, or a chat, is: a whole episode, or an action (with what was said before it).
        minari: Instead of a file, the id of a Minari dataset, such as lmrl/wordle-v0.
        sample: Take the sample that ships with the package.
    """
    if (file is None) == (minari is None):
        raise ValueError("give either a file name or --minari ID")
    data = load_dataset(name, sample=sample)
    if file is not None and file.suffix in TABLES:
        print(f"{write_table(data.to_pandas(by), file):,} rows in {file}")
    elif file is not None and messages:
        print(f"{write_chats(data, file, by):,} chats in {file}")
    elif file is not None:
        print(f"{write_jsonl(data, file):,} episodes in {file}")
    else:
        print(f"{to_minari(data, minari).spec.total_episodes:,} episodes in Minari's {minari}")
    return 0


def import_file(file: Positional[Path], name: str, out: Path | None = None) -> int:
    """Make a dataset of a file of JSON lines, as lmrl data export writes them, or of a folder of evaluation records, such as those
    of people's games that lmrl serve keeps. What is read is checked as a whole first.

    Args:
        file: .jsonl or .jsonl.zst, or the folder of the records.
        name: The dataset's name, such as wordle/mine-v0.
        out: Folder; by default where datasets are looked for by name.
    """
    read = read_as_dataset if file.is_dir() else read_jsonl
    folder = read(file, out or data_home() / name, name)
    print(f"{load_dataset(folder)} in {folder}")
    return 0


def show(name: Positional[str], number: Positional[int], sample: bool = False) -> None:
    """Print an episode as a person reads it.

    Args:
        name: Dataset name or folder.
        number: Which episode, from 0; negative numbers count from the end.
        sample: Take the sample that ships with the package.
    """
    data = load_dataset(name, sample=sample)
    episode = data[number]
    console = Console(highlight=False)
    end = "stopped" if episode.stopped else "terminated" if episode.terminated else "truncated"
    console.print(
        f"[bold]{shown(data.name)}[/bold] episode {episode.episode_id}: return {episode.episode_return:g}, "
        f"{len(episode)} turns, {'success' if episode.success else 'no success'}, {end}, seed {episode.seed}"
    )
    for turn in episode.transcript:
        if turn.is_action:
            console.print(f"[green]> {shown(turn.text)}[/green]  [dim]{turn.reward:g}[/dim]")
        else:
            console.print(shown(turn.text))
