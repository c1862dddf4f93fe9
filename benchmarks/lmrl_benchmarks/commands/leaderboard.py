"""``lmrl leaderboard ...``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tyro.conf import Positional

from lmrl_envs.work import progress_bar


def run(
    suite: Positional[str],
    out: Path,
    agents: str | None = None,
    workers: int | None = None,
    device: str = "cpu",
    patience: float = 3600.0,
    ray: str | None = None,
) -> int:
    """Train and evaluate every cell of a suite that is not there yet, write the report, print the table.

    Args:
        suite: Name of a suite (quick, core, paper, generalisation, llm, small, learning-...) or a .toml file.
        out: Folder of the run; the same command goes on with a run that was stopped.
        agents: Only these, separated by commas; a name that the suite lacks is taken as the spec of an agent.
        workers: Processes; by default one per core.
        device: Where models are trained and played (cpu, cuda).
        patience: Seconds without a finished episode after which an agent is taken to hang, and its cell fails.
        ray: Do the work on the Ray cluster at this address ("local": on this machine); same records.
    """
    from lmrl_agents.playing.loading import check_spec
    from lmrl_benchmarks.reporting.report import print_table, write_report
    from lmrl_benchmarks.reporting.results import load_results
    from lmrl_benchmarks.running.runner import run_suite
    from lmrl_benchmarks.running.suite import load_suite

    loaded = load_suite(suite)
    chosen = loaded.only([name for name in agents.split(",") if name]) if agents is not None else None
    for agent in chosen or ():
        if agent not in loaded.agents:  # a name of the command's own: told before anything is played
            check_spec(agent.spec)
    with progress_bar(loaded.name) as tell:
        failed = run_suite(
            loaded,
            out,
            agents=chosen,
            workers=workers or os.cpu_count() or 1,
            device=device,
            patience=patience,
            ray=ray,
            progress=lambda done, total, names: tell(done, total, "; ".join(names)),
        )
    for name, problem in failed.items():
        print(f"lmrl: {name}: {problem.splitlines()[0]}", file=sys.stderr)
        (out / "errors.log").open("a", encoding="utf-8").write(f"{name}\n{problem}\n")
    results = load_results(out)
    print_table(results)
    page = write_report(out, out / "report.html", results)
    print(f"report: {page}")
    return 1 if failed else 0


def report(out: Positional[Path], html: Path) -> int:
    """Write the report of a run as one HTML file.

    Args:
        out: Folder of the run.
        html: The file to write.
    """
    from lmrl_benchmarks.reporting.report import write_report

    print(f"report: {write_report(out, html)}")
    return 0


def verify(out: Positional[Path], workers: int = 1) -> int:
    """Replay every recorded action of a run and check every number; no model is needed.

    Args:
        out: Folder of the run, or an archive that lmrl leaderboard submit made.
        workers: Processes that replay.
    """
    from lmrl_benchmarks.reporting.submission import run_folder
    from lmrl_benchmarks.running.verify import verify_run

    breaches = 0
    checked = 0
    with run_folder(out) as folder:
        for name, found in verify_run(folder, workers):
            checked += name != "suite"
            for breach in found:
                breaches += 1
                print(f"{name}: {breach}", file=sys.stderr)
    print(f"{checked} cells checked, {breaches} breaches")
    return 1 if breaches or not checked else 0


def submit(out: Positional[Path], to: Path = Path()) -> int:
    """Verify a run and pack its records, with provenance and checksums, into one archive.

    Args:
        out: Folder of the run.
        to: Folder for the archive; accepted ones lie in benchmarks/results.
    """
    from lmrl_benchmarks.reporting.submission import pack

    archive = pack(out, to)
    print(f"{archive} ({archive.stat().st_size / 1e6:.1f} MB): add it to benchmarks/results and open a pull request")
    return 0


def publish(results: Positional[Path], out: Path) -> int:
    """Rebuild the published pages from the accepted archives.

    Args:
        results: Folder of the archives (benchmarks/results).
        out: Folder for the pages.
    """
    from lmrl_benchmarks.reporting.submission import publish as write_pages

    for page in write_pages(results, out):
        print(f"{out / page.file}: {page.suite}, {len(page.archives)} runs, {len(page.agents)} agents")
    print(f"index: {(out / 'index.html').resolve()}")
    return 0
