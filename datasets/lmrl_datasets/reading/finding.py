"""Where datasets are found by name: generated ones in a folder of the user's, samples in the package."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from lmrl_datasets.reading.dataset import Dataset
from lmrl_datasets.recipes import dataset_names, load_recipe
from lmrl_datasets.schema import UnknownDataset
from lmrl_datasets.store import read_manifest, require_pyarrow

HOME_VARIABLE = "LMRL_DATA"


def data_home() -> Path:
    """Where named datasets are looked for: ``$LMRL_DATA``, else ``~/.cache/lmrl/datasets``."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".cache" / "lmrl" / "datasets")


def load_dataset(
    name: str | Path,
    split: Literal["train", "validation"] | None = None,
    sample: bool = False,
    env_id: str | None = None,
    **env_kwargs: Any,
) -> Dataset:
    """Open a dataset.

    Args:
        name: a name (``wordle/mixed-v0``, looked for in `data_home`) or the folder of a generated dataset.
        split: "train" or "validation" (a tenth, by a fixed seed); None for all episodes.
        sample: the sample of about 1,000 episodes that ships with the package.
        env_id: word the observations as this id of the same family does (the games are replayed); ``env_kwargs`` too.

    Raises:
        DatasetError: not found, unfinished, damaged or of a newer schema.
    """
    require_pyarrow()
    if sample:
        folder = Path(str(resources.files("lmrl_datasets.samples"))) / str(name).replace("/", "--")
        if not folder.is_dir():
            raise UnknownDataset(
                f"no sample of {str(name)!r} ships with the package; there are: {', '.join(samples())}"
            )
    else:
        folder = Path(name)
        if not folder.is_dir():
            folder = data_home() / str(name)
        if not folder.is_dir():
            recipe = load_recipe(str(name))
            raise UnknownDataset(
                f"{recipe.name} has not been generated here; load the sample that ships with the package (sample=True, "
                f"or --sample), or run: lmrl data generate {recipe.name} --out {folder}"
            )
    data: Dataset = Dataset(folder, read_manifest(folder))
    if env_id is not None or env_kwargs:
        data = data.reword(env_id or data.env_id, **env_kwargs)
    return data if split is None else data.split()[0 if split == "train" else 1]


def installed_datasets() -> list[str]:
    """Names of datasets found in `data_home`."""
    return [name for name in dataset_names() if (data_home() / name / "manifest.json").is_file()]


def samples() -> list[str]:
    """Names of the datasets of which a sample ships with the package."""
    folder = Path(str(resources.files("lmrl_datasets.samples")))
    return sorted(entry.name.replace("--", "/") for entry in folder.iterdir() if (entry / "manifest.json").is_file())
