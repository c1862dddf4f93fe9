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

    Templates that word an earlier message otherwise once another follows (without its thoughts, say) do no harm: what was sampled stays.

    Raises:
        ValueError: where the model's message ends cannot be told from the template.
    """
    asked = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    before = _ids(tokenizer, asked, False, template)
    whole = _ids(tokenizer, [*asked, {"role": "user", "content": text}], True, template)
    end = tokenizer.eos_token_id
    if end not in before:
        if whole[: len(before)] != before:
            raise ValueError(
                "the chat template ends no message by the tokenizer's end token, and changes earlier messages"
            )
        return whole[len(before) :]
    # The end of the model's message is the last one before those of the new message.
    new = _ids(tokenizer, [*asked, asked[0]], True, template).count(end) - before.count(end)
    within = tokenizer.encode(text, add_special_tokens=False).count(end)
    return whole[[k for k, token in enumerate(whole) if token == end][-1 - new - within] + 1 :]


def _ids(tokenizer: Any, messages: list[dict[str, str]], to_answer: bool, template: dict[str, Any]) -> list[int]:
    return tokenizer.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=to_answer, return_dict=False, **template
    )
