"""TRL's RewardTrainer on pairs of given rows: pairs per CPU second of one thread.

Order: as `trl_dpo`.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from typing import Any

from orders import serve
from trl_dpo import pairs_of
from trl_sft import COMMON, clock


def answer(order: dict[str, Any]) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    torch.set_num_threads(1)
    warm, steps, pairs = order["warm"], order["steps"], order["batch"] // 2
    tokenizer, data, lengths = pairs_of(order)
    model = AutoModelForSequenceClassification.from_pretrained(order["folder"], num_labels=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    callback, marks = clock()
    config = RewardConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=pairs,
        max_steps=warm + steps,
        **COMMON,
    )
    trainer = RewardTrainer(
        model=model, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[callback]
    )
    read = trainer.train_dataset[0]
    length = len(next(read[name] for name in ("chosen_ids", "chosen_input_ids") if name in read))
    if length != lengths[0]:
        raise RuntimeError(
            f"the trainer reads {length} tokens where {lengths[0]} were meant: this is not the same work"
        )
    trainer.train()
    return {"pairs": steps * pairs / (marks[-1] - marks[warm - 1]), "version": importlib.metadata.version("trl")}


if __name__ == "__main__":
    serve(answer)
