"""Agents of two levels: a manager picks the first token of every action, a worker says the rest, given it (VHRL, Saleh et al., arXiv 1909.07547)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

from lmrl_agents.models.description import read_description
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Generated, Sampling
from lmrl_agents.models.tokens import TextFormat
from lmrl_agents.playing.identity import model_digest, model_folder
from lmrl_agents.playing.policy_agent import PolicyAgent, Recorder
from lmrl_agents.playing.protocol import AgentError

MANAGER = "manager.safetensors"
"""The manager's weights, beside the worker in a model's folder; both are networks of one kind."""


class _Managed(PolicyAgent):
    """Draws the first token from ``manager``, the others from the policy; the log-probabilities are those of who drew."""

    def __init__(self, policy: Any, form: TextFormat, sampling: Sampling) -> None:
        most = max(1, sampling.max_tokens - 1)
        super().__init__(policy.model, form, Sampling(sampling.temperature, max_tokens=most))
        self._chooser = PolicyAgent(policy.manager, form, Sampling(sampling.temperature, max_tokens=1))
        self._alone = sampling.max_tokens == 1

    def generate(
        self, keys: Sequence[Hashable], contexts: Sequence[Sequence[int]], uniforms: Sequence[Callable[[], float]]
    ) -> list[Generated]:
        """As `PolicyAgent.generate`."""
        codes = self._chooser.generate(keys, contexts, uniforms)
        on = [k for k, code in enumerate(codes) if not self._alone and code.ids[-1] != self.tokenizer.eoa]
        if on:
            said = super().generate(
                [keys[k] for k in on], [[*contexts[k], *codes[k].ids] for k in on], [uniforms[k] for k in on]
            )
            for k, rest in zip(on, said, strict=True):
                codes[k] = Generated(codes[k].ids + rest.ids, codes[k].logprobs + rest.logprobs)
        return codes

    def finished(self, episodes: Sequence[int]) -> None:
        """See `PolicyAgent.finished`."""
        super().finished(episodes)
        self._chooser.finished(episodes)


class ManagedRecorder(_Managed, Recorder):
    """Keeps what was sampled, see `Recorder`."""


class Hierarchy:
    """A worker with its manager.

    Args:
        model: the worker.
        manager: a model with the same tokenizer.
    """

    recorder = ManagedRecorder

    def __init__(self, model: LanguageModel, manager: LanguageModel) -> None:
        self.model, self.manager = model, manager

    def save(self, folder: Path) -> None:
        """Write the manager beside the worker's files."""
        from safetensors.torch import save_file

        state = {name: t.contiguous() for name, t in self.manager.state_dict().items() if name != "lm.lm_head.weight"}
        save_file(state, folder / MANAGER)


class ManagedAgent(_Managed):
    """Plays what `lmrl train vhrl` wrote.

    Args:
        folder: of the run, or its ``final``.
        temperature: 1 samples both levels, 0 is greedy.
        device: where the models run.
    """

    def __init__(self, folder: str | Path, temperature: float = 1.0, device: str = "cpu") -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = model_folder(folder)
        try:
            model = LanguageModel.load(path, device=device)
            manager = copy.deepcopy(model)
            missing, unexpected = manager.load_state_dict(load_file(path / MANAGER), strict=False)
            if set(missing) - {"lm.lm_head.weight"} or unexpected:
                raise ValueError("other weights than the worker's")
            self._description = read_description(path)
        except (ValueError, RuntimeError, OSError, SafetensorError) as problem:
            raise AgentError(f"{path}: {problem}") from problem
        super().__init__(
            Hierarchy(model, manager), model.form, Sampling(temperature, max_tokens=model.form.max_action_tokens)
        )
        self.folder, self.name = path, str(path)

    def fingerprint(self) -> str:
        """Hash of both models."""
        return model_digest(self.folder)

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        return {"kind": "manager and worker", "temperature": self.sampling.temperature, **self._description}
