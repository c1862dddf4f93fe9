"""Build the decision trees bundled with Wordle: ``python tools/wordle_trees.py common`` (or ``full``), from the root.

The cost of a set of n possible secrets is the total number of guesses over them. A guess costs n, and splits the set
into classes of equal feedback; the class "solved" is done. No class of m words costs less than 2 m - 1 (one word may
be named at once, no other before the second guess), which bounds every guess from below and lets the search for
``common`` be exact: branch and bound over all 431 guesses at every node. ``full`` looks only at the most promising
guesses (``width``); its result is the best found, and the bound printed with it is the one-guess bound above.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_envs.wordle import rules
from lmrl_envs.wordle.rules import MAX_GUESSES, SOLVED, WordList, load_words


class Solver:
    """Least total number of guesses over sets of answers, and the guess that attains it."""

    def __init__(self, words: WordList, width: int | None = None) -> None:
        self.words = words
        self.width = width
        self.table = np.stack([words.row(i) for i in range(len(words.guesses))])
        self.hit = np.array([words.answers.index(g) if g in set(words.answers) else -1 for g in words.guesses])
        self.memo: dict[bytes, tuple[int, int]] = {}

    def bounds(self, secrets: np.ndarray) -> np.ndarray:
        """Lower bound of the cost of every guess on this set; guesses that do not split it get a huge one."""
        n = len(secrets)
        part = np.sort(self.table[:, secrets], axis=1)
        classes = 1 + (part[:, 1:] != part[:, :-1]).sum(axis=1)
        hits = part[:, -1] == SOLVED
        bound = n + 2 * (n - hits) - (classes - hits)
        bound[(classes == 1) & ~hits] = 10**9
        return bound

    def solve(self, secrets: np.ndarray, limit: int = 10**9) -> tuple[int, int]:
        """(cost, guess). A cost of ``limit`` or more is only a lower bound, and not remembered."""
        n = len(secrets)
        if n == 1:
            return 1, self.guess_of(secrets[0])
        key = secrets.tobytes()
        if key in self.memo:
            return self.memo[key]
        if n == 2:
            self.memo[key] = 3, self.guess_of(secrets[0])
            return self.memo[key]
        bound = self.bounds(secrets)
        order = np.argsort(bound, kind="stable")
        if self.width:
            order = order[: self.width]
        best, best_guess = limit, -1
        for guess in order.tolist():
            if bound[guess] >= best:
                break
            cost = self.cost(secrets, guess, int(bound[guess]), best)
            if cost < best:
                best, best_guess = cost, guess
        if best_guess >= 0:
            self.memo[key] = best, best_guess
        return best, best_guess

    def cost(self, secrets: np.ndarray, guess: int, bound: int, limit: int) -> int:
        """Cost of playing ``guess`` first; stops once it cannot be under ``limit``."""
        row = self.table[guess, secrets]
        for code in sorted(set(row.tolist()) - {SOLVED}, key=lambda c: int((row == c).sum())):
            part = secrets[row == code]
            least = 2 * len(part) - 1
            bound += self.solve(part, limit - bound + least)[0] - least
            if bound >= limit:
                return limit
        return bound

    def guess_of(self, answer: int) -> int:
        return self.words.index[self.words.answers[answer]]

    def tree(self, secrets: np.ndarray) -> dict[str, Any]:
        """The decision tree on a solved set."""
        guess = self.solve(secrets)[1]
        row = self.table[guess, secrets]
        node: dict[str, Any] = {"guess": self.words.guesses[guess]}
        parts = {str(code): self.tree(secrets[row == code]) for code in sorted(set(row.tolist()) - {SOLVED})}
        if parts:
            node["next"] = parts
        return node


def play(node: dict[str, Any], words: WordList, secret: str) -> int:
    """Guesses that a tree needs for a secret."""
    for turn in range(1, 100):
        code = words.score(node["guess"], secret)
        if code == SOLVED:
            return turn
        node = node["next"][str(code)]
    raise AssertionError("unreachable")


def main(name: str = "common", width: int | None = None, first: int | None = None) -> None:
    words = load_words(name)
    started = time.time()
    solver = Solver(words, width)
    everything = np.arange(len(words.answers))
    bound = solver.bounds(everything)
    order = np.argsort(bound, kind="stable")[: first or None]
    best, best_guess = 10**9, -1
    for k, guess in enumerate(order.tolist()):
        if bound[guess] >= best:
            print(f"proved: the remaining first guesses cost at least {bound[guess]}", flush=True)
            break
        cost = solver.cost(everything, guess, int(bound[guess]), best)
        if cost < best:
            best, best_guess = cost, guess
            print(
                f"{time.time() - started:6.0f}s  {k}: {words.guesses[guess]} {cost} mean {cost / len(everything):.4f}",
                flush=True,
            )
    solver.memo[everything.tobytes()] = best, best_guess
    tree = solver.tree(everything)
    needed = [play(tree, words, secret) for secret in words.answers]
    n = len(needed)
    if max(needed) > MAX_GUESSES:
        print("warning: the tree loses some secrets")
    result = {
        "mean_return": -sum(min(k - 1, MAX_GUESSES) for k in needed) / n,
        "one_guess_bound": -(int(bound.min()) - n) / n,
        "exact": width is None and first is None,
        "tree": tree,
    }
    print({k: v for k, v in result.items() if k != "tree"}, "total", sum(needed), "longest", max(needed))
    target = Path(rules.__file__).parent / "words" / f"tree_{name}.json"
    target.write_text(json.dumps(result, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    name, *limits = sys.argv[1:] or ["common"]
    main(name, *(None if x == "none" else int(x) for x in limits))
