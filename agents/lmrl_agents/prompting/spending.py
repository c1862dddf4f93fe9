"""What asking a language model costs: prices, a cap that is never passed, and a journal of what was paid for."""

from __future__ import annotations

import json
import math
import os
import threading
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmrl_agents.playing.protocol import AgentArgumentError, AgentStopped
from lmrl_envs.files import JsonLines, finite, near
from lmrl_envs.partners.backend import Completion, Failure, Meter

JOURNAL = "answers.jsonl"
PRICES_VARIABLE = "LMRL_PRICES"
ANY_MODEL = "*"


@dataclass(frozen=True)
class Prices:
    """USD per million tokens."""

    input: float
    output: float
    cached_input: float | None = None
    """Of prompt tokens that the server had in a cache; None: as `input`."""

    def __post_init__(self) -> None:
        for name in ("input", "output", "cached_input"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 <= value < float("inf")):
                raise AgentArgumentError(
                    f"the price {name}={value!r} must be a number of USD per million tokens, 0 or more"
                )

    def cost(self, prompt: int, completion: float, cached: int = 0) -> float:
        """USD of a request."""
        cached = min(cached, prompt)
        cheap = self.input if self.cached_input is None else self.cached_input
        written = completion * self.output if self.output else 0.0  # infinitely many that cost nothing
        return ((prompt - cached) * self.input + cached * cheap + written) / 1e6


def read_prices(path: str | os.PathLike[str], model: str) -> Prices:
    """The prices of a model in a TOML file: a table per model (or ``"*"``, for all others), with ``input``, ``output`` and
    perhaps ``cached_input``.

    Raises:
        AgentArgumentError: no such file or model, or a table that is not well formed.
    """
    where = f"prices={os.fspath(path)!r}"
    try:
        tables = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise AgentArgumentError(f"{where} cannot be read: {problem}") from None
    table = tables.get(model, tables.get(ANY_MODEL))
    if table is None:
        why = f'no table [{json.dumps(model)}] and no ["{ANY_MODEL}"]'
        raise AgentArgumentError(f"{where} has {why}; {near(model, tables)}")
    try:
        return Prices(**table)
    except TypeError:
        why = "has input, output and perhaps cached_input"
        raise AgentArgumentError(f"{where}: a table, such as [{json.dumps(model)}], {why}") from None


class Budget(Meter):
    """Money spent and promised. A request is paid for in advance at the most it can cost, and settled when it is answered.

    Args:
        prices: None when they are not known.
        limit: most to spend, in USD; None for no limit.
    """

    def __init__(self, prices: Prices | None, limit: float | None) -> None:
        if limit is not None and prices is None:
            raise AgentArgumentError(
                "max_cost_usd needs to know prices (0 for a server that costs nothing): give usd_per_million_input and "
                f"usd_per_million_output, or a TOML file in prices= or ${PRICES_VARIABLE}"
            )
        if limit is not None and not limit >= 0:
            raise AgentArgumentError(f"max_cost_usd={limit} must be 0 or more")
        self.prices, self.limit = prices, limit
        self.spent = 0.0
        """USD that answers cost."""
        self.presumed = 0.0
        """USD at most of requests whose cost nobody told: cut off, or answered without a count of tokens."""
        self._reserved = 0.0
        self._excess = 1.0
        self._settled = threading.Condition()

    def reserve(self, prompt_tokens: int, completion_tokens: float, patience: float = 0.0) -> float | Failure:
        """Set aside what a request can cost at most: the USD, or a failure when it might pass the limit."""
        if self.prices is None:
            return 0.0
        most = self.prices.cost(prompt_tokens, completion_tokens) * self._excess
        if most == math.inf and self.limit is not None:
            why = "max_cost_usd cannot be kept: nothing in the request bounds the length of an answer"
            return Failure(why, is_final=True, advice="leave max_tokens in, or name a limit in extra_body")
        with self._settled:
            if self.limit is not None:
                limit = self.limit
                fits = self._settled.wait_for(
                    lambda: self.taken + self._reserved + most <= limit or self.taken + most > limit, patience
                )
                if not fits or self.taken + most > limit:
                    presumed = f" (and up to {self.presumed:.4f} of unknown cost)" if self.presumed else ""
                    why = (
                        f"max_cost_usd={limit:g} would be passed: {self.spent:.4f} USD are spent{presumed}, "
                        f"the next answer may cost {most:.4f}"
                    )
                    return Failure(why, is_final=True, advice="a run with a higher cap goes on from here")
            self._reserved += most
        return most

    def charge(self, reserved: float, result: Completion | Failure) -> float:
        """Give back what was set aside and count what the request cost; where nobody knows, all of it is presumed spent."""
        cost = self._cost(result)
        with self._settled:
            self._reserved -= reserved
            if cost is None:
                self.presumed += reserved
            else:
                self.spent += cost
                if cost > reserved > 0:  # the server counts what cannot be known here: so it will the next time
                    self._excess *= cost / reserved
            self._settled.notify_all()
        return cost or 0.0

    def _cost(self, result: Completion | Failure) -> float | None:
        """USD of a request; None when nobody knows."""
        if isinstance(result, Failure):
            if result.may_be_charged or result.unusable is None:
                return None if result.may_be_charged else 0.0
            result = result.unusable
        if self.prices is None or result.prompt_tokens is None or result.completion_tokens is None:
            return None
        return self.prices.cost(result.prompt_tokens, result.completion_tokens, result.cached_tokens)

    @property
    def taken(self) -> float:
        """USD spent and presumed spent."""
        return self.spent + self.presumed


