"""The partner behind an OpenAI-compatible server: every failure is recovered from or is one clear error."""

from __future__ import annotations

import json
import sys
import threading

import pytest
from faulty_server import MODES, FaultyServer
from gymnasium.error import DependencyNotInstalled
from partner_toys import COUNT, GUESSES, QUESTIONS, ToyEnv, ToyPrompt, ToyVectorEnv, ask, truth

from lmrl_envs.partners import SimulatorError, make_partner

pytest.importorskip("httpx")
from lmrl_envs.partners.backend import Completion, Failure, Query
from lmrl_envs.partners.chat_server import ChatServer, ServerSettings
from lmrl_envs.partners.model_partner import ModelPartner, openai_partner
from lmrl_envs.partners.server_replies import retry_after

pytestmark = pytest.mark.timeout(60)  # nothing here may hang

KEY = "sk-secret-0123456789"
FINAL = ("bad_request", "unauthorized", "quota", "unknown_model", "too_long")
SLOW = ("drip", "drip_headers")  # only the deadline ends these
RECOVERABLE = tuple(mode for mode in MODES if mode not in ("good", *FINAL, *SLOW))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def oracle(messages: list[dict[str, str]]) -> str:
    """Answers the toy's prompt truly."""
    number, question = messages[-1]["content"].removeprefix("The number is ").split('. "')
    return truth(int(number), question.rstrip('"'))


def partner(server: FaultyServer, **options) -> ModelPartner:
    settings = {"timeout": 0.5, "deadline": 2.0, "backoff": 0.01, "max_retries": 3, **options}
    return openai_partner("toy-model", ToyPrompt(), base_url=server.url, **settings)


@pytest.mark.parametrize("mode", RECOVERABLE)
def test_recovers(mode: str) -> None:
    with FaultyServer([mode], answer=oracle) as server:
        client = partner(server, deadline=20.0)
        (answer,) = client.answer([ask(3, "Is it even?")])
        assert (answer.reply.text, answer.attempts) == ("No.", 2)
        assert len(server.bodies) == 2
        assert (client.usage.requests, client.usage.retries) == (2, 1)


@pytest.mark.parametrize("mode", RECOVERABLE)
def test_gives_up_with_one_clear_error(mode: str) -> None:
    with FaultyServer(then=mode) as server:
        client = partner(server, max_retries=2)
        with pytest.raises(SimulatorError) as caught:
            client.reply([ask(3, "Is it even?", seed=77)])
        message = str(caught.value)
        assert "openai:toy-model" in message and "'Is it even?'" in message and "seed 77" in message
        assert "\n" not in message and KEY not in message
        assert 1 <= len(server.bodies) <= 3
        assert caught.value.__cause__ is None and caught.value.__context__ is None


@pytest.mark.parametrize(("mode", "why"), [("drip", "still sending"), ("drip_headers", "hung")])
def test_a_server_that_is_never_silent_is_left_at_the_deadline(mode: str, why: str, monkeypatch) -> None:
    monkeypatch.setattr("lmrl_envs.partners.chat_server.GRACE", 0.5)
    with FaultyServer([mode]) as server, pytest.raises(SimulatorError, match=why):
        partner(server, deadline=1.0).reply([ask(3, "Is it even?"), ask(2, "Is it odd?")])


@pytest.mark.parametrize("mode", FINAL)
def test_fails_at_once_where_asking_again_cannot_help(mode: str) -> None:
    with FaultyServer([mode]) as server:
        client = partner(server)
        with pytest.raises(SimulatorError, match=r"status 4[02]") as caught:
            client.reply([ask(1, "Is it 1?")])
        assert len(server.bodies) == 1
        assert KEY not in str(caught.value)


@pytest.mark.parametrize("wordy", [1, 7])
def test_a_server_that_shows_the_key_is_not_quoted(wordy: int) -> None:
    with FaultyServer(["unauthorized"]) as server:
        server.wordy = wordy  # 7: where the message is cut, the key has begun
        with pytest.raises(SimulatorError, match="Incorrect API key provided") as caught:
            partner(server).reply([ask(1, "Is it 1?")])
        assert KEY[:4] not in str(caught.value)


