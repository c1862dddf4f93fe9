"""The command line: every command helps, works, and fails with one clear line."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lmrl_benchmarks.commands.cli import COMMANDS

RUN = "import sys; from lmrl_benchmarks.commands.cli import main; sys.argv[0] = 'lmrl'; main()"


def lmrl(*arguments: object, **kwargs) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "COLUMNS": "120"}
    environment.update(kwargs.pop("env", {}))
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, **kwargs)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = lmrl(*command.split(), "--help")
    assert result.returncode == 0 and "usage" in result.stdout.lower(), result.stderr


@pytest.fixture(scope="module")
def completions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "lmrl"
    result = lmrl("completion", "bash")
    assert result.returncode == 0, result.stderr
    path.write_text(result.stdout)
    return path


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last word."""
    ask = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tyro_lmrl; printf "%s\\n" "${COMPREPLY[@]}"'
    result = subprocess.run(["bash", "-c", ask, "bash", script, *words], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_a_shell_completes_every_command(completions: Path) -> None:
    heads = {command.split()[0] for command in COMMANDS}
    assert completed(completions, "lmrl", "") - {"-h", "--help", "help"} == heads
    for head in heads:
        under = {command.split()[1] for command in COMMANDS if command.startswith(f"{head} ")}
        if under:
            assert completed(completions, "lmrl", head, "") - {"-h", "--help", "help"} == under
            assert lmrl(head, "help").returncode == 0
    assert completed(completions, "lmrl", "train", "--pre") == {"--preset"}
    assert completed(completions, "lmrl", "train", "--preset", "") == {"nano", "small", "paper", "instruct"}
    assert completed(completions, "lmrl", "leaderboard", "run", "quick", "--retry") == {"--retry-errors"}


def test_zsh_has_a_script() -> None:
    result = lmrl("completion", "zsh")
    assert result.returncode == 0 and "leaderboard" in result.stdout and "--preset" in result.stdout


def test_help_lists_all_commands_without_heavy_imports() -> None:
    result = lmrl("--help")
    assert result.returncode == 0 and all(f"lmrl {command}" in result.stdout for command in COMMANDS)
    code = "import sys; from lmrl_benchmarks.commands.cli import run; run(['--help']); print({'tyro','torch','gymnasium'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert output.stdout.strip().endswith("set()")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["evns"], 2, "lmrl envs"),
        (["data"], 2, "data generate"),
        (["data", "generat", "x"], 2, "data generate"),
        (["train"], 2, "required"),
        (
            ["train", "bc", "--env", "lmrl/Wordle-v0", "--data", "maze/mixed-v0", "--sample", "--out", "{tmp}/a"],
            1,
            "another family",
        ),
        (["train", "bcc", "--env", "lmrl/Wordle-v0", "--data", "x", "--out", "{tmp}/a"], 2, "bc"),
        (["train", "bc", "--env", "lmrl/Wordel-v0", "--data", "x", "--out", "{tmp}/a"], 2, "did you mean"),
        (["eval", "--agent", "exprt", "--env", "lmrl/Wordle-v0", "--out", "{tmp}/b"], 2, "expert"),
        (
            ["eval", "--agent", "expert", "--env", "lmrl/Wordle-v0", "--out", "{tmp}/c", "--episodes", "0"],
            2,
            "at least 1",
        ),
        (
            ["eval", "--agent", "expert", "--env", "lmrl/Wordle-v0", "--out", "{tmp}/d", "--env-arg", "duplicates"],
            2,
            "key=value",
        ),
        (["data", "stats", "{tmp}"], 1, "manifest"),
        (["data", "generate", "wordle/mixd-v0"], 2, "wordle/mixed-v0"),
        (["data", "generate", "wordle/mixed-v0", "--shard", "3"], 2, "i/n"),
        (["leaderboard", "report", "{tmp}", "--html", "{tmp}/x.html"], 2, "no leaderboard run"),
        (["leaderboard", "run", "qick", "--out", "{tmp}/e"], 2, "quick"),
        (["leaderboard", "run", "quick", "--out", "{tmp}/f", "--agents", "random,exprt"], 2, "did you mean 'expert'"),
        (["leaderboard", "run", "quick", "--out", "{tmp}/g", "--agents", "{tmp}/none.py:A"], 2, "no file"),
        (["play", "lmrl/Nothing-v0"], 2, "no task"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, arguments: list[str], status: int, message: str) -> None:
    result = lmrl(*(a.replace("{tmp}", str(tmp_path)) for a in arguments))
    assert result.returncode == status, result.stderr
    assert message in result.stderr and "Traceback" not in result.stderr
    if "usage" not in result.stderr.lower() and "--help" not in result.stderr:
        assert len(result.stderr.strip().splitlines()) == 1
    if "leaderboard" in arguments:  # nothing was begun
        assert not any(tmp_path.iterdir())


def test_a_list_may_be_given_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from lmrl_benchmarks.commands import cli

    seen: list[Any] = []

    def command(name: str, set: tuple[str, ...] = (), seed: int = 0) -> None:
        seen.append((name, set, seed))

    monkeypatch.setitem(cli.COMMANDS, "toy", ("toy:command", "a toy"))
    monkeypatch.setitem(sys.modules, "lmrl_benchmarks.commands.toy", SimpleNamespace(command=command))
    for line in (
        "toy --name x --set a=1 --seed 3 --set b=2 c=3",
        "toy --name x --set=a=1 --set=b=2 --set c=3 --seed 3",
        "toy --set a=1 b=2 c=3 --seed 3 --name x",
    ):
        assert cli.run(line.split()) == 0
    assert seen == [("x", ("a=1", "b=2", "c=3"), 3)] * 3


def test_debug_shows_where_it_came_from(tmp_path: Path) -> None:
    result = lmrl("data", "stats", tmp_path, "--debug")
    assert result.returncode == 1 and "Traceback" in result.stderr


def test_without_torch_training_says_what_to_install_and_scripted_agents_play(tmp_path: Path) -> None:
    blocked = tmp_path / "sitecustomize.py"
    blocked.write_text(
        "import sys\nclass Block:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'transformers', 'pyarrow'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\nsys.meta_path.insert(0, Block())\n"
    )
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *(p for p in sys.path if p)])}
    train = [
        "train",
        "bc",
        "--env",
        "lmrl/Wordle-v0",
        "--data",
        "wordle/mixed-v0",
        "--sample",
        "--out",
        tmp_path / "run",
    ]
    result = lmrl(*train, env=path)
    assert result.returncode == 1 and 'pip install "lmrl[train]"' in result.stderr and "Traceback" not in result.stderr
    scripted = ["eval", "--agent", "expert", "--env", "lmrl/Wordle-v0", "--episodes", 5, "--out", tmp_path / "eval"]
    result = lmrl(*scripted, env=path)
    assert result.returncode == 0, result.stderr


