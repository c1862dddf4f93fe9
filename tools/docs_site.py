"""The pages of the documentation's site, in build/docs: those of docs/, README.md as the first one, and those that nobody writes, for
every task, algorithm, dataset card and package, out of registries and docstrings. make docs then builds the site (mkdocs.yml).

    python tools/docs_site.py build && cd build && zensical build --strict
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import posixpath
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium

import lmrl_envs
from lmrl_envs.tasks import TABLE

ROOT = Path(__file__).parents[1]
WRITTEN = {
    "Use": [
        "play-in-the-browser",
        "evaluate-an-llm",
        "train-your-llm",
        "learn-from-people",
        "preferences",
        "methods",
        "notebooks",
        "leaderboard",
        "scale",
        "bridges",
    ],
    "Extend": ["add-a-task", "add-an-agent", "add-an-algorithm", "add-a-reward", "add-a-labeller", "architecture"],
    "Results": ["results", "matrix", "performance", "kl-control", "paper-preset"],
    "Games": ["negotiation", "chat", "simulators", "exploits"],
    "Trust": ["guarantees", "reproducibility", "faults", "security", "robustness"],
}
"""The pages of docs/, as the site's menu has them."""
PACKAGES = (
    "lmrl_envs", "lmrl_envs.core", "lmrl_envs.surface", "lmrl_envs.vector", "lmrl_envs.wrappers", "lmrl_envs.language.answers",
    "lmrl_envs.contract", "lmrl_envs.partners.base", "lmrl_datasets", "lmrl_datasets.reading.dataset",
    "lmrl_datasets.preferences.store", "lmrl_agents", "lmrl_agents.playing.protocol", "lmrl_agents.learning.offline",
    "lmrl_benchmarks", "lmrl_benchmarks.reporting.frames", "lmrl_bridges.game",
)  # fmt: skip
"""What stands under "API"."""


def _tasks() -> Iterator[tuple[str, str, str]]:
    yield "environments/index.md", "Environments", _index_of_tasks()
    for row in TABLE:
        yield f"environments/{_slug(row.id)}.md", row.id, _task(row)


def _algorithms() -> Iterator[tuple[str, str, str]]:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["lmrl.algorithms"]
    lines = ["# Algorithms", "", "One readable file each; `lmrl train NAME --help` tells how it is called.", ""]
    pages = []
    for name, point in sorted(points.items()):
        module = point.partition(":")[0]
        source = (ROOT / "agents" / f"{module.replace('.', '/')}.py").read_text("utf-8")
        first = (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]
        lines.append(f"- [`{name}`]({name}.md): {first}")
        text = f"# {name}\n\n::: {module}\n    options:\n      show_root_heading: false\n      show_root_toc_entry: false\n"
        pages.append((f"algorithms/{name}.md", name, text))
    yield "algorithms/index.md", "Algorithms", "\n".join(lines)
    yield from pages


def _datasets() -> Iterator[tuple[str, str, str]]:
    for card in sorted(
        (ROOT / "datasets" / "cards").glob("*.md"), key=lambda path: (path.name != "README.md", path.name)
    ):
        text = card.read_text("utf-8")
        is_first = card.name == "README.md"
        text = text.split("\n---\n", 1)[1] if text.startswith("---\n") else text  # what the hub reads of a card
        name = "index" if is_first else card.stem
        title = "Datasets" if is_first else card.stem.replace("--", "/")
        yield f"datasets/{name}.md", title, text


def _api() -> Iterator[tuple[str, str, str]]:
    links = "\n".join(f"- [`{name}`]({name}.md)" for name in PACKAGES)
    yield "api/index.md", "API", f"# API\n\n{links}\n"
    for name in PACKAGES:
        yield (
            f"api/{name}.md",
            name,
            f"# {name}\n\n::: {name}\n    options:\n      show_root_heading: false\n      show_root_toc_entry: false\n",
        )


SECTIONS = {"Environments": _tasks, "Algorithms": _algorithms, "Datasets": _datasets, "API": _api}


# -- a task, in the form of Gymnasium's pages


def _slug(id: str) -> str:
    return id.rpartition("/")[2].lower()


def _index_of_tasks() -> str:
    lines = ["# Environments", "", "| id | what it is | asks for |", "|---|---|---|"]
    lines += [f"| [`{row.id}`]({_slug(row.id)}.md) | {row.summary} | {_words(row.tags)} |" for row in TABLE]
    return "\n".join(lines) + "\n"


def _words(tags: tuple[str, ...]) -> str:
    return ", ".join(tag.replace("_", " ") for tag in tags)


def _task(row: lmrl_envs.Task) -> str:
    env: Any = gymnasium.make(row.id)
    base, arguments = env.unwrapped, ", ".join(f"{key}={value!r}" for key, value in row.kwargs.items())
    low, high = row.return_range
    about = {
        "Action space": f"text of up to {base.action_space.max_length:,} characters; as a tool: "
        f"`{row.surface.answer_form.tool.name}({row.surface.answer_form.tool.argument})`",
        "Observation space": f"text of up to {base.observation_space.max_length:,} characters",
        "Class": f"`{row.entry_point}`" + (f" with `{arguments}`" if arguments else ""),
        "Return": f"{low:g} to {high:g}",
        "Asks for": _words(row.tags),
        "Answers": ", ".join(f"`{name}`" for name in row.partners) or "no partner",
        "Needs": f'`pip install "lmrl[{row.extra}]"`' if row.extra else "nothing more",
        "Policies": ", ".join(f"`{name}`" for name in row.policy_names),
        **_reference(row),
    }
    made_by = type(base)
    source = Path(inspect.getfile(made_by)).with_name("SOURCE.md")
    parts = [
        f"# {row.id}", row.summary,
        f'| Import | `gymnasium.make("{row.id}")` |\n|---|---|\n' + "\n".join(f"| {key} | {value} |" for key, value in about.items()),
        "## Rules", _rules(made_by), "## Arguments",
        f"::: {made_by.__module__}.{made_by.__qualname__}\n    options:\n      members: []\n      show_root_heading: false\n"
        "      show_root_toc_entry: false\n      show_bases: false\n      show_docstring_description: false",
        "## What a language model is told", _quoted(base.instructions),
        "## A game", "The expert's, seed 0.", _quoted(_game(row, env)),
    ]  # fmt: skip
    if source.is_file():
        parts += ["## Sources", re.sub(r"^#+ .*\n", "", source.read_text("utf-8"), count=1)]
    env.close()
    return "\n\n".join(parts) + "\n"


