"""A tiny Llama with a chat template that has learned a few games by heart: a real model that really plays them."""

from __future__ import annotations

from pathlib import Path

from lmrl_agents import Request
from lmrl_agents.playing.rollout import Rollout
from lmrl_agents.playing.scripted import expert
from lmrl_agents.prompting.prompts import messages_of
from lmrl_envs.partners.local_model import Prompter
from lmrl_envs.partners.prompting import PLAIN_TEMPLATE

ENV_ID, EPISODES, SEED = "lmrl/Wordle-v0", 4, 0


def lessons(instructions: str) -> list[tuple[list[dict[str, str]], str]]:
    """Chats of the first evaluation episodes, and what the expert says next."""
    found = []
    for played in Rollout(expert(), ENV_ID).play(range(EPISODES), SEED):
        for k, action in enumerate(played.actions):
            request = Request(ENV_ID, 0, 0, type(played.transcript)(played.transcript[: 2 * k + 1]), instructions)
            found.append((messages_of(request), action))
    return found


def train_chat_model(folder: Path, steps: int = 200) -> Path:
    """Train the model on the `lessons` and save it with its tokenizer."""
    import gymnasium
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pairs = lessons(gymnasium.make(ENV_ID).unwrapped.instructions)
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=["<pad>", "<eos>"], initial_alphabet=alphabet)
    core.train_from_iterator([m["content"] for messages, _ in pairs for m in messages], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )
    tokenizer.model_max_length = 1024
    tokenizer.chat_template = PLAIN_TEMPLATE
    prompter = Prompter(tokenizer)
    rows = []
    for messages, action in pairs:
        prompt, answer = prompter.encode(messages), tokenizer(f"{action}<eos>")["input_ids"]
        rows.append(([*prompt, *answer], [-100] * len(prompt) + answer))
    length = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([[0] * (length - len(row)) + row for row, _ in rows])
    labels = torch.tensor([[-100] * (length - len(row)) + row for _, row in rows])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row, _ in rows])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                num_attention_heads=4, max_position_embeddings=1024, pad_token_id=0, eos_token_id=1, bos_token_id=None,
            )
        )  # fmt: skip
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(steps):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if loss.item() < 0.02:
                break
        else:
            raise AssertionError(f"the toy has not learned its games: loss {loss.item():.3f}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
