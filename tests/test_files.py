"""What every floor does in the same way: growing files, folders of runs, suggestions, progress, worker processes."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gymnasium.error import DependencyNotInstalled
from serving import environment

from lmrl_envs import work
from lmrl_envs.files import FolderError, JsonLines, claim, near, needs, replacing
from lmrl_envs.work import process_pool, progress_bar


@pytest.mark.parametrize("shared", [False, True])
def test_lines_after_a_cut_one_stand_on_their_own(shared: bool, tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "x.jsonl", shared)
    assert lines.read() == [] and lines.damaged == []
    lines.append(['{"n": 1}', '{"n": 2}'])
    os.truncate(lines.path, lines.path.stat().st_size - 3)  # as a kill leaves it
    assert lines.read(strict=True) == [{"n": 1}] and lines.damaged == [2]
    lines.append(['{"n": 3}'], sync=True)
    assert lines.read() == [{"n": 1}, {"n": 3}] and lines.damaged == [2]
    with pytest.raises(ValueError, match=r"x\.jsonl, line 2 is damaged"):
        lines.read(strict=True)
    lines.rewrite(map(json.dumps, lines.read()))
    assert lines.read(strict=True) == [{"n": 1}, {"n": 3}]
    assert lines.read(list[int]) == [] and lines.damaged == [1, 2]


def _append(path: Path, who: int) -> None:
    for k in range(200):
        JsonLines(path, shared=True).append([json.dumps([who, k, "x" * 500])])


def test_processes_may_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "shared.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append, args=(path, who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = JsonLines(path)
    assert sorted(entry[:2] for entry in lines.read()) == [[who, k] for who in range(3) for k in range(200)]
    assert lines.damaged == []


def test_what_fails_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("before")
    with pytest.raises(RuntimeError), replacing(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["x"] and (tmp_path / "x").read_text() == "before"


def _take(folder: Path, **record: Any) -> dict[str, Any] | None:
    def differing(there: dict[str, Any]) -> Iterator[str]:
        yield from (key for key in record if there[key] != record[key])

    return claim(folder, "run.json", record, "game", differing)


def test_a_folder_is_taken_once(tmp_path: Path) -> None:
    assert _take(tmp_path / "a" / "run", seed=1) is None
    assert _take(tmp_path / "a" / "run", seed=1) == {"seed": 1}
    with pytest.raises(FolderError, match=r"run holds another game \(differs in seed\); choose another folder"):
        _take(tmp_path / "a" / "run", seed=2)
    with pytest.raises(FolderError, match=r"is not empty \(run\) and holds no game; choose another folder"):
        _take(tmp_path / "a", seed=1)
    for content in ("{", "[]", '{"other": 1}'):
        (tmp_path / "a" / "run" / "run.json").write_text(content)
        with pytest.raises(FolderError, match=r"run\.json is damaged .* delete the folder"):
            _take(tmp_path / "a" / "run", seed=1)


def test_a_missing_package_is_told_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    needs("this", "json", "numpy.linalg")
    for module in ("pyarrow", "pyarrow.parquet"):  # another test may have imported it
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DependencyNotInstalled, match=r'^this needs pyarrow \(.*\): pip install "lmrl\[data\]"$'):
        needs("this", "pyarrow.parquet")


def test_the_nearest_name_is_suggested() -> None:
    assert near("wordel", ["wordle", "maze"]) == "did you mean 'wordle'?"
    assert near("xyz", ["wordle", "maze"]) == "known: maze, wordle" and near("xyz", []) == "known: none"


def test_progress_is_told_in_a_log_too(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with progress_bar("games") as tell:
        tell(1, 1000)
    assert log.getvalue() == ""  # over before anyone would ask
    monkeypatch.setattr(work, "LINES_EVERY", 0.0)
    with progress_bar("games") as tell, progress_bar("nothing", show=False) as silent:
        tell(10, 1000, "[bold] is no markup")
        silent(10, 1000)
    assert log.getvalue() == "games: 10 of 1,000  [bold] is no markup\n"
    with progress_bar("games", unit="games") as tell:
        tell(20, 1000)
    assert log.getvalue().endswith(" games/s\n")


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("games [1]", unit="games") as tell:
        tell(7, 10, "note")
    assert "games [1]" in terminal.getvalue() and "7/10" in terminal.getvalue() and "games/s" in terminal.getvalue()


def test_a_pool_works(tmp_path: Path) -> None:
    with process_pool(2) as pool:
        assert list(pool.map(abs, [-1, 2])) == [1, 2]


_ELSEWHERE = """
import asyncio, importlib, multiprocessing, os, pkgutil, selectors, select, signal, subprocess, sys, tempfile, types
import gymnasium, numpy, rich.progress, tyro, httpx, torch, pyarrow.parquet, tokenizers, safetensors.torch, uvicorn, matplotlib.figure
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, GPT2LMHeadModel, PreTrainedTokenizerFast
for name in ("fcntl", "resource", "pwd", "termios", "grp"):
    sys.modules[name] = None
for module, names in ((os, ("pread", "killpg", "O_NONBLOCK", "O_CLOEXEC", "sysconf", "fork")), (select, ("poll",))):
    for name in names:
        delattr(module, name)
taken = []
sys.modules["msvcrt"] = types.SimpleNamespace(LK_LOCK=1, LK_NBLCK=2, locking=lambda file, mode, size: taken.append(mode))
count = 0
for package in ("lmrl_envs", "lmrl_datasets", "lmrl_agents.playing", "lmrl_agents.prompting", "lmrl_benchmarks"):
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if not found.name.rpartition(".")[2].startswith("_"):  # the compiled search of chess is no module
            importlib.import_module(found.name)
            count += 1
from pathlib import Path
from lmrl_envs.files import append_whole, locked
with locked(Path(sys.argv[1]) / ".lock", "testing"):
    append_whole(Path(sys.argv[1]) / "lines", "one\\n")
    append_whole(Path(sys.argv[1]) / "lines", "two\\n")
assert taken == [2] and count > 100, (taken, count)
"""


def test_every_module_can_be_imported_where_unix_is_not(tmp_path: Path) -> None:
    """What Windows lacks is taken away; not Windows itself."""
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, str(tmp_path)], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "lines").read_bytes() == b"one\ntwo\n"