def test_a_chain_of_failures_is_survived() -> None:
    script = ["server_error", "drop", "truncated_json", "null_content", "wrong_format"]
    with FaultyServer(script, answer=oracle) as server:
        (answer,) = partner(server, max_retries=5, deadline=30.0).answer([ask(2, "Is it even?")])
        assert (answer.reply.text, answer.attempts) == ("Yes.", 6)


def test_nobody_there() -> None:
    with FaultyServer() as server:
        url = server.url
    client = openai_partner("m", ToyPrompt(), base_url=url, max_retries=1, backoff=0.01)
    with pytest.raises(SimulatorError, match=r"no connection to 127\.0\.0\.1"):
        client.reply([ask(1, "Is it 1?")])


def test_retry_after_is_obeyed_and_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(threading.Event, "wait", _noting(threading.Event.wait, waits))
    with FaultyServer(["rate_limit"], retry_after="0.25") as server:
        partner(server, backoff=0.01).reply([ask(1, "Is it 1?")])
    assert 0.25 in waits
    with FaultyServer(["rate_limit"], retry_after="86400") as server, pytest.raises(SimulatorError, match="429"):
        partner(server, deadline=0.5).reply([ask(1, "Is it 1?")])


def test_pauses_double(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(threading.Event, "wait", _noting(threading.Event.wait, waits))
    with FaultyServer(["server_error"] * 3) as server:
        partner(server, backoff=0.0625).reply([ask(1, "Is it 1?")])
    assert [pause for pause in waits if pause in (0.0625, 0.125, 0.25)] == [0.0625, 0.125, 0.25]


def _noting(wait, waits: list[float]):
    def noted(self, timeout=None):
        if timeout is not None:
            waits.append(timeout)
        return wait(self, timeout)

    return noted


def test_forms_ofretry_after() -> None:
    assert retry_after({"retry-after": "3"}) == 3.0
    assert retry_after({"retry-after-ms": "250", "retry-after": "3"}) == 0.25
    assert retry_after({"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}) > 1e6
    by_its_own_clock = {"retry-after": "Wed, 21 Oct 2015 07:28:09 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert retry_after(by_its_own_clock) == 9.0
    for useless in ({}, {"retry-after": "soon"}, {"retry-after": "-3"}, {"retry-after": "nan"}):
        assert retry_after(useless) is None


def test_an_unusable_text_is_asked_for_again_with_other_sampling() -> None:
    with FaultyServer(["wrong_format", "empty_text"]) as server:
        partner(server).reply([ask(1, "Is it 1?", seed=5)])
        temperatures = [body["temperature"] for body in server.bodies]
        assert temperatures[0] == 0 and min(temperatures[1:]) > 0
        assert "seed" not in server.bodies[0] and len({body["seed"] for body in server.bodies[1:]}) == 2
        assert all(body["max_tokens"] == ToyPrompt.max_new_tokens for body in server.bodies)


def test_a_batch_is_answered_in_order_and_concurrently() -> None:
    requests = [ask(n, q) for n in range(COUNT) for q in QUESTIONS + GUESSES]
    waiting = threading.Barrier(4)

    def answer(messages: list[dict[str, str]]) -> str:
        waiting.wait(timeout=20)  # passes only when four requests are under way together
        return oracle(messages)

    with FaultyServer(answer=answer) as server:
        client = partner(server, concurrency=4, timeout=30.0, deadline=30.0)
        replies = client.reply(requests)
        assert [reply.text for reply in replies] == [truth(r.hidden["number"], r.action) for r in requests]
        assert server.most_at_once == 4
        usage = client.usage
        told = (server.prompt_tokens, server.completion_tokens)
        assert (usage.requests, usage.prompt_tokens, usage.completion_tokens) == (40, *told)


def test_one_failure_fails_the_batch_and_the_step_can_be_tried_again() -> None:
    with FaultyServer(["good", "bad_request"], answer=oracle) as server:
        env = ToyVectorEnv(2, simulator="openai:toy", base_url=server.url, concurrency=1, backoff=0.01)
        env.reset(seed=0, options={"number": 2})
        before = env.transcripts
        with pytest.raises(SimulatorError):
            env.step(["Is it even?", "Is it odd?"])
        assert env.transcripts == before
        texts, *_ = env.step(["Is it even?", "Is it odd?"])
        assert texts == ("Yes.", "No.")
        env.close()


def test_equal_prompts_are_asked_once() -> None:
    with FaultyServer(answer=oracle) as server:
        client = partner(server)
        assert len({r.text for r in client.reply([ask(3, "Is it 3?", seed) for seed in range(20)])}) == 1
        client.reply([ask(3, "Is it 3?", 99, ("Ask.", "Is it 1?", "No."))])
        assert len(server.bodies) == 1 and client.usage.cached == 20
        warm = partner(server, temperature=1.0)
        warm.reply([ask(3, "Is it 3?", seed) for seed in range(5)])
        assert len({body["seed"] for body in server.bodies[1:]}) == 5


def test_the_key_comes_from_the_environment_only_and_shows_nowhere(tmp_path) -> None:
    with FaultyServer(answer=oracle) as server:
        client = partner(server, record=tmp_path / "record.jsonl")
        client.reply([ask(3, "Is it 3?")])
        client.close()
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        assert KEY not in (tmp_path / "record.jsonl").read_text()
        assert KEY not in repr(client) + repr(vars(client))
        client.reply([ask(2, "Is it 3?")])  # a closed partner connects again
        client.close()
        with pytest.raises(ValueError, match="api_key"):
            make_partner("openai:m", ToyEnv, ToyPrompt(), api_key=KEY, base_url=server.url)


def test_servers_without_a_key_and_extra_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ValueError, match="OPENAI_API_KEY"):
        openai_partner("gpt", ToyPrompt())
    with FaultyServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        client = openai_partner(
            "m", ToyPrompt(), extra_body={"seed": None, "temperature": 0.3, "reasoning_effort": "none"}
        )
        client.reply([ask(1, "Is it 1?")])
        body = server.bodies[0]
        assert "seed" not in body and body["temperature"] == 0.3 and body["reasoning_effort"] == "none"


def test_hostile_actions_travel() -> None:
    from lmrl_envs.contract import HOSTILE_ACTIONS

    with FaultyServer() as server:
        replies = partner(server, timeout=20.0, deadline=20.0).reply([ask(1, action) for action in HOSTILE_ACTIONS])
        assert len(replies) == len(HOSTILE_ACTIONS)
        assert max(len(json.dumps(body)) for body in server.bodies) < 4000


@pytest.mark.parametrize("url", ["localhost:8000", "file:///etc/passwd", "http://", "http://user:pw@localhost/v1"])
def test_impossible_urls(url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        openai_partner("m", ToyPrompt(), base_url=url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("option", [{"timeout": 0}, {"max_retries": -1}, {"temperature": -1.0}, {"concurrency": 0}])
def test_impossible_options(option) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        openai_partner("m", ToyPrompt(), base_url="http://127.0.0.1:9/v1", **option)


def test_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(DependencyNotInstalled, match=r'pip install "lmrl\[llm\]"'):
        make_partner("openai:m", ToyEnv, ToyPrompt())


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"choices": ' + b"[[]," * 500_000,
        b'{"choices": {"message": 1}}',
        b'{"choices": [7]}',
    ],
)
def test_what_no_server_should_send_is_a_failure_of_the_request(body: bytes) -> None:
    whole = {"choices": [{"message": {"content": "Yes."}}]}
    with FaultyServer(whole=lambda _: body.decode()) as server:
        backend = ChatServer("toy", ServerSettings(base_url=server.url, max_retries=0), "a test")
        ((_, failure),) = backend.complete([Query([{"role": "user", "content": "Is it 1?"}])], 4)
        assert isinstance(failure, Failure) and "did not send a completion" in failure.why
        server.whole = lambda _: whole
        ((_, completion),) = backend.complete([Query([{"role": "user", "content": "Is it 1?"}])], 4)
        assert isinstance(completion, Completion) and completion.text == "Yes."
