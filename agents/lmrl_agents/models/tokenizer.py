"""Tokenizers: text to ids and back, with the four special tokens of a conversation, or by a model's own chat template."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lmrl_agents.models.chat import ChatLayout, ChatText
from lmrl_envs.files.untrusted import FILE, Schema, read, read_bytes

PAD, OBS, ACT, EOA = "<pad>", "<obs>", "<act>", "<eoa>"
SPECIAL = (PAD, OBS, ACT, EOA)
_CLASS = re.compile(rb'"tokenizer_class": *"(\w+)"')
_KEPT = 50_000
"""Texts whose ids a tokenizer remembers."""
ADDED = 10_000
"""Tokens beside the vocabulary proper that a folder may have: the time to load them grows with their square."""

UNITS = {
    # One token per word, number or mark, with the space before it.
    "words": r" ?[A-Za-z]+| ?\d+| ?[^\sA-Za-z\d]|\s",
    # One token per run of words and per list of numbers: fixed phrases, whole actions and coordinates become single tokens.
    "phrases": r" ?[A-Za-z]+(?: [A-Za-z]+)*| ?\d+(?:, ?\d+)*| ?[^\sA-Za-z\d]|\s",
    # One token per white-space separated piece: letter with place and mark, a whole move.
    "pieces": r" ?\S+|\s",
    # One token per text: an action is a choice among those of the data.
    "utterances": r"[\s\S]+",
    # One token per character.
    "characters": r".|\n",
}


class TaskTokenizer:
    """A Hugging Face tokenizer with the four special tokens, and what this package needs of it.

    Args:
        tokenizer: of Hugging Face.
        layout: of its chat template, where conversations are chats: the tokenizer is then left as it is, and the end token is the
            template's.
    """

    def __init__(self, tokenizer: Any, layout: ChatLayout | None = None) -> None:
        self.hf = tokenizer
        self._cache: dict[str, tuple[int, ...]] = {}
        self._is_plain = False
        self.chat = None if layout is None else ChatText(layout, tokenizer)
        if self.chat is not None:
            self.obs = self.act = -1  # no token
            self.eoa = self.chat.end
            pad = tokenizer.pad_token_id
            self.pad = self.eoa if pad is None else pad
            return
        missing = [token for token in SPECIAL if token not in tokenizer.get_vocab()]
        if missing:
            raise ValueError(
                f"the tokenizer lacks {', '.join(missing)}; make it with train_tokenizer or adopt_tokenizer"
            )
        self.pad, self.obs, self.act, self.eoa = tokenizer.convert_tokens_to_ids(list(SPECIAL))
        from transformers import PreTrainedTokenizerFast

        plain = tokenizer.backend_tokenizer if type(tokenizer) is PreTrainedTokenizerFast else None
        # What a file sets would cut texts, or fill them up to any length; transformers undoes it at each call.
        self._is_plain = plain is not None and plain.truncation is None and plain.padding is None
        # tokenizers 0.23 never frees the cache of words that it keeps of each BPE tokenizer: up to 5 MB a model that was loaded.
        model: Any = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
        if getattr(model, "ignore_merges", False) and hasattr(model, "_resize_cache"):
            model._resize_cache(0)

    def __len__(self) -> int:
        return len(self.hf)

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of a text, without any special token (text that spells one is data and encoded as plain text)."""
        ids = self._cache.get(text)
        if ids is None:
            ids = self._encoded(text)
            # A sampling model writes new texts for ever; what recurs is soon known again.
            if len(self._cache) >= _KEPT:
                self._cache.clear()
            self._cache[text] = ids
        return ids

    def _encoded(self, text: str) -> tuple[int, ...]:
        if not self._is_plain:
            return tuple(self.hf.encode(text, add_special_tokens=False, split_special_tokens=True))
        # What transformers does around the same call takes twice as long as the call.
        plain = self.hf.backend_tokenizer
        plain.encode_special_tokens = True
        return tuple(plain.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an action's ids (special tokens left out)."""
        return self.hf.decode([i for i in ids if i not in (self.pad, self.obs, self.act, self.eoa)])

    def said(self, ids: Sequence[int]) -> str:
        """What is played of an action's ids: in a chat without thoughts and control tokens."""
        return self.decode(ids) if self.chat is None else self.chat.said(ids)

    def fingerprint(self) -> str:
        """Hash of the vocabulary: models refuse tokenizers they were not trained with."""
        return hashlib.sha256(json.dumps(sorted(self.hf.get_vocab().items())).encode()).hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files into a folder."""
        self.hf.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path, layout: ChatLayout | None = None) -> TaskTokenizer:
        """Read a tokenizer from a folder (never runs code from it, nor its chat template)."""
        from transformers import AutoTokenizer, PreTrainedTokenizerFast

        _check_added(Path(folder))
        config = Path(folder) / "tokenizer_config.json"
        told = _CLASS.search(read_bytes(config)) if config.is_file() else None
        kind = told[1].decode() if told else ""
        # By itself transformers would take the class of the model's family, which splits text in its own way.
        loader = PreTrainedTokenizerFast if kind in ("PreTrainedTokenizerFast", "TokenizersBackend") else AutoTokenizer
        return cls(loader.from_pretrained(str(folder), trust_remote_code=False), layout)


class _Added(Schema, frozen=True, forbid_unknown_fields=False):
    """What a tokenizer's settings have of added tokens."""

    extra_special_tokens: list[Any] | dict[str, Any] | None = None
    additional_special_tokens: list[Any] | dict[str, Any] | None = None
    added_tokens_decoder: dict[str, Any] | None = None


def _check_added(folder: Path) -> None:
    for path in (folder / name for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")):
        if not path.is_file():
            continue
        if path.stem == "tokenizer":
            count = read_bytes(path, 4 * FILE).count(b'"content"')
        else:
            told = read(path, _Added)
            count = sum(len(getattr(told, name) or ()) for name in told.__struct_fields__)
        if count > ADDED:
            raise ValueError(f"{path}: more than {ADDED} added tokens")


def train_tokenizer(
    texts: Iterable[str], units: str = "words", max_size: int = 4096, min_count: int = 2, first: Sequence[str] = ()
) -> TaskTokenizer:
    """A tokenizer whose tokens are the frequent units of the task's texts; anything else falls apart into bytes.

    Args:
        texts: observations and actions of the training data.
        units: how texts are cut, see `UNITS`.
        max_size: most tokens, the 4 special ones and 256 bytes among them.
        min_count: a unit seen less often is spelled in bytes.
        first: distinct texts, each a unit, that are tokens however often they are seen, and get the ids 0, 1, ...

    Raises:
        ValueError: there is no room for ``first``.
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

    def written(unit: str) -> str:
        return "".join(piece for piece, _ in byte_level.pre_tokenize_str(unit))

    # The special tokens come on top: in the vocabulary proper, a text that spells one would be encoded as it.
    vocabulary = list(dict.fromkeys([*map(written, first), *alphabet]))
    if len(vocabulary) + len(SPECIAL) > max_size:
        raise ValueError(f"{len(first)} different actions are too many to be tokens (vocabulary={max_size})")
    taken = {*vocabulary, *SPECIAL}
    for unit, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if len(vocabulary) + len(SPECIAL) >= max_size or count < min_count:
            break
        if (word := written(unit)) not in taken:
            vocabulary.append(word)
            taken.add(word)
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
