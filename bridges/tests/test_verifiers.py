"""The taskset, run by verifiers' own command against a model server that plays well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gymnasium
import pytest
from player import action, chat

import lmrl_envs
from lmrl_bridges.verifiers import LmrlConfig, LmrlTaskset
from lmrl_envs.seeding import episode_seed

HUB = Path(__file__).resolve().parents[1] / "verifiers_hub"
WORDLE = "lmrl/Wordle-v0"


class Model(BaseHTTPRequestHandler):
    """A chat server whose model is the expert."""

    protocol_version = "HTTP/1.1"

    def stream(self, message: dict, model: str) -> None:
        common = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": model}
        parts = [
            {**common, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {**common, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {**common, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
        ]
        body = "".join(f"data: {part}\n\n" for part in (*map(json.dumps, parts), "[DONE]")).encode()
        self.answer("text/event-stream", body)

    def answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = chat([(m["role"], _text(m["content"])) for m in asked["messages"]])
        message = {"role": "assistant", "content": action(WORDLE, said)}
        if asked.get("stream"):
            self.stream(message, asked["model"])
            return
        body = json.dumps(
            {
                "id": "1", "object": "chat.completion", "created": 0, "model": asked["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }
        ).encode()  # fmt: skip
        self.answer("application/json", body)

    def log_message(self, *_: object) -> None: ...


def _text(content) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def run(tmp_path: Path, model: type[Model], *arguments: str) -> list[dict]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [
        Path(sys.executable).with_name("vf-eval"), "lmrl_games", "-m", "stub", "--env.taskset.env", WORDLE, "--no-push", "--env.player.harness.id", "null",
        "--env.player.runtime.type", "subprocess", "--client.base-url", f"http://127.0.0.1:{server.server_port}/v1",
        "--client.api-key-var", "STUB_KEY", *arguments,
    ]  # fmt: skip
    path = os.pathsep.join([str(HUB), *(entry for entry in sys.path if entry)])
    bin_first = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=500, cwd=tmp_path,
        env={**os.environ, "STUB_KEY": "k", "PYTHONPATH": path, "PATH": bin_first},
    )  # fmt: skip
    server.shutdown()
    traces = [
        json.loads(line) for file in tmp_path.rglob("traces.jsonl") for line in file.read_text("utf-8").splitlines()
    ]
    assert traces, done.stdout[-3000:] + done.stderr[-3000:]
    return traces


def test_a_group_plays_one_game_and_is_scored_as_played(tmp_path: Path) -> None:
    found = run(tmp_path, Model, "-r", "2", "-c", "2", "--env.taskset.games", "2")
    traces = [t for trace in found for t in (trace.get("traces", [trace]))]
    assert len(traces) == 4
    for trace in traces:
        assert not trace.get("errors"), trace["errors"]
        data, actions = trace["task"]["data"], trace["info"]["actions"]
        env = gymnasium.make(WORDLE)
        env.reset(seed=data["seed"])
        outcomes = [env.step(said) for said in actions]
        assert outcomes[-1][2] and trace["rewards"]["return"]["score"] == sum(outcome[1] for outcome in outcomes)
        assert trace["metrics"]["success"] == 1.0
    assert {t["task"]["data"]["seed"] for t in traces} == {episode_seed("train", 0, k) for k in range(2)}
    assert len({(t["task"]["data"]["seed"], *t["info"]["actions"]) for t in traces}) == 2


def test_a_game_cut_off_scores_the_least(tmp_path: Path) -> None:
    found = run(tmp_path, Model, "-r", "1", "--env.taskset.games", "1", "--env.player.max-turns", "2")
    (trace,) = [t for trace in found for t in (trace.get("traces", [trace]))]
    assert trace["rewards"]["return"]["score"] == lmrl_envs.task(WORDLE).return_range[0], trace
    assert trace["metrics"]["finished"] == 0.0


def test_every_task_is_a_taskset() -> None:
    for id in lmrl_envs.task_ids():
        try:
            (only,) = LmrlTaskset(LmrlConfig(env=id, games=1))
        except gymnasium.error.DependencyNotInstalled:
            continue
        assert only.data.prompt and only.data.system_prompt and only.data.idx == 0
    with pytest.raises(gymnasium.error.NameNotFound):
        list(LmrlTaskset(LmrlConfig(env="lmrl/Wordel-v0")))
