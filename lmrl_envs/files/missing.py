"""What is missing, and what was meant: optional packages and the command that brings them, the name that comes nearest."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

EXTRA_OF = {
    "torch": "train",
    "transformers": "train",
    "tokenizers": "train",
    "safetensors": "train",
    "pyarrow": "data",
    "pandas": "data",
    "jinja2": "report",
    "matplotlib": "report",
    "httpx": "llm",
    "textworld": "textworld",
    "starlette": "web",
    "uvicorn": "web",
    "h5py": "minari",
    "vaderSentiment": "chat",
    "better_profanity": "chat",
    "peft": "lora",
}
"""Optional packages and the extra that brings them, where it is not of the same name."""


def remedy(module: str) -> str:
    """The command that installs an optional package."""
    package = module.partition(".")[0]
    return f'pip install "lmrl[{EXTRA_OF.get(package, package)}]"'


def needs(user: str, *modules: str) -> None:
    """Import optional packages.

    Raises:
        gymnasium.error.DependencyNotInstalled: one cannot be; the message says what needs it, and the command to run.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as problem:
            from gymnasium.error import DependencyNotInstalled

            raise DependencyNotInstalled(
                f"{user} needs {module.partition('.')[0]} ({problem}): {remedy(module)}"
            ) from None


class ArgumentsError(ValueError):
    """There is no such argument; the message says which are known."""


def check_arguments(made: Callable[..., Any], given: Iterable[str], who: str) -> None:
    """Check that a class or function has arguments of these names.

    Args:
        made: a class whose ``__init__`` takes ``**kwargs`` hands them to the next one of its bases.
        given: names.
        who: has them, for errors.

    Raises:
        ArgumentsError: there is no such argument.
    """
    known: set[str] = set()
    for function in [vars(base).get("__init__") for base in made.__mro__] if isinstance(made, type) else [made]:
        if function is None or function is object.__init__:
            continue
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            return
        known |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    else:
        if not isinstance(made, type):
            return
    known -= {"self", "render_mode"}
    for name in given:
        if name not in known:
            raise ArgumentsError(f"{who} has no argument {name!r}; known: {', '.join(sorted(known)) or 'none'}")


def near(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """ "did you mean 'x'?" for the name that comes nearest; "known: ..." where none does."""
    names = sorted(names)
    close = closest(name, names, cutoff)
    return f"did you mean {close!r}?" if close else f"known: {', '.join(names) or 'none'}"


def closest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The name that comes nearest; None where none is like it."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)), None)
