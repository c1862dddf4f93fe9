"""Online play on a server that follows the policy: ids in, ids and log-probabilities out, new weights after every round.

    lmrl train ppo ... --set rollout.server=http://host:8000/v1

A policy with adapters (`model.lora_rank`) is sent as an adapter under a new name for each version (vLLM's ``load_lora_adapter``): the
name in every answer tells the weights that drew it. Whole weights replace the files of the folder that is served (``rollout.folder``) and
are read again (vLLM's documented ``sleep``, ``wake_up``, ``reload_weights``, ``wake_up``). Either way the server must then say the
log-probabilities of two fixed prompts that the policy had when it was written, before anything is played and after: half-loaded,
older or other weights stop the run, a server that is gone is waited for and sent the weights again.

With ``max_lag`` > 0 the games of later rounds are played while a round is learned from. What is learned then is

    min(C, pi_t(x | s) / mu(x | s)) times the advantage,    ratio and clipping from pi_t on,

mu being the server's log-probability and pi_t the policy that the round's learning starts from (truncated importance sampling, Espeholt
et al., arXiv 1802.01561; the behaviour policy apart from the proximal one, Hilton et al., arXiv 2110.00641). How it is started:
docs/scale.md.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmrl_agents.learning.run import ROLLOUT, TrainingError, TrainingRun
from lmrl_agents.models.distributed import rank, world_size
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Generated, Sampling, evaluating
from lmrl_agents.playing.policy_agent import Recorder
from lmrl_agents.playing.protocol import AgentStopped
from lmrl_agents.playing.served import Continuation, TokenQuery, TokenServer
from lmrl_envs.partners.backend import Failure
from lmrl_envs.partners.chat_http import Exchange
from lmrl_envs.partners.chat_server import ServerSettings
from lmrl_envs.partners.server_replies import UNREADABLE, read_json, read_refusal

TRIES = 3
"""How often weights are sent, and what came to nothing is asked again, before the run stops."""
PROBE_TOKENS = 32
"""Of each prompt by which a server's weights are told."""


@dataclass(frozen=True)
class RolloutConfig:
    """Where the games of online training are played: the table ``rollout`` of the settings."""

    server: str = ""
    """Addresses of the servers with their path (``http://127.0.0.1:8000/v1``), one for each training process, with commas between;
    "": games are played in the training processes. A key only from ``$OPENAI_API_KEY``."""
    folder: str = ""
    """Shared by trainers and servers: where adapters are written (default: ``served`` in the run's folder), or, for whole weights, the
    folder that is served."""
    max_lag: int = 0
    """Most updates (rounds of learning) between the weights that drew a token and those that learn from it; 0: play and learning by
    turns."""
    truncation: float = 2.0
    """C: greatest weight of what other weights drew."""
    tolerance: float = 0.01
    """How far apart log-probabilities of server and policy may be: 32-bit weights on both sides; half precision needs more."""
    concurrency: int = 256
    """Requests under way."""
    timeout: float = 60.0
    """Seconds that connecting, and each silence of the server, may last."""
    deadline: float = 600.0
    """Seconds that a request, reading new weights, or a restart of the server may take."""

    @classmethod
    def of(cls, run: TrainingRun) -> RolloutConfig:
        """Of a run.

        Raises:
            ValueError: an unknown setting, or one that is impossible.
        """
        table = run.tables().get(ROLLOUT, {})
        known = [entry.name for entry in fields(cls)]
        for name in table:
            if name not in known:
                raise ValueError(f"{ROLLOUT} has no setting {name!r}; it has {', '.join(known)}")
        found = cls(**table)
        if table and not found.server:
            raise ValueError(f"{ROLLOUT}.server is missing: without a server games are played here")
        if type(found.max_lag) is not int or found.max_lag < 0 or found.truncation < 1 or found.tolerance <= 0:
            raise ValueError(
                f"{ROLLOUT}: max_lag={found.max_lag} must be a number of rounds, truncation={found.truncation} at least 1 "
                f"and tolerance={found.tolerance} positive"
            )
        return found


