"""The tokenizer of a small partner that is trained from scratch (`lmrl simulator train` without ``--model``)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from lmrl_envs.partners.backend import Messages

COMMON, SHORTEST = 50, 8
"""A sentence of the system message becomes a token if it stands in so many prompts (more than one game has) and has so many
characters."""
_SENTENCE = r"\n|(?<=[.!?:]) "


def train_chat_tokenizer(prompts: Iterable[Messages], replies: Sequence[str], vocab_size: int, context: int) -> Any:
    """A byte-level BPE of the prompts and replies.

    Every stretch of the instructions, the same in all prompts, becomes one token, and so does every sentence of the
    system message that stands in many prompts ("dog (also called puppy).", a fact about a city): prompts are many times
    shorter, and what is hidden is one embedding to learn about. What the agent says is never taken whole.

    Prompts that are held out from training belong to ``prompts``: otherwise a secret never seen would be spelled in
    many tokens, in a prompt of another shape than any that was trained on.
    """
    distinct = list({str(prompt): prompt for prompt in prompts}.values())
    contents = [[message["content"] for message in prompt] for prompt in distinct]
    fixed = _fixed_stretches(contents)
    whole = {*fixed, *_common_sentences(distinct)}
    texts = {text for prompt in contents for text in prompt} | set(replies)
    corpus = {piece for text in texts for piece in re.split(_SENTENCE, text)} - whole
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = [f" {piece}" for piece in sorted(corpus)]  # a sentence mostly follows a space
    headings = ["### System\n", "### User\n", "### Assistant\n"]
    tokenizer.train_from_iterator([*words, *replies, *headings * len(distinct)], trainer)
    # They swallow the space before them, unless they may stand within a reply: its spaces must come out again.
    ordered = sorted(whole, key=lambda line: (-len(line), line))
    later = "\n".join(sorted({reply[1:] for reply in replies}))
    tokenizer.add_tokens([AddedToken(line, normalized=False, lstrip=line not in later) for line in ordered])
    named = {"pad_token": "<pad>", "eos_token": "<eos>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=context, **named)


def _fixed_stretches(contents: Sequence[Sequence[str]]) -> set[str]:
    """The longest stretches of sentences that stand in every prompt."""
    if not contents:
        return set()
    pieces = [{s for text in prompt for s in re.split(_SENTENCE, text)} for prompt in contents]
    sentences = {s for s in set.intersection(*pieces) if len(s) >= SHORTEST}
    found = set(sentences)
    for text in contents[0]:
        parts = [re.escape(s) for s in re.split(_SENTENCE, text) if s in sentences]
        if parts:
            one = "|".join(sorted(parts, key=len, reverse=True))
            found |= {match[0] for match in re.finditer(f"(?:{one})(?:[ \\n](?:{one}))+", text)}
    return {s for s in found if all(any(s in text for text in prompt) for prompt in contents)}


def _common_sentences(prompts: Iterable[Messages]) -> set[str]:
    """Sentences of system messages that stand in at least `COMMON` of the prompts."""
    counts: Counter[str] = Counter()
    for prompt in prompts:
        for message in prompt:
            if message["role"] == "system":
                counts.update({s for s in re.split(_SENTENCE, message["content"]) if len(s) >= SHORTEST})
    return {line for line, count in counts.items() if count >= COMMON}
