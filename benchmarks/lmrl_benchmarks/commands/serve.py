"""``lmrl serve``."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lmrl_agents.settings import KeyValues
from lmrl_benchmarks.commands.terminal import PlainFormatter

TOKEN_VARIABLE = "LMRL_TOKEN"  # noqa: S105  (the name of a variable)
SHORTEST_TOKEN = 16
LOADED = 8
"""Agents that are loaded at once."""


def serve(
    host: str = "127.0.0.1",
    port: int = 8421,
    token: str | None = None,
    agent: tuple[str, ...] = (),
    agent_arg: KeyValues = {},
    env: tuple[str, ...] = (),
    simulator: str | None = None,
    env_arg: KeyValues = {},
    out: Path = Path("runs/human"),
    salt_file: Path | None = None,
    record: bool = True,
    max_games: int = 200,
    idle_minutes: float = 30.0,
    rate: float = 30.0,
    agent_seconds: float = 60.0,
    verbose: bool = False,
    compare: Path | None = None,
    name: str = "me",
    coach: str | None = None,
    ratings: bool = False,
) -> int:
    """Play tasks in the browser, and watch agents play. Games of people are kept as records and stand on the leaderboard.

    Args:
        host: Address to listen on. Every address but loopback needs a token.
        port: Port; 0 takes a free one.
        token: What a browser needs to be let in (or $LMRL_TOKEN). Beyond loopback one is made if none is given.
        agent: Agents to be watched: names (lmrl agents list), folders of trained models, or file.py:factory.
        agent_arg: Arguments of the agent, as key=value; with one agent only.
        env: Only these tasks.
        simulator: Who answers, in tasks with a partner or opponent; with one task only.
        env_arg: Arguments of the environment, as key=value; with one task only.
        out: Folder for the games: a leaderboard run that people then join, or a new one.
        salt_file: The secret of the sealed suite whose run is in --out: the games that count are then the held ones.
        record: Keep the games of people.
        max_games: Most games kept at once.
        idle_minutes: A game that nothing is asked about for this many minutes is dropped.
        rate: Requests a second that one address may make.
        agent_seconds: Time of a watched agent for an action.
        verbose: Print every request, and why a simulator failed (which may tell what is hidden).
        compare: Folder of preference data (lmrl prefs collect): its pairs are compared in the page, nothing is played.
        name: Who compares or rates: labels are by person:NAME.
        coach: A task whose games an agent (--agent) plays while you press plus and minus; games and feedback go to --out.
        ratings: You talk with the agents (--agent), not named, in the other side's seat of one task (--env), and rate each talk; kept in --out.
    """
    from lmrl_benchmarks.running.sealing import read_salt
    from lmrl_benchmarks.serve.coach import Coaching
    from lmrl_benchmarks.serve.compare import Comparing
    from lmrl_benchmarks.serve.connections import BoundedServer
    from lmrl_benchmarks.serve.environments import EnvironmentPool
    from lmrl_benchmarks.serve.game import Limits
    from lmrl_benchmarks.serve.guard import Door, is_loopback
    from lmrl_benchmarks.serve.human_records import HumanRecords
    from lmrl_benchmarks.serve.live_games import LiveGames
    from lmrl_benchmarks.serve.rate import RatingTalks
    from lmrl_benchmarks.serve.server import make_app, make_compare_app, make_rate_app
    from lmrl_envs.files import locked

    if salt_file and not record:
        raise ValueError("--salt-file is for games that count, and without --record none does")
    if max_games < 1 or not min(idle_minutes, rate, agent_seconds) > 0:
        raise ValueError("--max-games, --idle-minutes, --rate and --agent-seconds must be positive")
    if (simulator or env_arg) and len(env) != 1:
        raise ValueError("--simulator and --env-arg need exactly one task: --env ID")
    token = _token(token, needed=not is_loopback(host))
    _log(verbose)
    if coach and (compare or not agent):
        raise ValueError("--coach ID needs an agent that plays: --agent SPEC, and no --compare")
    if ratings and (compare or coach or len(env) != 1 or not agent):
        raise ValueError(
            "--ratings needs agents (--agent SPEC) and one task (--env ID), and neither --compare nor --coach"
        )
    env = (coach,) if coach else env
    limits = Limits(
        sessions=max_games,
        # On loopback all clients have one address.
        sessions_of_one=max_games if is_loopback(host) else max(1, max_games // 4),
        connections_of_one=256 if is_loopback(host) else 64,
        idle_seconds=idle_minutes * 60,
        requests_per_second=rate,
        burst=max(1, int(4 * rate)),
        agent_seconds=agent_seconds,
    )
    with contextlib.ExitStack() as stack:
        if compare:
            stack.enter_context(locked(compare / ".lock", "labelling"))
            comparing = Comparing(compare, name)
            listener = stack.enter_context(_listen(host, port))
            door, kept = Door(host, listener.getsockname()[1], token), compare
            app = make_compare_app(comparing, door, limits)
        elif ratings:
            stack.enter_context(locked(out / ".rating", "rating talks"))
            kwargs = {**env_arg, **({"simulator": simulator} if simulator else {})}
            talks = RatingTalks(out, name, env[0], kwargs, _agents(agent, agent_arg, agent_seconds))
            listener = stack.enter_context(_listen(host, port))
            door, kept = Door(host, listener.getsockname()[1], token), out
            app = make_rate_app(talks, door, limits)
        else:
            kwargs = {**env_arg, **({"simulator": simulator} if simulator else {})}
            tasks = _tasks(env, kwargs, out)
            pool = EnvironmentPool(tasks)
            if kwargs:
                pool.fresh(tasks[0])  # what cannot be made is told now
            agents = _agents(agent, agent_arg, agent_seconds)
            listener = stack.enter_context(_listen(host, port))
            records = None
            if record and not coach:
                stack.enter_context(locked(out / ".serving", "serving games"))
                records = HumanRecords(out, tasks, read_salt(salt_file) if salt_file else "")
            if coach:
                stack.enter_context(locked(out / ".serving", "coaching"))
            door, kept = Door(host, listener.getsockname()[1], token), out if record else None
            app = make_app(LiveGames(pool, records, agents, limits, Coaching(out) if coach else None), door)
        server = BoundedServer(
            app,
            limits,
            log_level="info" if verbose else "warning",
            access_log=verbose,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=3,
        )
        _announce(door, kept)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    print("stopped: games under way are gone, finished ones are kept" if record else "stopped", file=sys.stderr)
    return 0


def _log(verbose: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler], force=True)


def _token(token: str | None, needed: bool) -> str | None:
    token = token or os.environ.get(TOKEN_VARIABLE) or None
    if token is None:
        return secrets.token_urlsafe(24) if needed else None
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or set(token) & set(' ",;\\'):
        raise ValueError(
            f"a token needs at least {SHORTEST_TOKEN} ASCII characters, without blanks, quotes, commas, semicolons and "
            "backslashes; leave it out to have one made"
        )
    return token


def _agents(specs: Sequence[str], kwargs: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Loaded agents by the name that pages show: the end of a path, not the whole.

    Those that do not come with this package are each in a process of its own, which is ended after a while without an answer.
    """
    from lmrl_agents.playing.room import DEFAULT, RoomSettings, open_agent

    if kwargs and len(specs) != 1:
        raise ValueError("--agent-arg needs exactly one agent: --agent SPEC")
    settings = RoomSettings(patience=max(seconds, DEFAULT.patience))
    agents: dict[str, Any] = {}
    with ThreadPoolExecutor(LOADED) as pool:
        loading = [pool.submit(open_agent, spec, kwargs, settings) for spec in specs]
        for spec, agent in zip(specs, loading, strict=True):
            name = Path(spec).name or spec
            while name in agents:
                name += "'"
            agents[name] = agent.result()
    return agents


