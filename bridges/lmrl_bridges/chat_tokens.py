"""A growing chat as token ids: what a model sampled is kept as it was sampled, only the environment's texts are encoded."""

from __future__ import annotations

from typing import Any


def prompt_ids(tokenizer: Any, messages: list[dict[str, str]], **template: Any) -> list[int]:
    """A chat up to where the model is to answer."""
    return _ids(tokenizer, messages, True, template)


def answer_ids(tokenizer: Any, text: str, **template: Any) -> list[int]:
    """What stands between the end of a model's message and its next one: the environment's answer in the chat's form.

    Args:
        tokenizer: with a chat template.
        text: what the environment said.
        template: arguments of the chat template.

    Raises:
        ValueError: the template words a message otherwise when another follows, so that sampled ids could not be kept.
    """
    asked = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    before = _ids(tokenizer, asked, False, template)
    ends = [k for k, token in enumerate(before) if token == tokenizer.eos_token_id]
    before = before[: ends[-1] + 1] if ends else before  # some templates add a line's end
    after = _ids(tokenizer, [*asked, {"role": "user", "content": text}], True, template)
    if after[: len(before)] != before:
        raise ValueError("the tokenizer's chat template changes earlier messages when a new one follows")
    return after[len(before) :]


def _ids(tokenizer: Any, messages: list[dict[str, str]], to_answer: bool, template: dict[str, Any]) -> list[int]:
    return tokenizer.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=to_answer, return_dict=False, **template
    )
