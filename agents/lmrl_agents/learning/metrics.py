"""What a training run tells: lines of metrics and TensorBoard events."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmrl_envs.files import JsonLines, finite


class Metrics:
    """One JSON line per logged step, and TensorBoard events where tensorboardX is installed.

    A resumed run drops the lines after its checkpoint.
    """

    def __init__(self, path: Path, first_step: int, silent: bool = False) -> None:
        self.silent, self._board = silent, None
        if silent:  # another process of the same run writes
            return
        self._lines = JsonLines(path)
        kept = self._lines.read(dict[str, Any]) if first_step else []  # a line cut by a kill is left out
        self._lines.rewrite(json.dumps(entry) for entry in kept if entry["step"] <= first_step)
        self._board = _Board.beside(path, first_step)

    def log(self, step: int, **values: float) -> None:
        """Append the metrics of a step."""
        if self.silent:
            return
        self._lines.append([json.dumps({"step": step, **finite(values)})])
        if self._board is not None:
            self._board.add(step, values)

    def close(self) -> None:
        """Write what TensorBoard has not written yet."""
        if self._board is not None:
            self._board.close()


class _Board:
    """TensorBoard events, written by the thread that logs: tensorboardX's `SummaryWriter` writes in a thread of its own,
    which dies at the first write that fails (a full disk), and the next call blocks forever.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        import tensorboardX.proto.event_pb2  # pyright: ignore[reportMissingImports]
        from tensorboardX.event_file_writer import EventsWriter  # pyright: ignore[reportMissingImports]
        from tensorboardX.summary import scalar  # pyright: ignore[reportMissingImports]

        folder.mkdir(parents=True, exist_ok=True)
        events: Any = tensorboardX.proto.event_pb2  # its classes are made when it is imported
        self._event, self._scalar = events.Event, scalar
        self._writer = EventsWriter(str(folder / "events"))
        if first_step:  # what was shown of later steps is not shown any more
            start = events.SessionLog(status=events.SessionLog.START)
            self._writer.write_event(self._event(step=first_step, wall_time=time.time(), session_log=start))
            self._writer.flush()

    @classmethod
    def beside(cls, path: Path, first_step: int) -> _Board | None:
        """In the folder ``tensorboard`` beside a file of metrics; None without tensorboardX."""
        try:
            return cls(path.parent / "tensorboard", first_step)
        except ImportError:
            return None

    def add(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.write_event(self._event(step=step, wall_time=time.time(), summary=self._scalar(name, value)))
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