class ServerProblem(RuntimeError):
    """A server cannot do what was asked, at least not now."""


class OtherWeights(ServerProblem):
    """A server has other weights than the policy."""


class PolicyServer(TokenServer):
    """A server whose weights are replaced: `TokenServer`, with what vLLM has for that."""

    def __init__(self, settings: ServerSettings, policy: LanguageModel, sampling: Sampling) -> None:
        super().__init__("", settings, f"{ROLLOUT}.server", policy.tokenizer, sampling)
        self.vocabulary = policy.vocabulary
        root = str(settings.base_url).rstrip("/").removesuffix("/v1")
        self._admin = Exchange(root, self._key, settings.deadline, 1)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        """POST to the server's root (GET without a body); raises `ServerProblem`."""
        content = None if body is None else json.dumps(body).encode()
        reply = self._admin.send(path, content, time.monotonic() + self.settings.deadline, self.max_body)
        if isinstance(reply, Failure):
            raise ServerProblem(self._told(reply).why)
        if not reply.is_good:
            why = self._shown(read_refusal(reply.status, reply.body).text, 200)
            raise ServerProblem(f"{self.host} answered {path} with status {reply.status}: {why}")
        return reply.body

    def names(self) -> list[str]:
        """Of the models and adapters that it has."""
        try:
            return [str(model["id"]) for model in read_json(self.ask("/v1/models"))["data"]]
        except UNREADABLE:
            raise ServerProblem(f"{self.host} did not send a list of models") from None

    def wait(self, stopped: threading.Event) -> None:
        """Until it answers, or the deadline is over (`ServerProblem`)."""
        until, pause = time.monotonic() + self.settings.deadline, self.settings.backoff
        while True:
            try:
                self.names()
                return
            except ServerProblem:
                if time.monotonic() >= until or stopped.wait(pause):
                    raise
                pause = min(2 * pause, 10.0)

    def logprobs(self, prompt: Sequence[int]) -> list[float]:
        """What it says of the tokens of a prompt after the first."""
        asked = {"model": self.model, "prompt": list(prompt), "max_tokens": 1, "prompt_logprobs": 1, "temperature": 0.0}
        body = self.ask("/v1/completions", asked)
        try:
            reply = read_json(body)
            if reply["model"] != self.model:
                raise OtherWeights(f"{self.host} answered as {str(reply['model'])[:80]!r}, not as {self.model!r}")
            rows = reply["choices"][0]["prompt_logprobs"][1:]
            return [float(row[str(i)]["logprob"]) for i, row in zip(prompt[1:], rows, strict=True)]
        except UNREADABLE:
            raise ServerProblem(f"{self.host} sent no log-probabilities of a prompt (vLLM does)") from None

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._admin.close()


