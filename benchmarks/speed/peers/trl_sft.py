"""TRL's SFTTrainer on given rows: tokens per CPU second of one thread.

Order: ``{"folder": saved model and rows.json, "batch": rows a step, "warm": steps not counted, "steps": counted}``.
Rows: ``{"input_ids": [...], "completion_mask": [...]}`` each. With ``"lora"`` (arguments of peft's `LoraConfig`) adapters are trained.
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from orders import serve


def clock() -> tuple[Any, list[float]]:
    """A callback that marks the CPU time after each step."""
    from transformers import TrainerCallback

    marks: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *arguments, **named):
            marks.append(time.process_time())

    return Clock(), marks


COMMON: dict[str, Any] = {
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "gradient_checkpointing": False,
    "bf16": False,
    "use_cpu": True,
    "logging_strategy": "no",
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "max_length": None,
    "seed": 0,
}


def answer(order: dict[str, Any]) -> dict[str, Any]:
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    from datasets import Dataset

    torch.set_num_threads(1)
    warm, steps = order["warm"], order["steps"]
    data = json.loads(Path(order["folder"], "rows.json").read_text())
    mean_length = sum(len(row["input_ids"]) for row in data) / len(data)
    callback, marks = clock()
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=order["batch"],
        max_steps=warm + steps,
        completion_only_loss=True,
        **COMMON,
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(order["folder"]),
        args=config,
        train_dataset=Dataset.from_list(data),
        processing_class=PreTrainedTokenizerFast.from_pretrained(order["folder"]),
        callbacks=[callback],
        peft_config=LoraConfig(task_type="CAUSAL_LM", **order["lora"]) if "lora" in order else None,
    )
    trainer.train()
    rate = steps * order["batch"] * mean_length / (marks[-1] - marks[warm - 1])
    return {"rate": rate, "version": importlib.metadata.version("trl")}


if __name__ == "__main__":
    serve(answer)
