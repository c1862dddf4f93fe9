"""Two hooks of hatchling: addresses, and the compiled chess search.

Compile the chess search where there is a C compiler. Without one the installation is whole all the same: the same search
runs in Python, slower. ``LMRL_PURE=1`` leaves it out (for a wheel that any machine can use)."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface
from packaging.tags import platform_tags

SOURCE = "lmrl_envs/chess/search.c"
LIBRARY = "lmrl_envs/chess/_search.so"


def compile_search(source: Path, library: Path) -> str | None:
    """Compile into a new file; returns why it could not be done, or None."""
    given = os.environ.get("CC", "").strip()
    compilers = [given] if given else ["cc", "gcc", "clang"]
    problem = f"no C compiler ({', '.join(compilers)})"
    try:
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        options = ["-O2", "-std=c11", "-shared", "-fPIC", f"-DSOURCE={digest}", str(source), "-o", str(library)]
        for compiler in map(shlex.split, compilers):
            if shutil.which(compiler[0]):
                done = subprocess.run([*compiler, *options], capture_output=True, text=True, errors="replace")  # noqa: S603
                if done.returncode == 0 and library.exists():
                    return None
                problem = f"{' '.join(compiler)} failed: {done.stderr.strip()[-500:]}"
    except (OSError, ValueError) as error:
        problem = str(error)
    return problem


class Addresses(MetadataHookInterface):
    """Where the project is: at the address that it is published from, ``$REPOSITORY_URL``, which no copy knows of itself."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in ``urls``, which pyproject.toml leaves open."""
        metadata["urls"] = {"Paper": "https://arxiv.org/abs/2311.18232"}
        if where := os.environ.get("REPOSITORY_URL", "").rstrip("/"):
            pages = {"Documentation": "/tree/main/docs", "Changelog": "/blob/main/CHANGELOG.md", "Issues": "/issues"}
            metadata["urls"] |= {"Homepage": where, "Repository": where}
            metadata["urls"] |= {name: where + place for name, place in pages.items()}


class CustomBuildHook(BuildHookInterface):
    """Hatchling's hook for wheels, editable ones too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say in the wheel's name for which machines it is. It depends on no version of Python."""
        self.folder = Path(tempfile.mkdtemp())
        installed = Path(self.root, LIBRARY)
        made = self.folder / installed.name
        problem = "LMRL_PURE is set" if os.environ.get("LMRL_PURE") else compile_search(Path(self.root, SOURCE), made)
        if version == "editable":
            problem = self._place(made if problem is None else None, installed) or problem
        elif problem is None:
            build_data["force_include"][str(made)] = LIBRARY
            build_data["pure_python"] = False
            # Not for other Linux systems than this one: what a "manylinux" needs was not looked at.
            here = next(tag for tag in platform_tags() if not tag.startswith(("manylinux", "musllinux")))
            build_data["tag"] = f"py3-none-{here}"
        if problem is not None:
            self.app.display_warning(f"The chess search is not compiled; it will run in Python, slower: {problem}")

    def _place(self, made: Path | None, installed: Path) -> str | None:
        """Put the library into the tree in one step, or take away what is left there; returns what prevented it."""
        beside = installed.with_suffix(f".{os.getpid()}")
        try:
            if made is None:
                installed.unlink(missing_ok=True)
                return None
            try:
                shutil.copy(made, beside)
                beside.replace(installed)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            return str(error)
        return None

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take the temporary folder away."""
        shutil.rmtree(self.folder, ignore_errors=True)