class Follower:
    """Plays a run's rounds on a server that is sent the policy.

    Args:
        run: what is trained.
        policy: its policy, as it learns.
        rounds: how many there are.
        temperature: of play.
        play: plays a round with a recorder.

    Raises:
        TrainingError: this policy cannot be played on a server.
    """

    def __init__(
        self,
        run: TrainingRun,
        policy: LanguageModel,
        rounds: int,
        temperature: float,
        play: Callable[[int, Recorder], Any],
    ) -> None:
        self.config, self.policy, self.rounds, self.play = RolloutConfig.of(run), policy, rounds, play
        config, self.has_adapters = self.config, bool(policy.config.lora_rank)
        addresses = config.server.split(",")
        if len(addresses) != world_size():
            raise TrainingError(f"{len(addresses)} addresses in {ROLLOUT}.server for {world_size()} training processes")
        if policy.config.outputs:
            raise TrainingError(f"{ROLLOUT}.server: actions that are a choice (text.choice) are not drawn on a server")
        if not self.has_adapters and (not config.folder or world_size() > 1):
            raise TrainingError(
                f"{ROLLOUT}.server: whole weights go to one server, through the folder that it serves ({ROLLOUT}.folder); "
                "adapters (model.lora_rank) to any number"
            )
        settings = ServerSettings(
            base_url=addresses[rank()], concurrency=config.concurrency, timeout=config.timeout, deadline=config.deadline
        )
        self.sampling = Sampling(temperature, max_tokens=policy.form.max_action_tokens)
        self.server = PolicyServer(settings, policy, self.sampling)
        self.folder = Path(config.folder or run.out / "served").absolute()
        self.tag = f"{run.out.name}-{secrets.token_hex(4)}"
        if not self.has_adapters:
            self.server.model = config.folder
        length = min(PROBE_TOKENS, policy.max_positions - 1)
        draws = np.random.default_rng(0).integers(len(policy.tokenizer), size=(2, length))
        self.prompts: list[list[int]] = draws.tolist()
        self.expected: dict[int, list[list[float]]] = {}
        self.newest = self.playing = -1
        self.stopped = threading.Event()
        self._pool = ThreadPoolExecutor(1, "play")
        self._games: dict[int, Future[tuple[Any, int]]] = {}

    # -- in the thread that learns

    def round(self, number: int) -> tuple[Any, int]:
        """The games of a round, after the weights as they are now were written for the server; and the version that played them
        (the number of rounds that it had learned from).

        Raises:
            TrainingError: the server failed, or has other weights.
        """
        self.publish(number)
        for later in range(number, min(number + self.config.max_lag + 1, self.rounds)):
            if later not in self._games:
                self._games[later] = self._pool.submit(self._play, later)
        try:
            games, version = self._games.pop(number).result()
        except AgentStopped as problem:
            raise TrainingError(f"round {number}: {problem}; go on with --resume") from None
        if not number - self.config.max_lag <= version <= number:
            raise TrainingError(f"round {number} was played by version {version} (max_lag={self.config.max_lag})")
        return games, version

    def publish(self, version: int) -> None:
        """Write the policy as a version, and keep what it says of the prompts."""
        if rank() == 0:
            folder = self._folder(version)
            self._drop(folder)
            self.policy.export(folder)
        if world_size() > 1:
            torch.distributed.barrier()
        for old in [v for v in self.expected if v < version - self.config.max_lag]:  # no process plays by it any more
            del self.expected[old]
            self._drop(self._folder(old))
        self.expected[version] = [logprobs_of(self.policy, prompt) for prompt in self.prompts]
        self.newest = version

    def close(self) -> None:
        """Play nothing more; take the last adapter off the server, if it is there."""
        self.stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        try:
            if self.has_adapters and self.playing >= 0:
                self.server.ask("/v1/unload_lora_adapter", {"lora_name": self.server.model})
        except ServerProblem:
            pass  # it is gone, or has forgotten it
        self.server.close()
        if rank() == 0:
            for version in self.expected:
                self._drop(self._folder(version))

    # -- in the thread that plays

    def _play(self, number: int) -> tuple[Any, int]:
        version = self.newest
        if version != self.playing:
            self.adopt(version)
        games = self.play(number, ServerRecorder(self))
        try:
            self.check(version)
        except OtherWeights as problem:
            raise AgentStopped(f"{problem}: the round is not learned from") from None
        except ServerProblem:
            pass  # it has gone since; what was played before was drawn by a version that was checked
        return games, version

    def adopt(self, version: int) -> None:
        """Have the server play by a version.

        Raises:
            AgentStopped: it cannot, after all retries.
        """
        for left in reversed(range(TRIES)):
            try:
                self.server.wait(self.stopped)
                self._send(version)
                self.check(version)
                break
            except ServerProblem as problem:
                if not left or self.stopped.is_set():
                    raise AgentStopped(f"{ROLLOUT}.server: {problem}") from None
        self.playing = version

    def _send(self, version: int) -> None:
        server, folder = self.server, self._folder(version)
        if self.has_adapters:
            name, known = f"{self.tag}-v{version}", server.names()
            for old in {name, server.model} & set(known):
                server.ask("/v1/unload_lora_adapter", {"lora_name": old})
            server.ask("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})
            server.model = name
            return
        for path in folder.iterdir():
            fresh = self.folder / f".{path.name}"
            shutil.copy2(path, fresh)
            os.replace(fresh, self.folder / path.name)
        for path in self.folder.glob("*.safetensors*"):
            if not (folder / path.name).exists():
                path.unlink()  # a part of other weights
        server.ask("/sleep?level=2", {})
        server.ask("/wake_up?tags=weights", {})
        server.ask("/collective_rpc", {"method": "reload_weights"})
        server.ask("/wake_up?tags=kv_cache", {})

    def check(self, version: int) -> None:
        """Compare what the server says of the prompts with what the policy said as it was written.

        Raises:
            ServerProblem: it cannot be asked, or has other weights (`OtherWeights`).
        """
        for prompt, expected in zip(self.prompts, self.expected[version], strict=True):
            apart = np.abs(np.subtract(self.server.logprobs(prompt), expected)).max()
            if not apart <= self.config.tolerance:
                raise OtherWeights(
                    f"{self.server.host} has other weights than version {version} of the policy: log-probabilities are up to "
                    f"{apart:.3g} apart (tolerance {self.config.tolerance:g}; serve 32-bit weights: vllm serve --dtype float32)"
                )

    def draw(self, queries: Sequence[TokenQuery]) -> list[Generated]:
        """What the server draws. A server that is gone is waited for, and sent the weights again.

        Raises:
            AgentStopped: it comes to nothing, after all retries.
        """
        drawn: dict[int, Generated] = {}
        problem = ""
        for _ in range(TRIES):
            if self.stopped.is_set():
                raise AgentStopped("training has stopped")
            left = [i for i in range(len(queries)) if i not in drawn]
            with closing(self.server.complete([queries[i] for i in left], self.sampling.max_tokens)) as results:
                for k, result in results:
                    if isinstance(result, Failure):
                        problem = result.why
                    elif result.model != self.server.model:
                        problem = f"{self.server.host} answered as {result.model[:80]!r}, not as {self.server.model!r}"
                    elif isinstance(result, Continuation):
                        drawn[left[k]] = Generated(result.ids, result.logprobs)
            if len(drawn) == len(queries):
                return [drawn[i] for i in range(len(queries))]
            self.adopt(self.playing)
        raise AgentStopped(f"{ROLLOUT}.server: {problem}")

    # -- files

    def _folder(self, version: int) -> Path:
        return self.folder / f"{self.tag}-v{version}" if self.has_adapters else self.folder / f".version-{version}"

    @staticmethod
    def _drop(folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)


class ServerRecorder(Recorder):
    """Keeps the ids that a server drew."""

    def __init__(self, follower: Follower) -> None:
        policy = follower.policy
        super().__init__(policy, policy.form, follower.sampling)
        self.follower, self._room = follower, policy.max_positions - follower.sampling.max_tokens

    def generate(
        self, keys: Sequence[Hashable], contexts: Sequence[Sequence[int]], uniforms: Sequence[Callable[[], float]]
    ) -> list[Generated]:
        """As `TokenAgent.generate`; the server sees the first of an action's random numbers as its seed."""
        heat = self.sampling.temperature
        return self.follower.draw(
            [
                TokenQuery([], int(uniform() * 2**31), heat, ids=tuple(context[-self._room :]))
                for context, uniform in zip(contexts, uniforms, strict=True)
            ]
        )


@torch.inference_mode()
def logprobs_of(policy: LanguageModel, prompt: Sequence[int]) -> list[float]:
    """Log-probabilities of a prompt's tokens after the first."""
    ids = torch.tensor([prompt], device=policy.device)
    with evaluating(policy):
        states = policy.networks[0](input_ids=ids).last_hidden_state[0]
        logs = torch.log_softmax(policy.logits([states])[:-1].double(), dim=1)
    return logs.gather(1, ids[0, 1:, None])[:, 0].tolist()
