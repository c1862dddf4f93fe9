"""The arithmetic of docs/scale.md: bytes, tokens, hours and cost of a million episodes of each task on 64 GPUs.

    python benchmarks/speed/plan.py

What was measured here stands in TASKS, with the command in docs/scale.md; what is assumed stands in the other constants.
"""

from __future__ import annotations

from dataclasses import dataclass

EPISODES, GPUS, CPUS = 1_000_000, 64, 512
DOLLARS_A_GPU_HOUR = 2.5
PEAK, MEMORY, BANDWIDTH = 989e12, 80e9, 3.35e12
"""An H100's dense bfloat16 operations a second, bytes, bytes a second (its data sheet)."""
TRAINING_SHARE, READING_SHARE, DECODING_SHARE = 0.4, 0.4, 0.3
"""Of the peak (training, reading) and of the bandwidth's bound (decoding) that is reached: assumptions."""
NETWORK = 50e9
"""Bytes a second of a GPU's link to other nodes (400 Gb/s)."""
TOKENISED, STEP = 2, 26
"""Bytes of `step_cache`: an id; an action token with row, column, reward, turn and episode."""
SLOTS = 128
"""Games at once on a GPU."""


@dataclass(frozen=True)
class Task:
    """An episode of the `mixed` data, means."""

    turns: float
    read: float
    """Characters of the environment."""
    written: float
    """Characters of the agent."""
    size: float
    """Bytes on disk."""
    cpu: float
    """CPU seconds to generate it."""
    characters_a_token: float = 4.0
    """Assumed for GPT-2's and Llama's vocabularies; letters and boards are spaced, two characters a token."""

    @property
    def tokens(self) -> float:
        """All tokens, three marks a turn included."""
        return (self.read + self.written) / self.characters_a_token + 3 * self.turns

    @property
    def drawn(self) -> float:
        """The agent's tokens, end tokens included."""
        return self.written / self.characters_a_token + self.turns


TASKS = {
    "Wordle": Task(4.73, 49.6, 23.7, 27.4, 0.000143, 2),
    "Maze": Task(20.1, 2373, 177, 41.6, 0.00089),
    "Text-Nav": Task(12.5, 3274, 146, 71.7, 0.00249),
    "20 Questions": Task(14.6, 56.0, 307, 49.8, 0.00089),
    "Guess My City": Task(18.5, 250, 422, 53.8, 0.0021),
    "Car Dealer": Task(16.0, 1877, 654, 365, 0.00275),
    "Endgames": Task(12.7, 858, 67.9, 246, 0.0098, 2),
    "Chess": Task(43.5, 5030, 233, 983, 0.0361, 2),
}


@dataclass(frozen=True)
class Model:
    """A decoder."""

    parameters: float
    layers: int
    key_width: int
    """Width of keys (and of values) of a layer: heads x head width, of key heads only."""

    def training_hours(self, tokens: float, passes: float = 1.0) -> float:
        """GPU hours of forward and backward: 6 operations a parameter and token."""
        return 6 * self.parameters * tokens * passes / (PEAK * TRAINING_SHARE) / 3600

    def state_bytes(self) -> dict[str, float]:
        """Of one process in training: float32 weights, gradients and AdamW's two moments are 16 bytes a parameter.

        ILQL: the critic, its target's weights, the frozen policy's. PPO: policy and critic, the weights that it started from,
        and weights and moments of the policy as they were, to take a round back.
        """
        each = {"BC": 16, "ILQL": 16 + 4 + 4, "PPO": 16 + 16 + 4 + 12}
        return {name: size * self.parameters for name, size in each.items()}

    def cache_bytes(self) -> float:
        """Of keys and values of one token, bfloat16."""
        return 2 * self.layers * self.key_width * 2

    def drawn_a_second(self, context: float) -> float:
        """Tokens of one GPU: a step reads all weights once and every game's cache."""
        step = (2 * self.parameters + SLOTS * context * self.cache_bytes()) / (BANDWIDTH * DECODING_SHARE)
        return SLOTS / step

    def playing_hours(self, task: Task) -> float:
        """GPU hours of a million episodes: drawing, and reading what the environment says, once."""
        draw = EPISODES * task.drawn / self.drawn_a_second(task.tokens / 2)
        read = 2 * self.parameters * EPISODES * task.tokens / (PEAK * READING_SHARE)
        return (draw + read) / 3600


MODELS = {"GPT-2-XL": Model(1.56e9, 48, 1600), "7B": Model(7e9, 32, 1024)}


def grid(head: list[str], rows: list[list[str]]) -> None:
    """A table in Markdown."""
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    print("\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n")


def short(value: float) -> str:
    """Two or three digits."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def main() -> None:
    """Print the tables."""
    total = sum(task.tokens for task in TASKS.values()) * EPISODES
    rows = [
        [
            name,
            short(task.turns),
            short(task.tokens),
            short(task.drawn),
            f"{task.tokens * EPISODES / 1e9:.2g}",
            f"{task.size * EPISODES / 1e6:,.0f}",
            f"{(task.tokens * TOKENISED + task.drawn * STEP) * EPISODES / 1e9:.2g}",
            short(task.cpu * EPISODES / 3600),
            short(task.cpu * EPISODES / 60 / CPUS),
        ]
        for name, task in TASKS.items()
    ]
    print("Data, a million episodes a task\n")
    head = [
        "task",
        "turns",
        "tokens",
        "drawn",
        "10^9 tokens",
        "MB on disk",
        "GB tokenised",
        "CPU hours",
        f"minutes on {CPUS} CPUs",
    ]
    grid(head, rows)
    for name, model in MODELS.items():
        print(
            f"{name}, {model.parameters / 1e9:g}e9 parameters: {short(model.cache_bytes() / 1e3)} KB of cache a token\n"
        )
        rows = []
        for task_name, task in TASKS.items():
            tokens = EPISODES * task.tokens
            clone, ilql = model.training_hours(tokens), model.training_hours(tokens, 4 / 3)
            play = model.playing_hours(task)
            online = play + model.training_hours(tokens, 2)  # policy and critic
            whole = clone + ilql + online
            rows.append(
                [
                    task_name,
                    *(short(h) for h in (clone, ilql, play, online, whole / GPUS)),
                    short(whole * DOLLARS_A_GPU_HOUR),
                ]
            )
        head = ["task", "BC, GPU hours", "ILQL", "play", "PPO, play included", f"all, hours on {GPUS}", "dollars"]
        grid(head, rows)
        states = ", ".join(f"{algorithm} {size / 1e9:.0f} GB" for algorithm, size in model.state_bytes().items())
        exchange = 2 * 4 * model.parameters * (GPUS - 1) / GPUS / NETWORK
        compute = 6 * model.parameters * 65_536 / (PEAK * TRAINING_SHARE)
        print(f"- training state of a process: {states}; a GPU has {MEMORY / 1e9:.0f} GB")
        print(f"- {SLOTS} games of 500 tokens: {SLOTS * 500 * model.cache_bytes() / 1e9:.1f} GB of caches")
        print(
            f"- a step of 65,536 tokens a GPU: {compute:.2f} s of products, {exchange:.2f} s to join float32 gradients\n"
        )
    print(
        f"all tasks: {total / 1e9:.1f}e9 tokens a pass, {sum(t.size for t in TASKS.values()) * EPISODES / 1e9:.1f} GB on disk"
    )


if __name__ == "__main__":
    main()
