"""Work that takes long: progress as it is told, and the processes that share it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

Progress = Callable[[int, int], None]
"""Called with (done, in all)."""
LINES_EVERY = 30.0
"""Seconds between two lines of progress where there is no terminal."""


@contextlib.contextmanager
def progress_bar(title: str, unit: str = "", show: bool = True) -> Iterator[Callable[..., None]]:
    """Progress on stderr: a bar on a terminal; elsewhere, in a log for instance, a line now and then.

    Args:
        title: stands at its left.
        unit: of what is counted, to have its rate shown.
        show: False for none.

    Yields:
        ``tell(done, total, note="")``.
    """
    started, first, last = time.monotonic(), -1, time.monotonic()

    def rated(done: int, note: str) -> str:
        nonlocal first
        first = done if first < 0 else first
        rate = f"{(done - first) / max(time.monotonic() - started, 1e-9):,.0f} {unit}/s" if unit else ""
        return "  ".join(filter(None, (rate, note)))

    def line(done: int, total: int, note: str = "") -> None:
        nonlocal last
        note = rated(done, note)
        if show and time.monotonic() - last >= LINES_EVERY:
            last = time.monotonic()
            sys.stderr.write(f"{title}: {done:,} of {total:,}  {note}".rstrip() + "\n")
            sys.stderr.flush()

    if not (show and sys.stderr.isatty()):
        yield line
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[note]}", markup=False),
    )
    with rich.Progress(*columns, console=Console(stderr=True)) as shown:
        bar = shown.add_task(title, total=None, note="")
        yield lambda done, total, note="": shown.update(bar, completed=done, total=total, note=rated(done, note))


# -- worker processes


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Processes that are started afresh (forking a process that has threads may hang), and end with this one."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)


def pids_of(pool: ProcessPoolExecutor) -> list[int]:
    """The worker processes of a pool."""
    return list(getattr(pool, "_processes", None) or ())


def kill_workers(pool: ProcessPoolExecutor) -> None:
    """End the workers of a pool at once, whatever they do.

    A pool that broke while it was still starting workers waits for those for ever, unless they are killed.
    """
    for pid in pids_of(pool):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # Windows ends a process by either


def _end_with_parent() -> None:
    """In a worker process: end when the parent is gone, however it went, and leave Ctrl-C to the parent."""
    import multiprocessing.connection
    import threading

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
