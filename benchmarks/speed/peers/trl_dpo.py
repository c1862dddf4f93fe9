"""TRL's DPOTrainer on pairs of given rows: tokens per CPU second of one thread, both games of a pair counted.

Order: as `trl_sft`, with ``"opening"``: how many tokens all rows begin with; the rest of a row is its completion.
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from pathlib import Path
from typing import Any

from orders import serve
from trl_sft import COMMON, clock


def answer(order: dict[str, Any]) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer

    from datasets import Dataset

    torch.set_num_threads(1)
    warm, steps, opening = order["warm"], order["steps"], order["opening"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(order["folder"])
    # What rows end with; the trainer adds one where it is missing.
    tokenizer.eos_token_id = tokenizer.convert_tokens_to_ids("<eoa>")
    rows = [row["input_ids"] for row in json.loads(Path(order["folder"], "rows.json").read_text())]
    pairs = order["batch"] // 2
    chosen, rejected = rows[::2], rows[1::2]
    data = [
        {
            "prompt": tokenizer.decode(a[:opening]),
            "chosen": tokenizer.decode(a[opening:-1]),
            "rejected": tokenizer.decode(b[opening:-1]),
        }
        for a, b in zip(chosen, rejected, strict=True)
    ]
    callback, marks = clock()
    config = DPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=pairs,
        max_steps=warm + steps,
        beta=0.1,
        **COMMON,
    )
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(order["folder"]),
        args=config,
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
        callbacks=[callback],
    )
    read = trainer.train_dataset[0]
    length = len(read["prompt_ids"]) + len(read["chosen_ids"])
    if length != len(chosen[0]):
        raise RuntimeError(
            f"the trainer reads {length} tokens where {len(chosen[0])} were meant: this is not the same work"
        )
    trainer.train()
    rate = steps * pairs * 2 * sum(map(len, rows)) / len(rows) / (marks[-1] - marks[warm - 1])
    return {"rate": rate, "version": importlib.metadata.version("trl")}


if __name__ == "__main__":
    serve(answer)
