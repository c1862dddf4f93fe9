"""TRL's SFTTrainer on given rows: run by agents.py with the Python of an environment that has trl.

    python trl_sft.py <folder of a saved model> <rows.json> <batch size> <steps not counted> <steps counted>

Rows: ``{"input_ids": [...], "completion_mask": [...]}`` each. Prints one JSON line: tokens per CPU second, version.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
import time


def main() -> None:
    folder, rows, batch, warm, counted = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from datasets import Dataset

    torch.set_num_threads(1)
    with open(rows) as file:
        data = json.load(file)
    mean_length = sum(len(row["input_ids"]) for row in data) / len(data)
    marks: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *arguments, **named):
            marks.append(time.process_time())

    config = SFTConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=batch,
        max_steps=warm + counted,
        learning_rate=1e-3,
        weight_decay=0.01,
        max_grad_norm=1.0,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        max_length=None,
        completion_only_loss=True,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=0,
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder),
        args=config,
        train_dataset=Dataset.from_list(data),
        processing_class=PreTrainedTokenizerFast.from_pretrained(folder),
        callbacks=[Clock()],
    )
    trainer.train()
    rate = counted * batch * mean_length / (marks[-1] - marks[warm - 1])
    print(json.dumps({"rate": rate, "version": importlib.metadata.version("trl")}))


if __name__ == "__main__":
    main()
