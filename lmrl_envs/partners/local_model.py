"""A local Hugging Face language model: chats in, texts out, in batches, each row sampled with a seed of its own."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled

from lmrl_envs.partners.language_model import Messages
from lmrl_envs.partners.prompting import PLAIN_STOP, render_plain


def _import(user: str) -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as error:
        raise DependencyNotInstalled(
            f"{user} needs PyTorch and transformers ({error}): pip install 'lmrl[train]'"
        ) from error
    return torch, transformers


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


@dataclass(frozen=True)
class Said:
    """What a model said to one prompt."""

    text: str
    tokens: int
    """Generated, the end token included."""
    is_cut: bool
    """It ends because no more tokens were allowed."""


class LocalModel:
    """A causal or sequence-to-sequence model, run here.

    Weights must be safetensors and code from a model's repository is never run. The prompt goes through the
    tokenizer's chat template; without one it has the plain format of `lmrl_envs.partners.prompting.render_plain`.
    Sampling draws from a stream per prompt, not from PyTorch's: what is said does not depend on what else is in the
    batch (up to floating point).

    Args:
        path_or_id: a folder, or the id of a model on the Hugging Face hub.
        user: who asks, for error messages (``simulator='transformers:...'``).
        device: "cpu", "cuda", "cuda:1", ...
        dtype: "float32", "bfloat16", "float16"; None for that of the weights.
        batch_size: most prompts in one call of ``generate``; halved when the device's memory is too small.
        revision: branch, tag or commit on the hub.
        chat_template_kwargs: for the chat template; by default ``{"enable_thinking": False}``.

    Raises:
        gymnasium.error.DependencyNotInstalled: PyTorch or transformers is missing.
        ValueError: the model cannot be loaded, or an argument is impossible.
    """

    def __init__(
        self,
        path_or_id: str | os.PathLike[str],
        user: str,
        *,
        device: str = "cpu",
        dtype: str | None = None,
        batch_size: int = 256,
        revision: str | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.torch, self._transformers = _import(user)
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1")
        dtypes = {None: "auto", **{name: getattr(self.torch, name) for name in ("float32", "bfloat16", "float16")}}
        if dtype not in dtypes:
            raise ValueError(f"dtype={dtype!r} is not known; choose one of {', '.join(map(repr, dtypes))}")
        self.batch_size = batch_size
        self.calls = 0
        """Batches generated so far."""
        self._load(os.fspath(path_or_id), user, device, dtypes[dtype], revision)
        self.prompter = Prompter(self.tokenizer, self.is_causal, chat_template_kwargs)

    def _load(self, path: str, user: str, device: str, dtype: Any, revision: str | None) -> None:
        tf = self._transformers
        options: dict[str, Any] = {"trust_remote_code": False}
        if revision is not None:
            options["revision"] = revision
        try:
            config = tf.AutoConfig.from_pretrained(path, **options)
            self.is_causal = not config.is_encoder_decoder
            kind = tf.AutoModelForCausalLM if self.is_causal else tf.AutoModelForSeq2SeqLM
            self.tokenizer: Any = tf.AutoTokenizer.from_pretrained(path, padding_side="left", **options)
            model = kind.from_pretrained(path, use_safetensors=True, dtype=dtype, **options)
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

    def room(self, max_new_tokens: int) -> int:
        """Longest prompt, in tokens, that leaves room for the answer."""
        return self.max_tokens - (max_new_tokens if self.is_causal else 0)

    def complete(
        self, encoded: Sequence[list[int]], sampling: Sequence[tuple[float, int]], max_new_tokens: int
    ) -> list[Said]:
        """What is said to prompts in token ids, with a temperature (0 is greedy) and a seed each."""
        said: dict[int, Said] = {}
        order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i]))  # prompts of one length together
        start = 0
        while start < len(order):
            batch = order[start : start + self.batch_size]
            try:
                found = self._complete_batch([encoded[i] for i in batch], [sampling[i] for i in batch], max_new_tokens)
            except self.torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                self.batch_size = len(batch) // 2  # from now on
                continue
            said.update(zip(batch, found, strict=True))
            start += len(batch)
        return [said[i] for i in range(len(encoded))]

    def _complete_batch(
        self, encoded: Sequence[list[int]], sampling: Sequence[tuple[float, int]], max_new_tokens: int
    ) -> list[Said]:
        torch, tokenizer = self.torch, self.tokenizer
        inputs = tokenizer.pad({"input_ids": encoded}, return_tensors="pt").to(self.model.device)
        processors = []
        if any(temperature > 0 for temperature, _ in sampling):
            processors.append(SeededSampling(torch, sampling))
        self._generation.max_new_tokens = max_new_tokens
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                generation_config=self._generation,
                logits_processor=self._transformers.LogitsProcessorList(processors),
            )
        self.calls += 1
        new = output[:, inputs["input_ids"].shape[1] :] if self.is_causal else output[:, 1:]
        texts = tokenizer.batch_decode(new, skip_special_tokens=True)
        if not self.prompter.has_template:
            texts = [("\n" + text).partition(PLAIN_STOP)[0] for text in texts]
        lengths = self._lengths(new)
        return [
            Said(text.strip(), tokens, is_cut=tokens == max_new_tokens and not ended)
            for text, (tokens, ended) in zip(texts, lengths, strict=True)
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
