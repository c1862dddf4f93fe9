"""The package that `lmrl agents new` writes: an agent of one's own, with a passing test. Its files stand in ``new_agent``."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path


def write_template(name: str, folder: Path) -> list[Path]:
    """Write the package into a new folder; returns its files.

    Raises:
        ValueError: the name cannot be a package, or the folder is not empty.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ValueError(f"name {name!r}: use lower-case letters, digits and single hyphens, such as my-agent")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; choose another name or --out")
    module = name.replace("-", "_")
    texts = resources.files("lmrl_agents.playing").joinpath("new_agent")
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{module}/agent.py": "agent.py",
        "tests/test_agent.py": "test_agent.py",
    }
    written = []
    for relative, source in files.items():
        text = texts.joinpath(f"{source}.txt").read_text("utf-8")
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{name}", name).replace("{module}", module), "utf-8")
        written.append(path)
    (package := folder / module / "__init__.py").touch()
    return [*written, package]
