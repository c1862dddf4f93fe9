"""Transcripts to tokens: task-trained tokenizers, the rows a model sees, and batches of them.

A conversation is written as ``<obs> text <act> action <eoa> <obs> text ...``. ``<eoa>`` ends an action and is part of
it: the model learns when to stop. Sampled ids are kept as they are and never encoded again from text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmrl_agents.views import view_texts
from lmrl_envs import Transcript

PAD, OBS, ACT, EOA = "<pad>", "<obs>", "<act>", "<eoa>"
SPECIAL = (PAD, OBS, ACT, EOA)

UNITS = {
    # One token per word, number or mark, with the space before it.
    "words": r" ?[A-Za-z]+| ?\d+| ?[^\sA-Za-z\d]|\s",
    # One token per run of words: fixed phrases and whole actions become single tokens.
    "phrases": r" ?[A-Za-z]+(?: [A-Za-z]+)*| ?\d+| ?[^\sA-Za-z\d]|\s",
    # One token per white-space separated piece: letter with place and mark, a whole move.
    "pieces": r" ?\S+|\s",
    # One token per character.
    "characters": r".|\n",
}


class TaskTokenizer:
    """A Hugging Face tokenizer with the four special tokens, and what this package needs of it."""

    def __init__(self, tokenizer: Any) -> None:
        self.hf = tokenizer
        missing = [token for token in SPECIAL if token not in tokenizer.get_vocab()]
        if missing:
            raise ValueError(
                f"the tokenizer lacks {', '.join(missing)}; make it with train_tokenizer or adopt_tokenizer"
            )
        self.pad, self.obs, self.act, self.eoa = tokenizer.convert_tokens_to_ids(list(SPECIAL))
        self._cache: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self.hf)

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of a text, without any special token (text that spells one is data and encoded as plain text)."""
        ids = self._cache.get(text)
        if ids is None:
            ids = tuple(self.hf.encode(text, add_special_tokens=False, split_special_tokens=True))
            if len(self._cache) < 500_000:
                self._cache[text] = ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an action's ids (special tokens left out)."""
        return self.hf.decode([i for i in ids if i not in (self.pad, self.obs, self.act, self.eoa)])

    def fingerprint(self) -> str:
        """Hash of the vocabulary: models refuse tokenizers they were not trained with."""
        return hashlib.sha256(json.dumps(sorted(self.hf.get_vocab().items())).encode()).hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files into a folder."""
        self.hf.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path) -> TaskTokenizer:
        """Read a tokenizer from a folder (never runs code from it)."""
        from transformers import AutoTokenizer

        return cls(AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False))


def train_tokenizer(
    texts: Iterable[str], units: str = "words", max_size: int = 4096, min_count: int = 2
) -> TaskTokenizer:
    """A tokenizer whose tokens are the frequent units of the task's texts; anything else falls apart into bytes.

    Args:
        texts: observations and actions of the training data.
        units: how texts are cut, see `UNITS`.
        max_size: most tokens, the 4 special ones and 256 bytes among them.
        min_count: a unit seen less often is spelled in bytes.
    """
    from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    pattern = re.compile(UNITS[units])
    counts: Counter[str] = Counter()
    for text, repeated in Counter(texts).items():
        for unit in pattern.findall(text):
            counts[unit] += repeated
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    # The special tokens come on top: in the vocabulary proper, a text that spells one would be encoded as it.
    vocabulary = list(alphabet)
    taken = {*vocabulary, *SPECIAL}
    for unit, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if len(vocabulary) + len(SPECIAL) >= max_size or count < min_count:
            break
        written = "".join(piece for piece, _ in byte_level.pre_tokenize_str(unit))
        if written not in taken:
            vocabulary.append(written)
            taken.add(written)
    model = BPE(vocab={token: i for i, token in enumerate(vocabulary)}, merges=[], ignore_merges=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(UNITS[units]), behavior="isolated"), byte_level]
    )
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        extra_special_tokens=[OBS, ACT, EOA],
        clean_up_tokenization_spaces=False,
    )
    return TaskTokenizer(fast)


def adopt_tokenizer(tokenizer: Any) -> TaskTokenizer:
    """A pretrained model's tokenizer with the four special tokens added (the model's embedding must grow with it)."""
    tokenizer.add_special_tokens({"pad_token": PAD, "extra_special_tokens": [OBS, ACT, EOA]})
    return TaskTokenizer(tokenizer)


@dataclass(frozen=True)
class TextFormat:
    """How a task's conversation becomes tokens; saved with the model."""

    view: str = "plain"
    """How observations are read, see `views`."""
    context_turns: int | None = None
    """How many of the latest observations are shown (1: the last alone); None shows the whole conversation."""
    max_tokens: int = 512
    """Longest row; older tokens are cut off."""

    def context(self, transcript: Transcript, tokenizer: TaskTokenizer) -> list[int]:
        """Ids a model is given before it acts."""
        texts = view_texts(self.view, transcript)
        turns = len(texts) // 2 + 1
        first = 0 if self.context_turns is None else max(0, turns - self.context_turns)
        ids: list[int] = []
        for i in range(2 * first, len(texts)):
            ids.append(tokenizer.act if i % 2 else tokenizer.obs)
            ids += tokenizer.encode(texts[i])
            if i % 2:
                ids.append(tokenizer.eoa)
        ids.append(tokenizer.act)
        return ids[-self.max_tokens :]


