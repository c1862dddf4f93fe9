"""The package that `lmrl agents new` writes: an agent of one's own, with a passing test."""

from __future__ import annotations

import re
from pathlib import Path

_PYPROJECT = """[build-system]
requires = ["hatchling>=1.26"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
description = "An agent for the lmrl tasks"
requires-python = ">=3.11"
dependencies = ["lmrl"]

[project.entry-points."lmrl.agents"]
{name} = "{module}.agent:make_agent"

[tool.hatch.build.targets.wheel]
packages = ["{module}"]
"""

_AGENT = '''"""The agent. Replace what `answer` does; keep it a function of the request alone."""

from __future__ import annotations

import random
from collections.abc import Sequence

from lmrl_agents import Request


class MyAgent:
    """Plays a word of the conversation, drawn with the request's own seed."""

    def act(self, requests: Sequence[Request]) -> list[str]:
        """One action per request, in order."""
        return [self.answer(request) for request in requests]

    def answer(self, request: Request) -> str:
        """The action of one game: ``request.transcript`` is the conversation, ``request.instructions`` the task."""
        words = request.transcript.as_text().split()
        return random.Random(f"{request.seed}/{len(request.transcript)}").choice(words)

    def describe(self) -> dict[str, str]:
        """Kept with results."""
        return {"kind": "example"}


def make_agent(**kwargs: object) -> MyAgent:
    """The factory; ``lmrl eval --agent-arg key=value`` arrives here."""
    if kwargs:
        raise ValueError(f"this agent takes no arguments, got {sorted(kwargs)}")
    return MyAgent()
'''

_TEST = """from lmrl_agents import load_agent
from lmrl_agents.playing.conformance import assert_conforms


def test_conforms() -> None:
    assert_conforms(load_agent("{name}"))
"""

_README = """# {name}

    pip install -e .
    lmrl agents check {name}
    lmrl eval --agent {name} --env lmrl/Wordle-v0 --episodes 100 --out runs/{name}
"""


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
    files = {
        "pyproject.toml": _PYPROJECT.format(name=name, module=module),
        "README.md": _README.format(name=name),
        f"{module}/__init__.py": "",
        f"{module}/agent.py": _AGENT,
        "tests/test_agent.py": _TEST.format(name=name),
    }
    written = []
    for relative, text in files.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        written.append(path)
    return written
