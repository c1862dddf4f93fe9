"""Pages from the templates beside this file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from lmrl_datasets.schema import storable
from lmrl_envs.files import write_atomically


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Write a page, whatever texts are in it; returns its absolute path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, storable(_environment().get_template(template).render(**values)))
    return path.resolve()


@cache
def _environment() -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("lmrl_benchmarks.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
