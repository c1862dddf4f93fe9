"""A local Hugging Face language model: chats in, texts out, in batches, each row sampled with a seed of its own."""

from __future__ import annotations

import copy
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_envs.files import needs
from lmrl_envs.files.checkpoints import ADAPTER, named_checkpoint
from lmrl_envs.files.untrusted import read
from lmrl_envs.partners.backend import FREE, Completion, Failure, Messages, Meter, Query, Results, Usage
from lmrl_envs.partners.prompting import PLAIN_STOP, render_plain


class Prompter:
    """Chat messages as the tokens of a prompt, the same in training and in play.

    Uses the tokenizer's chat template, or the plain format (`render_plain`) without one. A text in a message never
    holds a control token of this tokenizer, whatever was quoted in it.
    """

    def __init__(
        self, tokenizer: Any, is_causal: bool = True, template_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self.tokenizer, self.is_causal = tokenizer, is_causal
        self.has_template = bool(tokenizer.chat_template)
        # Models that can think are told not to: the room for a reply is small.
        self._kwargs = {"enable_thinking": False} if template_kwargs is None else dict(template_kwargs)
        special = {str(t.content) for t in tokenizer.added_tokens_decoder.values() if t.special and t.content.strip()}
        self._reserved = sorted(special, key=len, reverse=True)

    def render(self, messages: Messages) -> str:
        """The prompt as a text that ends where the reply begins."""
        for token in self._reserved:
            messages = [{**m, "content": m["content"].replace(token, " ")} for m in messages]
        if not self.has_template:
            return render_plain(messages)
        try:
            return self._apply(messages)
        except Exception as error:
            # Some templates know no system message: it goes before the first message of the user then.
            if len(messages) < 2 or messages[0]["role"] != "system":
                raise ValueError(f"the model's chat template cannot word the prompt: {error}") from error
            first = {**messages[1], "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
            return self._apply([first, *messages[2:]])

    def _apply(self, messages: Messages) -> str:
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **self._kwargs)

    def encode(self, messages: Messages) -> list[int]:
        """The prompt as token ids."""
        ids = self.tokenizer(self.render(messages), add_special_tokens=not self.has_template)["input_ids"]
        if self.is_causal and not self.has_template and ids and ids[-1] == self.tokenizer.eos_token_id:
            ids = ids[:-1]  # some tokenizers end every text; a reply is still to come
        return ids


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """How a model runs here."""

    device: str = "cpu"
    """"cpu", "cuda", "cuda:1", ..."""
    dtype: str | None = None
    """"float32", "bfloat16", "float16"; None for that of the weights."""
    batch_size: int = 256
    """Most prompts in one call of ``generate``; halved when the device's memory is too small."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    chat_template_kwargs: Mapping[str, Any] | None = None
    """For the chat template; by default ``{"enable_thinking": False}``."""


def _base_of(path: str) -> str:
    """Where a model's network lies: of an adapter's folder (peft's) its checkpoint, which must be on this machine.

    Raises:
        ValueError: it is not, or the adapter's weights are no safetensors.
    """
    folder = Path(path)
    if not (folder / ADAPTER).exists():
        return path
    if not (folder / "adapter_model.safetensors").is_file():
        raise ValueError(f"{folder}: adapter_model.safetensors is no plain file in it")
    return str(named_checkpoint(folder, str(read(folder / ADAPTER, dict[str, Any]).get("base_model_name_or_path"))))


class LocalModel:
    """A causal or sequence-to-sequence model, run here: a `Backend`.

    Weights must be safetensors and code from a model's repository is never run. The prompt goes through the
    tokenizer's chat template; without one it has the plain format of `lmrl_envs.partners.prompting.render_plain`.
    Sampling draws from a stream per prompt, not from PyTorch's: what is said does not depend on what else is in the
    batch (up to floating point).

    Args:
        path_or_id: a folder, or the id of a model on the Hugging Face hub.
        settings: how it runs.
        user: who asks, for error messages (``simulator='transformers:...'``).

    Raises:
        gymnasium.error.DependencyNotInstalled: PyTorch or transformers is missing.
        ValueError: the model cannot be loaded, or a setting is impossible.
    """

    has_tools = False

    def __init__(self, path_or_id: str | os.PathLike[str], settings: LocalSettings, user: str) -> None:
        needs(user, "torch", "transformers")
        import torch
        import transformers

        self.torch: Any = torch
        self._transformers: Any = transformers
        if settings.batch_size < 1:
            raise ValueError(f"batch_size={settings.batch_size} must be at least 1")
        dtypes = {None: "auto", **{name: getattr(torch, name) for name in ("float32", "bfloat16", "float16")}}
        if settings.dtype not in dtypes:
            known = ", ".join(map(repr, dtypes))
            raise ValueError(f"dtype={settings.dtype!r} is not known; choose one of {known}")
        self.path = os.fspath(path_or_id)
        self.batch_size = self.slots = settings.batch_size
        self.usage = Usage()
        self._load(self.path, user, settings.device, dtypes[settings.dtype], settings.revision)
        self.prompter = Prompter(self.tokenizer, self.is_causal, settings.chat_template_kwargs)

    def _load(self, path: str, user: str, device: str, dtype: Any, revision: str | None) -> None:
        tf = self._transformers
        options: dict[str, Any] = {"trust_remote_code": False}
        if revision is not None:
            options["revision"] = revision
        try:
            base = _base_of(path)
            options |= {"local_files_only": True} if os.path.isdir(path) else {}
            config = tf.AutoConfig.from_pretrained(base, **options)
            self.is_causal = not config.is_encoder_decoder
            kind = tf.AutoModelForCausalLM if self.is_causal else tf.AutoModelForSeq2SeqLM
            self.tokenizer: Any = tf.AutoTokenizer.from_pretrained(path, padding_side="left", **options)
            model = kind.from_pretrained(base, use_safetensors=True, dtype=dtype, **options)
            if base != path:
                model.load_adapter(path)
            self.model: Any = model.to(device).eval()
        except Exception as error:  # of many kinds: a folder, weights, a config, a device that is not there
            raise ValueError(f"{user} cannot be loaded: {error}") from error
        if self.tokenizer.pad_token_id is None:
            if self.tokenizer.eos_token is None:
                raise ValueError(f"{user}: the tokenizer has neither a pad nor an eos token")
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._generation = self._decoding(self.model.generation_config)
        self.commit: str | None = getattr(config, "_commit_hash", None)
        limits = [getattr(config, "max_position_embeddings", None), self.tokenizer.model_max_length]
        self.max_tokens = min((int(n) for n in limits if n and n < 10**7), default=10**7)
        """Tokens that the model takes, prompt and (in causal models) answer together."""

    def _decoding(self, own: Any) -> Any:
        """The model's generation settings (end tokens, forced tokens) without any search or sampling."""
        config = copy.deepcopy(own)
        config.update(do_sample=False, num_beams=1, max_length=None, pad_token_id=self.tokenizer.pad_token_id)
        config.update(temperature=1.0, top_p=1.0, top_k=50, min_p=None, typical_p=1.0, return_dict_in_generate=False)
        if config.eos_token_id is None:
            config.eos_token_id = self.tokenizer.eos_token_id
        return config

    def room(self, max_tokens: int) -> int:
        """Longest prompt, in tokens, that leaves room for a completion of ``max_tokens``."""
        return self.max_tokens - (max_tokens if self.is_causal else 0)

    def fits(self, messages: Messages, max_tokens: int) -> bool:
        """Whether a prompt leaves room for the completion."""
        return len(self.prompter.encode(messages)) <= self.room(max_tokens)

    def complete(self, queries: Sequence[Query], max_tokens: int, meter: Meter = FREE) -> Results:
        """See `Backend.complete`; batch by batch, prompts of like length together."""
        encoded = [self.prompter.encode(query.messages) for query in queries]
        reserved: dict[int, float] = {}
        for i in sorted(range(len(encoded)), key=lambda i: -len(encoded[i])):
            amount = self._reserve(len(encoded[i]), max_tokens, meter)
            if isinstance(amount, Failure):
                yield i, amount
                if amount.advice:
                    break
            else:
                reserved[i] = amount
        waiting = list(reserved)
        while waiting:
            batch = waiting[: self.batch_size]
            try:
                found = self._generate([queries[i] for i in batch], [encoded[i] for i in batch], max_tokens)
            except self.torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                self.batch_size = len(batch) // 2  # from now on
                continue
            waiting = waiting[len(batch) :]
            for i, completion in zip(batch, found, strict=True):
                yield i, replace(completion, cost=meter.charge(reserved[i], completion))

    def _reserve(self, tokens: int, max_tokens: int, meter: Meter) -> float | Failure:
        """What is set aside for a prompt, or why it cannot be completed."""
        room = self.room(max_tokens)
        if self.model is None:
            return Failure("the model has been closed; make the environment or agent again", is_final=True)
        if tokens > room:
            return Failure(f"the prompt has {tokens} tokens, this model takes {room} beside the answer", is_final=True)
        return meter.reserve(tokens, max_tokens)

    def _generate(self, queries: Sequence[Query], encoded: Sequence[list[int]], max_tokens: int) -> list[Completion]:
        began = time.perf_counter()
        torch, tokenizer = self.torch, self.tokenizer
        inputs = tokenizer.pad({"input_ids": encoded}, return_tensors="pt").to(self.model.device)
        sampling = [(query.temperature or 0.0, query.seed) for query in queries]
        processors = [SeededSampling(torch, sampling)] if any(heat > 0 for heat, _ in sampling) else []
        self._generation.max_new_tokens = max_tokens
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                generation_config=self._generation,
                logits_processor=self._transformers.LogitsProcessorList(processors),
            )
        new = output[:, inputs["input_ids"].shape[1] :] if self.is_causal else output[:, 1:]
        texts = tokenizer.batch_decode(new, skip_special_tokens=True)
        if not self.prompter.has_template:
            texts = [("\n" + text).partition(PLAIN_STOP)[0] for text in texts]
        lengths = self._lengths(new)
        self.usage.calls += 1
        self.usage.requests += len(queries)
        self.usage.retries += sum(query.attempts > 0 for query in queries)
        self.usage.prompt_tokens += sum(map(len, encoded))
        self.usage.completion_tokens += sum(tokens for tokens, _ in lengths)
        seconds = (time.perf_counter() - began) / len(queries)
        return [
            Completion(
                text.strip(),
                len(ids),
                tokens,
                finish="stop" if has_ended or tokens < max_tokens else "length",
                attempts=query.attempts + 1,
                seconds=query.seconds + seconds,
            )
            for query, ids, text, (tokens, has_ended) in zip(queries, encoded, texts, lengths, strict=True)
        ]

    def _lengths(self, new: Any) -> list[tuple[int, bool]]:
        """Tokens of each row up to its end token, and whether it has one."""
        ends = self._generation.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        found = []
        for row in new.tolist():
            end = next((k for k, token in enumerate(row) if token in ends), None)
            found.append((len(row), False) if end is None else (end + 1, True))
        return found

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        return {"commit": self.commit, "chat_template": self.prompter.has_template}

    def fingerprint(self) -> str:
        """Of the weights: names, sizes, and both ends of the files; of a hub model its commit."""
        digest = hashlib.sha256(str(self.commit).encode())
        folder = Path(self.path)
        for file in sorted(folder.glob("*")) if folder.is_dir() else ():
            if file.suffix in (".safetensors", ".json", ".jinja") and file.is_file():
                size = file.stat().st_size
                digest.update(f"{file.name} {size} ".encode())
                with file.open("rb") as data:
                    digest.update(data.read(2**20))
                    data.seek(max(0, size - 2**20))
                    digest.update(data.read())
        return digest.hexdigest()[:16]

    def close(self) -> None:
        """Let go of the model and its memory."""
        self.model = None


class SeededSampling:
    """Turns greedy decoding into sampling with a random stream per row.

    Each row's next token is drawn by inverting its cumulative distribution at one uniform number of the row's own
    generator; every other token is ruled out, so that the arg max is the draw. Rows with temperature 0 stay greedy.
    """

    def __init__(self, torch: Any, sampling: Sequence[tuple[float, int]]) -> None:
        self._torch = torch
        self._temperatures = np.array([temperature for temperature, _ in sampling])
        self._streams = [np.random.Generator(np.random.PCG64(seed)) for _, seed in sampling]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        torch = self._torch
        hot = np.flatnonzero(self._temperatures > 0)
        rows = torch.as_tensor(hot, device=scores.device)
        heat = torch.as_tensor(self._temperatures[hot], device=scores.device)[:, None]
        uniform = torch.as_tensor([self._streams[i].random() for i in hot], dtype=torch.float64, device=scores.device)
        mass = torch.softmax(scores[rows].double() / heat, dim=-1).cumsum(-1)
        # The first token whose cumulative mass exceeds the draw; it has mass of its own.
        chosen = torch.searchsorted(mass, (uniform * mass[:, -1])[:, None], right=True).clamp(max=scores.shape[1] - 1)
        drawn = torch.full_like(scores[rows], -torch.inf).scatter(1, chosen, 0.0)
        return scores.index_copy(0, rows, drawn)
