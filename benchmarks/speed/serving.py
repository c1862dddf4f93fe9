"""How long a person waits for a move on `lmrl serve` while others try to shut everybody out.

    python benchmarks/speed/serving.py [--half 1000] [--agents 50] [--moves 100] [--busy]

Half requests are opened again as soon as they are closed; the agents are asked for a move and never answer (with ``--busy`` they
loop at full speed instead of waiting). Nothing here is a test: it prints what it measures.
"""

from __future__ import annotations

import argparse
import contextlib
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

AGENT = """
import threading

class Agent:
    def act(self, requests):
        while True:
            {wait}
"""
HALF = b"GET /api/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


def hold_half_requests(port: int, count: int, stop: threading.Event, opened: list[int]) -> None:
    """Keep so many open until the end."""
    watching = selectors.DefaultSelector()
    while not stop.is_set():
        while len(watching.get_map()) < count and not stop.is_set():
            with contextlib.suppress(OSError):
                half = socket.create_connection(("127.0.0.1", port), timeout=5)
                half.sendall(HALF)
                half.setblocking(False)
                watching.register(half, selectors.EVENT_READ)
                opened[0] += 1
        for key, _ in watching.select(0.05):
            half = key.fileobj
            assert isinstance(half, socket.socket)
            watching.unregister(half)
            half.close()


def moves(url: str, count: int) -> list[float]:
    """Seconds of each move of a person who plays Wordle."""
    found: list[float] = []
    with httpx.Client(base_url=url, timeout=60) as http:
        state = {"over": True}
        while len(found) < count:
            began = time.monotonic()
            if state["over"]:
                answer = http.post("/api/games", json={"task": "Wordle"})
            else:
                answer = http.post(f"/api/games/{state['id']}/actions", json={"action": "crane", "sure": True})
            found.append(time.monotonic() - began)
            state = answer.raise_for_status().json()
    return found


def tell(what: str, seconds: list[float]) -> None:
    """Print a line."""
    ordered = sorted(seconds)
    median, late = statistics.median(ordered), ordered[int(0.95 * len(ordered))]
    print(
        f"{what}: median {1000 * median:.0f} ms, 95th percentile {1000 * late:.0f} ms, of {len(ordered)} moves",
        flush=True,
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", type=int, default=1000)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--moves", type=int, default=100)
    parser.add_argument("--busy", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        specs = []
        for i in range(given.agents):
            path = Path(folder) / f"agent{i}.py"
            path.write_text(AGENT.format(wait="pass" if given.busy else "threading.Event().wait()"))
            specs.append(f"{path}:Agent")
        command = [sys.executable, "-m", "lmrl_benchmarks.commands.cli", "serve", "--port", "0", "--no-record"]
        command += ["--env", "lmrl/Wordle-v0", "--rate", "1000000", "--max-games", "1000000", "--agent-seconds", "600"]
        server = subprocess.Popen(
            [*command, "--agent", *specs], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert server.stdout is not None
        port = int(server.stdout.readline().split(":")[-1].split("/")[0])
        url = f"http://127.0.0.1:{port}"
        stop, opened = threading.Event(), [0]
        try:
            tell("alone", moves(url, given.moves))
            threading.Thread(target=hold_half_requests, args=(port, given.half, stop, opened), daemon=True).start()
            time.sleep(3)
            tell(f"{given.half} half requests", moves(url, given.moves))
            for name in httpx.get(f"{url}/api/tasks").json()["agents"]:
                watched = {"task": "Wordle", "mode": "watch", "agent": name}
                game = httpx.post(f"{url}/api/games", json=watched, timeout=60).json()
                path = f"{url}/api/games/{game['id']}/advance"
                threading.Thread(target=_ask, args=(path,), daemon=True).start()
            time.sleep(3)
            tell(f"and {given.agents} agents that hang", moves(url, given.moves))
            print(f"{opened[0]} half requests were opened", flush=True)
        finally:
            stop.set()
            server.kill()


def _ask(path: str) -> None:
    with contextlib.suppress(httpx.HTTPError):
        httpx.post(path, json={}, timeout=600)


if __name__ == "__main__":
    main()