def budget_of(
    model: str,
    *,
    prices: str | None = None,
    usd_per_million_input: float | None = None,
    usd_per_million_output: float | None = None,
    usd_per_million_cached_input: float | None = None,
    max_cost_usd: float | None = None,
) -> Budget:
    """The budget of an agent.

    Args:
        model: whose prices are looked up.
        prices: TOML file of prices, a table per model; by default that of ``$LMRL_PRICES``.
        usd_per_million_input: price, without a file.
        usd_per_million_output: as above.
        usd_per_million_cached_input: as above; by default that of other input.
        max_cost_usd: the run stops before more than this is spent, over all its parts when it is stopped and gone on with.

    Raises:
        AgentArgumentError: prices that are missing, given twice, or impossible.
    """
    given = (usd_per_million_input, usd_per_million_output, usd_per_million_cached_input)
    if given == (None, None, None):
        file = prices or os.environ.get(PRICES_VARIABLE)
        return Budget(read_prices(file, model) if file else None, max_cost_usd)
    if prices is not None:
        raise AgentArgumentError("give prices=FILE or usd_per_million_..., not both")
    if usd_per_million_input is None or usd_per_million_output is None:
        raise AgentArgumentError("give both usd_per_million_input and usd_per_million_output")
    return Budget(Prices(usd_per_million_input, usd_per_million_output, usd_per_million_cached_input), max_cost_usd)


class Journal:
    """Every answer as it came, by the hash of its request: what a killed run has paid for is not paid for again.

    One line of JSON per answer: ``key``, ``text``, ``details``; and for a request of unknown cost ``presumed_usd``. A line
    cut by a kill is left out.
    """

    def __init__(self) -> None:
        self._answers: dict[str, dict[str, Any]] = {}
        self._lines: JsonLines | None = None

    def open(self, folder: Path) -> list[dict[str, Any]]:
        """Read what is in the folder, and write there from now on; returns the entries."""
        self._lines = JsonLines(folder / JOURNAL)
        entries = self._lines.read(dict[str, Any])
        self._answers = {entry["key"]: entry for entry in entries if "text" in entry and "key" in entry}
        return entries

    def get(self, key: str) -> dict[str, Any] | None:
        """The entry of a request, if it was answered."""
        return self._answers.get(key)

    def put(self, entry: dict[str, Any]) -> None:
        """Write an entry down, if a folder is open.

        Raises:
            AgentStopped: it cannot be written (the disk is full): what is paid for from here on would be lost by a kill.
        """
        if self._lines is not None:
            try:
                self._lines.append([json.dumps(finite(entry))])
            except OSError as problem:
                why = f"{self._lines.path} cannot be written, and answers that cost money be kept: {problem}"
                raise AgentStopped(why) from None