@dataclass(frozen=True)
class Row:
    """One training row: tokens, which of them the agent produced, and the turn each belongs to."""

    tokens: np.ndarray
    """int32 [T]"""
    action_mask: np.ndarray
    """bool [T]: tokens produced by the agent, <eoa> included."""
    rewards: np.ndarray
    """float32 [T]: on the last token of each action."""
    turn: np.ndarray
    """int32 [T]: agent turn that a token belongs to (the observation before it included)."""
    terminated: bool
    truncated: bool


def _row(parts: list[tuple[Sequence[int], bool, float, int]], terminated: bool, truncated: bool) -> Row:
    tokens = np.concatenate([np.asarray(ids, np.int32) for ids, *_ in parts])
    mask = np.concatenate([np.full(len(ids), acted) for ids, acted, *_ in parts])
    turn = np.concatenate([np.full(len(ids), k, np.int32) for ids, _, _, k in parts])
    rewards = np.zeros(len(tokens), np.float32)
    ends = np.cumsum([len(ids) for ids, *_ in parts]) - 1
    for end, (_, acted, reward, _) in zip(ends, parts, strict=True):
        if acted:
            rewards[end] = reward
    return Row(tokens, mask, rewards, turn, terminated, truncated)


def episode_rows(
    transcript: Transcript, terminated: bool, truncated: bool, tokenizer: TaskTokenizer, form: TextFormat
) -> list[Row]:
    """The rows of an episode: one row when the whole conversation is shown, else one per action with its context."""
    texts = view_texts(form.view, transcript)
    rewards = transcript.rewards
    turns = len(rewards)

    def part(i: int, acted: bool) -> list[tuple[Sequence[int], bool, float, int]]:
        k = i // 2
        if i % 2 == 0:
            return [((tokenizer.obs, *tokenizer.encode(texts[i]), tokenizer.act), False, 0.0, k)]
        return [((*tokenizer.encode(texts[i]), tokenizer.eoa), acted, rewards[k], k)]

    if form.context_turns is None:
        parts = [piece for i in range(2 * turns) for piece in part(i, True)]
        row = _row(parts, terminated, truncated)
        return [row] if len(row.tokens) <= form.max_tokens else _cut(row, form.max_tokens)
    rows = []
    for k in range(turns):
        start = max(0, k - form.context_turns + 1)
        parts = [piece for i in range(2 * start, 2 * k + 2) for piece in part(i, i == 2 * k + 1)]
        last = k == turns - 1
        row = _row(parts, terminated and last, truncated and last)
        rows.append(row if len(row.tokens) <= form.max_tokens else _tail(row, form.max_tokens))
    return rows