def test_a_missing_extra_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "pyarrow").mkdir()
    (tmp_path / "pyarrow" / "__init__.py").write_text("raise ImportError('no pyarrow here')")
    path = os.pathsep.join([str(tmp_path), *(p for p in sys.path if p)])
    result = lmrl("data", "stats", "wordle/mixed-v0", "--sample", env={"PYTHONPATH": path})
    assert result.returncode == 1 and 'pip install "lmrl[data]"' in result.stderr and "Traceback" not in result.stderr


def test_the_path_from_data_to_score(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert lmrl("data", "generate", "maze/mixed-v0", "--episodes", 40, "--out", data, "--workers", 2).returncode == 0
    assert "published" in lmrl("data", "stats", data).stdout
    assert "all rewards replayed" in lmrl("data", "verify", data, "--replay").stdout
    assert "> move" in lmrl("data", "show", data, -1).stdout
    result = lmrl(
        "eval", "--agent", "expert", "--env", "lmrl/MazeFullyObserved-v0", "--episodes", 30, "--out", tmp_path / "eval"
    )
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "eval" / "summary.json").read_text())
    keys = {"episodes", "return_mean", "return_std", "length_mean", "length_std", "success_rate", "normalized_score"}
    assert keys | {"normalized_score_lmrl", "return_ci95", "valid_rate"} <= set(summary)
    assert summary["success_rate"] == 1.0 and summary["valid_rate"] == 1.0


def _play(arguments: list[str], typed: str, cwd: Path) -> tuple[str, int]:
    """Run lmrl on a real terminal."""
    master, slave = pty.openpty()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "TERM": "xterm-256color",
        "COLUMNS": "100",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=cwd
    )
    os.close(slave)
    os.write(master, typed.encode())
    output = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        output += piece
    os.close(master)
    return output.decode("utf-8", "replace"), process.wait()


def test_play_in_a_terminal(tmp_path: Path) -> None:
    typed = "crane\n:hint\nzzzzz\nabout\nworld\nhouse\nmagic\n"
    shown, status = _play(["play", "lmrl/Wordle-v0", "--seed", "3", "--log", "game.json"], typed, tmp_path)
    assert status == 0, shown
    assert "expert: " in shown and "\x1b[" in shown and "not a valid action" in shown and "after 6 turns" in shown
    record = json.loads((tmp_path / "game.json").read_text())
    assert next(turn["text"] for turn in record["turns"] if turn["is_action"]) == "crane" and record["info"]["secret"]


def test_play_shows_the_maze_and_can_be_left(tmp_path: Path) -> None:
    shown, status = _play(["play", "lmrl/MazeFullyObserved-v0", "--seed", "1", "--hint"], "move up\n:quit\n", tmp_path)
    assert status == 0 and "@" in shown and "G" in shown and "expert: move" in shown


def test_a_conversation_is_shown_once(tmp_path: Path) -> None:
    """The partner's words, no drawing of all that was said; what it did not understand is marked."""
    typed = "Is it alive?\nwhich room is it in?\n:hint\n:quit\n"
    shown, status = _play(["play", "lmrl/TwentyQuestions-v1", "--seed", "3"], typed, tmp_path)
    assert status == 0 and "questions left" not in shown and shown.count("(not understood)") == 1
    assert shown.count("Questions:") == 1 and shown.count("expert:") == 1
