"""Take each mend of ``mends.toml`` back, one at a time, and see its test fail.

    python tools/mutants/mends.py [PART OF A ROW, FILE OR TEST ...]

Works on a copy of the tracked files. Exit status 1 if a test passes all the same, or a mend is not found in its file.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = (".", "agents", "datasets", "benchmarks")


def copied(copy: Path) -> None:
    """All files that git knows, and the compiled search."""
    names = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()  # noqa: S607
    for name in [*names, *(str(path.relative_to(ROOT)) for path in ROOT.glob("lmrl_envs/chess/_search.*"))]:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)


def _bounded() -> None:
    """What was endless without a mend takes no more than 12 GiB of address space."""
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))


def taken_back(text: str, mend: dict[str, Any]) -> str:
    """A file as it was before the mend.

    Raises:
        ValueError: the mend does not stand in it, once.
    """
    for now, before in [[mend["now"], mend["before"]], *mend.get("also", ())]:
        if text.count(now) != 1:
            raise ValueError(f"{now!r} stands {text.count(now)} times in {mend['file']}")
        text = text.replace(now, before)
    return text


def notices(mend: dict[str, Any], copy: Path) -> bool:
    """Whether the mend's test fails without it."""
    path = copy / mend["file"]
    text = path.read_text("utf-8")
    path.write_text(taken_back(text, mend), "utf-8")
    variables = {
        "PYTHONPATH": os.pathsep.join(str(copy / package) for package in PACKAGES),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=300", mend["test"]]
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=copy, env={**os.environ, **variables}, capture_output=True, text=True, preexec_fn=_bounded
        )
    finally:
        path.write_text(text, "utf-8")
    if done.returncode not in (0, 1):
        raise ValueError(f"{mend['test']} cannot be run: {done.stdout[-300:]}{done.stderr[-300:]}")
    return done.returncode == 1


def main() -> int:
    """Take back all mends, or those that are named."""
    mends = tomllib.loads(Path(__file__).with_name("mends.toml").read_text("utf-8"))["mend"]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        copied(Path(folder))
        for mend in mends:
            if sys.argv[1:] and not any(
                part in f"{mend['row']} {mend['file']} {mend['test']}" for part in sys.argv[1:]
            ):
                continue
            found = notices(mend, Path(folder))
            failed += not found
            print(f"{mend['row']:<8}{'fails' if found else 'PASSES'}  {mend['test']}  ({mend['what']})", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
