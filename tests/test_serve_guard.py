"""Who `lmrl serve` lets in, how much it takes, and the command itself."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Server

from lmrl_benchmarks.commands.cli import run
from lmrl_benchmarks.serve.environments import EnvironmentPool
from lmrl_benchmarks.serve.game import Limits
from lmrl_benchmarks.serve.guard import Door, Rates
from lmrl_benchmarks.serve.live_games import LiveGames
from lmrl_benchmarks.serve.server import make_app

ROOT = Path(__file__).resolve().parents[1]
FORGED = {"sec-fetch-site": "cross-site", "origin": "http://elsewhere.example"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    out = tmp_path_factory.mktemp("serve") / "run"
    with Server("--out", out, "--rate", 5000, "--env", "lmrl/Wordle-v0") as running:
        running.out = out  # type: ignore[attr-defined]
        yield running
    assert "Traceback" not in running.stderr()


# -- how much


def test_size_is_limited(server: Server) -> None:
    headers = {"content-type": "application/json"}
    long = json.dumps({"task": "Wordle", "seed": "1" * 40_000})
    assert server.http.post("/api/games", content=long, headers=headers).status_code == 413

    def pieces() -> Iterator[bytes]:  # no length is declared
        yield from (b" " * 8000 for _ in range(10))

    assert server.http.post("/api/games", content=pieces(), headers=headers).status_code == 413


def test_rate_is_limited() -> None:
    rates = Rates(Limits(requests_per_second=2, burst=3))
    assert [rates.allow("a", now) for now in (0.0, 0.0, 0.0, 0.0, 0.4, 0.5, 0.6)] == [True] * 3 + [
        False,
        False,
        True,
        False,
    ]
    assert rates.allow("b", 0.6)
    assert [rates.allow("a", 100.0) for _ in range(4)] == [True] * 3 + [False]  # never more than the burst
    for i in range(10_000):
        rates.allow(f"address {i}", 100.0)
    assert len(rates._buckets) <= 4096
    with Server("--no-record", "--rate", 0.001, "--env", "lmrl/Wordle-v0") as server:
        assert server.http.get("/api/tasks").status_code == 200
        refused = server.http.get("/api/tasks")
        assert refused.status_code == 429 and refused.headers["retry-after"] == "1"
        assert "Too many requests" in refused.json()["error"]
        forged = server.http.get("/api/tasks", headers={"x-forwarded-for": "10.0.0.7"})
        assert forged.status_code == 429  # another address cannot be claimed


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    import anyio

    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        await anyio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-length", b"5"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/api/games", "headers": headers, "client": ("1", 1)}
    scope |= {"query_string": b"", "scheme": "http", "server": ("127.0.0.1", 1)}
    games = LiveGames(EnvironmentPool([]), None, {}, Limits(body_seconds=0.05))
    anyio.run(make_app(games, Door("127.0.0.1", 1)), scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 408


# -- who may ask


def test_other_sites_neither_play_nor_read(server: Server) -> None:
    state = server.begin("Wordle")
    path = f"/api/games/{state['id']}"
    for headers in ({"origin": "http://elsewhere.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
                    {"sec-fetch-site": "same-site"}, FORGED, {"origin": "http://127.0.0.1:1"}):  # fmt: skip
        response = server.http.post(f"{path}/actions", json={"action": "about"}, headers=headers)
        assert response.status_code == 403 and "another web page" in response.json()["error"]
    assert server.http.get(path, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    # A name that its owner points at this machine.
    names = ("elsewhere.example", f"elsewhere.example:{server.port}", "127.0.0.1.elsewhere.example", "")
    for host in (*names, f"127.0.0.1:{server.port}.elsewhere.example"):
        assert server.http.get(path, headers={"host": host}).status_code in (400, 421)
    # What a form can send without asking.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        response = server.http.post(f"{path}/actions", content='{"action": "about"}', headers={"content-type": kind})
        assert response.status_code == 415
    assert server.http.get(path).json()["turn"] == 0
    own = {"origin": server.url, "sec-fetch-site": "same-origin"}
    assert server.http.post(f"{path}/actions", json={"action": "about"}, headers=own).json()["turn"] == 1
    preflight = server.http.options(path, headers={"origin": "http://elsewhere.example"})
    assert preflight.status_code in (403, 405) and "access-control-allow-origin" not in preflight.headers


def test_every_answer_says_what_a_browser_may_do_with_it(server: Server) -> None:
    for path in ("/", "/static/app.js", "/static/style.css", "/api/tasks", "/api/games/nothing", "/nowhere"):
        response = server.http.get(path)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert response.headers["x-content-type-options"] == "nosniff" and "server" not in response.headers
        assert "no-" in response.headers["cache-control"] and "access-control-allow-origin" not in response.headers


def test_only_the_pages_own_files_are_served(server: Server) -> None:
    for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/static//etc/passwd",
                 "/static/", "/static", "/.serving", "/suite.json", "/static/%00"):  # fmt: skip
        with socket.create_connection(("127.0.0.1", server.port)) as connection:  # as written: clients tidy paths up
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        assert re.match(rb"HTTP/1.1 (307|400|404)", answer) and b"import" not in answer


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/games", "{", 400),
        ("POST", "/api/games", "[" * 20_000, 400),
        ("POST", "/api/games", "[]", 400),
        ("POST", "/api/games", "{}", 404),
        ("POST", "/api/games", '{"task": ["Wordle"]}', 404),
        ("POST", "/api/games", '{"task": "Wordle", "mode": "cheat"}', 422),
        ("POST", "/api/games", '{"task": "Wordle", "seed": -1}', 422),
        ("POST", "/api/games", '{"task": "Wordle", "seed": true}', 422),
        ("POST", "/api/games", '{"task": "Wordle", "seed": "\\u0663"}', 422),
        ("POST", "/api/games", '{"task": "Wordle", "seed": 9223372036854775807}', 422),
        ("POST", "/api/games", '{"task": "Wordle", "mode": "ranked", "seed": 3}', 422),
        (
            "POST",
            "/api/games",
            '{"task": "Wordle", "options": {"secret": "about"}, "env_kwargs": {"vocabulary": "x"}}',
            201,
        ),
        ("POST", "/api/games/nothing/actions", '{"action": "x"}', 410),
        ("POST", "/api/games/nothing/actions", '{"action": 3}', 422),
        ("GET", "/api/games", None, 405),
        ("GET", "/api/nothing", None, 404),
        ("PUT", "/api/games", "{}", 405),
    ],
)
def test_bad_requests_are_answered_clearly(
    server: Server, method: str, path: str, body: str | None, status: int
) -> None:
    headers = {"content-type": "application/json"} if body is not None else {}
    response = server.http.request(method, path, content=body, headers=headers)
    assert response.status_code == status, response.text
    if status >= 400:
        assert response.json()["error"] and "Traceback" not in response.text


def test_beyond_loopback_a_token_is_needed(tmp_path: Path) -> None:
    with Server("--host", "0.0.0.0", "--no-record", "--env", "lmrl/Wordle-v0") as server:
        assert server.token and len(server.token) >= 32
        http = server.http
        assert http.get("/").headers["location"] == "/login"
        assert http.get("/api/tasks").status_code == 401
        assert server.post("/api/games", task="Wordle").status_code == 401
        for wrong in ("x", server.token[:-1], server.token + "x", server.token.swapcase(), "\u00e9"):
            headers = {"authorization": f"Bearer {wrong}".encode()}
            assert http.get("/api/tasks", headers=headers).status_code == 401
            assert http.get("/api/tasks", params={"token": wrong}).status_code == 401
        assert http.get("/api/tasks", headers={"authorization": f"Bearer {server.token}"}).status_code == 200
        assert http.get("/api/tasks", headers={"cookie": f"lmrl_{server.port}=wrong"}).status_code == 401
        page = http.get("/login")
        assert page.status_code == 200 and "password" in page.text and http.get("/static/style.css").status_code == 200
        refused = http.post("/login", data={"token": "wrong"})
        assert refused.status_code == 401 and "hidden>That" not in refused.text and not http.cookies
        assert http.post("/login", data={"token": server.token}, headers=FORGED).status_code == 403
        # The printed link: the token goes into a cookie that scripts and other sites cannot use, and out of the address.
        entered = http.get("/", params={"token": server.token})
        cookie = entered.headers["set-cookie"]
        assert entered.headers["location"] == "/" and "HttpOnly" in cookie and "samesite=lax" in cookie.lower()
        assert http.get("/").status_code == 200 and http.get("/api/tasks").status_code == 200
    with Server(
        "--host", "0.0.0.0", "--no-record", "--env", "lmrl/Wordle-v0", env={"LMRL_TOKEN": "a-token-of-my-own"}
    ) as server:
        assert server.token == "a-token-of-my-own"
        assert server.http.post("/login", data={"token": server.token}).headers["location"] == "/"
        assert server.http.get("/api/tasks").status_code == 200


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    from lmrl_benchmarks.serve import guard

    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest
    monkeypatch.setattr(guard.hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or real(a, b))
    assert guard.same("secret", "secret") and not guard.same("s", "secret") and not guard.same("\ud800", "secret")
    assert compared == [(32, 32)] * 3  # digests: not even the lengths can be told apart


# -- the command


def test_wrong_usage_is_one_line(tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    new = tmp_path / "new"
    for arguments, status, message in (
        (["--token", "short"], 2, "at least 16"),
        (["--env", "lmrl/Wordel-v0"], 2, "did you mean"),
        (["--agent", "exprt"], 2, "expert"),
        (["--simulator", "scripted"], 2, "exactly one task"),
        (["--env", "lmrl/Chess-v0", "--simulator", "scripted"], 2, "choose one of 'builtin'"),
        (["--agent", "expert", "random", "--agent-arg", "a=1"], 2, "exactly one agent"),
        (["--max-games", "0"], 2, "must be positive"),
        (["--port", server.port], 1, "cannot listen"),
        (["--host", "no.such.host.invalid", "--token", "x" * 20], 1, "cannot listen"),
        (["--port", 0, "--out", tmp_path / "mine"], 1, "not empty"),
        (["--port", 0, "--out", server.out], 1, "another process is serving games"),  # type: ignore[attr-defined]
    ):
        out = [] if "--out" in arguments else ["--out", new]
        returned = run(["serve", *map(str, [*arguments, *out])])
        told = capsys.readouterr().err
        assert returned == status and message in told and len(told.strip().splitlines()) == 1, (arguments, told)
    assert not (new / "suite.json").exists()


def test_answers_are_sent_at_once() -> None:
    """asyncio turns Nagle's delay (40 ms an answer) off only for sockets that are said to be TCP."""
    from lmrl_benchmarks.commands.serve import _listen

    with _listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_ctrl_c_stops_it(tmp_path: Path) -> None:
    server = Server("--out", tmp_path / "run", "--env", "lmrl/Wordle-v0")
    state = server.begin("Wordle")
    assert server.stop(signal.SIGINT) == 0
    assert "finished ones are kept" in server.stderr() and "Traceback" not in server.stderr() and state["id"]


def test_the_page_ships_with_the_package(tmp_path: Path) -> None:
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    made = subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    static = ROOT / "benchmarks" / "lmrl_benchmarks" / "serve" / "static"
    here = {f"lmrl_benchmarks/serve/static/{path.name}" for path in static.iterdir()}
    assert here <= names and "lmrl_benchmarks/serve/static/index.html" in here
    # Nothing is fetched from elsewhere, and nothing is inline: the security policy would forbid it.
    for path in static.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text), path
        assert not re.search(r"<script>|<style|\son\w+=|\sstyle=", text), path
