"""Model servers that lie, flood, leak and send elsewhere; and those that only differ from OpenAI's in some way or other."""

from __future__ import annotations

import gzip
import json
import math
import re
import tracemalloc
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from fault_tools import lmrl
from raw_server import RawServer, Talk, bomb, completion, prompt_tokens

pytest.importorskip("httpx")
from lmrl_agents import AgentError, AgentStopped, load_agent
from lmrl_agents.playing.conformance import sample_requests
from lmrl_benchmarks.commands.cli import run
from lmrl_benchmarks.running.records import RecordFile
from lmrl_envs.partners.backend import Failure, Query
from lmrl_envs.partners.chat_http import REFUSAL_BYTES
from lmrl_envs.partners.chat_server import ChatServer, ServerSettings
from lmrl_envs.partners.server_replies import read_refusal

pytestmark = pytest.mark.timeout(120)

WORDLE = "lmrl/Wordle-v0"
KEY = 'sk-Du"mmy/01\\23&4<56789'
"""Every character that JSON, repr, URLs or HTML write in another way."""
PRICED = {"usd_per_million_input": 1.0, "usd_per_million_output": 10.0}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "OPENAI_BASE_URL", "LMRL_PRICES"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def agent(server: RawServer, **options: Any) -> Any:
    settings = {"timeout": 5.0, "deadline": 20.0, "backoff": 0.01, "max_retries": 1, "base_url": server.url}
    return load_agent("openai:m", **{**settings, **options})


def ask(server: RawServer, **options: Any) -> Any:
    """One action of an agent."""
    player = agent(server, **options)
    try:
        return player.act_with_details(sample_requests(WORDLE)[:1])[0]
    finally:
        player.close()


def evaluate(server: RawServer, out: Path, *more: str, episodes: int = 1, **options: Any) -> int:
    """``lmrl eval`` in this process; returns its status."""
    settings = {"timeout": 5.0, "deadline": 20.0, "backoff": 0.01, "max_retries": 1, "base_url": server.url, **options}
    pairs = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()]
    base = ["eval", "--agent", "openai:m", "--env", WORDLE, "--episodes", str(episodes), "--out", str(out)]
    return run([*base, "--agent-arg", *pairs, *more])


# -- bytes


@pytest.fixture
def peak() -> Iterator[Any]:
    """Most memory taken beside the bombs of the tests, in bytes."""
    for layers in (1, 2):
        bomb(2**29, layers)
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


@pytest.mark.parametrize("status", [200, 201, 301, 400, 401, 404, 422, 429, 500, 503])
def test_no_answer_is_read_without_bound(status: int, peak: Any) -> None:
    with RawServer(lambda talk: talk.flood(status)) as server:
        with pytest.raises(AgentStopped):
            ask(server, max_retries=0)
        assert server.sent < 64 * 2**20 and peak() < 50 * 2**20


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize(
    ("packing", "layers"), [("gzip", 1), ("gzip, gzip", 2), ("deflate", 1), ("br", 1), ("zstd", 1)]
)
def test_no_packed_answer_fills_the_memory(status: int, packing: str, layers: int, peak: Any) -> None:
    data = bomb(2**29, layers)
    with RawServer(lambda talk: talk.say(status, data, Content_Encoding=packing)) as server:
        with pytest.raises(AgentStopped):
            ask(server, max_retries=0)
        assert peak() < 50 * 2**20


