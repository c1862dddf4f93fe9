"""Offline datasets of text episodes: one schema, regenerated from stated policies, loadable at once.

Examples:
    >>> from lmrl_datasets import load_dataset
    >>> data = load_dataset("wordle/mixed-v0", sample=True)
    >>> data.stats()["return_mean"]
"""

from lmrl_datasets.exchange import read_jsonl
from lmrl_datasets.generate import generate
from lmrl_datasets.reading.dataset import Dataset
from lmrl_datasets.reading.finding import load_dataset
from lmrl_datasets.reading.stats import summarize
from lmrl_datasets.recipes import Recipe, dataset_names, load_recipe
from lmrl_datasets.schema import DatasetError, Episode

__all__ = [
    "Dataset",
    "DatasetError",
    "Episode",
    "Recipe",
    "dataset_names",
    "generate",
    "load_dataset",
    "load_recipe",
    "read_jsonl",
    "summarize",
]
