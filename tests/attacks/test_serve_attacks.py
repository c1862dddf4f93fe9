"""`lmrl serve` under clients that say half a request, take no answer, crowd out, and agents that hang, quit and write to terminals."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from fault_tools import wait_for
from raw_server import RawServer
from serving import Server

from lmrl_agents import Action
from lmrl_agents.learning.coached_games import load_coached
from lmrl_benchmarks.commands.serve import _listen
from lmrl_benchmarks.running.records import RecordFile
from lmrl_benchmarks.running.suite import SuiteTask
from lmrl_benchmarks.serve.coach import Coaching
from lmrl_benchmarks.serve.connections import BoundedServer, client_of
from lmrl_benchmarks.serve.environments import EnvironmentPool, Refused
from lmrl_benchmarks.serve.game import Limits
from lmrl_benchmarks.serve.guard import Door
from lmrl_benchmarks.serve.human_records import HumanRecords
from lmrl_benchmarks.serve.live_games import LEFT, SIGNALS, LiveGames
from lmrl_benchmarks.serve.server import THREADS, make_app

pytestmark = pytest.mark.timeout(120)

WORDLE = SuiteTask("lmrl/Wordle-v0")
HALF = b"GET /api/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "

AGENTS = """
import os, sys, threading, time
from pathlib import Path

class Hangs:
    def act(self, requests):
        Path(os.environ["ASKED"], str(id(self))).touch()
        threading.Event().wait()

class Waits:
    "Answers when a file is there."
    def act(self, requests):
        while not Path(os.environ["GO"]).exists():
            time.sleep(0.01)
        return ["crane"] * len(requests)

class Quits:
    def act(self, requests):
        os._exit(0)

class Tells:
    all = False
    def tell_all(self):
        self.all = True
    def act(self, requests):
        return ["crane"] * len(requests)
    def act_with_details(self, requests):
        from lmrl_agents import Action
        if Path(os.environ["GO"]).exists():
            Path(os.environ["GO"]).unlink()
            os._exit(1)
        return [Action("crane", {"raw": f"all: {self.all}"})] * len(requests)

class Own(BaseException):
    pass

def raising(what):
    class Agent:
        def act(self, requests):
            raise what
    return Agent

Exits, Interrupts, Closes, Odd = map(raising, (SystemExit(0), KeyboardInterrupt(), GeneratorExit(), Own("odd")))
Escapes = raising(RuntimeError("no \\x1b]52;c;aGVsbG8=\\x07 idea \\u202e" + "x" * 1_000_000))
"""


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("agents") / "players.py"
    path.write_text(AGENTS)
    return path


class Waiting:
    """An agent of the tests that says when it is asked, and answers when it is let."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Semaphore(0), threading.Event()

    def act(self, requests: list[Any]) -> list[str]:
        self.asked.release()
        self.go.wait(60)
        return ["crane"] * len(requests)


@contextlib.contextmanager
def served(limits: Limits, agents: dict[str, Any] | None = None) -> Iterator[int]:
    """A server of these bounds on real sockets, as the command makes it; its port."""
    with _listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        app = make_app(LiveGames(EnvironmentPool([WORDLE]), None, agents or {}, limits), Door("127.0.0.1", port))
        server = BoundedServer(app, limits, log_level="critical", timeout_graceful_shutdown=1)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_for(lambda: server.started, "the server")
        yield port
        server.should_exit = True
        thread.join(30)


