"""How the scripted partners read lines of many kinds of speakers (data/dialogue). From the project's root: python tests/dialogue_sets.py

Prints, of ordinary natural lines and of the other speakers', the shares that are read rightly, silently wrongly (with no word that the
line was not understood) and told as not understood, with Wilson's 95 % interval. It shows no lines: they are not to be learned from.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from lmrl_benchmarks.scores.statistics import wilson_interval
from lmrl_envs.language.bargaining import Standing, understand
from lmrl_envs.language.bargaining_line import read
from lmrl_envs.partners.judged import judge_partner, read_rows

FOLDER = Path(__file__).parent / "data" / "dialogue"
TASKS = {
    "lmrl/TwentyQuestions-v1": "twenty_questions.jsonl",
    "lmrl/GuessMyCity-v1": "guess_my_city.jsonl",
    "lmrl/CarDealer-v1": "car_dealer.jsonl",
}
ACTS = {
    "accept": ("accept",), "reject": ("refuse",), "offer": ("offer", "close"), "discount": ("discount", "offer"), "query": ("question",),
    "goodbye": ("goodbye",), "other": ("question", "close", "inform", "greet", "insult", "praise", "other", "unclear"),
}  # fmt: skip
"""What the seller does by people's judgement -> acts of `lmrl_envs.language.bargaining` that say the same."""


def verdicts(env_id: str, folder: Path = FOLDER) -> list[tuple[str, str]]:
    """Kind of speaker and verdict (right, wrong, unread, sold: wrongly taken for a sale) of every line."""
    path = folder / TASKS[env_id]
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    if "line" in rows[0]:
        return [(row["kind"], _of_a_seller(row)) for row in rows]
    return [(judged.row["kind"], judged.verdict) for judged in judge_partner(env_id, read_rows(env_id, path))]


def _of_a_seller(row: dict[str, Any]) -> str:
    standing = Standing(other=row["counter"], own=row["asked"], listed=row["list"], sells=True)
    meant, expected = understand(read(row["line"]), standing, row["car"].lower().split()), row["expected"]
    price = (
        None if meant.price is None or meant.act not in ("offer", "discount", "close", "accept") else round(meant.price)
    )
    takes_less = meant.act == "offer" and price is not None and price <= (row["counter"] or 0)
    sells = meant.act == "accept" or takes_less
    if sells and not expected["sells_now"]:
        return "sold"
    if meant.act in ACTS[expected["act"]] and price == expected["price"] and sells == expected["sells_now"]:
        return "right"
    return "unread" if meant.act == "unclear" else "wrong"


def shares(env_id: str) -> dict[str, Counter[str]]:
    """Verdicts of the ``natural`` lines and of the ``harder`` ones."""
    found = {"natural": Counter(), "harder": Counter()}
    for kind, verdict in verdicts(env_id):
        found["natural" if kind == "natural" else "harder"][verdict] += 1
    return found


def main() -> None:
    for env_id in TASKS:
        for speakers, counts in shares(env_id).items():
            n = counts.total()
            silent = counts["wrong"] + counts["sold"]
            told = {"right": counts["right"], "silently wrong": silent, "not understood": counts["unread"]}
            parts = []
            for name, count in told.items():
                low, high = wilson_interval(count, n)
                parts.append(f"{name} {100 * count / n:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
            sold = f", sold wrongly {counts['sold']}" if counts["sold"] else ""
            print(f"{env_id} {speakers}, {n} lines: {', '.join(parts)}{sold}")


if __name__ == "__main__":
    main()
