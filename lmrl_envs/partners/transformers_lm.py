"""A local Hugging Face language model as a dialogue partner: ``simulator="transformers:<path-or-id>"``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lmrl_envs.partners.base import PartnerPrompt, PartnerRequest, SimulatorError
from lmrl_envs.partners.language_model import LanguageModelPartner, Messages
from lmrl_envs.partners.local_model import LocalModel
from lmrl_envs.partners.replay import Answer


class TransformersPartner(LanguageModelPartner):
    """A causal or sequence-to-sequence model, run here, on all requests of a call at once (see `LocalModel`).

    Args:
        path_or_id: a folder, or the id of a model on the Hugging Face hub.
        partner_prompt: the task's `PartnerPrompt`.
        device, dtype, batch_size, revision, chat_template_kwargs: see `LocalModel`.
        temperature, max_retries, record: see `LanguageModelPartner`.

    Raises:
        gymnasium.error.DependencyNotInstalled: PyTorch or transformers is missing.
        ValueError: the model cannot be loaded, or an argument is impossible.
    """

    def __init__(
        self,
        path_or_id: str | os.PathLike[str],
        partner_prompt: PartnerPrompt,
        *,
        device: str = "cpu",
        dtype: str | None = None,
        batch_size: int = 256,
        max_retries: int = 3,
        temperature: float = 0.0,
        record: str | os.PathLike[str] | None = None,
        revision: str | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        name = f"transformers:{os.fspath(path_or_id)}"
        self.lm = LocalModel(
            path_or_id,
            f"simulator={name!r}",
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            revision=revision,
            chat_template_kwargs=chat_template_kwargs,
        )
        super().__init__(name, partner_prompt, temperature=temperature, max_retries=max_retries, record=record)

    def _ask(self, requests: Sequence[PartnerRequest], prompts: Sequence[Messages]) -> list[Answer]:
        if self.lm.model is None:
            raise SimulatorError(f"{self.name} has been closed; make the environment again")
        encoded = [self.lm.prompter.encode(prompt) for prompt in prompts]
        room = self.lm.room(self.partner_prompt.max_new_tokens)
        for request, ids in zip(requests, encoded, strict=True):
            if len(ids) > room:
                raise self._failed(request, 0, f"the prompt has {len(ids)} tokens, this model takes {room}")
        answers: dict[int, Answer] = {}
        pending, texts = list(range(len(requests))), dict[int, str]()
        for attempt in range(self.max_retries + 1):
            sampling = [self._sampling(requests[i], attempt) for i in pending]
            texts = dict(zip(pending, self._complete([encoded[i] for i in pending], sampling), strict=True))
            self.usage.retries += len(pending) if attempt else 0
            for i, text in texts.items():
                if (reply := self.read(text, requests[i])) is not None:
                    answers[i] = Answer(text, reply, attempt + 1)
            pending = [i for i in pending if i not in answers]
            if not pending:
                return [answers[i] for i in range(len(requests))]
        raise self._failed(requests[pending[0]], self.max_retries + 1, f"the last text was {texts[pending[0]][:120]!r}")

    def generate(self, prompts: Sequence[Messages]) -> list[str]:
        """What the model says to each prompt, decoded greedily and read by nobody."""
        encoded = [self.lm.prompter.encode(prompt) for prompt in prompts]
        return self._complete(encoded, [(0.0, 0)] * len(encoded))

    def _complete(self, encoded: Sequence[list[int]], sampling: Sequence[tuple[float, int]]) -> list[str]:
        calls = self.lm.calls
        said = self.lm.complete(encoded, sampling, self.partner_prompt.max_new_tokens)
        self.usage.calls += self.lm.calls - calls
        self.usage.requests += len(encoded)
        self.usage.prompt_tokens += sum(map(len, encoded))
        self.usage.completion_tokens += sum(answer.tokens for answer in said)
        return [answer.text for answer in said]

    def close(self) -> None:
        """Let go of the model and its memory."""
        super().close()
        self.lm.close()
