"""The report of a run: one static HTML file, no network, readable without JavaScript; and the table for the terminal."""

from __future__ import annotations

from pathlib import Path

from lmrl_benchmarks.reporting.boards import ALL_GAMES, GAMES_OF_CELL, SHOWN_TURNS, shown_games
from lmrl_benchmarks.reporting.figures import all_figures
from lmrl_benchmarks.reporting.pages import write_page
from lmrl_benchmarks.reporting.results import DAMAGED, ResultRow, Results, load_results
from lmrl_benchmarks.scores.references import scale_of, variant_of
from lmrl_envs import task
from lmrl_envs.files import printable


def write_report(out: Path, html: Path, results: Results | None = None) -> Path:
    """Write the page; returns its absolute path.

    Args:
        out: folder of the run.
        html: the file to write.
        results: of the run, if they are loaded already.

    Raises:
        SuiteError: the folder holds no run.
    """
    results = results or load_results(out)
    figures = all_figures(results)
    return write_page(
        html,
        "report.html",
        suite=results.suite,
        results=results,
        digest=results.about["digest"],
        provenance=results.about["provenance"],
        episodes=len(results.episodes),
        scored_tasks=sum(scale_of(entry.id, entry.kwargs) is not None for entry in results.suite.tasks),
        trained={agent.name for agent in results.suite.agents if agent.train},
        scales={row.task: row.scale for row in results.rows},
        tag_tasks={
            tag: len({row.task for row in results.rows if tag in row.tags and row.score is not None})
            for tag in results.capabilities
        },
        pairs=results.pairs(),
        blind=blind_lines(results),
        figures=figures,
        games=shown_games(results.played),
        most=max(1, min(GAMES_OF_CELL, ALL_GAMES // max(1, len(results.rows)))),
        shown_turns=SHOWN_TURNS,
        sections=_sections(results, figures),
    )


def blind_lines(results: Results) -> list[str]:
    """Of each task of the run, where it is known, what is to be had without taking notice of the answers."""
    lines = []
    for entry in results.suite.tasks:
        blind, scale = task(entry.id).surface.blind, scale_of(entry.id, entry.kwargs)
        if blind is not None and scale is not None and not variant_of(entry.id, entry.kwargs):
            lines.append(
                f"{entry.slug}: the best play known that takes no notice of the answers (policy blind) returns {blind:.2f}, "
                f"a score of {scale.score(blind):.1f}; up to that nothing shows that anybody listens."
            )
    return lines


def _sections(results: Results, figures: dict[str, str]) -> list[tuple[str, str]]:
    there = {
        "overall": ("All tasks", True),
        "tasks": ("Task by task", True),
        "capabilities": ("Capabilities", bool(results.capabilities)),
        "comparison": ("Comparison", bool(results.overall)),
        "learning": ("Learning curves", bool(figures["learning"])),
        "cost": ("Cost", bool(figures["cost"])),
        "games": ("Games", True),
        "missing": ("Not run", bool(results.missing)),
        "provenance": ("Provenance", True),
    }
    return [(name, title) for name, (title, shown) in there.items() if shown]


def print_table(results: Results) -> None:
    """Print the rows of a run to the terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    both = any(row.optimised is not None for row in results.rows)
    table = Table(
        title="normalised scores: 0 the random policy, 100 the best", title_justify="left", padding=(0, 0, 0, 1)
    )
    for column in ("agent", "score", "95 %", "return", *(["optimised"] if both else []), "won", "turns", "valid"):
        name = column == "agent"  # which gives way where the terminal is narrow: no digit is cut
        table.add_column(
            column,
            justify="left" if name else "right",
            no_wrap=not name,
            overflow="fold",
            min_width=24 if name else None,
        )
    last = None
    for row in results.rows:
        if row.task != last:
            table.add_section()
            table.add_row(f"[bold]{escape(row.task)}[/bold]")
        errors = f" [red]{row.errors} errors[/red]" if row.errors else ""
        scored = row.score is not None and row.low is not None and row.high is not None
        table.add_row(
            escape(row.agent) + errors,
            f"{row.score:.1f}" if scored else "n/a",
            f"{row.low:.1f} to {row.high:.1f}" + _mark(row) if scored else "n/a",
            f"{row.returns:.2f}" + ("!" if row.above_optimum else ""),
            *(["" if row.optimised is None else f"{row.optimised:.2f}"] if both else []),
            f"{row.success:.2f}",
            f"{row.length:.1f}",
            f"{row.valid:.2f}",
        )
        last = row.task
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table)
    console.print("* one seed: the interval is over episodes and shows evaluation noise only")
    console.print("+ fewer than five training seeds: the interval is hardly more than their range")
    if any(row.same_games for row in results.rows):
        console.print("= several training seeds played the same games, action for action; all the same count as one")
    if any(row.above_optimum for row in results.rows):
        console.print(
            "! above the exact optimum by more than chance: what is hidden was known, or the games were chosen"
        )
    if any(row.score is None for row in results.rows):
        console.print("n/a: no references are known for this game")
    for line in blind_lines(results):
        console.print(line, soft_wrap=True, markup=False)
    for name, why in results.missing.items():
        if why == DAMAGED:
            console.print(f"{name}: {why}", style="red", markup=False, soft_wrap=True)
    for played in results.played:
        if error := played.first_error():
            where = f"{played.cell.agent.name} on {played.cell.task.slug}, seed {played.cell.seed}"
            counts = f"{int(played.failed.sum())} of {len(played.failed)} episodes ended in an error, the first:"
            console.print(printable(f"{where}: {counts} {error}"), style="red", markup=False, soft_wrap=True)


def _mark(row: ResultRow) -> str:
    return ("*" if row.noise_only else "+" if row.few_seeds else " ") + ("=" if row.same_games else "")
