"""A trained language model as an agent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_agents.api import AgentError, Request
from lmrl_agents.model import LanguageModel
from lmrl_agents.sampling import Generated, Sampling, generate
from lmrl_datasets.store import sha256_of


class LanguageModelAgent:
    """Acts with a model of a training run's folder.

    Args:
        folder: where `lmrl train` wrote the model (the folder itself, or its ``final``).
        temperature: 1 samples the policy, 0 is greedy.
        top_k: see `Sampling`.
        top_p: see `Sampling`.
        device: where the model runs.
    """

    def __init__(
        self, folder: str | Path, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, device: str = "cpu"
    ) -> None:
        path = Path(folder)
        if not (path / "lmrl.json").is_file() and (path / "final").is_dir():
            path = path / "final"
        try:
            self.model = LanguageModel.load(path, device=device)
        except ValueError as problem:
            raise AgentError(str(problem)) from problem
        self.folder = path
        description = json.loads((path / "lmrl.json").read_text("utf-8"))
        self.sampling = Sampling(
            temperature, top_k, top_p, max_tokens=int(description.get("max_action_tokens", Sampling.max_tokens))
        )
        self._trained_on = description.get("env_id")
        self._description = description
        self.tokens_generated = 0

    def act(self, requests: Sequence[Request]) -> list[str]:
        """One sampled (or greedy) action per request."""
        return [self.model.tokenizer.decode(sampled.ids) for sampled in self.sample(requests)]

    def sample(self, requests: Sequence[Request]) -> list[Generated]:
        """Sampled ids and log-probabilities of one action per request."""
        contexts = [self.model.form.context(request.transcript, self.model.tokenizer) for request in requests]
        uniforms = [np.random.default_rng((request.seed, len(request.transcript))).random for request in requests]
        sampled = generate(self.model, contexts, uniforms, self.sampling)
        self.tokens_generated += sum(len(action.ids) for action in sampled)
        return sampled

    def fingerprint(self) -> str:
        """Hash of the weights: an evaluation is not gone on with by another model in the same folder."""
        return sha256_of(self.folder / "weights.safetensors")[:16]

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        return {"kind": "language model", "temperature": self.sampling.temperature, **self._description}
