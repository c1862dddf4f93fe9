"""The ``lmrl`` command: finds the command's function, reads its arguments with tyro, reports errors in one line.

Exit status: 0 success, 1 what was checked does not hold or the work failed, 2 wrong usage.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

COMMANDS: dict[str, tuple[str, str]] = {
    "envs": ("play:envs", "list all tasks with their tags and reference returns"),
    "play": ("play:play", "play a task in the terminal"),
    "serve": ("serve:serve", "play tasks and watch agents in the browser"),
    "data list": ("data:list_datasets", "list the datasets that can be generated or loaded"),
    "data generate": ("data:generate", "generate a dataset"),
    "data info": ("data:info", "what a dataset is: policy, files, versions, coverage"),
    "data stats": ("data:stats", "statistics of a dataset, beside the published ones"),
    "data verify": ("data:verify", "check a dataset's files, and with --replay every reward"),
    "data export": ("data:export", "write a dataset as JSON lines or for Minari"),
    "data import": ("data:import_file", "make a dataset of JSON lines or of evaluation records"),
    "data show": ("data:show", "print an episode as a person reads it"),
    "prefs collect": ("prefs:collect", "play pairs of games and have them labelled"),
    "prefs label": ("prefs:label", "have pairs labelled by a further annotator"),
    "prefs info": ("prefs:info", "what preference data are: pairs, annotators, ties"),
    "prefs show": ("prefs:show", "print a pair with its labels"),
    "prefs verify": ("prefs:verify", "check preference data, with --replay every game and scripted label"),
    "prefs export": ("prefs:export", "write preference data for TRL's trainers"),
    "prefs import": ("prefs:import_file", "make preference data of HH-RLHF's, UltraFeedback's or TRL's form"),
    "train": ("train:train", "train an agent"),
    "eval": ("evaluate:evaluate", "evaluate an agent on a task"),
    "leaderboard run": ("leaderboard:run", "train and evaluate every cell of a suite"),
    "leaderboard report": ("leaderboard:report", "write the HTML report of a run"),
    "leaderboard verify": ("leaderboard:verify", "replay every recorded action and check every number"),
    "leaderboard submit": ("leaderboard:submit", "verify a run and pack it into one archive"),
    "leaderboard publish": ("leaderboard:publish", "verify the archives and rebuild the published pages"),
    "leaderboard matrix": (
        "leaderboard:matrix",
        "write the matrix of results, every algorithm on every task, as a page",
    ),
    "leaderboard seal": ("leaderboard:seal", "make a suite whose games nobody can know before"),
    "leaderboard reveal": ("leaderboard:reveal", "publish a sealed suite's salt, so that its games can be checked"),
    "leaderboard contamination": ("leaderboard:contamination", "compare agents on public and on sealed games"),
    "simulator train": ("simulator:train", "fine-tune a language model as a task's partner"),
    "simulator check": ("simulator:check", "measure how often a partner gives the answers that people expect"),
    "references measure": ("references:measure", "measure what scores 0 and 100 in a task"),
    "ratings": ("ratings:ratings", "what people thought of agents they talked with (lmrl serve --ratings)"),
    "exploit": ("exploit:exploit", "attack the partner of a dialogue task and count what succeeds"),
    "agents list": ("agents:list_agents", "list the registered agents, algorithms and rewards"),
    "agents new": ("agents:new", "write a package with an agent of your own"),
    "agents export": ("agents:export", "write a trained model as a Hugging Face folder, for servers and other tools"),
    "agents check": ("agents:check", "check that an agent keeps the protocol"),
    "completion": ("completion:completion", "print a script by which a shell completes commands and options"),
}

HELP = ("-h", "--help", "help")


def _help(prefix: str = "") -> str:
    rows = {name: text for name, (_, text) in COMMANDS.items() if name.startswith(prefix)}
    width = max(map(len, rows))
    lines = [f"  lmrl {name:<{width}}  {text}" for name, text in rows.items()]
    return "\n".join(
        [
            "lmrl: benchmark suite for multi-turn reinforcement learning with language models",
            "",
            *lines,
            "",
            "Every command explains itself: lmrl <command> --help. With --debug an error shows where it came from.",
        ]
    )


def main() -> None:
    """Entry point."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit status."""
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not arguments or arguments[0] in HELP:
        print(_help())
        return 0 if arguments else 2
    if arguments == ["--version"]:
        from lmrl_envs import __version__

        print(__version__)
        return 0
    name, rest = _split(arguments)
    if name is None:
        group = f"{arguments[0]} "
        if any(command.startswith(group) for command in COMMANDS):
            asked = len(arguments) > 1 and arguments[1] in HELP
            print(_help(group), file=sys.stdout if asked else sys.stderr)
            return 0 if asked else 2
        from lmrl_envs.files import closest

        close = closest(" ".join(arguments[:2]), COMMANDS, cutoff=0.4)
        hint = f"; did you mean 'lmrl {close}'?" if close else ""
        print(f"lmrl: no command {arguments[0]!r}{hint} (lmrl --help lists them)", file=sys.stderr)
        return 2
    try:
        return _call(name, rest)
    except SystemExit as stop:
        if isinstance(stop.code, str):
            from lmrl_envs.files import printable

            print(f"lmrl: {printable(stop.code)}", file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else (0 if stop.code is None else 1)
    except KeyboardInterrupt:
        print("lmrl: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as problem:
        if debug:
            raise
        from lmrl_envs.files import EXTRA_OF, remedy

        text = " ".join(str(problem).split()) or type(problem).__name__
        if isinstance(problem, ModuleNotFoundError) and (problem.name or "").split(".")[0] in EXTRA_OF:
            package = (problem.name or "").split(".")[0]
            print(f"lmrl: this needs {package}: {remedy(package)}", file=sys.stderr)
            return 1
        from lmrl_envs.files import printable

        print(f"lmrl: {_prefix(problem)}{printable(text)}", file=sys.stderr)  # it may quote what came from anywhere
        return 2 if _is_usage(problem) else 1


def _is_usage(problem: Exception) -> bool:
    """Whether an error is about what was asked for: values and names that do not exist, not work that failed."""
    return isinstance(problem, ValueError) or type(problem).__name__ in ("NameNotFound", "UnregisteredEnv")


def _prefix(problem: Exception) -> str:
    """The type of errors that are not meant for users to read as they are."""
    expected = (ValueError, OSError, RuntimeError)
    return (
        ""
        if isinstance(problem, expected) or type(problem).__module__.startswith("gymnasium")
        else f"{type(problem).__name__}: "
    )


def _split(arguments: list[str]) -> tuple[str | None, list[str]]:
    for length in (2, 1):
        name = " ".join(arguments[:length])
        if len(arguments) >= length and name in COMMANDS:
            return name, arguments[length:]
    return None, arguments


def _call(name: str, rest: list[str]) -> int:
    import logging

    import tyro

    from lmrl_benchmarks.commands.terminal import PlainFormatter

    if logging.lastResort is not None:  # where warnings go that no handler takes
        logging.lastResort.setFormatter(PlainFormatter())
    module, function = COMMANDS[name][0].split(":")
    command = getattr(importlib.import_module(f"lmrl_benchmarks.commands.{module}"), function)
    status = tyro.cli(command, args=_gathered(command, rest), prog=f"lmrl {name}")
    return int(status or 0)


PAIRS = {"--set", "--env-arg", "--agent-arg", "--simulator-arg"}
"""Options that take any number of key=value pairs."""


def _gathered(command: Callable[..., Any], rest: list[str]) -> list[str]:
    """The arguments, all values of a list's option in its first place: given twice, only the last would count."""
    lists = {
        f"--{name.replace('_', '-')}" for name, p in inspect.signature(command).parameters.items() if p.default == ()
    }
    lists |= PAIRS
    kept: list[str] = []
    values: dict[str, list[str]] = {}
    taking = kept
    for argument in rest:
        option, is_assigned, value = argument.partition("=")
        if option in lists:
            if option not in values:
                kept.append(option)
            taking = values.setdefault(option, [])
            if is_assigned:
                taking.append(value)
                taking = kept
            continue
        if argument.startswith("-"):
            taking = kept
        taking.append(argument)
    return [part for argument in kept for part in (argument, *values.get(argument, ()))]


if __name__ == "__main__":
    main()
