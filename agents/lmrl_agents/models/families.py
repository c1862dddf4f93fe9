"""What differs between families of causal language models beside their transformer: what happens to logits, where sizes stand.

Logits are computed at action positions only, from the transformer's last states; so what a family does between these and its
logits has to be done here, too. `check` holds it to the model's own forward pass, so that a family that does something else is
refused in one line instead of being trained as another policy.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import torch
from torch import nn

M = TypeVar("M", bound=Any)
CLOSE = 2e-3
"""Largest difference of log-probabilities, in nats, that rounding explains."""

WORTH = 32
"""What rows begin with is worth a pass of its own from so many tokens on."""


class UnknownFamily(ValueError):
    """A model whose logits, states or caches are not to be had in the usual way."""


def text_config(lm: Any) -> Any:
    """The part of a configuration that is about text (models that also see or hear have several)."""
    return lm.config.get_text_config()


def trunk_of(lm: Any) -> Any:
    """A model without its output layer."""
    return lm.model if lm.base_model is lm else lm.base_model  # Llama 4 names a part that its text models lack


def new_cache(network: Any) -> Any:
    """An empty key-value cache, with a place for whatever the network's layers keep."""
    from transformers import DynamicCache

    return DynamicCache(config=network.config.get_text_config())


def without_dropout(config: Any, rate: float = 0.0) -> Any:
    """The configuration with every rate of dropout set to ``rate``, in place; a policy's ratios are those of one network."""
    for part in {id(c): c for c in (config, config.get_text_config())}.values():
        for name, value in vars(part).items():
            is_rate = isinstance(value, float | int) and not isinstance(value, bool)
            if is_rate and (name.endswith(("dropout", "pdrop", "dropout_rate", "dropout_prob")) or name == "drop_rate"):
                setattr(part, name, rate)
    return config


