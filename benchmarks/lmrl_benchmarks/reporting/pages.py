"""Pages from the templates beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmrl_datasets.schema import storable
from lmrl_envs.files import write_atomically


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Write a page, whatever texts are in it; returns its absolute path."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lmrl_benchmarks.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, storable(environment.get_template(template).render(**values)))
    return path.resolve()
