"""``lmrl leaderboard ...``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tyro.conf import OmitArgPrefixes, Positional

from lmrl_agents.learning.trackers import AUTO
from lmrl_agents.playing.room import DEFAULT, RoomSettings
from lmrl_benchmarks.commands.terminal import ON_TERMINAL, Listing
from lmrl_envs.files import printable
from lmrl_envs.work import progress_bar


def run(
    suite: Positional[str],
    out: Path,
    agents: str | None = None,
    tasks: str | None = None,
    seeds: str | None = None,
    workers: int | None = None,
    device: str = "cpu",
    room: OmitArgPrefixes[RoomSettings] = DEFAULT,
    retry_errors: bool = False,
    ray: str | None = None,
    salt_file: Path | None = None,
    report_to: str = AUTO,
) -> int:
    """Train and evaluate every cell of a suite that is not there yet, write the report, print the table.

    Args:
        suite: Name of a suite (quick, core, paper, generalisation, llm, small, learning-...) or of an experiment (chat-proxies,
            kl-tokens), or a .toml file.
        out: Folder of the run; the same command goes on with a run that was stopped.
        agents: Only these, separated by commas; a name that the suite lacks is taken as the spec of an agent.
        tasks: Only these, by id, separated by commas. Parts of a suite can be run one after the other into the same folder.
        seeds: Only these training seeds, separated by commas.
        workers: Processes; by default one per core.
        device: Where models are trained and played (cpu, cuda).
        room: How agents that do not come with this package are run.
        retry_errors: Play the episodes that ended in an error once more.
        ray: Do the work on the Ray cluster at this address ("local": on this machine); same records.
        salt_file: The secret of a sealed suite.
        report_to: Trackers that trainings are told to, as of lmrl train; a run is named by suite, task, agent and seed, and grouped without
            the seed.
    """
    from lmrl_agents.playing.loading import check_spec
    from lmrl_benchmarks.experiments.grid import find
    from lmrl_benchmarks.reporting.report import print_table, write_report
    from lmrl_benchmarks.reporting.results import load_results
    from lmrl_benchmarks.running.cells import Part
    from lmrl_benchmarks.running.runner import run_suite
    from lmrl_benchmarks.running.suite import load_suite

    experiment = find(suite)
    if experiment is not None:
        return _experiment(experiment, out, workers or os.cpu_count() or 1)
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
            room=room,
            retry_errors=retry_errors,
            ray=ray,
            salt=_salt(salt_file),
            part=Part(
                tuple(name for name in (tasks or "").split(",") if name),
                tuple(int(seed) for seed in (seeds or "").split(",") if seed),
            ),
            report_to=report_to,
            progress=lambda done, total, names: tell(done, total, "; ".join(names)),
        )
    for name, problem in failed.items():
        print(printable(f"lmrl: {name}: {problem.splitlines()[0][:1_000]}"), file=sys.stderr)
        (out / "errors.log").open("a", encoding="utf-8").write(f"{name}\n{problem}\n")
    results = load_results(out)
    print_table(results)
    page = write_report(out, out / "report.html", results)
    print(f"report: {page}")
    return 1 if failed else 0


def _experiment(experiment: Any, out: Path, workers: int) -> int:
    from lmrl_benchmarks.experiments.grid import run_experiment
    from lmrl_benchmarks.experiments.page import as_text, write_page

    with progress_bar(experiment.name) as tell:
        failed = run_experiment(experiment, out, workers, lambda done, total: tell(done, total, ""))
    for name, problem in failed.items():
        print(printable(f"lmrl: {name}: {problem.splitlines()[0][:1_000]}"), file=sys.stderr)
    print(as_text(experiment, out))
    print(f"report: {write_page(experiment, out, out / 'report.html')}")
    return 1 if failed else 0


def report(
    out: Positional[Path], html: Path | None = None, csv: Path | None = None, parquet: Path | None = None
) -> int:
    """Write the report of a run as one HTML file, and all of its episodes as a table.

    Args:
        out: Folder of the run; for a table, also of one evaluation, or an archive.
        html: The page to write.
        csv: The table to write, a row for each episode (lmrl_benchmarks.results has the columns).
        parquet: The same as Parquet.
    """
    from lmrl_benchmarks import results
    from lmrl_benchmarks.commands.terminal import write_table
    from lmrl_benchmarks.experiments.grid import OWN, find
    from lmrl_benchmarks.experiments.page import write_page
    from lmrl_benchmarks.reporting.report import write_report

    experiment = find(str(out / OWN))
    if experiment is not None:
        if html is None or csv is not parquet:
            raise ValueError("an experiment has a page (--html) and no table of episodes")
        print(f"report: {write_page(experiment, out, html)}")
        return 0
    if html is csv is parquet is None:
        raise ValueError("say what to write: --html, --csv or --parquet")
    for path in filter(None, (csv, parquet)):
        print(f"{path}: {write_table(results(out), path):,} episodes")
    if html is not None:
        print(f"report: {write_report(out, html)}")
    return 0


def verify(out: Positional[Path], workers: int = 1, salt_file: Path | None = None) -> int:
    """Replay every recorded action of a run and check every number; no model is needed.

    Args:
        out: Folder of the run, or an archive that lmrl leaderboard submit made.
        workers: Processes that replay.
        salt_file: The salt of a sealed suite, secret or revealed.
    """
    from lmrl_benchmarks.reporting.submission import run_folder
    from lmrl_benchmarks.running.cells import read_part
    from lmrl_benchmarks.running.verify import verify_run

    breaches = 0
    checked = 0
    with run_folder(out) as folder:
        for name, found in verify_run(folder, workers, _salt(salt_file)):
            checked += name != "suite"
            for breach in found:
                breaches += 1
                print(printable(f"{name}: {breach}".replace(f"{folder}/", f"{out}: ")), file=sys.stderr)
        lacking = 0 if breaches else len(read_part(folder))
    print(
        f"{checked} cells checked{f' (a part: {lacking} more were not submitted)' if lacking else ''}, {breaches} breaches"
    )
    return 1 if breaches or not checked else 0


def submit(out: Positional[Path], to: Path = Path(), salt_file: Path | None = None, part: bool = False) -> int:
    """Verify a run and pack its records, with provenance and checksums, into one archive.

    Args:
        out: Folder of the run.
        to: Folder for the archive; accepted ones lie in benchmarks/results.
        salt_file: The secret of a sealed suite; it is not packed.
        part: The run may be a part of its suite: the archive, verify and the page name the cells that were not run.
    """
    from lmrl_benchmarks.reporting.submission import pack

    archive = pack(out, to, _salt(salt_file), part)
    print(f"{archive} ({archive.stat().st_size / 1e6:.1f} MB): add it to benchmarks/results and open a pull request")
    return 0


def publish(results: Positional[Path], out: Path, workers: int = 1) -> int:
    """Verify the archives and rebuild the published pages from those that hold.

    Args:
        results: Folder of the archives (benchmarks/results), and of the revealed salts of sealed suites.
        out: Folder for the pages.
        workers: Processes that replay; archives that were verified before are not replayed again.
    """
    from lmrl_benchmarks.reporting.publish import publish as write_pages

    published = write_pages(results, out, workers)
    for page in published.pages:
        print(f"{out / page.file}: {page.suite}, {len(page.archives)} runs, {len(page.agents)} agents")
    for archive, why in published.refused.items():
        print(printable(f"lmrl: {archive}: {why}"), file=sys.stderr)
    print(f"index: {(out / 'index.html').resolve()}")
    return 1 if published.refused else 0


def matrix(results: Positional[Path], out: Path) -> int:
    """Write the matrix of results, every algorithm on every task, from the archives: one page of Markdown.

    Args:
        results: Folder of the archives (benchmarks/results), and of empty.toml, which says why cells have no result.
        out: The file to write.
    """
    from lmrl_benchmarks.reporting.matrix import write_page

    print(f"page: {write_page(results, out)}")
    return 0


def seal(suite: Positional[str], salt_file: Path, out: Path, name: str | None = None) -> int:
    """Make a sealed suite: its games follow from a secret salt, to which the suite holds a commitment.

    Args:
        suite: Name of a suite, or a .toml file.
        salt_file: Written: the secret. Whoever has it knows all games.
        out: Written: the sealed suite, a .toml file to publish at once.
        name: Its name; by default that of the suite with -sealed.
    """
    from lmrl_benchmarks.running.sealing import commitment_of, new_salt, sealed
    from lmrl_benchmarks.running.suite import load_suite, suite_text
    from lmrl_envs.files import write_atomically

    for path in (salt_file, out):
        if path.exists():
            raise FileExistsError(f"{path} is there already; a seal is made once")
    if out.suffix != ".toml":
        raise ValueError(f"--out {out}: suites are .toml files")
    salt = new_salt()
    text = sealed(suite_text(suite), name or f"{load_suite(suite).name}-sealed", salt)
    salt_file.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(salt_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(salt + "\n")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, text)
    print(f"{out}: publish it now; commitment {commitment_of(salt)}")
    print(
        f"{salt_file}: keep it secret until all have played, then: lmrl leaderboard reveal {out} --salt-file {salt_file}"
    )
    return 0


def reveal(suite: Positional[str], salt_file: Path, to: Path = Path()) -> int:
    """Publish the salt of a sealed suite, after which anybody can check the games of all its runs.

    Args:
        suite: The sealed suite, a .toml file.
        salt_file: The secret that lmrl leaderboard seal wrote.
        to: Folder of the archives, where publish looks for it (benchmarks/results).
    """
    from lmrl_benchmarks.running.sealing import check_salt
    from lmrl_benchmarks.running.sealing import salt_file as name_of
    from lmrl_benchmarks.running.suite import load_suite
    from lmrl_envs.files import write_atomically

    loaded, salt = load_suite(suite), _salt(salt_file)
    check_salt(loaded, salt)
    to.mkdir(parents=True, exist_ok=True)
    write_atomically(to / name_of(loaded), salt + "\n")
    print(f"{to / name_of(loaded)}: its SHA-256 is the suite's commitment; verify takes it as --salt-file")
    return 0


def contamination(
    public: Positional[Path], held: Positional[Path], listing: OmitArgPrefixes[Listing] = ON_TERMINAL
) -> int:
    """How much better agents play the public games than sealed ones: what they knew of the public ones.

    Args:
        public: Folder or archive of a run of a public suite.
        held: Folder or archive of a run of a sealed suite with the same tasks and agents.
        listing: How it is told.
    """
    from lmrl_benchmarks.reporting.contamination import contamination_of, print_contamination
    from lmrl_benchmarks.reporting.submission import run_folder

    with run_folder(public) as first, run_folder(held) as second:
        found = contamination_of(first, second)
    if not listing.tells([vars(row) for row in found]):
        print_contamination(found)
    return 0


def _salt(path: Path | None) -> str:
    from lmrl_benchmarks.running.sealing import read_salt

    return read_salt(path) if path else ""
