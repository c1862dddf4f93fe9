"""Other packages, each group in a virtual environment of its own, measured by a process that waits for orders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from table import NotMeasured

SCRIPTS = Path(__file__).with_name("peers")

GROUPS: dict[str, Sequence[str]] = {
    "games": ("textarena", "gem-llm", "verifiers"),
    # TextArena's Chess is written in Python 3.12, which GEM does not know.
    "chess": ("textarena",),
    # The same torch as here, from the same index: trl alone would bring the CUDA build.
    "trl": ("torch==2.13.0", "trl", "peft", "minari", "h5py", "pillow"),
}


class Peers:
    """Environments of peers under a folder; they are made when first asked for, and kept.

    Args:
        folder: where the environments are.
        newer: a Python 3.12 or later, for the peer that needs one.
    """

    def __init__(self, folder: Path, newer: str | None = None) -> None:
        self.folder, self.newer = folder.absolute(), newer
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._broken: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        """Packages that did not install, with the last line that pip said."""

    def interpreter(self, group: str) -> Path:
        """The Python of a group.

        Raises:
            NotMeasured: the environment cannot be made.
        """
        place = self.folder / group
        python = place / "bin" / "python"
        if not python.is_file():
            maker = self._newer() if group == "chess" else sys.executable
            made = subprocess.run([maker, "-m", "venv", str(place)], capture_output=True, text=True)
            if made.returncode:
                shutil.rmtree(place, ignore_errors=True)
                raise NotMeasured(f"no virtual environment: {_last_line(made.stderr or made.stdout)}")
        for package in GROUPS[group]:
            name = package.split("==")[0]
            check = f"import importlib.metadata as m; m.version({name!r})"
            if name in self.missing or not subprocess.run([python, "-c", check], capture_output=True).returncode:
                continue
            print(f"  installing {package} into {place}", flush=True)
            pinned = [pin for pin in GROUPS[group] if "==" in pin and pin != package]
            command = [python, "-m", "pip", "install", "--quiet", package, *pinned]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                self.missing[name] = _last_line(done.stderr)
        return python

    def _newer(self) -> str:
        if sys.version_info >= (3, 12):
            return sys.executable
        candidates = [self.newer, *(shutil.which(f"python3.{minor}") for minor in (12, 13, 14))]
        for candidate in candidates:
            if candidate and not subprocess.run([candidate, "--version"], capture_output=True).returncode:
                return candidate
        raise NotMeasured("needs Python 3.12 or later, and there is none; give --newer-python")

    def ask(self, group: str, script: str, order: dict[str, Any]) -> dict[str, Any]:
        """Give an order to a script of ``peers/``; its process is kept for the next one.

        Raises:
            NotMeasured: the package is not there, or the order failed.
        """
        key = f"{group} {script}"
        if key in self._broken:
            raise NotMeasured(self._broken[key])
        process = self._running.get(key)
        if process is None:
            process = self._running[key] = subprocess.Popen(
                [self.interpreter(group), str(SCRIPTS / f"{script}.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"},
            )
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._broken[key] = f"its process ended with status {process.wait()}"
            raise NotMeasured(self._broken[key])
        found = json.loads(answer)
        if "error" in found:
            absent = [f"{name} did not install: {why}" for name, why in self.missing.items()]
            raise NotMeasured("; ".join([found["error"].replace(str(self.folder), ".peers"), *absent]))
        return found

    def close(self) -> None:
        """End the processes."""
        for process in self._running.values():
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
        self._running.clear()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no reason given"
