"""`lmrl serve` as a real process, for the tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from typing import Any

import httpx

RUN = "import sys; from lmrl_benchmarks.commands.cli import main; sys.argv[0] = 'lmrl'; main()"


def environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "COLUMNS": "120"} | extra


class Server:
    """A running server; use as a context manager."""

    def __init__(self, *arguments: object, port: int = 0, env: dict[str, str] | None = None) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the server)
        command = [sys.executable, "-c", RUN, "serve", "--port", str(port), *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=environment(**(env or {}))
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+:(\d+)/(\?token=(\S+))?", line)
        if found is None:
            self.process.wait()
            raise RuntimeError(f"the server did not start: {line} {self.stderr()}")
        self.port, self.token = int(found[1]), found[3]
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=60)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stderr(self) -> str:
        self.errors.seek(0)
        return self.errors.read()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    # -- the interface, each call as the page makes it

    def post(self, path: str, **values: Any) -> httpx.Response:
        return self.http.post(path, json=values)

    def begin(self, task: str, **values: Any) -> dict[str, Any]:
        response = self.post("/api/games", task=task, **values)
        assert response.status_code == 201, response.text
        return response.json()

    def act(self, state: dict[str, Any], action: str, sure: bool = True) -> dict[str, Any]:
        response = self.post(f"/api/games/{state['id']}/actions", action=action, sure=sure, turn=state["turn"])
        assert response.status_code == 200, response.text
        return response.json()

    def give_up(self, state: dict[str, Any]) -> dict[str, Any]:
        return self.post(f"/api/games/{state['id']}/give-up").json()