def _rules(made_by: type) -> str:
    """The docstring without its arguments, each of its bold heads as a paragraph."""
    text = re.sub(r"\nArgs:\n(?:(?: .*)?\n)*", "\n", inspect.getdoc(made_by) or "")
    return re.sub(r"\n(?=\*\*)", "\n\n", text)


def _reference(row: lmrl_envs.Task) -> dict[str, str]:
    if row.reference is None:
        return {}
    best = f"{row.reference.optimum:.4g} ({row.reference.optimum_is})"
    return {"Random policy": f"{row.reference.random:.4g}", "Best": best}


def _game(row: lmrl_envs.Task, env: Any) -> str:
    policy = lmrl_envs.make_policy(row.id, "expert")
    env.reset(seed=0)
    over = False
    while not over:
        _, _, terminated, truncated, _ = env.step(policy.act(env.unwrapped.transcript) or "")
        over = terminated or truncated
    shown = list(env.unwrapped.transcript)
    text = "\n".join(f"{'> ' if turn.is_action else ''}{turn.text}" for turn in shown[:21])
    return text + ("" if len(shown) <= 21 else f"\n... ({len(shown) - 21} more texts)")


def _quoted(text: str) -> str:
    return f"````text\n{text.strip()}\n````"


# -- all of it


def _led(text: str, folder: str, repository: str) -> str:
    """A page with its links as they are on the site: what is not on it is in the repository, if there is one."""

    def led(link: re.Match[str]) -> str:
        path, _, anchor = link[2].partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return link[0]
        place = posixpath.normpath(posixpath.join(folder, path))
        if place.startswith(("docs/", "datasets/cards/")):
            place = (
                place.removeprefix("docs/").replace("datasets/cards/README", "datasets/index").replace("/cards/", "/")
            )
            return f"{link[1]}({place}{'#' + anchor if anchor else ''})"
        return f"{link[1]}({repository.rstrip('/')}/blob/main/{place})" if repository else link[1][1:-1]

    return re.sub(r"(\[[^\]]*\])\(([^)\s]+)\)", led, text)


def write(out: Path, repository: str = "") -> None:
    """Gather and make the pages, and write the builder's settings.

    Args:
        out: a new folder, or one that an earlier call wrote.
        repository: address of the repository that the site is of, where there is one; notebooks then open in Colab.
    """
    shutil.rmtree(out / "docs", ignore_errors=True)
    shutil.copytree(ROOT / "docs", out / "docs")
    for page in (out / "docs").glob("*.md"):
        page.write_text(_led(page.read_text("utf-8"), "docs", repository), "utf-8")
    made = [("index.md", "lmrl", _led((ROOT / "README.md").read_text("utf-8"), "", repository))]
    menu: list[Any] = [{"Home": "index.md"}]
    placed = {name for names in WRITTEN.values() for name in names}
    others = sorted(page.stem for page in (ROOT / "docs").glob("*.md") if page.stem not in placed)
    for title, names in {**WRITTEN, **({"More": others} if others else {})}.items():
        menu.append({title: [f"{name}.md" for name in names]})
    for section, pages in SECTIONS.items():
        found = list(pages())
        made += found
        menu.append({section: [{title: path} for path, title, _ in found]})
    for path, title, text in made:
        (out / "docs" / path).parent.mkdir(exist_ok=True)
        (out / "docs" / path).write_text(f"---\ntitle: {title}\n---\n{text}", "utf-8")
    if "github.com/" in repository:
        place = repository.partition("github.com/")[2].strip("/")
        page, link = out / "docs" / "notebooks.md", rf"\g<0> ([open in Colab]({COLAB}/{place}/blob/main/docs/\g<1>))"
        page.write_text(re.sub(r"\[[^\]]*\]\((notebooks/[^)]+)\)", link, page.read_text("utf-8")), "utf-8")
    settings = (ROOT / "mkdocs.yml").read_text("utf-8")
    sources = json.dumps([str(ROOT / name) for name in ("", "agents", "datasets", "benchmarks", "bridges")])
    settings = settings.replace("paths: []", f"paths: {sources}")
    more = {"nav": menu, **({"repo_url": repository} if repository else {})}
    lines = [f"{key}: {json.dumps(value)}" for key, value in more.items()]  # JSON is YAML
    (out / "mkdocs.yml").write_text("\n".join([settings, *lines, ""]), "utf-8")


COLAB = "https://colab.research.google.com/github"

if __name__ == "__main__":
    if len(sys.argv) != 2 or Path(sys.argv[1]).resolve() == ROOT:
        sys.exit("usage: python tools/docs_site.py FOLDER (another than the repository)")
    write(Path(sys.argv[1]), os.environ.get("REPOSITORY_URL", ""))
