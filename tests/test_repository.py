"""The layout: our folders must not shadow packages of other projects, and imports point down only."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import lmrl_envs

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    "lmrl_envs": ROOT / "lmrl_envs",
    "lmrl_datasets": ROOT / "datasets" / "lmrl_datasets",
    "lmrl_agents": ROOT / "agents" / "lmrl_agents",
    "lmrl_benchmarks": ROOT / "benchmarks" / "lmrl_benchmarks",
    "lmrl_bridges": ROOT / "bridges" / "lmrl_bridges",
}


@pytest.mark.parametrize("folder", ["agents", "datasets", "benchmarks", "bridges"])
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


# -- rooms: a task's name stays at home, nothing runs in a circle, a package's top is short

TASKS = sorted(path.parent.name for path in FLOORS["lmrl_envs"].glob("*/env.py"))
COMMON_WORDS = {"chat", "headline", "negotiation"}
"""Names of tasks that are words of the language: they are told by id and module path only."""
TOP = 12


def modules() -> dict[str, Path]:
    """Every module of the packages, ``lmrl_envs.core`` -> its file."""
    found = {}
    for package, folder in FLOORS.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


def imported(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of ours that a module imports when it runs, inside functions too; not what only type checkers see."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        else:
            waiting += ast.iter_child_nodes(node)
    return {other for other in found if other in known and known[other].name != "__init__.py"} - {name}


def circles(graph: dict[str, set[str]]) -> list[str]:
    """What is left of a graph when again and again all nodes go that lead nowhere, or that nothing leads to."""
    left = {node: set(others) for node, others in graph.items()}
    while True:
        reached = set().union(*left.values()) if left else set()
        kept = {n: {o for o in others if o in left} for n, others in left.items() if n in reached}
        kept = {n: others for n, others in kept.items() if others}
        if kept == left:
            return sorted(left)
        left = kept


def test_circles_are_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": {"f"}, "f": set()}) == ["a", "b", "c"]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_nothing_imports_in_a_circle() -> None:
    known = modules()
    graph = {name: imported(name, path, known) for name, path in known.items()}
    assert circles(graph) == []
    rooms: dict[str, set[str]] = {}
    for name, others in graph.items():
        room = ".".join(name.split(".")[:2])
        rooms.setdefault(room, set()).update(".".join(other.split(".")[:2]) for other in others)
    assert circles({room: others - {room} for room, others in rooms.items()}) == []


@pytest.mark.parametrize("package", FLOORS)
def test_a_package_has_few_entries_at_its_top(package: str) -> None:
    entries = [path for path in FLOORS[package].iterdir() if not path.name.startswith((".", "_"))]
    code = [path.stem for path in entries if path.suffix == ".py" or (path.is_dir() and any(path.rglob("*.py")))]
    assert len(set(code) - (set(TASKS) if package == "lmrl_envs" else set())) <= TOP, sorted(code)


def task_names() -> re.Pattern[str]:
    """Folders, families and ids of the bundled tasks, as a pattern."""
    rows = [lmrl_envs.task(id) for id in lmrl_envs.task_ids() if id.startswith("lmrl/")]
    names = {re.split(r"[/-]", row.id)[1] for row in rows} | {row.family for row in rows} | set(TASKS)
    names |= {"".join(word.capitalize() for word in name.split("_")) for name in names if name.islower()}
    common = {name for name in names if name.lower() in COMMON_WORDS}
    names = (names - common) | {f"lmrl_envs.{name}" for name in common} | {f"lmrl/{name}" for name in common}
    return re.compile(rf"(?<![A-Za-z])(?:{'|'.join(sorted(map(re.escape, names), key=len, reverse=True))})(?![a-z])")


def texts_of(path: Path) -> Iterator[str]:
    """Strings of a module that are no docstrings, and where it imports from."""
    tree = ast.parse(path.read_text("utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("lmrl_"))


def test_a_tasks_name_stands_in_its_folder_and_its_row_only() -> None:
    names, naming = task_names(), {}
    for name, path in modules().items():
        if name == "lmrl_envs.tasks" or name.startswith(tuple(f"lmrl_envs.{task}" for task in TASKS)):
            continue
        if found := [text[:60] for text in texts_of(path) if names.search(text)]:
            naming[name] = found
    assert naming == {}


# -- what the first page says of the tasks

README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("id", [id for id in lmrl_envs.task_ids() if id.startswith("lmrl/")])
def test_the_first_page_has_the_figures_of_the_table_of_tasks(id: str) -> None:
    row = lmrl_envs.task(id)
    own = row.reference
    assert own is not None
    best = f"{own.optimum:.4g}{' (best known)' if own.optimum_is == 'best known' else ''}"
    tags = ", ".join(tag.replace("_", " ") for tag in row.tags)
    assert f"| `{id}` | {row.summary} | {own.random:.4g} | {best} | {tags} |" in README


# -- the hour: a trunk that is read in one, and rooms that do not grow unseen

BUDGETS = tomllib.loads((ROOT / "tests" / "data" / "budgets.toml").read_text("utf-8"))["lines"]
TRUNK = re.findall(r"^\| \d+ \| `([^`]+)`", (ROOT / "docs" / "architecture.md").read_text("utf-8"), re.MULTILINE)


def lines_of(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_the_trunk_is_read_in_an_hour() -> None:
    assert len(TRUNK) == 18 and sum(lines_of(ROOT / name) for name in TRUNK) < 4000


def test_rooms_keep_to_their_budgets() -> None:
    """A room that needs more lines has its budget raised in the commit that adds them, with the reason in the file."""
    found: dict[str, int] = {}
    for name, path in modules().items():
        room = ".".join(name.split(".")[:2])
        has_folder = path.name == "__init__.py" or len(name.split(".")) > 2
        key = room if has_folder and room.count(".") else f"{name.split('.')[0]}.*"
        found[key] = found.get(key, 0) + lines_of(path)
    over = {room: (lines, BUDGETS.get(room, 0)) for room, lines in found.items() if lines > BUDGETS.get(room, 0)}
    assert over == {}, "lines and budget"
    assert BUDGETS.keys() == found.keys()
