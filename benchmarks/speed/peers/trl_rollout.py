"""Multi-turn rollouts of TRL's GRPOTrainer: tokens drawn per CPU second of one thread.

Order: ``{"folder": saved model, "games": n, "turns": n, "action": most tokens of an action}``.

The path is the trainer's own: it renders the opening, generates, calls the environment's tool, appends the answer's ids and
generates over the whole again (with no vLLM, that is Hugging Face's ``generate``). Two things stand in for a trained model:
whatever was written counts as a call of the tool, and the game is over after so many turns.
"""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
import time
from typing import Any

from orders import serve

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}{% for c in m.tool_calls or [] %}"
    "{{ c.function.name }}{{ c.function.arguments }}{% endfor %}<eoa>{% else %}<obs>{{ m.content }}<act>{% endif %}{% endfor %}"
)
CALL = [{"type": "function", "function": {"name": "guess", "arguments": {"word": "crane"}}}]


class Game:
    """Answers like a game of Wordle that is given no word."""

    def reset(self, **_: Any) -> None:
        """Begin."""

    def get_reward(self) -> float:
        """Nothing is learned here."""
        return 0.0

    def guess(self, word: str) -> str:
        """Guess a word.

        Args:
            word: the guess.
        """
        return "invalid"


trainers: dict[str, Any] = {}


def trainer_of(order: dict[str, Any]) -> Any:
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer
    from trl.trainer import grpo_trainer

    from datasets import Dataset

    torch.set_num_threads(1)
    grpo_trainer.parse_response = lambda *_, **__: {"role": "assistant", "content": "", "tool_calls": CALL}
    tokenizer = PreTrainedTokenizerFast.from_pretrained(order["folder"])
    tokenizer.eos_token, tokenizer.chat_template, tokenizer.response_template = "<eoa>", TEMPLATE, {}
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=order["games"],
        num_generations=order["games"],
        max_completion_length=400,
        max_tool_calling_iterations=order["turns"] - 1,
        generation_kwargs={"max_new_tokens": order["action"]},
        temperature=1.0,
        top_k=0,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(order["folder"]),
        args=config,
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": "Wordle:"}]}] * order["games"]),
        processing_class=tokenizer,
        environment_factory=Game,
    )
    return trainer


def answer(order: dict[str, Any]) -> dict[str, Any]:
    if order["folder"] not in trainers:
        trainers[order["folder"]] = trainer_of(order)
    trainer = trainers[order["folder"]]
    spent: list[float] = []
    drawn: list[int] = []
    original = type(trainer)._generate

    def generate(prompts: list[Any]) -> Any:
        started = time.process_time()
        found = original(trainer, prompts)
        spent.append(time.process_time() - started)
        drawn.append(sum(map(sum, found[2])))
        return found

    trainer._generate = generate
    inputs = [{"prompt": [{"role": "user", "content": "Wordle:"}]} for _ in range(order["games"])]
    trainer.model.eval()
    trainer._generate_and_score_completions(inputs)
    expected = order["games"] * order["turns"] * order["action"]
    if not 0.8 * expected < sum(drawn) <= expected:
        raise RuntimeError(f"{sum(drawn)} tokens were drawn, not about {expected}: this is not the same work")
    return {"rate": sum(drawn) / sum(spent), "version": importlib.metadata.version("trl")}


if __name__ == "__main__":
    serve(answer)