def _tail(row: Row, size: int) -> Row:
    cut = slice(len(row.tokens) - size, None)
    return Row(row.tokens[cut], row.action_mask[cut], row.rewards[cut], row.turn[cut], row.terminated, row.truncated)


def _cut(row: Row, size: int) -> list[Row]:
    """A long row as pieces of at most ``size`` tokens; each piece but the last counts as truncated."""
    starts = range(0, len(row.tokens), size)
    pieces = []
    for start in starts:
        cut = slice(start, start + size)
        last = start + size >= len(row.tokens)
        pieces.append(
            Row(
                row.tokens[cut],
                row.action_mask[cut],
                row.rewards[cut],
                row.turn[cut],
                row.terminated and last,
                row.truncated or not last,
            )
        )
    return [piece for piece in pieces if piece.action_mask.any()]


@dataclass
class TokenBatch:
    """Rows padded on the right. Shapes are [B, T] or [B]; padding is known from ``length``, never from ids."""

    tokens: torch.Tensor
    """int64 [B, T]"""
    action_mask: torch.Tensor
    """bool [B, T]"""
    rewards: torch.Tensor
    """float32 [B, T]"""
    turn: torch.Tensor
    """int32 [B, T]; -1 on padding"""
    terminated: torch.Tensor
    """bool [B]"""
    truncated: torch.Tensor
    """bool [B]"""
    length: torch.Tensor
    """int64 [B]"""
    weight: torch.Tensor
    """float32 [B]: how many equal rows a row stands for."""
    behaviour_logprobs: torch.Tensor | None = None
    """float32 [B, T] when the rows were sampled by a policy; 0 off actions."""

    @property
    def attention_mask(self) -> torch.Tensor:
        """bool [B, T]"""
        positions = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return positions[None, :] < self.length[:, None]

    def to(self, device: torch.device | str) -> TokenBatch:
        """The batch on another device."""
        moved = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in vars(self).items()}
        return TokenBatch(**moved)


def collate(rows: Sequence[Row], weights: Sequence[float], pad: int) -> TokenBatch:
    """Rows to a batch, padded to the longest."""
    size = max(len(row.tokens) for row in rows)

    def pack(name: str, fill: Any, dtype: Any) -> torch.Tensor:
        full = np.full((len(rows), size), fill, dtype)
        for i, row in enumerate(rows):
            values = getattr(row, name)
            full[i, : len(values)] = values
        return torch.from_numpy(full)

    return TokenBatch(
        tokens=pack("tokens", pad, np.int64),
        action_mask=pack("action_mask", False, np.bool_),
        rewards=pack("rewards", 0.0, np.float32),
        turn=pack("turn", -1, np.int32),
        terminated=torch.tensor([row.terminated for row in rows]),
        truncated=torch.tensor([row.truncated for row in rows]),
        length=torch.tensor([len(row.tokens) for row in rows]),
        weight=torch.tensor(weights, dtype=torch.float32),
    )


class RowStore:
    """All rows of a dataset; equal rows are kept once and encoded once per batch (same loss, same gradient)."""

    def __init__(self, rows: Iterable[Row], pad: int) -> None:
        self.pad = pad
        index: dict[bytes, int] = {}
        self.rows: list[Row] = []
        which = []
        for row in rows:
            key = (
                row.tokens.tobytes()
                + row.action_mask.tobytes()
                + row.rewards.tobytes()
                + bytes((row.terminated, row.truncated))
            )
            position = index.setdefault(key, len(self.rows))
            if position == len(self.rows):
                self.rows.append(row)
            which.append(position)
        if not which:
            raise ValueError("there are no rows to train on")
        self.which = np.array(which)

    def __len__(self) -> int:
        return len(self.which)

    def batch(self, indices: np.ndarray) -> TokenBatch:
        """A batch of these rows (positions in dataset order), distinct ones once with their counts as weights."""
        distinct, counts = np.unique(self.which[indices], return_counts=True)
        order = np.argsort([len(self.rows[i].tokens) for i in distinct], kind="stable")
        return collate([self.rows[i] for i in distinct[order]], counts[order].tolist(), self.pad)