def _tasks(ids: Sequence[str], kwargs: dict[str, Any], out: Path) -> list[Any]:
    from lmrl_benchmarks.running.cells import SUITE, read_suite
    from lmrl_benchmarks.serve.environments import tasks_of
    from lmrl_envs import load_task, task_ids

    suite_tasks = read_suite(out)[0].tasks if (out / SUITE).is_file() else ()
    return tasks_of([load_task(id).spec for id in ids] or task_ids(), kwargs, suite_tasks)


def _listen(host: str, port: int) -> socket.socket:
    """A socket on the address, so that what is wrong with it is told before anything else is done."""
    listener = None
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # The protocol is named: asyncio leaves Nagle's delay on for sockets that come without it.
        listener = socket.socket(family, kind, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
        return listener
    except (OSError, OverflowError) as problem:
        if listener is not None:
            listener.close()
        raise OSError(
            f"cannot listen on {host}, port {port}: {problem}; choose others with --host and --port"
        ) from None


def _announce(door: Any, out: Path | None) -> None:
    name = f"[{door.host}]" if ":" in door.host.strip("[]") else door.host
    print(f"lmrl plays at http://{name}:{door.port}/{f'?token={door.token}' if door.token else ''}", flush=True)
    print(f"games are kept in {out}; Ctrl-C stops" if out else "games are not kept; Ctrl-C stops", flush=True)
