"""What a training run tells: lines of metrics, and experiment trackers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lmrl_agents.learning.trackers import Tracker, names_of, open_trackers
from lmrl_envs.files import JsonLines, finite


class Metrics:
    """One JSON line per logged step, told to the trackers of ``report_to``, too (`trackers`).

    A resumed run drops the lines after its checkpoint. ``config`` gives what the trackers are told of the run; ``silent``: another
    process of the same run writes.
    """

    def __init__(
        self,
        path: Path,
        first_step: int,
        silent: bool = False,
        report_to: str = "none",
        config: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.silent, self._trackers = silent, list[Tracker]()
        if silent:
            return
        self._lines = JsonLines(path)
        kept = self._lines.read(dict[str, Any]) if first_step else []  # a line cut by a kill is left out
        self._lines.rewrite(json.dumps(entry) for entry in kept if entry["step"] <= first_step)
        if names_of(report_to):
            self._trackers = open_trackers(report_to, path.parent, first_step, config())

    def log(self, step: int, **values: float) -> None:
        """Append the metrics of a step."""
        if self.silent:
            return
        self._lines.append([json.dumps({"step": step, **finite(values)})])
        for tracker in self._trackers:
            tracker.log(step, values)

    def close(self) -> None:
        """Write what the trackers have not written yet."""
        for tracker in self._trackers:
            tracker.close()
