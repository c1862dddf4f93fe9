"""The documentation: links lead somewhere, every task is told of in one form, the site is built without a complaint."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lmrl_envs.tasks import TABLE

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "datasets/cards/*.md",
        "bridges/**/*.md",
        "benchmarks/**/*.md",
        "lmrl_envs/*/*.md",
    )
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
FENCE = re.compile(r"^(```+|~~~+).*?^\1\s*$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(
    r"`((?:docs|tests|tools|benchmarks|bridges|datasets|agents|lmrl_envs)/[\w./-]+\.(?:md|py|toml|ipynb))`"
)


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as its readers' tools make them."""
    text, found = FENCE.sub("", page.read_text("utf-8")), set[str]()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
        slug, number = words.replace(" ", "-"), 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def dead(page: Path) -> list[str]:
    """Links of a page to nothing, and files that it names and that are not there."""
    found, text = [], FENCE.sub("", page.read_text("utf-8"))
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found + [name for name in NAMED.findall(text) if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert dead(page) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A *b*: c\n[1](#a-b-c) [2](#a-b) [3](page.md#a-b-c) [4](none.md) ![5](none.png) [6](https://x.org/#y)\n"
        "```\n# no heading\n[7](in-code)\n```\n`docs/none.md` `docs/security.md` [8](#no-heading)"
    )
    assert dead(page) == ["#a-b", "none.md", "none.png", "#no-heading", "docs/none.md"]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
def test_every_task_says_what_gymnasiums_pages_say(row) -> None:
    module, _, name = row.entry_point.partition(":")
    made_by = getattr(importlib.import_module(module), name)
    said = "\n".join(inspect.cleandoc(vars(kind)["__doc__"]) for kind in made_by.__mro__ if vars(kind).get("__doc__"))
    for head in ("Action", "Observation", "Reward", "End"):
        assert f"**{head}**:" in said
    assert "\nArgs:" in said and "Version history: v" in said


def test_every_page_has_a_place_in_the_menu(site: Path) -> None:
    menu = (site / "mkdocs.yml").read_text("utf-8").split("\nnav: ")[1]
    pages = {path.relative_to(site / "docs").as_posix() for path in (site / "docs").rglob("*.md")}
    assert {page for page in pages if f'"{page}"' not in menu} == set()
    assert {f"environments/{row.id.partition('/')[2].lower()}.md" for row in TABLE} <= pages


def test_the_site_is_built_without_a_complaint(site: Path) -> None:
    page = (site / "site" / "environments" / "wordle-v0" / "index.html").read_text("utf-8")
    assert "six guesses" in page and "vocabulary" in page and "crane" in page  # summary, arguments, rules
    assert "V(s)" in (site / "site" / "algorithms" / "ilql" / "index.html").read_text("utf-8")


def test_a_dead_link_stops_the_site(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text("utf-8"))
    (tmp_path / "docs" / "index.md").write_text("# A page\n\n[to nothing](none.md)\n")
    result = subprocess.run(BUILD, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode and "does not exist" in result.stdout + result.stderr


BUILD = [sys.executable, "-m", "zensical", "build", "--strict"]
