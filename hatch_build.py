"""Compile the chess search where there is a C compiler. Without one the installation is whole all the same: the same search
runs in Python, slower. ``LMRL_PURE=1`` leaves it out (for a wheel that any machine can use)."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "lmrl_envs/chess/search.c"
LIBRARY = "lmrl_envs/chess/_search.so"


def compile_search(source: Path, library: Path) -> str | None:
    """Compile; returns why it could not be done, or None. What was there is replaced at once, or removed."""
    made = library.with_suffix(f".{os.getpid()}")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    options = ["-O2", "-std=c11", "-shared", "-fPIC", f"-DSOURCE={digest}", str(source), "-o", str(made)]
    compilers = [os.environ["CC"]] if os.environ.get("CC") else ["cc", "gcc", "clang"]
    problem = f"no C compiler ({', '.join(compilers)})"
    try:
        for compiler in map(shlex.split, compilers):
            if not shutil.which(compiler[0]):
                continue
            done = subprocess.run([*compiler, *options], capture_output=True, text=True, check=False)  # noqa: S603
            if done.returncode == 0:
                made.replace(library)
                return None
            problem = f"{' '.join(compiler)} failed: {done.stderr.strip()[-500:]}"
        library.unlink(missing_ok=True)
        return problem
    finally:
        made.unlink(missing_ok=True)


class CustomBuildHook(BuildHookInterface):
    """Hatchling's hook for wheels, editable ones too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say in the wheel's name for which machines it is. It depends on no version of Python."""
        if os.environ.get("LMRL_PURE"):
            return
        problem = compile_search(Path(self.root, SOURCE), Path(self.root, LIBRARY))
        if problem:
            self.app.display_warning(f"The chess search is not compiled; it will run in Python, slower: {problem}")
            return
        build_data["artifacts"].append(LIBRARY)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
