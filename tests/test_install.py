"""The suite and an agent's package, built as wheels and installed into a clean environment: a stranger's path."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from test_chess_native import COMPILES

ROOT = Path(__file__).resolve().parents[1]
BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"


class Place:
    """An environment with the suite from a wheel, and an empty directory to work in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder, folder / "venv" / "bin"
        venv.create(folder / "venv", with_pip=False)
        # What the suite depends on is borrowed; a plain line in a .pth brings no editable installation of the suite along.
        borrowed = [path for path in sys.path if path.endswith("site-packages")]
        site = next((folder / "venv").glob("lib/python*/site-packages"))
        (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
        (self.bin / "pip").write_text(f'#!/bin/sh\nexec "{self.bin}/python" -m pip "$@"\n')
        (self.bin / "pip").chmod(0o755)
        self.environment = {
            **{key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")},
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            # No network: what a build needs is there already.
            "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "false",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1", "LMRL_CACHE": str(folder / "cache"), "COLUMNS": "100",
        }  # fmt: skip
        self.work = folder / "work"
        self.work.mkdir()

    def __call__(self, command: str) -> str:
        """Run a command line in the empty directory; returns what it prints."""
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=1500,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
        return done.stdout

    def wheel(self, source: Path) -> Path:
        """Build a project's wheel."""
        target = self.folder / "wheels"
        target.mkdir(exist_ok=True)
        made = subprocess.run(
            [str(self.bin / "python"), "-c", BUILD, str(target)],
            cwd=source, env=self.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        return target / made.stdout.split()[-1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("stranger"))
    place(f"pip install --quiet --ignore-installed {place.wheel(ROOT)}")
    for package in ("lmrl_envs", "lmrl_datasets", "lmrl_agents", "lmrl_benchmarks"):
        where = place(f"python -c 'import {package}; print({package}.__file__)'").strip()
        assert Path(where).is_relative_to(place.folder), where  # the wheel's, not this checkout's
    return place


@pytest.mark.skipif(not COMPILES, reason="no C compiler that works on this machine")
def test_a_wheel_brings_the_compiled_chess_search(place: Place) -> None:
    place("python -W error -c 'from lmrl_envs.chess.native import library; assert library()'")


def test_the_template_plays_from_a_wheel(place: Place) -> None:
    place("lmrl agents new wheel-agent")
    wheel = place.wheel(place.work / "wheel-agent")
    place(f"pip install --quiet {wheel}")
    assert re.search(r"wheel-agent\s*│\s*wheel-agent", place("lmrl agents list"))
    assert "keeps the protocol" in place("lmrl agents check wheel-agent")
    place("lmrl eval --agent wheel-agent --env lmrl/Wordle-v0 --episodes 20 --out runs/wheel")
    summary = json.loads((place.work / "runs" / "wheel" / "summary.json").read_text())
    assert summary["episodes"] == 20 and summary["errors"] == 0
    assert json.loads((place.work / "runs" / "wheel" / "agent.json").read_text()) == {"kind": "example"}
    place("python -m pytest -q -p no:cacheprovider wheel-agent/tests")


@pytest.mark.timeout(1800)
def test_the_page_on_agents_runs_as_written(place: Place) -> None:
    page = (ROOT / "docs" / "add-an-agent.md").read_text("utf-8")
    commands = re.search(r"```sh\n(.*?)```", page, re.DOTALL).group(1).splitlines()  # type: ignore[union-attr]
    assert 5 < len(commands) < 10
    place.work = place.folder / "empty"
    place.work.mkdir()
    for command in commands:
        place(command)
    assert (place.work / "runs" / "quick" / "report.html").is_file()
    assert list((place.work / "results").glob("quick-v*.tar.xz"))
    pages = list((place.work / "pages").glob("*.html"))
    assert any("my-agent" in path.read_text("utf-8") for path in pages)


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a language on a page of the docs, in order."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL)


def test_the_page_on_tasks_runs_as_written(place: Place) -> None:
    place.work = place.folder / "task"
    package = place.work / "toy-task" / "toy_task"
    shutil.copytree(ROOT / "tests" / "toy_task", package, ignore=shutil.ignore_patterns("__pycache__"))
    tables = blocks("add-a-task.md", "toml")
    project = next(table for table in tables if "[build-system]" in table)
    suite = next(table for table in tables if 'name = "hot-cold"' in table)
    (package.parent / "pyproject.toml").write_text(project)
    assert suite == (package / "suites" / "hot-cold.toml").read_text()
    (commands,) = blocks("add-a-task.md", "sh")
    said = {command: place(command) for command in commands.splitlines()}
    assert "toy/HotCold-v0" in said["lmrl envs"] and "0 breaches" in said["lmrl leaderboard verify runs/hot-cold"]
    summary = json.loads((place.work / "runs" / "expert" / "summary.json").read_text())
    assert summary["success_rate"] == 1.0 and summary["errors"] == 0
    report = (place.work / "runs" / "hot-cold" / "report.html").read_text("utf-8")
    assert "Which number?" in report and "50: " in report


def test_the_page_on_algorithms_runs_as_written(place: Place) -> None:
    place.work = place.folder / "algorithm"
    place.work.mkdir()
    (place.work / "weighted_bc.py").write_text(blocks("add-an-algorithm.md", "python")[0])
    (place.work / "weighted.toml").write_text(blocks("add-an-algorithm.md", "toml")[0])
    (commands,) = blocks("add-an-algorithm.md", "sh")
    said = [place(command) for command in commands.splitlines()]
    assert "0 breaches" in said[-1] and len(said) == 4
    told = {part for path in (place.work / "runs" / "board").rglob("summary.json") for part in path.parts}
    assert {"bc", "weighted_bc"} <= told


def test_one_file_is_an_agent(place: Place) -> None:
    """The first example of the page, checked and played as it says."""
    page = (ROOT / "docs" / "add-an-agent.md").read_text("utf-8")
    code = re.search(r"```python\n# my_agent.py\n(.*?)```", page, re.DOTALL).group(1)  # type: ignore[union-attr]
    place.work = place.folder / "one-file"
    place.work.mkdir()
    (place.work / "my_agent.py").write_text(code)
    commands = re.findall(r"^    (lmrl (?:agents check|eval) .*my_agent\.py.*)$", page, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        place(command)
    assert json.loads((place.work / "runs" / "mine" / "summary.json").read_text())["episodes"] == 100


@pytest.mark.parametrize("where", ["", "https://github.com/someone/something/"])
def test_a_package_names_the_repository_that_it_is_published_from(where: str) -> None:
    command = [sys.executable, "-m", "hatchling", "metadata", "urls"]
    told = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "REPOSITORY_URL": where}
    )
    urls = json.loads(told.stdout)
    assert urls["Paper"].startswith("https://arxiv.org/") and ("Repository" in urls) == bool(where)
    if where:
        assert urls["Changelog"] == "https://github.com/someone/something/blob/main/CHANGELOG.md"
        assert {"Homepage", "Repository", "Documentation", "Issues"} <= urls.keys()