def logits_of(lm: Any, states: torch.Tensor) -> torch.Tensor:
    """The model's logits for last hidden states: its output layer, bias included, and the family's scale and cap.

    float [N, width] -> float [N, V]
    """
    config = text_config(lm)
    logits = lm.get_output_embeddings()(states)
    for name, divides in _SCALES:
        scale = getattr(config, name, None)
        if scale is not None:
            logits = logits / scale if divides else logits * scale
    cap = next((value for name in _CAPS if (value := getattr(config, name, None))), None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


_SCALES = (("logit_scale", False), ("logits_scaling", True), ("lm_head_multiplier", False))
"""Cohere, Granite, Falcon-H1."""
_CAPS = ("final_logit_softcapping", "logits_soft_cap")
"""Gemma 2 and later, RecurrentGemma."""


def forgets(network: Any) -> str | None:
    """Why the keys and values of a network's earlier tokens do not do for later ones, or None."""
    from transformers.cache_utils import DynamicLayer

    config = network.config.get_text_config()
    local = config.model_type == "gpt_neo" and "local" in config.attention_layers
    # Other layers keep a window, or a state beside their keys and values.
    if local or not all(type(layer) is DynamicLayer for layer in new_cache(network).layers):
        return f"{type(network).__name__} has layers that do not attend to all earlier tokens"
    if getattr(config, "alibi", False) or config.model_type in ("bloom", "mpt"):
        return f"{type(network).__name__} takes its positions from the attention mask"
    return None


@torch.no_grad()
def check(lm: Any) -> None:
    """Hold `logits_of` to the model's own forward pass, and its transformer to what playing needs: contexts of several lengths side by
    side, and then a token more of each.

    Raises:
        UnknownFamily: they differ, or the transformer gives no states or no key-value cache.
    """
    name, modes = type(lm).__name__, {module: module.training for module in cast(nn.Module, lm).modules()}
    lm.eval()
    device = next(lm.parameters()).device
    size = lm.get_input_embeddings().weight.shape[0]
    rows = [(torch.arange(length, device=device) * 7 + length) % size for length in _LENGTHS]
    try:
        own = torch.stack([lm(input_ids=row[None]).logits[0, -2:] for row in rows], dim=1).float()
        states, cache = _played(trunk_of(lm), rows)
        ours = torch.stack([logits_of(lm, one) for one in states]).float()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:
        raise UnknownFamily(f"{name} cannot be trained or played here: {problem}") from None
    finally:
        for module, mode in modes.items():
            module.training = mode
    if cache is None or not hasattr(cache, "reorder_cache"):
        raise UnknownFamily(f"{name} cannot be played here: it keeps no key-value cache")
    if not torch.isfinite(own).all():
        raise UnknownFamily(f"{name}: the logits are NaN or infinite")
    apart = (torch.log_softmax(own, 2) - torch.log_softmax(ours, 2)).abs().amax(dim=(0, 2))
    if not apart[0] <= CLOSE:  # the longest row has no padding
        raise UnknownFamily(f"{name} changes its logits in a way that is not known here (by {apart[0]:.2g} nats)")
    if not apart.max() <= CLOSE:
        raise UnknownFamily(f"{name} cannot be played here: padding changes what it says (by {apart.max():.2g} nats)")


_LENGTHS = (9, 6, 4)
"""Tokens of the rows that a model is checked with; the longest first."""


def _played(network: Any, rows: list[torch.Tensor]) -> tuple[list[torch.Tensor], Any]:
    """The states of the last two tokens of rows, as `sampling.generate` has them read, and the cache."""
    longest = len(rows[0])
    tokens = torch.stack([nn.functional.pad(row, (longest - len(row), 0)) for row in rows])
    mask = torch.stack([nn.functional.pad(torch.ones_like(row), (longest - len(row), 0)) for row in rows])
    places, cache, states = (mask.cumsum(dim=1) - 1).clamp(min=0), new_cache(network), []
    for first, end in ((0, longest - 1), (longest - 1, longest)):
        output = network(
            input_ids=tokens[:, first:end],
            attention_mask=mask[:, :end],
            position_ids=places[:, first:end],
            past_key_values=cache,
            use_cache=True,
        )
        cache = output.past_key_values
        states.append(output.last_hidden_state[:, -1])
    return states, cache


def gpt2_of(config: Any, tokenizer: Any) -> Any:
    """The GPT-2 that a `ModelConfig` asks for, of random weights."""
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=config.max_positions,
        n_embd=config.width,
        n_layer=config.layers,
        n_head=config.heads,
        resid_pdrop=config.dropout,
        embd_pdrop=config.dropout,
        attn_pdrop=config.dropout,
        # The same function as GPT-2's "gelu_new", in one kernel instead of eight: a third of a small model's time.
        activation_function="gelu_pytorch_tanh",
        bos_token_id=tokenizer.obs,
        eos_token_id=tokenizer.eoa,
        pad_token_id=tokenizer.pad,
        tie_word_embeddings=not config.compose,
    )


def pretrained_of(config: Any, tokenizer: Any) -> Any:
    """The checkpoint that a `ModelConfig` names, in float32, with a row for every token of the tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    known = AutoConfig.from_pretrained(config.source, trust_remote_code=False)
    lm: Any = AutoModelForCausalLM.from_pretrained(
        config.source,
        config=without_dropout(known, config.dropout),
        dtype=torch.float32,
        trust_remote_code=False,
        use_safetensors=True,
        attn_implementation=config.attention or None,
    )
    rows = lm.get_input_embeddings().weight.shape[0]
    if tokenizer.chat is None or rows < len(tokenizer):  # a checkpoint may have rows to spare
        lm.resize_token_embeddings(len(tokenizer))
    return computed_twice(lm) if config.checkpointing else lm


def computed_twice(lm: M) -> M:
    """The model, with activations that are computed again for the gradient, in place; see `packed.states_at`."""
    if not getattr(lm, "supports_gradient_checkpointing", False):
        raise UnknownFamily(f"model.checkpointing: {type(lm).__name__} keeps all its activations")
    model: Any = lm
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    return lm
