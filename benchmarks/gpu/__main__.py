"""What one GPU does: correctness, rates of training and playing, memory, and the suite ``small``. Nothing is downloaded.

    python benchmarks/gpu [--only PART ...] [--device cuda] [--minutes 6] [--json FILE] [--sizes small]

Parts, each of which ends within ``--minutes`` and goes on where it was when it is run again:

    correct    the tests marked gpu
    training   seconds and tokens of a step of BC, ILQL and PPO, with the share of the largest matrix product's rate (MFU: 6 operations
               a weight and token, 2 for what is read alone), at GPT-2 small and at a 0.5 B Llama of random weights
    playing    tokens drawn a second at 512 games of Wordle at once, and bytes of cache a game
    suite      ``lmrl leaderboard run small`` until the time is up

Rows go to ``benchmarks/results/gpu.json`` with machine, packages and commit; a row that is there for this commit and these sizes is not
measured again. ``--sizes tiny --device cpu`` only tries whether everything works: its rows are marked so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmrl_agents.algorithms.bc import read_token
from lmrl_agents.algorithms.ilql import Config as IlqlConfig
from lmrl_agents.algorithms.ilql import ilql_loss
from lmrl_agents.learning.losses import clipped_policy_loss, clipped_value_loss, mean
from lmrl_agents.learning.online import new_logprobs
from lmrl_agents.learning.optimisation import adamw
from lmrl_agents.models.chunks import read
from lmrl_agents.models.critic import Critic, CriticConfig, least
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.sampling import Sampling
from lmrl_agents.models.steps import StepBatch, StepStore
from lmrl_agents.models.tokenizer import TaskTokenizer, train_tokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_agents.playing.policy_agent import Recorder
from lmrl_agents.playing.rollout import Rollout
from lmrl_datasets import load_dataset
from lmrl_envs.files import provenance, write_json

ROOT = Path(__file__).parents[2]
WORDLE = "lmrl/Wordle-v0"
FORM = TextFormat(max_tokens=480, max_action_tokens=24, env_id=WORDLE)
PARTS = ("correct", "training", "playing", "suite")
SIZES: dict[str, dict[str, Any]] = {
    "small": {
        "tokens": 65_536,
        "pass": 65_536,
        "games": 512,
        "matrix": 8192,
        "steps": 8,
        "shapes": ("gpt2-small", "llama-0.5b"),
    },
    "tiny": {
        "tokens": 2_000,
        "pass": 1_000,
        "games": 8,
        "matrix": 256,
        "steps": 1,
        "shapes": ("gpt2-tiny", "llama-tiny"),
    },
}


class Rows:
    """The file of rows."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path, self.about = path, about
        self.rows: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []

    def add(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Measure a row, unless it is there."""
        if any(row["name"] == name and row["about"] == self.about for row in self.rows):
            return
        try:
            found = measure()
        except torch.OutOfMemoryError as problem:
            found = {"failed": str(problem).splitlines()[0]}
        self.rows = [row for row in self.rows if row["name"] != name]
        self.rows.append({"name": name, **found, "about": self.about})
        write_json(self.path, {"command": "python benchmarks/gpu", "rows": self.rows})
        print(json.dumps({"name": name, **found}), flush=True)


def synchronize(device: str) -> None:
    """Wait for what the device was asked to do."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], Any], times: int, device: str) -> float:
    """Seconds of one run of the work, after one that is not counted."""
    work()
    synchronize(device)
    began = time.perf_counter()
    for _ in range(times):
        work()
    synchronize(device)
    return (time.perf_counter() - began) / times


def peak(size: int, device: str) -> float:
    """Operations a second of a square bfloat16 product."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    return 2 * size**3 / seconds_of(lambda: a @ a, 10, device)


def model_of(shape: str, tokenizer: TaskTokenizer, device: str) -> LanguageModel:
    """A network of random weights."""
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

    configs = {
        "gpt2-small": GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, activation_function="gelu_pytorch_tanh"),
        "llama-0.5b": LlamaConfig(
            vocab_size=151_936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
            num_key_value_heads=2, tie_word_embeddings=True, max_position_embeddings=2048,
        ),
        "gpt2-tiny": GPT2Config(n_layer=2, n_embd=32, n_head=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0),
        "llama-tiny": LlamaConfig(
            vocab_size=2000, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1
        ),
    }  # fmt: skip
    torch.manual_seed(0)
    lm = AutoModelForCausalLM.from_config(configs[shape])
    return LanguageModel(lm, tokenizer, FORM, ModelConfig()).eval().to(device)


def games() -> tuple[TaskTokenizer, StepStore]:
    """The sample of Wordle as ids."""
    data = load_dataset("wordle/mixed-v0", sample=True, env_id=WORDLE)
    texts = [text for episode in data for text in FORM.reading.texts(episode.transcript)]
    tokenizer = train_tokenizer(texts, units="words", max_size=2048)
    episodes = [
        TokenEpisode.from_transcript(e.transcript, e.terminated, e.truncated, tokenizer, FORM) for e in data
    ]  # fmt: skip
    return tokenizer, StepStore.of(episodes, FORM, tokenizer.pad)


def batches_of(store: StepStore, tokens: int, most: int, device: str) -> list[StepBatch]:
    """Some ``tokens`` tokens of rows, in passes."""
    order = np.random.default_rng(0).permutation(store.groups)
    lengths = store.column[store.group_start[order + 1] - 1] + 1
    repeats = -(-tokens // int(lengths.sum()))
    groups = np.tile(order, repeats)[: int(np.searchsorted(np.cumsum(np.tile(lengths, repeats)), tokens)) + 1]
    store.pass_tokens = most
    return [store.batch(store.steps_of(part)).to(device) for part in store.parts(groups)]


def losses(
    algorithm: str, model: LanguageModel
) -> tuple[Callable[[StepBatch], torch.Tensor], list[torch.nn.Module], float]:
    """The loss of a pass, what is trained by it, and operations a weight and token."""
    if algorithm == "bc":

        def cloning(batch: StepBatch) -> torch.Tensor:
            return mean(read(model, read_token, model.action_states(batch), batch.token)[0], batch.weight)

        return cloning, [model], 6
    if algorithm == "ilql":
        critic = Critic.beside(model, CriticConfig())
        target, config = critic.target(), IlqlConfig()

        def ilql(batch: StepBatch) -> torch.Tensor:
            states = critic.states(batch)
            values = critic.value(states)
            with torch.no_grad():
                slow = least(target.values_of(target.states(batch)[batch.state], batch.token))
            here, after = values[batch.state], values[batch.next_state]
            return ilql_loss(critic.taken(states[batch.state], batch.token), here, slow, after, batch, config)[0]

        return ilql, [critic], 8
    critic = Critic.beside(model, CriticConfig(("value",)))

    def ppo(batch: StepBatch) -> torch.Tensor:
        logprobs = new_logprobs(model, batch, 1.0)[0]
        values = critic.value(critic.states(batch))[batch.state]
        zeros = torch.zeros_like(values)
        loss = clipped_policy_loss(logprobs, logprobs.detach(), zeros + 1, 0.2, batch.weight)
        return loss + clipped_value_loss(values, zeros, zeros + 1, 0.2, batch.weight)

    return ppo, [model, critic], 12


def head_of(model: LanguageModel) -> int:
    """Weights of the output layer, which action positions alone are multiplied by."""
    return model.vocabulary * model.lm.config.get_text_config().hidden_size


def training(shape: str, algorithm: str, sizes: dict[str, Any], device: str, highest: float) -> dict[str, Any]:
    """Seconds of an optimizer step, bfloat16 computed."""
    tokenizer, store = games()
    model = model_of(shape, tokenizer, device)
    loss_of, trained, operations = losses(algorithm, model)
    optimizer = adamw(1e-5, 0.0, *trained)
    batches = batches_of(
        store, sizes["tokens"], sizes["pass"] if shape.startswith("gpt2") else sizes["pass"] // 4, device
    )
    looked_up = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    weights = sum(p.numel() for p in model.lm.base_model.parameters() if id(p) not in looked_up)
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        for batch in batches:
            with torch.autocast(torch.device(device).type, torch.bfloat16):
                loss = loss_of(batch)
            loss.backward()
        optimizer.step()

    seconds = seconds_of(step, sizes["steps"], device)
    tokens = sum(int(batch.length.sum()) for batch in batches)
    heads = 0 if algorithm == "ilql" else sum(len(batch.state_row) for batch in batches) * head_of(model)
    rate = (operations * weights * tokens + 6 * heads) / seconds
    memory = torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None
    return {
        "seconds_a_step": seconds, "tokens_a_step": tokens, "tokens_a_second": tokens / seconds, "weights": weights,
        "mfu": rate / highest, "peak_operations": highest, "bytes_at_most": memory,
    }  # fmt: skip


def playing(shape: str, sizes: dict[str, Any], device: str) -> dict[str, Any]:
    """Tokens drawn a second, the environment's time included, and what a game's cache takes."""
    tokenizer, _ = games()
    model = model_of(shape, tokenizer, device)
    # A policy of random weights seldom ends an action: it is cut as play would cut it.
    recorder = Recorder(model, FORM, Sampling(1.0, max_tokens=8))
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device) if device.startswith("cuda") else 0
    began = time.perf_counter()
    with torch.autocast(torch.device(device).type, torch.bfloat16):
        played = list(Rollout(recorder, WORDLE, slots=sizes["games"]).play(range(sizes["games"]), 0, "train"))
    synchronize(device)
    seconds = time.perf_counter() - began
    most = torch.cuda.max_memory_allocated(device) - before if device.startswith("cuda") else None
    return {
        "games": len(played), "seconds": seconds, "tokens_drawn": recorder.tokens_generated,
        "tokens_a_second": recorder.tokens_generated / seconds, "bytes_a_game": most and most / len(played),
    }  # fmt: skip


def within(command: list[str], seconds: float) -> dict[str, Any]:
    """Run a command that goes on where it was; stopped when the time is up."""
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        return {"command": command[1:], "status": process.wait(timeout=seconds)}
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
        return {"command": command[1:], "status": "time is up: run it again"}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=6.0, help="of each part")
    parser.add_argument("--sizes", choices=SIZES, default="small")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "gpu.json")
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here; --device cpu --sizes tiny tries whether everything works")
    name = torch.cuda.get_device_name(given.device) if given.device.startswith("cuda") else "cpu"
    rows = Rows(given.json, {**provenance(), "device": name, "sizes": given.sizes})
    sizes, python, device = SIZES[given.sizes], sys.executable, given.device
    for part in given.only:
        until = time.monotonic() + 60 * given.minutes
        if part == "correct":
            marked = [python, "-m", "pytest", "-q", "-m", "gpu", "tests"]
            rows.add("tests marked gpu", lambda marked=marked: within(marked, 60 * given.minutes))
        elif part == "suite":
            order = [
                python,
                "-m",
                "lmrl_benchmarks",
                "leaderboard",
                "run",
                "small",
                "--out",
                "runs/gpu-small",
                "--device",
                device,
            ]
            print(json.dumps(within(order, 60 * given.minutes)))
        else:
            highest = peak(sizes["matrix"], device)
            for shape in sizes["shapes"]:
                jobs = ("bc", "ilql", "ppo") if part == "training" else ("rollouts",)
                for job in jobs:
                    if time.monotonic() > until:
                        print(f"{part}: time is up; run it again for the rows that are left")
                        return
                    if job == "rollouts":
                        rows.add(f"{shape} {job}", lambda shape=shape: playing(shape, sizes, device))
                    else:
                        rows.add(
                            f"{shape} {job}",
                            lambda shape=shape, job=job, highest=highest: training(shape, job, sizes, device, highest),
                        )


if __name__ == "__main__":
    main()
