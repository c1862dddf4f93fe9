"""The notebooks run from their first cell to their last, and show what they say."""

from __future__ import annotations

import importlib.util
import re
import runpy
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "notebooks"
SMALL = {
    "EPISODES = 200": "EPISODES = 30",
    "STEPS, GAMES = 400, 100": "STEPS, GAMES = 10, 8",
    "1240": "64",
    "seeds = [0, 1]": "seeds = [0]",
}


def shown(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a notebook in a folder, with less work in it; returns all that its cells printed and showed."""
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs are not kept"
    for cell in notebook.cells:
        for much, little in SMALL.items():
            cell.source = cell.source.replace(much, little)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    told = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            told.append(output.get("text") or "".join(output.get("data", {}).get("text/plain", "")))
            told += [kind for kind in output.get("data", {}) if kind.startswith("image/")]
    return "\n".join(told)


def test_play_and_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = shown("play-and-score", tmp_path, monkeypatch)
    scores = {
        name: float(re.search(rf"^{name} .*score +(-?[\d.]+)", told, re.MULTILINE)[1])
        for name in ("random", "consistent", "expert")
    }
    assert scores["random"] < 40 < scores["consistent"] <= 110 and scores["expert"] > 80
    assert "Wordle:" in told and "success" in told


def test_train_and_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = shown("train-and-compare", tmp_path, monkeypatch)
    assert all(f"\n{name} " in told for name in ("random", "expert", "bc", "ilql")) and told.count("image/png") == 2
    assert (tmp_path / "runs" / "notebook" / "suite.json").is_file()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_repositorys_site_opens_them_in_colab(path: Path, tmp_path: Path) -> None:
    write = runpy.run_path(str(ROOT / "tools" / "docs_site.py"))["write"]
    assert importlib.util.find_spec("zensical")
    write(tmp_path, "https://github.com/someone/something")
    page = (tmp_path / "docs" / "notebooks.md").read_text("utf-8")
    assert f"(https://colab.research.google.com/github/someone/something/blob/main/docs/notebooks/{path.name})" in page
    assert 'repo_url: "https://github.com/someone/something"' in (tmp_path / "mkdocs.yml").read_text("utf-8")
