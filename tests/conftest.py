"""Shared fixtures: small generated datasets, and a notice of what could not be tested."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors: more threads are many times slower


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests leave nothing in the user's cache."""
    os.environ.setdefault("LMRL_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def maze_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 episodes of maze/mixed-v0."""
    from lmrl_datasets import generate

    return generate("maze/mixed-v0", tmp_path_factory.mktemp("data") / "maze", episodes=200)


@pytest.fixture(scope="session")
def wordle_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 episodes of wordle/mixed-v0, in three shards."""
    from lmrl_datasets import generate

    return generate("wordle/mixed-v0", tmp_path_factory.mktemp("data") / "wordle", episodes=300, shard_size=100)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as a site, in ``site`` of this folder, built with every warning an error."""
    folder = tmp_path_factory.mktemp("docs")
    root = Path(__file__).parents[1]
    for command in ([str(root / "tools" / "docs_site.py"), str(folder)], ["-m", "zensical", "build", "--strict"]):
        result = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
    return folder