def connect(port: int, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.settimeout(60)
    connection.sendall(data)
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Whether the other end has closed; waits for it."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def play_a_game(http: httpx.Client) -> None:
    state = http.post("/api/games", json={"task": "Wordle"}).json()
    for word in ("about", "crane"):
        state = http.post(f"/api/games/{state['id']}/actions", json={"action": word, "sure": True}).json()
    assert state["turn"] == 2


# -- connections


def test_half_requests_are_closed_and_shut_nobody_out() -> None:
    limits = Limits(connections=40, connections_of_one=40, header_seconds=1.0, requests_per_second=1000, burst=1000)
    with served(limits) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        get = b"GET /api/tasks HTTP/1.1\r\nHost: localhost\r\n\r\n"
        old = HTTPConnection("127.0.0.1", port, timeout=60)
        old.request("GET", "/api/tasks")
        assert old.getresponse().read()
        half = [connect(port, data) for data in (b"", b"G", HALF) for _ in range(40)]
        assert is_closed(half[70])  # it had to make room
        old.request("GET", "/api/tasks")  # who has asked something is not the first to go
        assert old.getresponse().read()
        old.close()
        play_a_game(http)
        play_a_game(httpx.Client(base_url=f"http://127.0.0.1:{port}"))
        bodies = connect(port, b"POST /api/games HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        drip = connect(port, HALF)
        with contextlib.suppress(ConnectionError):  # a byte now and then does not keep it open
            for _ in range(600):
                drip.sendall(b"x")
                time.sleep(0.02)
            pytest.fail("a header may trickle for ever")
        assert all(map(is_closed, half))
        # After an answer, too, the next header has its time.
        again = connect(port, get + HALF)
        assert is_closed(again)
        for connection in (*half, drip, again, bodies):
            connection.close()


def test_connections_that_asked_something_leave_half_of_the_places() -> None:
    limits = Limits(connections_of_one=20, header_seconds=30.0, requests_per_second=1000, burst=1000)
    with served(limits) as port:
        get = b"GET /api/tasks HTTP/1.1\r\nHost: localhost\r\n\r\n"
        known = [connect(port, get) for _ in range(20)]
        for connection in known:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        person = connect(port)
        half = [connect(port, HALF) for _ in range(8)]
        assert all(map(is_closed, known[:9]))
        person.sendall(get)
        assert person.recv(65536).startswith(b"HTTP/1.1 200")
        for connection in (*known, *half, person):
            connection.close()


def test_the_command_closes_half_requests(tmp_path: Path) -> None:
    with Server("--no-record", "--env", "lmrl/Wordle-v0") as server:
        half = [connect(server.port, HALF) for _ in range(600)]
        play_a_game(server.http)
        assert all(map(is_closed, half))
        for connection in half:
            connection.close()


def test_who_takes_no_answer_is_left() -> None:
    limits = Limits(header_seconds=0.5, requests_per_second=10_000, burst=10_000)
    with served(limits) as port:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.settimeout(60)
        connection.sendall(b"GET /static/style.css HTTP/1.1\r\nHost:localhost\r\n\r\n" * 1500)  # answers of 18 MB
        with contextlib.suppress(ConnectionError):
            for _ in range(400):
                connection.sendall(b"G")
                time.sleep(0.02)
            pytest.fail("an answer may wait for ever to be taken")
        connection.close()


def test_a_body_that_nobody_asked_for_keeps_nothing_open() -> None:
    with served(Limits()) as port:
        connection = connect(port, b"GET /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                connection.sendall(b"x")
                time.sleep(0.02)
            pytest.fail("a body may trickle for ever")
        connection.close()


def test_the_503_has_the_guards_headers() -> None:
    agents = {f"waiting {i}": Waiting() for i in range(2)}
    with served(Limits(connections_of_one=2), agents) as port, ThreadPoolExecutor(2) as pool:
        url = f"http://127.0.0.1:{port}"
        jobs = []
        for name, agent in agents.items():
            game = httpx.post(f"{url}/api/games", json={"task": "Wordle", "mode": "watch", "agent": name}).json()
            jobs.append(pool.submit(httpx.post, f"{url}/api/games/{game['id']}/advance", json={}, timeout=60))
            assert agent.asked.acquire(timeout=30)
        refused = httpx.get(f"{url}/api/tasks")
        assert refused.status_code == 503 and "Try again" in refused.json()["error"]
        assert refused.headers["connection"] == "close" and refused.headers["retry-after"] == "1"
        headers = httpx.get(f"{url}/api/tasks").headers
        assert "default-src 'none'" in headers["content-security-policy"] and headers["x-frame-options"] == "DENY"
        for agent in agents.values():
            agent.go.set()
        assert [job.result(60).status_code for job in jobs] == [200, 200]
        assert httpx.get(f"{url}/api/tasks").status_code == 200


def test_what_is_no_http_is_refused_with_all_headers() -> None:
    with served(Limits()) as port, connect(port, b"\x16\x03\x01 hello\r\n\r\n") as connection:
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ") and b"content-security-policy: default-src 'none'" in answer


def test_clients_are_told_apart_by_what_one_machine_has() -> None:
    assert client_of("10.0.0.1") != client_of("10.0.0.2") and client_of("::ffff:10.0.0.1") == client_of("10.0.0.1")
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:2%eth0") != client_of("2001:db8:0:1::1")
    assert client_of("unix") == "unix"


# -- crowding out


def test_a_begun_game_that_counts_is_never_crowded_out(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with Server("--out", out, "--env", "lmrl/Wordle-v0", "--max-games", 5, "--rate", 1000) as server:
        state = server.act(server.begin("Wordle", mode="ranked"), "about")
        begun = [server.post("/api/games", task="Wordle").status_code for _ in range(20)]
        assert begun == [201] * 4 + [503] * 16
        assert server.act(state, "crane")["turn"] == 2
    assert not (out / "human").exists() or RecordFile(out / "human" / "Wordle").read() == []


def test_what_makes_room_is_recorded_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = HumanRecords(tmp_path / "run", [WORDLE])
    games = LiveGames(EnvironmentPool([WORDLE]), records, {}, Limits(sessions=3))
    begun, looked_at, practice = (games.begin(WORDLE, mode, None, None) for mode in ("ranked", "ranked", "practice"))
    for game in (begun, practice):
        games.act(game.key, "qqqqq", 0, True)  # no word, so it cannot win by luck
    for game in (begun, looked_at, practice):
        game.used -= 1000  # left alone, but not for the idle time
    again = [games.begin(WORDLE, "practice", None, None) for _ in range(2)]
    assert {game.error for game in (looked_at, practice)} == {LEFT} and begun.error is None
    with pytest.raises(Refused, match="Too many games"):
        games.begin(WORDLE, "practice", None, None)
    assert games.find(begun.key) is begun and len(again) == 2
    assert not (tmp_path / "run" / "human").exists()  # nothing was lost by anybody
    games.give_up(again[0].key)
    assert games.begin(WORDLE, "ranked", None, None).episode == looked_at.episode  # its number was free again
    # Only the idle time ends it.
    begun.used -= games.limits.idle_seconds
    games.drop_idle()
    assert [
        record.error for record in RecordFile(tmp_path / "run" / "human" / "Wordle").read() if record.episode >= 0
    ] == [LEFT]


def test_one_client_leaves_room_for_others() -> None:
    games = LiveGames(EnvironmentPool([WORDLE]), None, {}, Limits(sessions=6, sessions_of_one=2))
    own = [games.begin(WORDLE, "practice", None, None, "a") for _ in range(2)]
    with pytest.raises(Refused, match="of yours"):
        games.begin(WORDLE, "practice", None, None, "a")
    others = [games.begin(WORDLE, "practice", None, None, client) for client in "bcde"]
    assert len(games) == 6
    for game in (*own, *others):
        game.used -= 100
    others[0].used -= 100
    games.begin(WORDLE, "practice", None, None, "f")
    assert len(games) == 6 and own[0].error == LEFT and others[0].error is None  # of the client that has most
    games.begin(WORDLE, "practice", None, None, "b")
    assert sum(game.error is not None for game in own) == 1


def test_a_game_that_is_being_answered_stops_no_sweep(tmp_path: Path) -> None:
    games = LiveGames(EnvironmentPool([WORDLE]), None, {}, Limits(sessions=1))
    game = games.begin(WORDLE, "practice", None, None)
    game.used -= 10_000
    with game.busy:
        games.drop_idle()
        with pytest.raises(Refused):
            games.begin(WORDLE, "practice", None, None)
    games.begin(WORDLE, "practice", None, None)


def test_no_feedback_spoils_a_journal_or_fills_it(tmp_path: Path) -> None:
    coaching = Coaching(tmp_path)
    games = LiveGames(EnvironmentPool([WORDLE]), None, {"a": None}, coaching=coaching)  # type: ignore[dict-item]
    game = games.begin(WORDLE, "watch", "a", None)
    games._watched(game, Action("crane"))
    for value in (1.0, -1.0, True, "1", None, [1], {}, 2, 10**400):
        with pytest.raises(Refused) as refused:
            games.feedback(game.key, value)
        assert refused.value.status == 422
    for _ in range(SIGNALS):
        games.feedback(game.key, -1)
    with pytest.raises(Refused) as refused:
        games.feedback(game.key, -1)
    assert refused.value.status == 429
    games.give_up(game.key)
    assert [len(kept.signals) for kept in load_coached(str(tmp_path), WORDLE.id)] == [SIGNALS]


# -- agents


def test_agents_that_hang_cost_no_persons_move() -> None:
    """More of them than moves are answered at once."""
    agents = {f"waiting {i}": Waiting() for i in range(THREADS + 4)}
    limits = Limits(requests_per_second=1000, burst=1000)
    with served(limits, agents) as port, ThreadPoolExecutor(len(agents)) as pool:
        url = f"http://127.0.0.1:{port}"
        games, jobs = [], []
        for name, agent in agents.items():
            games.append(httpx.post(f"{url}/api/games", json={"task": "Wordle", "mode": "watch", "agent": name}).json())
            jobs.append(pool.submit(httpx.post, f"{url}/api/games/{games[-1]['id']}/advance", json={}, timeout=60))
            assert agent.asked.acquire(timeout=30)
        with httpx.Client(base_url=url) as http:
            play_a_game(http)
            assert not any(job.done() for job in jobs)
            second = http.post(f"/api/games/{games[0]['id']}/advance", json={})
            assert second.status_code == 409 and "last move" in second.json()["error"]
            watched = {"task": "Wordle", "mode": "watch", "agent": "waiting 0"}
            elsewhere = http.post("/api/games", json=watched).json()
            busy = http.post(f"/api/games/{elsewhere['id']}/advance", json={})
            assert busy.status_code == 409 and busy.json()["retry"] is True
        for agent in agents.values():
            agent.go.set()
        assert {job.result(60).status_code for job in jobs} == {200}


def test_an_agent_that_ends_its_process_or_hangs_ends_no_server(agents: Path, tmp_path: Path) -> None:
    arguments = ("--no-record", "--env", "lmrl/Wordle-v0", "--agent", f"{agents}:Hangs", f"{agents}:Quits")
    with Server(*arguments, env={"ASKED": str(tmp_path)}) as server:
        hanging = server.begin("Wordle", mode="watch", agent="players.py:Hangs")
        threading.Thread(target=_advance, args=(server, hanging), daemon=True).start()
        wait_for(lambda: list(tmp_path.iterdir()), "the agent hangs")
        game = server.begin("Wordle", mode="watch", agent="players.py:Quits")
        for _ in range(3):
            failed = server.post(f"/api/games/{game['id']}/advance")
            assert failed.status_code == 502 and "The agent failed" in failed.json()["error"]
        play_a_game(server.http)
    # And it stopped: `Server` waits for it.


def _advance(server: Server, game: dict[str, Any]) -> None:
    with contextlib.suppress(httpx.HTTPError):
        httpx.post(f"{server.url}/api/games/{game['id']}/advance", json={}, timeout=300)


def test_an_agent_has_so_long_and_is_of_use_again_when_it_answers(agents: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    arguments = ("--agent", f"{agents}:Waits", "--agent-seconds", 0.3, "--no-record", "--env", "lmrl/Wordle-v0")
    with Server(*arguments, env={"GO": str(go)}) as server:
        game = server.begin("Wordle", mode="watch", agent="players.py:Waits")
        late = server.post(f"/api/games/{game['id']}/advance")
        assert late.status_code == 504 and late.json()["retry"] is True and "0.3 s" in late.json()["error"]
        assert server.post(f"/api/games/{game['id']}/advance").status_code == 409  # it is still at the first
        go.touch()
        wait_for(lambda: server.post(f"/api/games/{game['id']}/advance").status_code == 200, "it answers again")
        assert server.http.get(f"/api/games/{game['id']}").json()["turns"][1]["text"] == "crane"


@pytest.mark.parametrize(("name", "kind"), [("Exits", "SystemExit"), ("Interrupts", "KeyboardInterrupt"), ("Closes", "GeneratorExit"), ("Odd", "Own")])  # fmt: skip
def test_whatever_an_agent_raises_is_named(agents: Path, name: str, kind: str) -> None:
    with Server("--agent", f"{agents}:{name}", "--no-record", "--env", "lmrl/Wordle-v0") as server:
        game = server.begin("Wordle", mode="watch", agent=f"players.py:{name}")
        for _ in range(2):
            failed = server.post(f"/api/games/{game['id']}/advance")
            assert failed.status_code == 502 and f"failed ({kind})" in failed.json()["error"]
            assert "default-src 'none'" in failed.headers["content-security-policy"]
        play_a_game(server.http)
    assert kind in server.stderr() and "Traceback" not in server.stderr()


def test_an_agent_in_a_room_tells_all_also_when_it_was_started_again(agents: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    arguments = ("--agent", f"{agents}:Tells", "--no-record", "--env", "lmrl/Wordle-v0")
    with Server(*arguments, env={"GO": str(go)}) as server:
        game = server.begin("Wordle", mode="watch", agent="players.py:Tells")
        for turn in range(2):
            state = server.post(f"/api/games/{game['id']}/advance").json()
            assert state["turns"][2 * turn + 1]["thoughts"]["raw"] == "all: True"
            go.touch()


# -- terminals


def test_no_agent_no_partner_and_no_client_writes_to_the_terminal_raw(agents: Path) -> None:
    said = "no \x1b]52;c;aGVsbG8=\x07 idea \u202e\x9b2J"
    with RawServer(lambda talk: talk.say(500, {"error": {"message": said + "x" * 1_000_000}})) as model:
        options = json.dumps({"base_url": model.url, "max_retries": 0, "deadline": 20})
        task = (
            "--env",
            "lmrl/TwentyQuestions-v1",
            "--simulator",
            "openai:m",
            "--env-arg",
            f"simulator_options={options}",
        )
        player = ("--agent", f"{agents}:Escapes")
        with Server("--no-record", "--verbose", *task, *player) as server:
            name = server.http.get("/api/tasks").json()["tasks"][0]["slug"]
            game = server.begin(name)
            failed = server.post(f"/api/games/{game['id']}/actions", action="Is it an animal?", sure=True)
            assert failed.status_code == 502
            watched = server.begin(name, mode="watch", agent="players.py:Escapes")
            assert server.post(f"/api/games/{watched['id']}/advance").status_code == 502
            with connect(
                server.port, b"GET /%1b]52;c;aGVsbG8%07 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            ) as raw:
                assert is_closed(raw)
        told = server.stderr()
    assert "no \u241b]52" in told and "status 500" in told
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", told) and len(told) < 20_000


def test_a_traceback_that_quotes_a_client_is_plain_too(tmp_path: Path) -> None:
    (tmp_path / "partner.py").write_text(
        "class Partner:\n    def __init__(self, argument, partner_prompt): ...\n    def close(self): ...\n"
        "    def reply(self, requests):\n        raise RuntimeError(f'what is {requests[0].action}?')\n"
    )
    task = ("--env", "lmrl/TwentyQuestions-v1", "--simulator", f"{tmp_path}/partner.py:Partner")
    with Server("--no-record", *task) as server:
        game = server.begin(server.http.get("/api/tasks").json()["tasks"][0]["slug"])
        said = "Is it \x1b]52;c;aGVsbG8=\x07 an animal\u202e?"
        failed = server.post(f"/api/games/{game['id']}/actions", action=said, sure=True)
        assert failed.status_code == 500 and "default-src" in failed.headers["content-security-policy"]
    told = server.stderr()
    assert "what is Is it \u241b]52" in told
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", told)
