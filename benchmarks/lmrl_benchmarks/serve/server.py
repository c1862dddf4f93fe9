"""The HTTP side of `lmrl serve`: a static page, and a small JSON interface to the games."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lmrl_benchmarks.running.suite import SuiteTask
from lmrl_benchmarks.serve.compare import Comparing
from lmrl_benchmarks.serve.connections import client_of
from lmrl_benchmarks.serve.environments import Refused
from lmrl_benchmarks.serve.game import MODES, Limits, LiveGame
from lmrl_benchmarks.serve.guard import Door, Guard, answer, body_of, same, set_cookie
from lmrl_benchmarks.serve.live_games import LiveGames
from lmrl_benchmarks.serve.rate import RatingTalks, methods
from lmrl_envs import __version__, task
from lmrl_envs.files import untrusted

STATIC = Path(__file__).parent / "static"
THREADS = 16
"""Moves that are answered at the same time, and as many of games against what may take long: a model, an engine."""
SWEEP_SECONDS = 15.0
Handler = Callable[[Request], Awaitable[Response]]


class _Static(StaticFiles):
    """The page's files; a browser asks each time whether they have changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


def make_app(games: LiveGames, door: Door) -> Guard:
    """The application.

    Args:
        games: the games; their limits hold for requests too.
        door: address and token.
    """
    api = _Api(games)
    routes = [
        Route("/api/tasks", api.tasks),
        Route("/api/games", api.begin, methods=["POST"]),
        Route("/api/games/{key}", api.show),
        Route("/api/games/{key}/actions", api.act, methods=["POST"]),
        Route("/api/games/{key}/advance", api.advance, methods=["POST"]),
        Route("/api/games/{key}/hint", api.hint, methods=["POST"]),
        Route("/api/games/{key}/give-up", api.give_up, methods=["POST"]),
        Route("/api/games/{key}/feedback", api.feedback, methods=["POST"]),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.sleep(min(SWEEP_SECONDS, games.limits.idle_seconds))
                await anyio.to_thread.run_sync(games.drop_idle)

        sweeping = asyncio.create_task(sweep())
        yield
        sweeping.cancel()
        games.pool.close()

    return _guarded(routes, door, games.limits, lifespan)


def make_compare_app(comparing: Comparing, door: Door, limits: Limits) -> Guard:
    """The application of a person who compares pairs."""

    async def tasks(request: Request) -> Response:
        return answer(200, {"page": "compare", "tasks": [], "agents": [], "version": __version__})

    async def show(request: Request) -> Response:
        return answer(200, await anyio.to_thread.run_sync(comparing.state))

    async def say(request: Request) -> Response:
        values = await _json(request, limits)
        said = functools.partial(comparing.say, values.get("number"), values.get("answer"))
        return answer(200, await anyio.to_thread.run_sync(said))

    async def undo(request: Request) -> Response:
        values = await _json(request, limits)
        return answer(200, await anyio.to_thread.run_sync(functools.partial(comparing.undo, values.get("number"))))

    routes = [
        Route("/api/tasks", tasks),
        Route("/api/compare", show),
        Route("/api/compare/say", say, methods=["POST"]),
        Route("/api/compare/undo", undo, methods=["POST"]),
    ]
    return _guarded(routes, door, limits, None)


def make_rate_app(talks: RatingTalks, door: Door, limits: Limits) -> Guard:
    """The application of a person who talks with agents that are not named, and rates them."""

    async def tasks(request: Request) -> Response:
        return answer(200, {"page": "rate", "tasks": [], "agents": [], "version": __version__})

    async def show(request: Request) -> Response:
        return answer(200, await anyio.to_thread.run_sync(talks.state))

    async def take(function: Callable[..., Any], names: Sequence[str], request: Request) -> Response:
        values = await _json(request, limits)
        call = functools.partial(function, *(values.get(name) for name in names))
        return answer(200, await anyio.to_thread.run_sync(call))

    posts = [
        Route(f"/api/rate/{what}", functools.partial(take, function, names), methods=["POST"])
        for what, (function, names) in methods(talks).items()
    ]
    return _guarded([Route("/api/tasks", tasks), Route("/api/rate", show), *posts], door, limits, None)


def _guarded(routes: list[Route], door: Door, limits: Limits, lifespan: Any) -> Guard:
    """The page, the login and these routes behind the guard."""
    always = [
        Route("/", functools.partial(_page, "index.html")),
        Route("/login", functools.partial(_login, door, limits), methods=["GET", "POST"]),
        Mount("/static", _Static(directory=STATIC)),
    ]
    handlers = {Refused: _refused, HTTPException: _http_error, Exception: _failed}
    app = Starlette(routes=[*always, *routes], lifespan=lifespan, exception_handlers=handlers)  # type: ignore[arg-type]
    return Guard(app, door, limits)


async def _json(request: Request, limits: Limits) -> dict[str, Any]:
    # Forms of other sites cannot send this type without the browser asking first.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "Send JSON, with content-type application/json.")
    try:
        return untrusted.decode(await body_of(request, limits), dict[str, Any])
    except untrusted.Refused as problem:
        raise Refused(400, f"Send a JSON object: {problem}.") from None


class _Api:
    def __init__(self, games: LiveGames) -> None:
        self.games = games
        self._quick, self._slow = anyio.CapacityLimiter(THREADS), anyio.CapacityLimiter(THREADS)

    async def _run(self, entry: SuiteTask, function: Callable[..., Any], *arguments: Any) -> Any:
        limiter = self._slow if entry.kwargs.get("simulator", "scripted") != "scripted" else self._quick
        if limiter.available_tokens < 1 and limiter.statistics().tasks_waiting > 4 * THREADS:
            raise Refused(503, "Too many moves are being answered just now. Try again in a moment.")
        return await anyio.to_thread.run_sync(functools.partial(function, *arguments), limiter=limiter)

    async def _play(self, request: Request, function: Callable[..., Any], *arguments: Any) -> Any:
        key = request.path_params["key"]
        return await self._run(self.games.find(key).entry, function, key, *arguments)

    async def _json(self, request: Request) -> dict[str, Any]:
        return await _json(request, self.games.limits)

    async def tasks(self, request: Request) -> Response:
        shown = []
        records = self.games.records
        for slug, entry in self.games.pool.tasks.items():
            row = task(entry.id)
            shown.append(
                {
                    "slug": slug,
                    "env_id": entry.id,
                    "summary": row.summary,
                    "tags": [tag.replace("_", " ") for tag in row.tags],
                    "simulator": _shown(entry.kwargs.get("simulator", row.partners[0] if row.partners else None)),
                    "ranked": records.progress(entry) if records else None,
                }
            )
        agents = list(self.games.agents)
        told = {"recording": records is not None, "coached": self.games.coaching is not None, "version": __version__}
        return answer(200, {"tasks": shown, "agents": agents, **told})

    async def begin(self, request: Request) -> Response:
        values = await self._json(request)
        entry = self.games.pool.entry(values.get("task"))
        mode, agent, seed = values.get("mode", "practice"), values.get("agent"), values.get("seed")
        if mode not in MODES:
            raise Refused(422, f"mode must be one of {', '.join(MODES)}.")
        if agent is not None and not isinstance(agent, str):
            raise Refused(422, "agent must be a name.")
        client = client_of(request.client.host) if request.client else ""
        game = await self._run(entry, self.games.begin, entry, mode, agent, _seed(seed), client)
        return answer(201, game.shown_state)

    async def show(self, request: Request) -> Response:
        return answer(200, self.games.find(request.path_params["key"]).shown_state)

    async def act(self, request: Request) -> Response:
        values = await self._json(request)
        action, turn = values.get("action"), values.get("turn")
        most = self.games.limits.action_characters
        if not isinstance(action, str):
            raise Refused(422, "action must be a text.")
        if len(action) > most:
            raise Refused(413, f"That is too long: {len(action)} characters, {most} are allowed here.")
        played = await self._play(request, self.games.act, action, turn, values.get("sure") is True)
        return answer(200, {"doubt": played} if isinstance(played, str) else played.shown_state)

    async def advance(self, request: Request) -> Response:
        values = await self._json(request)

        async def in_thread(function: Callable[..., Any], game: LiveGame, *arguments: Any) -> Any:
            return await self._run(game.entry, function, game, *arguments)

        game = await self.games.advance(request.path_params["key"], values.get("turn"), in_thread)
        return answer(200, game.shown_state)

    async def hint(self, request: Request) -> Response:
        await self._json(request)
        return answer(200, {"hint": await self._play(request, self.games.hint)})

    async def feedback(self, request: Request) -> Response:
        values = await self._json(request)
        self.games.feedback(request.path_params["key"], values.get("value"))
        return answer(200, {"taken": values["value"]})

    async def give_up(self, request: Request) -> Response:
        await self._json(request)
        game = await self._play(request, self.games.give_up)
        return answer(200, game.shown_state)


def _shown(simulator: str | None) -> str | None:
    """A simulator by name, without the folder that it is in."""
    kind, separator, argument = (simulator or "").partition(":")
    return f"{kind}{separator}{Path(argument).name}" if kind in ("transformers", "replay") else simulator


async def _login(door: Door, limits: Limits, request: Request) -> Response:
    """The page that asks for the token, for browsers that came without the printed link."""
    if door.token is None:
        return RedirectResponse("/", 303)
    if request.method != "POST":
        return await _page("login.html", request)
    given = parse_qs((await body_of(request, limits)).decode("utf-8", "replace")).get("token", [""])[0].strip()
    if not same(given, door.token):
        page = (STATIC / "login.html").read_text("utf-8").replace("hidden>", ">")
        return Response(page, 401, media_type="text/html")
    response = RedirectResponse("/", 303)
    set_cookie(response, door)
    return response


async def _page(name: str, request: Request) -> Response:
    return FileResponse(STATIC / name, headers={"cache-control": "no-cache"})


def _seed(value: Any) -> int | None:
    """A seed as a number or its digits."""
    if value is None or value == "":
        return None
    text = str(value) if type(value) is int else value
    if not (isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**62):
        raise Refused(422, "seed must be a whole number from 0 to 2^62.")
    return int(text)


async def _refused(request: Request, problem: Refused) -> Response:
    return answer(problem.status, {"error": str(problem), **problem.extra})


async def _http_error(request: Request, problem: HTTPException) -> Response:
    return answer(problem.status_code, {"error": problem.detail}, problem.headers)


async def _failed(request: Request, problem: Exception) -> Response:
    return answer(500, {"error": "Something went wrong on the server; its terminal shows more."})
