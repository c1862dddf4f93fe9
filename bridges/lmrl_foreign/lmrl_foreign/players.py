"""Who plays: by what the transcript shows, and the rules that anybody can read."""

from __future__ import annotations

import itertools
import math
import re
from functools import cache
from typing import Any

from lmrl_envs import Transcript
from lmrl_envs.core import ScriptedPolicy
from lmrl_foreign import toy_text


class RandomPolicy(ScriptedPolicy):
    """A random action of the right form."""

    def __init__(self, seed: int = 0, game: str = "", **_: Any) -> None:
        super().__init__(seed)
        self.source, _, self.name = game.partition(":")
        kind = re.search(r"GuessTheNumber|Mastermind|TowerOfHanoi", self.name)
        self.play = getattr(self, f"_{kind[0].lower() if kind else self.source}")

    def act(self, transcript: Transcript) -> str:
        return self.play(transcript, False)

    # -- one for each kind of game

    def _toy_text(self, said: Transcript, well: bool) -> str:
        actions, text = toy_text.GAMES[self.name][1], said.observations[-1]
        told = [t for t in said.observations if not t.startswith("Answer")]
        if not well or not told:
            return self.pick(actions)
        text = told[-1]
        numbers = [int(n) for n in re.findall(r"\d+", text)]
        if self.name == "Blackjack":
            stand = 18 if "usable ace" in text else 12 if 4 <= numbers[1] <= 6 else 13 if numbers[1] in (2, 3) else 17
            return "stick" if numbers[0] >= stand else "hit"
        if self.name == "Taxi":
            passenger, goal = re.findall(r": ([A-Z]\w+|in the taxi)\.", text)[-2:]
            places = ("Red", "Green", "Yellow", "Blue", "in the taxi")
            row, column = numbers[:2]
            state = ((row * 5 + column) * 5 + places.index(passenger)) * 4 + places.index(goal)
        else:
            columns = {"CliffWalking": 12, "FrozenLake": 4}.get(self.name, 8)
            state = numbers[0] * columns + numbers[1]
        return actions[plan(self.name)[state]]

    def _reasoning(self, said: Transcript, well: bool) -> str:
        answer = solve(self.name, said[0].text)
        return answer if well else answer[::-1] if self.random.random() < 0.5 else str(int(self.random.random() * 100))

    def _form(self, text: str) -> str:
        return f"\\boxed{{{text}}}" if self.source == "gem" else f"[{text}]"

    def _guessthenumber(self, said: Transcript, well: bool) -> str:
        low, high = map(int, re.search(r"between (\d+) and (\d+)", said[0].text).groups())  # type: ignore[union-attr]
        if not well:
            return self._form(str(low + int(self.random.random() * (high - low + 1))))
        for action, answer in zip(said.actions, said.observations[1:], strict=True):
            number = re.search(r"\d+", action)
            if number and re.search(r"number is (?:now )?higher", answer):
                low = max(low, int(number[0]) + 1)
            elif number and re.search(r"number is (?:now )?lower", answer):
                high = min(high, int(number[0]) - 1)
        return self._form(str((low + high) // 2))

    def _mastermind(self, said: Transcript, well: bool) -> str:
        length = int(re.search(r"(\d+) digit", said[0].text)[1])  # type: ignore[index]
        numbers = int(re.search(r"from 1 to (\d+)", said[0].text)[1])  # type: ignore[index]
        codes = list(itertools.permutations(range(1, numbers + 1), length))
        if well:
            for action, answer in zip(said.actions, said.observations[1:], strict=True):
                pegs = re.search(r"(\d+) black.*?(\d+) white", answer, re.S)
                guess = tuple(map(int, re.findall(r"\d+", action)))
                if pegs and len(guess) == length:
                    told = int(pegs[1]), int(pegs[2])
                    codes = [code for code in codes if _pegs(guess, code) == told and code != guess] or codes
        return self._form(" ".join(map(str, self.pick(codes))))

    def _towerofhanoi(self, said: Transcript, well: bool) -> str:
        boards = re.findall(r"A: \[(.*?)\]\s*B: \[(.*?)\]\s*C: \[(.*?)\]", "\n".join(said.observations))
        towers = tuple(tuple(int(n) for n in re.findall(r"\d+", tower)) for tower in boards[-1])
        move = hanoi(towers) if well else self.pick(["A C", "A B", "B C", "B A", "C A", "C B"])
        return f"[{move}]"

    def _textworld(self, said: Transcript, well: bool) -> str:
        listed = (
            [text for text in said.observations if "Commands: " in text][-1].rpartition("Commands: ")[2].split(", ")
        )
        fresh = [
            command for command in listed if command not in said.actions and not command.startswith(("look", "examine"))
        ]
        return self.pick(fresh if well and fresh else listed)


class ExpertPolicy(RandomPolicy):
    """The best that is written here: exact plans, bisection, guesses that may still be right, answers that are computed."""

    def act(self, transcript: Transcript) -> str:
        return self.play(transcript, True)


class SuboptimalPolicy(RandomPolicy):
    """The expert's action every other time."""

    def act(self, transcript: Transcript) -> str:
        return self.play(transcript, self.random.random() < 0.5)


POLICIES = {"random": RandomPolicy, "suboptimal": SuboptimalPolicy, "expert": ExpertPolicy}


@cache
def plan(name: str) -> list[int]:
    """The best action in each state, by value iteration over the table of transitions that Gymnasium publishes."""
    table = toy_text.make(name).P
    values = [0.0] * len(table)

    def worth(state: int, action: int) -> float:
        return sum(p * (reward + (0.0 if over else 0.999 * values[to])) for p, to, reward, over in table[state][action])

    for _ in range(400):
        new = [max(worth(state, action) for action in table[state]) for state in table]
        if max(abs(a - b) for a, b in zip(new, values, strict=True)) < 1e-6:
            break
        values = new
    return [max(table[state], key=lambda action: worth(state, action)) for state in table]


def hanoi(towers: tuple[tuple[int, ...], ...]) -> str:
    """The first move of a shortest way to have all disks on C."""
    disks = sum(map(len, towers))
    frontier, seen = [(towers, "")], {towers}
    for state, first in frontier:
        if len(state[2]) == disks:
            return first or "A C"
        for a, b in itertools.permutations(range(3), 2):
            if state[a] and (not state[b] or state[b][-1] > state[a][-1]):
                new = list(state)
                new[a], new[b] = state[a][:-1], (*state[b], state[a][-1])
                if tuple(new) not in seen:
                    seen.add(tuple(new))
                    frontier.append((tuple(new), first or f"{'ABC'[a]} {'ABC'[b]}"))
    return "A C"


def _pegs(guess: tuple[int, ...], code: tuple[int, ...]) -> tuple[int, int]:
    black = sum(a == b for a, b in zip(guess, code, strict=True))
    return black, len(set(guess) & set(code)) - black


def solve(name: str, question: str) -> str:
    """The answer to a question of reasoning-gym."""
    numbers = [int(n) for n in re.findall(r"\d+", question)]
    if name in ("chain_sum", "decimal_chain_sum"):
        terms = re.findall(r"([+-]?)\s*(\d+(?:\.\d+)?)", question.rpartition("problem:")[2])
        total = sum(float(n) * (-1 if sign == "-" else 1) for sign, n in terms)
        return f"{total:.6f}".rstrip("0").rstrip(".")
    if name == "products":
        return str(math.prod(numbers))
    if name in ("gcd", "lcm"):
        return str((math.gcd if name == "gcd" else math.lcm)(*numbers))
    if name == "count_bits":
        return str(numbers[-1].bit_count())
    if name == "spell_backward":
        return question.rpartition(": ")[2].strip()[::-1]
    if name == "letter_counting":
        letter, text = re.search(r'letter "(.)" appear in the text: "(.*)"', question, re.S).groups()  # type: ignore[union-attr]
        return str(text.lower().count(letter.lower()))
    worded = question.replace("binary", "base-2").replace("hexadecimal", "base-16")
    base, digits, to = re.search(r"base-(\d+) number (\w+) to base-(\d+)", worded).groups()  # type: ignore[union-attr]
    left, found = int(digits, int(base)), ""
    while left:
        left, digit = divmod(left, int(to))
        found = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + found
    return found or digits
