"""``lmrl completion``."""

from __future__ import annotations

import importlib
from typing import Annotated, Any, Literal, Union

import tyro

from lmrl_benchmarks.commands.cli import COMMANDS


def completion(shell: tyro.conf.Positional[Literal["bash", "zsh"]]) -> int:
    """Print a script by which a shell completes commands, options and values of options.

    bash: lmrl completion bash > ~/.local/share/bash-completion/completions/lmrl;
    zsh: lmrl completion zsh > a folder of $fpath, as _lmrl.

    Args:
        shell: Which shell.
    """
    tyro.cli(_all_commands(), prog="lmrl", args=["--tyro-print-completion", shell])
    return 0


def _all_commands(prefix: str = "") -> Any:
    """The table of commands, from a prefix on, as one type of subcommands, which is what tyro completes."""
    heads = dict.fromkeys(name.removeprefix(prefix).split(" ")[0] for name in COMMANDS if name.startswith(prefix))
    kinds: list[Any] = [Annotated[None, tyro.conf.subcommand("help", description="list the commands")]]
    for head in heads:
        if prefix + head in COMMANDS:
            point, text = COMMANDS[prefix + head]
            module, function = point.split(":")
            constructor = getattr(importlib.import_module(f"lmrl_benchmarks.commands.{module}"), function)
        else:
            text, constructor = f"lmrl {prefix}{head} ...", _group(_all_commands(f"{prefix}{head} "))
        kinds.append(Annotated[Any, tyro.conf.subcommand(head, description=text, constructor=constructor)])
    return tyro.conf.OmitArgPrefixes[tyro.conf.OmitSubcommandPrefixes[Union[tuple(kinds)]]]  # noqa: UP007


def _group(commands: Any) -> Any:
    def group(command: Any) -> None:
        """Commands of one kind."""

    group.__annotations__["command"] = commands
    return group
