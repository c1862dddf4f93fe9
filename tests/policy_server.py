"""A server as vLLM documents it, with a tiny model, in a process of its own: python policy_server.py FOLDER PORT [--lora]

/v1/models, /v1/completions (ids in, ids and log-probabilities out, as with --logprobs-mode processed_logprobs), /v1/load_lora_adapter,
/v1/unload_lora_adapter, /sleep, /wake_up, /collective_rpc. POST /faults sets what goes wrong (FAULTS), GET /seen tells what was asked, GET
/weights the hash of the weights in play (`hash_of`).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

FAULTS = {
    "half": 0,  # so many loads read half of the tensors, and say that all is well
    "stale": 0,  # so many loads read nothing, and say that all is well
    "fails": 0,  # so many loads end with status 500
    "renamed": 0,  # so many completions say that another model made them
    "dies_after": -1,  # the process is gone after so many more completions
    "other_after": -1,  # the weights are others after so many more completions
    "slow": 0.0,  # seconds before each completion
    "raw": 0,  # log-probabilities are told before temperature
}


def hash_of(weights: Mapping[str, torch.Tensor]) -> str:
    """Of weights by name, to the last bit."""
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode() + weights[name].detach().contiguous().numpy().tobytes())
    return found.hexdigest()


class Server:
    def __init__(self, folder: str, lora: bool) -> None:
        self.folder, self.lora = folder, lora
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        if lora:
            self.base = {name: w.clone() for name, w in self.model.state_dict().items()}
        self.adapters: dict[str, dict[str, torch.Tensor]] = {}
        self.held: str | None = None  # the adapter that is in the weights
        self.asleep: set[str] = set()
        self.faults: dict[str, Any] = dict(FAULTS)
        self.seen: list[Any] = []
        self.lock = threading.Lock()

    def count(self, fault: str) -> bool:
        self.faults[fault] -= self.faults[fault] > 0
        return self.faults[fault] == 0 and fault.endswith("_after")

    def takes(self, fault: str) -> bool:
        does = self.faults[fault] > 0
        self.faults[fault] -= does
        return does

    # -- weights

    def adapter(self, path: Path) -> dict[str, torch.Tensor]:
        """What is added to which weights: (alpha / rank) B A."""
        config = json.loads((path / "adapter_config.json").read_text())
        weights, scale = load_file(path / "adapter_model.safetensors"), config["lora_alpha"] / config["r"]
        names = [name for name in weights if "lora_A" in name]
        names = names[: len(names) // 2] if self.takes("half") else names
        return {
            name.removeprefix("base_model.model.").replace(".lora_A", ""): scale
            * weights[name.replace("lora_A", "lora_B")]
            @ weights[name]
            for name in names
        }

    def hold(self, name: str) -> None:
        """Put the adapter of a name into the weights."""
        if self.lora and name != self.held:
            added = self.adapters.get(name, {})
            self.model.load_state_dict({k: w + added[k] if k in added else w for k, w in self.base.items()})
            self.held = name

    def reload(self) -> None:
        for file in Path(self.folder).glob("*.safetensors"):
            weights = load_file(file)
            kept = sorted(weights)[: len(weights) // 2] if self.takes("half") else list(weights)
            self.model.load_state_dict({name: weights[name] for name in kept}, strict=False)
            self.model.tie_weights()

    # -- requests

    def post(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/faults":
            self.faults.update(body)
            return 200, {}
        self.seen.append([path, body.get("lora_name") or body.get("model") or query])
        if path == "/v1/completions":
            return self.complete(body)
        if path == "/v1/load_lora_adapter" and self.lora:
            name, folder = body["lora_name"], Path(body["lora_path"])
            if self.takes("fails"):
                return 500, {"error": {"message": "out of memory", "type": "InternalServerError", "code": 500}}
            if name in self.adapters:
                return 400, {"error": {"message": f"The lora adapter '{name}' has already been loaded.", "code": 400}}
            if not (folder / "adapter_config.json").is_file():
                return 404, {"error": {"message": f"No adapter found for {folder}", "code": 404}}
            self.adapters[name] = {} if self.takes("stale") else self.adapter(folder)
            return 200, f"Success: LoRA adapter '{name}' added successfully."
        if path == "/v1/unload_lora_adapter" and self.lora:
            if self.adapters.pop(body["lora_name"], None) is None:
                return 404, {"error": {"message": "The lora adapter cannot be found.", "code": 404}}
            self.held = None
            return 200, "Success"
        if path == "/sleep" and query["level"] == ["2"]:
            self.asleep = {"weights", "kv_cache"}
            if not self.faults["stale"]:
                for weight in self.model.parameters():
                    weight.data.zero_()
            return 200, ""
        if path == "/wake_up":
            self.asleep -= set(query["tags"])
            return 200, ""
        if path == "/collective_rpc" and body["method"] == "reload_weights" and "weights" not in self.asleep:
            if self.takes("fails"):
                return 500, {"error": {"message": "out of memory", "code": 500}}
            if not self.takes("stale"):
                self.reload()
            return 200, {"results": [None]}
        return 404, {"detail": "Not Found"}

    def complete(self, body: dict[str, Any]) -> tuple[int, Any]:
        time.sleep(self.faults["slow"])
        name = body["model"]
        if name not in (self.folder, *self.adapters):
            return 404, {"error": {"message": f"The model `{name}` does not exist.", "type": "NotFoundError"}}
        if self.asleep:
            return 500, {"error": {"message": "the engine sleeps"}}
        with self.lock, torch.inference_mode():
            if self.count("dies_after"):
                os._exit(9)
            self.hold(name)
            if self.count("other_after"):
                for weight in self.model.parameters():
                    weight.data += 0.1 * torch.randn_like(weight)
            choice: dict[str, Any] = {"index": 0, "text": ""}
            if "prompt_logprobs" in body:
                logits = self.model(input_ids=torch.tensor([body["prompt"]])).logits[0].double()
                logs = torch.log_softmax(logits, dim=1)
                rows = [
                    {str(i): {"logprob": float(row[i]), "rank": 1}}
                    for row, i in zip(logs[:-1], body["prompt"][1:], strict=True)
                ]
                choice["prompt_logprobs"] = [None, *rows]
            ids, told = self.draw(body)
        choice |= {"token_ids": ids, "finish_reason": "length", "logprobs": {"token_logprobs": told}}
        if ids[-1] in body.get("stop_token_ids", ()):
            choice["finish_reason"] = "stop"
        shown = "another" if "prompt_logprobs" not in body and self.takes("renamed") else name
        return 200, {"id": "cmpl-1", "object": "text_completion", "model": shown, "choices": [choice]}

    def draw(self, body: dict[str, Any]) -> tuple[list[int], list[float]]:
        uniform, heat = np.random.default_rng(body.get("seed", 0)).random, body["temperature"]
        ids, told, given, past = [], [], list(body["prompt"]), None
        while len(ids) < body["max_tokens"] and not (ids and ids[-1] in body.get("stop_token_ids", ())):
            read = self.model(input_ids=torch.tensor([given]), past_key_values=past, use_cache=True)
            logits, past = read.logits[0, -1].double(), read.past_key_values
            chances = torch.softmax(logits / (heat or 1.0), dim=0).numpy()
            total = chances.cumsum()
            ids.append(int(total.searchsorted(uniform() * total[-1], "right")) if heat else int(logits.argmax()))
            shown = torch.softmax(logits, dim=0).numpy() if self.faults["raw"] else chances
            told.append(float(np.log(shown[ids[-1]])))
            given = ids[-1:]
        return ids, told


def main() -> None:
    torch.set_num_threads(1)
    server = Server(sys.argv[1], "--lora" in sys.argv)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, body: Any) -> None:
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            self.answer(*server.post(parts.path, parse_qs(parts.query), json.loads(content or b"{}")))

        def do_GET(self) -> None:
            names = [{"id": name} for name in (server.folder, *server.adapters)]
            told = {"/seen": lambda: server.seen, "/weights": lambda: {"sha256": hash_of(server.model.state_dict())}}
            self.answer(200, told.get(self.path, lambda: {"object": "list", "data": names})())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()


if __name__ == "__main__":
    main()
