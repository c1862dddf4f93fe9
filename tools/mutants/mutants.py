"""Can the tests fail? Small changes to losses, returns, rules, statistics and verification, each of which a test must notice.

    python tools/mutants/mutants.py [MODULE ...] [--sample N] [--seed S] [--workers W]

The changes are cosmic-ray's. Each is played in a fork of this process, which has the packages loaded that others made: the module is
compiled from its changed text as it is imported, no file is changed, and the tests that ``targets.toml`` names for the module run until
one fails, those that noticed most so far first. Printed are the changes that no test noticed and that are not listed there as
the same, with the reason; exit status 1 if there are any, or if a listed one is no change (or noticed) any more.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import io
import os
import random
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest
from cosmic_ray.ast import get_ast  # type: ignore
from cosmic_ray.mutating import MutationVisitor  # type: ignore
from cosmic_ray.plugins import get_operator, operator_names  # type: ignore

ROOT = Path(__file__).parents[2]
TARGETS = Path(__file__).with_name("targets.toml")
LOADED = (
    "torch",
    "numpy",
    "gymnasium",
    "transformers",
    "pyarrow.parquet",
    "chess",
    "hypothesis",
    "matplotlib.pyplot",
    "scipy.stats",
)
"""Other people's packages that tests import, loaded once."""
USED = re.compile(
    r"core/(ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Mul|Pow_Mul|RShift_LShift|LShift_RShift"
    r"|BitOr_BitAnd|BitAnd_BitOr|BitXor_BitAnd)"
    r"|ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_(LtE|GtE)|LtE_(Lt|Gt)|Gt_(GtE|LtE)|GtE_(Gt|Lt)|Is_IsNot|IsNot_Is)"
    r"|ReplaceUnaryOperator_(USub_UAdd|Delete_Not|Delete_Invert)|AddNot|Replace(TrueWithFalse|FalseWithTrue|AndWithOr|OrWithAnd"
    r"|BreakWithContinue|ContinueWithBreak)|NumberReplacer|ZeroIterationForLoop)"
)
"""Of cosmic-ray's operators: one other operator shows whether an operator is tested, and the two neighbours of a bound its end."""
SURVIVED, NOTICED, ALL = 10, 11, 1_000_000
WAITS = 5
"""Seconds by the clock for each of the processor's: on a busy machine little takes too long because of others, and what waits for
ever is left."""
FAST = (
    *("-q", "-x", "--assert=plain", "-W", "ignore", "-p", "pytest_timeout", "--timeout=0"),
    *(part for name in ("cacheprovider", "unraisableexception", "threadexception") for part in ("-p", f"no:{name}")),
)
"""What only tells more of a failure costs more than most tests: it is left out."""


@dataclass(frozen=True)
class Change:
    """One small change of a module: its whole text, and the line as it was and is."""

    text: str
    old: str
    new: str
    row: int


def changes(source: str) -> list[Change]:
    """All changes of a module that change its program: annotations, docstrings and what is the same by two operators are left out."""
    found: dict[str, Change] = {_program(source): Change(source, "", "", 0)}
    for name in filter(USED.fullmatch, operator_names()):
        for number in range(10_000):
            visitor = MutationVisitor(number, get_operator(name)())
            text = visitor.walk(get_ast(source)).get_code()
            if not visitor.mutation_applied:
                break
            lines = zip(source.splitlines(), text.splitlines(), strict=False)
            row, old, new = next((k, a, b) for k, (a, b) in enumerate(lines, 1) if a != b)
            with contextlib.suppress(SyntaxError):
                found.setdefault(_program(text), Change(text, old.strip(), new.strip(), row))
    return sorted(list(found.values())[1:], key=lambda change: change.row)


def _program(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if getattr(node, name, None) is not None:
                setattr(node, name, ast.Constant(None))
    return ast.dump(tree)


class _First:
    """Runs the tests that noticed most first; says which one failed, and ends the process there."""

    def __init__(self, noticed: Counter[str], tell: int) -> None:
        self.noticed, self.tell = noticed, tell

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: -self.noticed[item.nodeid])

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            os.write(self.tell, report.nodeid.encode())
            os._exit(NOTICED)


