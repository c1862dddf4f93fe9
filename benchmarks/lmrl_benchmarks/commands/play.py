"""``lmrl envs`` and ``lmrl play``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
from rich.console import Console
from rich.table import Table
from tyro.conf import OmitArgPrefixes, Positional

from lmrl_agents.settings import KeyValues
from lmrl_benchmarks.commands.terminal import ON_TERMINAL, Listing, shown, wide_console
from lmrl_envs import TextEnv, load_task, make_policy, task, task_ids
from lmrl_envs.surface import Surface


def envs(listing: OmitArgPrefixes[Listing] = ON_TERMINAL) -> None:
    """List all tasks: capability tags, random and best mean return, LMRL-Gym's scale, simulators.

    Args:
        listing: How it is told.
    """
    kept = ("id", "family", "summary", "tags", "return_range", "context", "partners", "extra")
    told = [task(id) for id in task_ids()]
    rows = [{key: getattr(r, key) for key in kept} | {"reference": r.reference and vars(r.reference)} for r in told]
    if listing.tells(rows):
        return
    table = Table(title=f"{len(task_ids())} tasks", title_justify="left", show_lines=True)
    table.add_column("task", min_width=max(map(len, task_ids())))
    for column in ("random", "optimum", "LMRL-Gym's min, average, max"):
        table.add_column(column, justify="right")
    for id in task_ids():
        row = task(id)
        reference = row.reference
        random, optimum, scale = "-", "-", "-"
        if reference:
            random = f"{reference.random:.4g}"
            optimum = f"{reference.optimum:.4g}" + ("" if reference.optimum_is == "exact" else " (best known)")
            scale = ", ".join(f"{x:g}" for x in reference.lmrl) if reference.lmrl else "-"
        lines = [f"[bold]{id}[/bold]", shown(row.summary), f"[dim]tags: {', '.join(row.tags)}[/dim]"]
        if row.partners:
            lines.append(f"[dim]simulators: {', '.join(row.partners)}[/dim]")
        if row.extra:
            lines.append(f'[dim]needs: pip install "lmrl\\[{row.extra}]"[/dim]')
        table.add_row("\n".join(lines), random, optimum, scale)
    wide_console().print(table)


def play(
    id: Positional[str],
    seed: int | None = None,
    simulator: str | None = None,
    hint: bool = False,
    log: Path | None = None,
    env_arg: KeyValues = {},
) -> int:
    """Play a task in the terminal. Type your action, or: :hint, :quit.

    Args:
        id: Task id, such as lmrl/Wordle-v0; of a task that no package registers module:id or file.py:id.
        seed: Seed of the game; without it every game is new.
        simulator: Who answers you, in tasks with a partner or opponent.
        hint: Show the expert's action before each of yours.
        log: Save the conversation to this file (JSON).
        env_arg: Arguments of the environment, as key=value.
    """
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (line editing and history for input())
    console = Console(highlight=False)
    kwargs: dict[str, Any] = {**env_arg, **({"simulator": simulator} if simulator else {})}
    row = load_task(id)
    surface, env = row.surface, gymnasium.make(row.id, **kwargs)
    base: Any = env.unwrapped
    assert isinstance(base, TextEnv)
    expert = make_policy(row.id, "expert", seed=seed or 0, **kwargs)
    text, info = env.reset(seed=seed)
    console.print(f"[bold]{shown(base.instructions)}[/bold]\n")
    terminated = truncated = False
    _show(console, base, text, surface)
    while not (terminated or truncated):
        if hint:
            console.print(f"[dim]expert: {shown(expert.act(base.transcript))}[/dim]")
        try:
            action = input(f"{info['turn'] + 1}> ")
        except (EOFError, KeyboardInterrupt):
            break
        if action.strip() == ":quit":
            break
        if action.strip() == ":hint":
            console.print(f"[dim]expert: {shown(expert.act(base.transcript))}[/dim]")
            continue
        text, reward, terminated, truncated, info = env.step(action)
        _show(console, base, text, surface)
        if not info["valid"]:
            console.print("[yellow]That was not a valid action.[/yellow]")
        elif not info.get("understood", True):
            console.print("[dim](not understood)[/dim]")
        if reward not in (0.0, -1.0):
            console.print(f"[dim]reward {reward:g}[/dim]")
    if terminated or truncated:
        outcome = "[green]Success[/green]" if info["success"] else "[red]No success[/red]"
        hidden = {key: value for key, value in info.items() if key not in ("turn", "valid", "success", "understood")}
        console.print(f"{outcome} after {info['turn']} turns, return {base.transcript.episode_return:g}.")
        for key, value in hidden.items():
            if value == {}:
                continue
            console.print(f"[dim]{key}: {shown(_plain(value))}[/dim]")
    if log is not None:
        record = {
            "env_id": row.spec,
            "env_kwargs": kwargs,
            "seed": seed,
            "turns": [turn._asdict() for turn in base.transcript],
            "info": info,
        }
        log.write_text(json.dumps(record, indent=1, default=str) + "\n", "utf-8")
        console.print(f"saved to {log}")
    env.close()
    return 0


def _plain(value: Any) -> str:
    """A revealed value as a person reads it."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _show(console: Console, env: TextEnv, text: str, surface: Surface) -> None:
    """The task's picture, and the new text where it does not show it. A conversation stands on the screen already."""
    picture = surface.picture(env.transcript)
    if picture is not None:
        console.out(surface.draw(env), highlight=False)
    if picture is None or picture["kind"] != "list":
        console.print(f"[cyan]{shown(text)}[/cyan]")