def test_what_unpacks_to_nothing_is_counted_as_it_comes() -> None:
    def answer(talk: Talk) -> None:
        talk.start(200, {"Content-Length": str(2**40), "Content-Encoding": "gzip"})
        talk.send(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")
        while not talk.owner.stopped.is_set():
            talk.send(b"\x00\x00\x00\xff\xff" * 10_000)  # empty blocks

    with RawServer(answer) as server:
        with pytest.raises(AgentStopped, match="sent more than"):
            ask(server, max_retries=0)
        assert server.sent < 64 * 2**20


@pytest.mark.parametrize("listing", ["flood", "bomb"])
def test_the_list_of_models_is_bounded(listing: str, peak: Any) -> None:
    data = bomb(2**29, 1)

    def models(talk: Talk) -> None:
        talk.flood(200) if listing == "flood" else talk.say(200, data, Content_Encoding="gzip")

    with RawServer(lambda talk: talk.say(404, {"error": {"message": "no such model"}}), models) as server:
        with pytest.raises(AgentStopped, match="no such model"):
            ask(server)
        assert server.sent < 64 * 2**20 and peak() < 50 * 2**20


def test_values_without_end_are_not_read(peak: Any) -> None:
    body = b'{"choices": [' + b"[]," * 5_000_000 + b"[]]}"
    with RawServer(lambda talk: talk.say(200, body)) as server:
        with pytest.raises(AgentStopped, match="did not send a completion"):
            ask(server, max_retries=0)
        assert peak() < 150 * 2**20


def test_a_packed_answer_is_read() -> None:
    data = gzip.compress(json.dumps(completion("crane")).encode())
    with RawServer(lambda talk: talk.say(200, data, Content_Encoding="gzip")) as server:
        assert ask(server).text == "crane"


def test_connections_that_hang_for_ever_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmrl_envs.partners.chat_server.GRACE", 0.2)

    def answer(talk: Talk) -> None:
        if len(server.bodies) > 12:
            return talk.say(200, completion("crane"))
        talk.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not talk.owner.stopped.wait(0.05):
            talk.wfile.write(b"x")

    with RawServer(answer) as server:
        settings = ServerSettings(base_url=server.url, concurrency=4, timeout=0.5, deadline=0.5, max_retries=0)
        backend = ChatServer("m", settings, "a test")
        queries = [Query([{"role": "user", "content": f"{i}"}]) for i in range(4)]
        for _ in range(3):
            assert all(isinstance(result, Failure) for _, result in backend.complete(queries, 4))
        assert [result.text for _, result in backend.complete(queries, 4)] == ["crane"] * 4  # type: ignore[union-attr]


# -- the key


@pytest.mark.parametrize(
    "key",
    [
        "sk-Dummy0123456789\n",
        "\nsk-Dummy0123456789",
        "sk-Dummy0123456789\r\n",
        "sk-Dummy 0123456789",
        "sk-Dümmy0123456789",
    ],
)
def test_what_is_no_key_is_refused_before_anything_is_asked(key: str, tmp_path: Path) -> None:
    with RawServer(lambda talk: talk.say(200, completion("crane"))) as server:
        for who in (
            ["--agent", "openai:m", "--env", WORDLE, "--agent-arg", f"base_url={server.url}"],
            ["--agent", "random", "--env", "lmrl/TwentyQuestions-v1", "--env-arg", "simulator=openai:m",
             f'simulator_options={{"base_url": "{server.url}"}}'],
        ):  # fmt: skip
            done = lmrl("eval", *who, "--episodes", 1, "--out", tmp_path / "out", OPENAI_API_KEY=key)
            assert done.returncode != 0 and "OPENAI_API_KEY" in done.stderr and "Traceback" not in done.stderr
            assert "0123456789" not in done.stderr + done.stdout and len(done.stderr.strip().splitlines()) == 1
        assert server.bodies == []
    assert not any(b"0123456789" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def spellings() -> dict[str, str]:
    from html import escape
    from urllib.parse import quote, quote_plus

    coded = "".join(f"\\u{ord(c):04X}" for c in KEY)
    return {
        "plain": KEY, "json": json.dumps(KEY)[1:-1], "json in json": json.dumps(json.dumps(KEY)), "repr": repr(KEY),
        "repr of bytes": repr(KEY.encode()), "url": quote(KEY, safe=""), "url twice": quote(quote(KEY, safe="")),
        "lower url": re.sub("%..", lambda m: m[0].lower(), quote_plus(KEY)), "html": escape(KEY),
        "html codes": "".join(f"&#{ord(c)};" for c in KEY), "html hex": "".join(f"&#x{ord(c):x};" for c in KEY),
        "unicode": coded, "hex": "".join(f"\\x{ord(c):02x}" for c in KEY), "slashes": KEY.replace("/", "\\/"),
        "lower": KEY.lower(), "upper": KEY.upper(),
    }  # fmt: skip


@pytest.mark.parametrize("spelling", spellings())
def test_the_key_is_found_in_every_spelling(spelling: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leak = f"before {spellings()[spelling]} after"

    def answer(talk: Talk) -> None:
        if len(server.bodies) > 3:
            return talk.say(500 if len(server.bodies) % 2 else 400, {"error": {"message": leak, "code": leak}})
        talk.say(200, completion(f"crane {leak}", leak, reasoning_content=leak, usage={"prompt_tokens": leak}))

    with RawServer(answer) as server:
        evaluate(server, tmp_path / "out", concurrency=1)
    told = "".join(capsys.readouterr())
    for text in (told, *(path.read_text() for path in (tmp_path / "out").iterdir() if path.is_file())):
        # In JSON files once more escaped.
        assert spellings()[spelling] not in text and json.dumps(spellings()[spelling])[1:-1] not in text
    assert "[key]" in (tmp_path / "out" / "episodes.jsonl").read_text()


@pytest.mark.parametrize(
    "name", ["Content-Encoding", "Transfer-Encoding", "Content-Length", "Retry-After", "Location", KEY[:9]]
)
def test_no_header_shows_the_key_or_a_part_of_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = f"sk-{'Long0123' * 12}"  # more than a message quotes
    monkeypatch.setenv("OPENAI_API_KEY", key)
    for status in (200, 307, 400, 429):
        with RawServer(lambda talk, status=status: talk.say(status, completion("crane"), **{name: key})) as server:
            try:
                told = repr(ask(server, deadline=1.0, max_retries=0, timeout=1.0))
            except (AgentError, AgentStopped) as problem:
                told = str(problem)
        assert key[:11].lower() not in told.lower()


# -- reasons


@pytest.mark.parametrize(
    "word", ["max", "max_", "max_tokens ", "exceed", "exceed ", "context", "prompt ", "system ", "roles "]
)
def test_no_refusal_takes_long_to_be_read(word: str) -> None:
    """A pattern that looks on from every word is quadratic: minutes for 64 KiB, in which no other thread runs."""
    refusal = read_refusal(400, (word * 2**16)[:REFUSAL_BYTES].encode())

    def read() -> None:
        assert not (refusal.wants_no_system or refusal.wants_no_tools or refusal.is_too_long)

    reading = get_context("fork").Process(target=read)
    reading.start()
    reading.join(30)
    reading.kill()
    assert reading.exitcode == 0


@pytest.mark.parametrize("key", ["x", "e", "crane", "1234567"])
def test_a_key_that_is_none_changes_no_answer(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with RawServer(lambda talk: talk.say(200, completion("crane 1234567 exd5"))) as server:
        assert ask(server, read=False).text == "crane 1234567 exd5"


@pytest.mark.parametrize(
    "url",
    ["htp://u:hidden9@127.0.0.1/v1", "http://u:hidden9@127.0.0.1/v1", "http://127.0.0.1/v1;hidden9", "http://127.0.0.1/v1#hidden9",
     "http://127.0.0.1/v1?key=hidden9", "http://127.0.0.1:hidden9/v1", "u:hidden9@host", "http://127.0.0.1/v1\nhidden9"],
)  # fmt: skip
def test_an_address_with_a_secret_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(AgentError, match="base_url") as caught:
        load_agent("openai:m", base_url=url)
    assert "hidden9" not in str(caught.value)


# -- money


ODD_COUNTS = {
    "negative": -(10**9), "very negative": -(10**300), "nothing": 0, "a fraction": 0.5, "a text": "12", "no number": "many",
    "yes": True, "a list": [1], "huge": 1e308, "400 digits": 10**400, "4,400 digits": "DIGITS", "infinite": math.inf, "nan": math.nan,
}  # fmt: skip


@pytest.mark.parametrize("counts", ODD_COUNTS)
def test_no_count_of_tokens_lifts_the_cap(counts: str) -> None:
    """Whatever it tells, a server is asked no oftener than one that tells the least that its texts can have."""
    told = ODD_COUNTS[counts]
    usage = {"prompt_tokens": told, "completion_tokens": told, "prompt_tokens_details": {"cached_tokens": told}}

    def answer(talk: Talk) -> None:
        text = json.dumps(completion("crane", usage=usage)).replace('"DIGITS"', "9" * 4400)
        talk.say(200, text)

    with RawServer(answer) as server:
        player = agent(server, max_cost_usd=0.006, concurrency=1, **PRICED)
        with pytest.raises(AgentStopped, match=r"max_cost_usd|no request to this server has worked yet"):
            for _ in range(100):
                player.act(sample_requests(WORDLE, 4))
        least = sum(len(m["content"].encode()) for m in server.bodies[0]["messages"]) / 16 * 1e-6
        assert 1 <= len(server.bodies) <= 0.006 / least + 1
        usage = player.usage
        assert 0 < usage["cost_usd"] <= 0.006 and math.isfinite(usage["cost_usd"])
        assert all(0 <= usage[key] <= 10**9 for key in ("prompt_tokens", "completion_tokens"))


@pytest.mark.parametrize(
    ("extra", "most"),
    [
        ({"n": 8}, 8 * 100),
        ({"n": "8"}, 8 * 100),
        ({"best_of": 5}, 500),
        ({"max_tokens": None, "max_completion_tokens": 4000}, 4000),
        ({"max_tokens": 4000}, 4000),
        ({"max_completion_tokens": 4000}, 4100),
        ({"options": {"num_predict": 3000}}, 3100),
        ({"reasoning": {"max_tokens": 2000}, "n": 2}, 4200),
        ({"max_tokens": None}, math.inf),
        ({"max_tokens": -1}, math.inf),
        ({"n_predict": -1}, math.inf),
    ],
)
def test_the_cap_holds_for_all_that_a_request_asks_for(extra: dict[str, Any], most: float) -> None:
    """The server writes, and counts, all that it was allowed to."""
    with RawServer(
        lambda talk: talk.say(200, completion("crane", usage={"prompt_tokens": 500, "completion_tokens": int(most)}))
    ) as server:
        player = agent(server, max_tokens=100, extra_body=extra, concurrency=4, max_cost_usd=0.5, **PRICED)
        with pytest.raises(AgentStopped, match="max_cost_usd"):
            player.act(sample_requests(WORDLE, 100))
        assert player.usage["cost_usd"] <= 0.5
        assert len(server.bodies) <= 0.5 / (10e-6 * most)
        assert (len(server.bodies) > 0) == (most < math.inf)


def test_what_a_server_counts_beyond_the_request_counts_the_next_time() -> None:
    with RawServer(
        lambda talk: talk.say(200, completion("crane", usage={"prompt_tokens": 500, "completion_tokens": 5000}))
    ) as server:
        player = agent(server, max_tokens=100, concurrency=1, max_cost_usd=0.25, **PRICED)
        with pytest.raises(AgentStopped, match="max_cost_usd"):
            player.act(sample_requests(WORDLE, 100))
        assert player.usage["cost_usd"] <= 0.25 and len(server.bodies) == 4


@pytest.mark.parametrize("extra", [{"stream": True}, {"model": "other"}, {"messages": []}, {"top_p": math.nan}])
def test_fields_that_are_not_the_users_are_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(AgentError):
        load_agent("openai:m", base_url="http://127.0.0.1:9/v1", extra_body=extra)


# -- elsewhere, and nowhere


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(lambda talk: talk.say(200, completion("crane"))) as other:
        target = f"{other.url}/chat/completions"
        with RawServer(lambda talk: talk.say(status, "", Location=target)) as server:
            assert evaluate(server, tmp_path / "out") == 1
            assert len(server.bodies) == 1
        assert other.bodies == []
    told = capsys.readouterr().err
    assert "redirects are not followed" in told and len(told.strip().splitlines()) == 1


NEVER = {
    "a portal": lambda talk: talk.say(200, "<!doctype html><title>Log in</title>"),
    "no content": lambda talk: talk.start(204, {}),
    "always ill": lambda talk: talk.say(503, "<html>"),
    "an empty list": lambda talk: talk.say(200, {"choices": []}),
    "an error with 200": lambda talk: talk.say(200, {"error": {"message": "no worker"}}),
    "an endless error": lambda talk: talk.say(200, completion("", "error")),
    "nothing said": lambda talk: talk.say(200, completion(None)),
    "something else": lambda talk: talk.say(200, [1, 2]),
    "cut": lambda talk: talk.say(200, b"{", Content_Length="100"),
}


@pytest.mark.parametrize("mode", NEVER)
def test_a_server_that_never_gave_one_completion_stops_the_run(
    mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(talk: Talk) -> None:
        NEVER[mode](talk)
        talk.close_connection = True

    with RawServer(answer) as server:
        assert evaluate(server, tmp_path / "agent", episodes=3) == 1
        told = capsys.readouterr().err
        assert "no request to this server has worked yet" in told and len(told.strip().splitlines()) == 1
        assert not (tmp_path / "agent" / "summary.json").exists()
        # The same as a partner: what is nobody's play scores nothing.
        options = json.dumps({"base_url": server.url, "backoff": 0.01, "max_retries": 1, "timeout": 5.0})
        base = ["eval", "--agent", "random", "--env", "lmrl/TwentyQuestions-v1", "--episodes", "3"]
        partner = ["--env-arg", "simulator=openai:m", f"simulator_options={options}"]
        assert run([*base, *partner, "--out", str(tmp_path / "partner")]) == 1
        told = capsys.readouterr().err
        assert "no request to this server has worked yet" in told and len(told.strip().splitlines()) == 1
        assert not (tmp_path / "partner" / "summary.json").exists()


# -- terminals

ESCAPES = "\x1b]52;c;aGVsbG8=\x07 \x9b2J \x00 \u202e back"


def _is_plain(text: str) -> bool:
    return not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
def test_nothing_that_a_server_says_reaches_a_terminal_raw(status: int, tmp_path: Path) -> None:
    listing = {"data": [{"id": f"model {ESCAPES}"}]}
    with RawServer(
        lambda talk: talk.say(status, {"error": {"message": f"said {ESCAPES}", "code": ESCAPES}}),
        lambda talk: talk.say(200, listing),
    ) as server:
        arguments = ("--agent-arg", f"base_url={server.url}", "backoff=0.01", "max_retries=0")
        done = lmrl("eval", "--agent", "openai:m", "--env", WORDLE, "--episodes", 1, "--out", tmp_path, *arguments)
    assert done.returncode == 1 and "said" in done.stderr
    assert _is_plain(done.stderr) and _is_plain(done.stdout) and len(done.stderr) < 2000


# -- servers that differ

ROLE_REFUSALS = {
    "vllm": (400, {"object": "error", "message": "System role not supported", "type": "BadRequestError", "code": 400}),
    "llama.cpp": (
        500,
        {"error": {"code": 500, "message": "Value is not callable: System role not supported at row 1"}},
    ),
    "tgi": (422, {"error": "Template error: invalid operation: System role not supported (in <string>:1)"}),
    "google": (400, [{"error": {"code": 400, "message": "Developer instruction is not enabled for models/gemma-3"}}]),
    "alternating": (400, {"message": "Conversation roles must alternate user/assistant/user/assistant/..."}),
}


def _has_system(body: dict[str, Any]) -> bool:
    return any(message["role"] == "system" for message in body["messages"])


@pytest.mark.parametrize("server_kind", ROLE_REFUSALS)
def test_instructions_go_to_the_user_where_there_is_no_system_role(server_kind: str) -> None:
    status, refusal = ROLE_REFUSALS[server_kind]

    def answer(talk: Talk) -> None:
        talk.say(status, refusal) if _has_system(talk.body) else talk.say(200, completion("crane"))

    with RawServer(answer) as server:
        player, requests = agent(server, concurrency=1), sample_requests(WORDLE)
        actions = player.act_with_details(requests[:3])
        assert [action.text for action in actions] == ["crane"] * 3
        assert [_has_system(body) for body in server.bodies] == [True, False, False, False]  # one test
        assert server.bodies[1]["messages"][0]["content"].startswith(requests[0].instructions)
        assert all(action.details["form"] == "instructions in the user's message" for action in actions)
        assert actions[0].details.get("attempts", 1) == 1
        with pytest.raises(AgentStopped, match="status"):
            ask(server, instructions="system")
        assert ask(server, instructions="user").text == "crane" and not _has_system(server.bodies[-1])


def test_instructions_that_a_template_drops_go_to_the_user() -> None:
    """No error tells it: the tokens that were counted do."""

    def answer(talk: Talk) -> None:
        kept = [message for message in talk.body["messages"] if message["role"] != "system"]
        talk.say(200, completion("crane", usage={"prompt_tokens": prompt_tokens(kept), "completion_tokens": 2}))

    with RawServer(answer) as server:
        player = agent(server, concurrency=1)
        assert player.act(sample_requests(WORDLE)[:3]) == ["crane"] * 3
        assert [_has_system(body) for body in server.bodies] == [True, False, False, False]


@pytest.mark.parametrize("count", [prompt_tokens, lambda messages: 10, lambda messages: None])
def test_instructions_stay_where_nothing_speaks_against_it(count: Any) -> None:
    def answer(talk: Talk) -> None:
        usage = {"prompt_tokens": count(talk.body["messages"]), "completion_tokens": 2}
        talk.say(200, completion("crane", usage=usage))

    with RawServer(answer) as server:
        player = agent(server, concurrency=1)
        (action, *_) = player.act_with_details(sample_requests(WORDLE)[:4])
        assert "form" not in action.details
        tests = [body for body in server.bodies if not _has_system(body)]
        assert len(tests) == (count(server.bodies[0]["messages"]) == 10)  # a server that counts nothing is tested once


SEED_REFUSALS = {
    "fastapi": {
        "detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]
    },
    "mistral": {
        "object": "error",
        "message": {
            "detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]
        },
        "type": "invalid_request_error",
    },
    "openai": {"error": {"message": "Unrecognized request argument supplied: seed", "param": None}},
}


@pytest.mark.parametrize("refusal", SEED_REFUSALS)
@pytest.mark.parametrize("status", [400, 422])
def test_a_field_that_can_be_done_without_is_left_out(refusal: str, status: int) -> None:
    def answer(talk: Talk) -> None:
        talk.say(status, SEED_REFUSALS[refusal]) if "seed" in talk.body else talk.say(200, completion("crane"))

    with RawServer(answer) as server:
        player = agent(server, concurrency=1, temperature=0.7)
        actions = player.act_with_details(sample_requests(WORDLE)[:2])
        assert [action.text for action in actions] == ["crane"] * 2
        assert ["seed" in body for body in server.bodies] == [True, False, False]
        assert actions[0].details["form"] == "no seed"
        with pytest.raises(AgentStopped, match="seed"):  # what was asked for by name is not left out
            ask(server, extra_body={"seed": 7})


def test_a_field_that_cannot_be_done_without_is_named() -> None:
    refusal = {"message": {"detail": [{"loc": ["body", "top_k"], "msg": "Extra inputs are not permitted"}]}}
    named = pytest.raises(AgentStopped, match=r"status 422: Extra inputs are not permitted \(body\.top_k\)")
    with RawServer(lambda talk: talk.say(422, refusal)) as server, named:
        ask(server, extra_body={"top_k": 3})
    refusal = {"error": {"message": "'temperature' does not support 0"}}
    remedied = pytest.raises(AgentStopped, match="temperature=null")
    with RawServer(lambda talk: talk.say(400, refusal)) as server, remedied:
        ask(server)


def test_the_bound_of_an_answer_has_two_names() -> None:
    refusal = {
        "error": {
            "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        }
    }

    def answer(talk: Talk) -> None:
        talk.say(400, refusal) if "max_tokens" in talk.body else talk.say(200, completion("crane"))

    with RawServer(answer) as server:
        assert agent(server, max_tokens=77, concurrency=1).act(sample_requests(WORDLE)[:2]) == ["crane"] * 2
        assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 77, 77]


THOUGHT = "It must have an a."
ANSWERS = {
    "parts": completion([{"type": "text", "text": "cra"}, {"type": "text", "text": "ne"}]),
    "thinking parts": completion(
        [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, {"type": "text", "text": "crane"}]
    ),
    "reasoning in place of null": completion(None, reasoning_content="crane"),
    "reasoning in place of nothing": completion("", reasoning_content="crane"),
    "another name": completion(None, reasoning="crane"),
    "only thinking parts": completion([{"type": "thinking", "thinking": "crane"}]),
    "both": completion("crane", reasoning_content=THOUGHT),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_answer_is_found_where_it_stands(kind: str) -> None:
    with RawServer(lambda talk: talk.say(200, ANSWERS[kind])) as server:
        action = ask(server)
        assert action.text == "crane" and action.error is None and len(server.bodies) == 1
        assert action.details.get("reasoning") == (THOUGHT if kind in ("thinking parts", "both") else None)


def test_thoughts_that_were_cut_are_no_answer() -> None:
    with RawServer(lambda talk: talk.say(200, completion(None, "length", reasoning_content="crane"))) as server:
        action = ask(server)
        assert action.text == "" and action.error is None and action.details["finish"] == "length"


BROKEN = {
    "finish": completion("", "error"),
    "finish with a text": completion("half an ans", "error"),
    "choice": {"choices": [{"finish_reason": "stop", "message": {"content": ""}, "error": {"message": "upstream", "code": 502}}]},
    "whole": {"error": {"message": "upstream", "code": 502}},
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_providers_error_is_not_the_models_move(kind: str) -> None:
    def answer(talk: Talk) -> None:
        talk.say(200, BROKEN[kind] if len(server.bodies) == 1 else completion("crane"))

    with RawServer(answer) as server:
        action = ask(server)
        assert (action.text, action.error, action.details["attempts"]) == ("crane", None, 2)


TOO_LONG = [
    (400, "the request exceeds the available context size, try increasing it"),
    (500, "the request exceeds the available context size. try increasing the context size or enable context shift"),
    (400, "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens."),
    (
        400,
        "'max_tokens' or 'max_completion_tokens' is too large: 128. This model's maximum context length is 40 tokens",
    ),
    (400, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. The input is too long."),
    (400, "Prompt contains 9000 tokens and 0 draft tokens, too large for model with 8192 maximum context length"),
    (400, "prompt is too long: 210000 tokens > 200000 maximum"),
    (413, "Payload Too Large"),
]


@pytest.mark.parametrize(("status", "message"), TOO_LONG)
def test_a_prompt_that_is_too_long_ends_its_episode_alone(status: int, message: str, tmp_path: Path) -> None:
    """Also where it is the first one that is asked."""

    def answer(talk: Talk) -> None:
        refusal = {"error": {"code": status, "message": message, "type": "invalid_request_error"}}
        talk.say(status, refusal) if len(server.bodies) == 1 else talk.say(200, completion("crane"))

    with RawServer(answer) as server:
        assert evaluate(server, tmp_path, episodes=3, concurrency=1) == 0
    errors = [record.error for record in RecordFile(tmp_path).read()]
    assert sum(error is not None for error in errors) == 1 and any(f"status {status}" in (e or "") for e in errors)


@pytest.mark.parametrize("message", ["max_tokens is too large: 100000", "max_tokens exceeds the limit of 4096 tokens"])
def test_an_answer_that_is_too_long_is_the_set_up(message: str) -> None:
    refusal = {"error": {"message": message}}
    stopped = pytest.raises(AgentStopped, match="max_tokens")
    with RawServer(lambda talk: talk.say(400, refusal)) as server, stopped:
        ask(server)


def test_warnings_of_any_command_are_plain(capfd: pytest.CaptureFixture[str]) -> None:
    import logging

    assert run(["envs"]) == 0
    handlers, logging.root.handlers[:] = logging.root.handlers[:], []  # pytest's own
    try:
        logging.getLogger("lmrl.of.nobody").warning("said %s", ESCAPES)
    finally:
        logging.root.handlers[:] = handlers
    told = capfd.readouterr().err
    assert "said \u241b]52" in told and _is_plain(told)
