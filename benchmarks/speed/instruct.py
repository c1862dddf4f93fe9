"""An instruct model in its own chat template beside other ways of the same, in CPU seconds of one thread.

The model is Llama-shaped, of random weights: 4 layers of width 256, ChatML, a byte-level tokenizer of Wordle's words (`tools/tiny_instruct.py`).

- Rollouts: 64 games of Wordle at once, instructions and all, 16 tokens drawn a turn. Hugging Face's ``generate`` reads the whole conversation each
  turn; ours what is new of it.
- A step of adapters (LoRA, rank 8, beside every linear layer): our trainer beside TRL's SFTTrainer, the same checkpoint, rows and settings.
"""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
from models import ACTION, BATCH, DATA, SIZE, SLOTS, WORDLE, data_rows
from peers import Peers
from rollouts import EngineAgent, ReprefillAgent, Speller, playing_rate
from table import Table
from training import our_rate, write_rows
from transformers import AutoTokenizer

from lmrl_agents.models.chat import examine
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.tokens import TextFormat

TOOL = Path(__file__).parents[2] / "tools" / "tiny_instruct.py"
LONGEST = 1024
RANK, ALPHA = 8, 32.0


def model_of(folder: Path) -> LanguageModel:
    """The checkpoint as it plays."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    layout = examine(tokenizer)
    instructions = gymnasium.make(WORDLE).unwrapped.instructions  # type: ignore[attr-defined]
    form = TextFormat(max_tokens=LONGEST, max_action_tokens=ACTION, chat=layout, instructions=instructions)
    return LanguageModel.create(ModelConfig(source=str(folder)), TaskTokenizer(tokenizer, layout), form, 0)


def rows(table: Table, peers: Peers) -> None:
    """All rows of instruct models."""
    warm, steps = (1, 2) if table.quick else (3, 12)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        runpy.run_path(str(TOOL))["blank"](folder, WORDLE, DATA, SIZE["width"], SIZE["layers"])
        model = model_of(folder)
        episodes = 8 if table.quick else SLOTS

        def plays(kind: type[Speller]):
            playing_rate(kind, model, 2, spelled=True)  # what is loaded at first is not counted
            return lambda: playing_rate(kind, model, episodes, spelled=True)

        table.compare(
            f"Wordle in a chat template, {ACTION} tokens drawn a turn, {SLOTS} games at once, a Llama of {SIZE['layers']} layers",
            plays(EngineAgent),
            {"Hugging Face generate": plays(ReprefillAgent)},
            unit="tokens drawn/s",
            target=3,
        )
        games = data_rows(model.tokenizer, model.form)
        write_rows(folder, [games[i % len(games)] for i in range((warm + steps) * BATCH)])
        lora = {"r": RANK, "lora_alpha": ALPHA, "lora_dropout": 0.0, "target_modules": "all-linear"}
        order = {"folder": str(folder), "batch": BATCH, "warm": warm, "steps": steps, "lora": lora}
        chat = {"text.units": "chat", "text.max_tokens": LONGEST, "model.lora_rank": RANK, "model.lora_alpha": ALPHA}
        table.compare(
            f"BC, adapters of rank {RANK}, {BATCH} chats a step, a Llama of {SIZE['layers']} layers",
            lambda: our_rate("bc", None, warm, steps, str(folder), **chat),
            {"TRL SFTTrainer with peft": lambda: peers.ask("trl", "trl_sft", order)["rate"]},
            unit="tokens/s",
            target=1 / 1.1,
        )
