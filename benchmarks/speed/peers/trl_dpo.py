"""TRL's DPOTrainer on pairs of given rows: pairs per CPU second of one thread.

Order: as `trl_sft`. The rows are those of chosen and rejected games in turn; openings.json says how many tokens of each are its prompt, and the rest is
its completion.
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from pathlib import Path
from typing import Any

from orders import serve
from trl_sft import COMMON, clock


def pairs_of(order: dict[str, Any]) -> tuple[Any, Any, list[int]]:
    """Tokenizer, dataset of prompt, chosen and rejected, and the length of each row in tokens."""
    from transformers import PreTrainedTokenizerFast

    from datasets import Dataset

    folder = Path(order["folder"])
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    # What rows end with; the trainer adds one where it is missing.
    tokenizer.eos_token_id = tokenizer.convert_tokens_to_ids("<eoa>")
    rows = [row["input_ids"] for row in json.loads((folder / "rows.json").read_text())]
    openings = json.loads((folder / "openings.json").read_text())
    texts = [(tokenizer.decode(ids[:k]), tokenizer.decode(ids[k:-1])) for ids, k in zip(rows, openings, strict=True)]
    data = [
        {"prompt": better[0], "chosen": better[1], "rejected": worse[1]}
        for better, worse in zip(texts[::2], texts[1::2], strict=True)
    ]
    return tokenizer, Dataset.from_list(data), list(map(len, rows))


def answer(order: dict[str, Any]) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForCausalLM
    from trl import DPOConfig, DPOTrainer

    torch.set_num_threads(1)
    warm, steps, pairs = order["warm"], order["steps"], order["batch"] // 2
    tokenizer, data, lengths = pairs_of(order)
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
        train_dataset=data,
        processing_class=tokenizer,
        callbacks=[callback],
    )
    read = trainer.train_dataset[0]
    length = len(read["prompt_ids"]) + len(read["chosen_ids"])
    if length != lengths[0]:
        raise RuntimeError(
            f"the trainer reads {length} tokens where {lengths[0]} were meant: this is not the same work"
        )
    trainer.train()
    return {"pairs": steps * pairs / (marks[-1] - marks[warm - 1]), "version": importlib.metadata.version("trl")}


if __name__ == "__main__":
    serve(answer)