def _tested(
    path: Path, text: str | None, tests: list[str], noticed: Counter[str], tell: int, folder: str, limit: float
) -> int:
    """In the fork: the tests, with the module at ``path`` compiled from ``text``."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 1))
    really = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> Any:
        if text is not None and self.path == str(path):
            return compile(text, self.path, "exec", dont_inherit=True)
        return really(self, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2) if text is not None else (0,):
        os.dup2(nothing, stream)
    status = pytest.main([*FAST, f"--basetemp={folder}", *tests], plugins=[_First(noticed, tell)])
    return SURVIVED if status == 0 else NOTICED


def tried(path: Path, text: str | None, tests: list[str], noticed: Counter[str], limit: float) -> tuple[str, float]:
    """Play a change: "survived", "noticed" or "took too long", and the processor's seconds (of one that is played alone)."""
    began = _spent()
    hear, tell = os.pipe()
    folder = tempfile.mkdtemp()
    child = os.fork()
    if child == 0:
        status = NOTICED  # whatever else happens is no pass
        try:
            status = _tested(path, text, tests, noticed, tell, folder, limit)
        finally:
            os._exit(status)
    os.close(tell)
    outcome = "took too long"
    if select.select([hear], [], [], WAITS * limit)[0]:
        if failed := os.read(hear, 10_000).decode():
            noticed[failed] += 1
        outcome = "noticed"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL) if outcome == "took too long" else None
    _, status = os.waitpid(child, 0)
    os.close(hear)
    shutil.rmtree(folder, ignore_errors=True)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        outcome = "took too long"
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == SURVIVED:
        outcome = "survived"
    return outcome, _spent() - began


def _spent() -> float:
    """Seconds that the processor worked for processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def outcomes(target: dict[str, Any], sample: int, seed: int, workers: int) -> Iterator[tuple[Change, str]]:
    """Every change of a target, or a sample of them, with its outcome.

    Raises:
        SystemExit: the tests fail as it is.
    """
    path, tests = ROOT / target["module"], list(target["tests"])
    noticed: Counter[str] = Counter()
    every = changes(path.read_text("utf-8"))
    chosen = every if sample >= len(every) else random.Random(seed).sample(every, sample)
    outcome, seconds = tried(path, None, tests, noticed, 600.0)
    if outcome != "survived":
        raise SystemExit(f"{target['module']}: its tests fail without any change: {dict(noticed)}")
    print(f"{target['module']}: {len(chosen)} of {len(every)} changes, tests take {seconds:.1f} s", flush=True)
    limit = 20.0 + 5.0 * seconds
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda change: tried(path, change.text, tests, noticed, limit)[0], chosen)
        yield from zip(chosen, found, strict=True)


def main() -> int:
    """Run all targets, or those whose modules are named."""
    parser = argparse.ArgumentParser(description="Small changes that a test must notice.")
    parser.add_argument("modules", nargs="*", help="of targets.toml, or a part of their names; default: all")
    parser.add_argument("--sample", type=int, default=ALL, help="so many changes of each module, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    os.chdir(ROOT)
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sys.path.insert(0, str(ROOT))
    for name in LOADED:
        with contextlib.redirect_stderr(io.StringIO()):
            importlib.import_module(name)
    file = tomllib.loads(TARGETS.read_text("utf-8"))
    anywhere = re.compile("|".join(entry["pattern"] for entry in file["same"]))
    count: Counter[str] = Counter()
    for target in file["target"]:
        if given.modules and not any(part in target["module"] for part in given.modules):
            continue
        same = {entry["line"]: entry["why"] for entry in target.get("same", ())}
        unused = set(same)
        for change, outcome in outcomes(target, given.sample, given.seed, given.workers):
            if outcome == "survived":
                unused.discard(change.new)
                outcome = "the same" if change.new in same or anywhere.search(change.new) else outcome
            count[outcome] += 1
            if outcome == "survived":
                print(f"  {target['module']}:{change.row}\n    - {change.old}\n    + {change.new}", flush=True)
        for line in unused if given.sample >= ALL else ():
            count["listed in vain"] += 1
            print(f"  {target['module']}: listed as the same, but noticed, or no change: {line}", flush=True)
    print(", ".join(f"{number} {outcome}" for outcome, number in count.items()))
    return 1 if count["survived"] or count["listed in vain"] else 0


if __name__ == "__main__":
    sys.exit(main())
