"""The language model: any Hugging Face causal LM, logits at action positions only, safetensors checkpoints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from lmrl_agents.models.adapters import (
    add_adapters,
    export_adapters,
    load_adapters,
    merged,
    without_base,
)
from lmrl_agents.models.composition import CharacterComposition, token_texts
from lmrl_agents.models.description import ModelConfig, checked_shapes, read_description
from lmrl_agents.models.distributed import full_state, rank
from lmrl_agents.models.families import check, computed_twice, gpt2_of, logits_of, pretrained_of, text_config, trunk_of
from lmrl_agents.models.packed import states_at
from lmrl_agents.models.steps import StepBatch
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.tokens import TextFormat
from lmrl_envs.files.checkpoints import digest_of, named_checkpoint
from lmrl_envs.files.untrusted import shown


class LanguageModel(nn.Module):
    """A causal LM with its tokenizer and text format."""

    def __init__(self, lm: Any, tokenizer: TaskTokenizer, form: TextFormat, config: ModelConfig) -> None:
        super().__init__()
        self.lm = lm
        self.tokenizer, self.form, self.config = tokenizer, form, config
        if config.compose:
            head = lm.get_output_embeddings()
            composition = CharacterComposition(token_texts(tokenizer), config.width)
            parametrize.register_parametrization(head, "weight", composition)

    @classmethod
    def create(cls, config: ModelConfig, tokenizer: TaskTokenizer, form: TextFormat, seed: int) -> LanguageModel:
        """A model of random weights, or a pretrained one grown to the tokenizer's size.

        Weights are float32, whatever the checkpoint holds: updates are smaller than bfloat16 can add. ``TrainingRun.dtype``
        says what is computed with.

        Raises:
            UnknownFamily: see `families.check`.
        """
        from transformers import AutoModelForCausalLM

        torch.manual_seed(seed)
        if config.source == "config":
            lm = AutoModelForCausalLM.from_config(gpt2_of(config, tokenizer))
        else:
            lm = pretrained_of(config, tokenizer)
            check(lm)
            if config.lora_rank:
                add_adapters(lm, config.lora_rank, config.lora_alpha)
        return cls(lm, tokenizer, form, config).eval()

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def networks(self) -> list[Any]:
        """The transformer without its output layer, see `sampling.Policy`."""
        return [trunk_of(self.lm)]

    @property
    def vocabulary(self) -> int:
        """How many tokens there are logits for."""
        return self.config.outputs or self.lm.get_output_embeddings().out_features

    @property
    def max_positions(self) -> int:
        """Longest row the network can read."""
        return getattr(text_config(self.lm), "max_position_embeddings", None) or 10**9

    def logits(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """Last hidden states, one tensor float [N, width], to logits float [N, V]."""
        if self.config.outputs:
            return states[0] @ self.lm.get_output_embeddings().weight[: self.config.outputs].T
        return logits_of(self.lm, states[0])

    def action_states(self, batch: StepBatch) -> torch.Tensor:
        """The states that the tokens of the batch's steps are predicted from: float [N, width]."""
        return states_at(self.networks[0], batch.tokens, batch.length, batch.state_row, batch.state_column)[batch.state]

    # -- checkpoints

    def save(self, folder: Path, extra: dict[str, Any] | None = None) -> None:
        """Write weights (safetensors), tokenizer, and ``lmrl.json`` with format and config; every process must call."""
        from safetensors.torch import save_file

        state, _ = full_state(self)
        state = without_base(state)
        if rank() != 0:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(folder)
        self.lm.config.save_pretrained(folder)
        if self.config.lora_rank:
            extra = {**(extra or {}), "checkpoint": digest_of(named_checkpoint(folder, self.config.source))}
        elif self.lm.config.tie_word_embeddings:
            state.pop("lm.lm_head.weight", None)
        save_file(state, folder / "weights.safetensors")
        description = {
            "format": asdict(self.form),
            "model": asdict(self.config),
            "tokenizer": self.tokenizer.fingerprint(),
            **(extra or {}),
        }
        (folder / "lmrl.json").write_text(json.dumps(description, indent=1, sort_keys=True) + "\n", "utf-8")

    def export(self, folder: Path, whole: bool = False) -> None:
        """Write the network and its tokenizer the way Hugging Face does, for servers and other tools: output rows whole, see
        `ModelConfig.compose`, adapters as part of the weights where that is asked for, and else alone. The model stays as it is.
        """
        if self.config.lora_rank and not whole:
            export_adapters(self.lm, self.config.source, self.config.lora_rank, self.config.lora_alpha, folder)
            self.tokenizer.save(folder)
            return
        weights, head = merged(self.lm), self.lm.get_output_embeddings()
        if parametrize.is_parametrized(head, "weight"):
            name = next(name for name, module in self.lm.named_modules() if module is head)
            weights = {key: w for key, w in weights.items() if not key.startswith(f"{name}.parametrizations.")}
            weights[f"{name}.weight"] = head.weight.detach()
        self.lm.generation_config.eos_token_id = self.tokenizer.eoa  # where a server stops
        self.lm.save_pretrained(folder, state_dict=weights)
        self.tokenizer.save(folder)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> LanguageModel:
        """Read a model written by `save`.

        Raises:
            ValueError: the folder holds no model of this package, or its tokenizer is another one.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        from transformers import AutoConfig, AutoModelForCausalLM

        description = read_description(folder)
        config = ModelConfig(**description["model"])
        try:
            shapes = checked_shapes(folder, config.width if config.compose else 0)
            form = TextFormat(**description["format"])
            tokenizer = TaskTokenizer.load(folder, form.chat)
            if tokenizer.fingerprint() != description["tokenizer"]:
                raise ValueError(f"the tokenizer in {folder} is not the one its model was trained with")
            network = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
            if config.lora_rank:
                return load_adapters(cls.create, (config, tokenizer, form, 0), folder, description).to(device)
            with torch.device("meta"):  # shapes alone: a size that the weights have not is not allocated
                sizes = AutoModelForCausalLM.from_config(network, trust_remote_code=False).state_dict()
            wrong = [name for name, t in sizes.items() if shapes.get(f"lm.{name}", tuple(t.shape)) != tuple(t.shape)]
            if wrong:
                raise ValueError(f"{folder}: weights do not fit the model ({wrong[0]}, ...)")
            how = {"dtype": torch.float32, "attn_implementation": config.attention or None}
            lm = AutoModelForCausalLM.from_config(network, trust_remote_code=False, **how)
            model = cls(computed_twice(lm) if config.checkpointing else lm, tokenizer, form, config)
            weights = load_file(folder / "weights.safetensors")
        except (OSError, SafetensorError) as problem:
            raise ValueError(f"{folder}: the weights are missing or damaged ({problem}); copy them again") from None
        except ValueError:
            raise
        except Exception as problem:  # whatever an odd configuration or tokenizer leads transformers to
            raise ValueError(f"{folder}: {type(problem).__name__}: {shown(str(problem), 300)}") from None
        missing, unexpected = model.load_state_dict(weights, strict=False)
        wrong = [name for name in missing if name != "lm.lm_head.weight"] + list(unexpected)
        if wrong:
            raise ValueError(f"{folder}: weights do not fit the model ({wrong[0]}, ...)")
        if not all(torch.isfinite(tensor).all() for tensor in weights.values()):
            raise ValueError(f"{folder}: there are weights that are no finite numbers")
        if network.model_type != "gpt2":
            check(lm)
        return model.to(device).eval()
