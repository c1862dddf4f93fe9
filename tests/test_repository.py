"""The layout: our folders must not shadow packages of other projects, and imports point down only."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    "lmrl_envs": ROOT / "lmrl_envs",
    "lmrl_datasets": ROOT / "datasets" / "lmrl_datasets",
    "lmrl_agents": ROOT / "agents" / "lmrl_agents",
    "lmrl_benchmarks": ROOT / "benchmarks" / "lmrl_benchmarks",
}


@pytest.mark.parametrize("folder", ["agents", "datasets", "benchmarks"])
def test_folders_are_no_packages(folder: str) -> None:
    """A top-level package `datasets` or `agents` overwrites Hugging Face's or OpenAI's."""
    assert (ROOT / folder).is_dir()
    assert not (ROOT / folder / "__init__.py").exists()
    spec = importlib.util.find_spec(folder)
    assert spec is None or spec.origin is None or ROOT not in Path(spec.origin).parents


@pytest.mark.parametrize("package", FLOORS)
def test_typed_and_importable(package: str) -> None:
    assert (FLOORS[package] / "py.typed").is_file()
    assert importlib.util.find_spec(package) is not None


@pytest.mark.parametrize("package", FLOORS)
def test_imports_point_down(package: str) -> None:
    order = list(FLOORS)
    above = set(order[order.index(package) + 1 :])
    for path in FLOORS[package].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            wrong = [name for name in names if name.split(".")[0] in above]
            assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"
