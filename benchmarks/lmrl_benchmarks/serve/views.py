"""What a player's screen shows of a game: functions of the conversation alone, so that they know no more than an agent.

Every view but the maze's last one is made from texts that an agent gets too. Nothing here looks into an environment's
hidden state; what was hidden comes from the last ``info`` and only after the end.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

import chess

from lmrl_envs import Transcript, task
from lmrl_envs.chess.rules import plain_fen, position_text, read_move
from lmrl_envs.maze.policies import read_position, walls
from lmrl_envs.maze.rules import _WALL_PHRASES, MOVES, Cell
from lmrl_envs.wordle.rules import MARKS, MAX_GUESSES, WORD_LENGTH, clean_guess, parse_feedback

KINDS = {
    "maze": "maze",
    "wordle": "wordle",
    "wordle_full": "wordle",
    "text_nav": "text_nav",
    "chess": "chess",
    "chess_endgames": "chess",
}
"""Family of a task -> how it is shown; every other family is a chat."""

_LIMITS = {
    "wordle": "lmrl_envs.wordle.rules:MAX_GUESSES",
    "wordle_full": "lmrl_envs.wordle.rules:MAX_GUESSES",
    "twenty_questions": "lmrl_envs.twenty_questions.rules:MAX_QUESTIONS",
    "guess_my_city": "lmrl_envs.guess_my_city.rules:MAX_QUESTIONS",
    "car_dealer": "lmrl_envs.car_dealer.rules:MAX_TURNS",
}
_AVAILABLE = "Available actions: ["


def kind_of(env_id: str) -> str:
    """``chess``, ``maze``, ``wordle``, ``text_nav`` or ``chat``."""
    return KINDS.get(task(env_id).family, "chat")


def turn_limit(env: Any, env_id: str) -> int | None:
    """Most actions of a game, where the task has a limit of its own."""
    place = _LIMITS.get(task(env_id).family)
    if place is None:
        return getattr(env, "max_moves", None)
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


def view_of(kind: str, transcript: Transcript, ended: dict[str, Any] | None = None) -> dict[str, Any]:
    """The drawing of a game as JSON-able values; empty for chats, whose texts are all there is.

    Args:
        kind: see `kind_of`.
        transcript: the conversation.
        ended: None while the game runs; then ``info``, and ``maze`` (rows of the layout) where there is one.
    """
    if kind == "chess":
        return _chess(transcript, ended is not None)
    if kind == "maze":
        return _maze(transcript, ended)
    if kind == "wordle":
        return _wordle(transcript)
    if kind == "text_nav":
        return _text_nav(transcript)
    return {}


def doubt(kind: str, env: Any, transcript: Transcript, action: str) -> str | None:
    """Why an action would be wasted, told before it is played; None for actions that are in order.

    Says only what anybody can check from the last text and the public word list.
    """
    shown = repr(action if len(action) <= 40 else action[:40] + "...")
    if kind == "wordle" and clean_guess(action) not in set(env.vocabulary):
        return f'{shown} is not in this task\'s word list: it is answered "invalid" and uses up a guess.'
    if kind == "maze" and action.strip() not in MOVES:
        return f"{shown} is no move: it costs 4 points. Moves are {', '.join(MOVES)}."
    if kind == "text_nav" and " ".join(action.lower().split()) not in available_actions(transcript):
        return f"{shown} is not among the available actions: it is refused and uses up a turn."
    if kind == "chess" and read_move(chess.Board(plain_fen(transcript[-1].text)), action) is None:
        return f"{shown} is no legal move here: it costs a point, and the position stays."
    return None


# -- Wordle


def _wordle(transcript: Transcript) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    keys: dict[str, str] = {}
    for action, told in zip(transcript.actions, transcript.observations[1:], strict=True):
        code = parse_feedback(told)
        if code is None:
            rows.append({"guess": action[:20], "marks": None})
            continue
        guess = clean_guess(action)
        marks = "".join(MARKS[code // 3 ** (WORD_LENGTH - 1 - i) % 3] for i in range(WORD_LENGTH))
        rows.append({"guess": guess, "marks": marks})
        for letter, mark in zip(guess, marks, strict=True):
            if MARKS.index(mark) >= MARKS.index(keys.get(letter, MARKS[0])):
                keys[letter] = mark
    return {"rows": rows, "keys": keys, "length": WORD_LENGTH, "guesses": MAX_GUESSES}


# -- Text-Nav


def available_actions(transcript: Transcript) -> list[str]:
    """The commands that the last text lists."""
    last = transcript[-1].text.rsplit("\n", 1)[-1]
    if not (last.startswith(_AVAILABLE) and last.endswith("]")):
        return []
    inner = last[len(_AVAILABLE) : -1]
    return inner.split(", ") if inner else []


def _text_nav(transcript: Transcript) -> dict[str, Any]:
    lines = [line for line in transcript[-1].text.split("\n") if not line.startswith(_AVAILABLE)]
    return {"lines": lines, "actions": available_actions(transcript)}


# -- Maze


def _maze(transcript: Transcript, ended: dict[str, Any] | None) -> dict[str, Any]:
    """The map as far as it has been told: where the walls are said to be decides which moves went through."""
    known = read_position(transcript[0].text)
    goal, position = known if known else (None, (0, 0))
    path: list[Cell] = [position]
    marks: dict[Cell, str] = {}
    told = transcript[0].text
    for action, answer in [*zip(transcript.actions, transcript.observations[1:], strict=True), ("", "")]:
        blocked = {step for phrase, step in _WALL_PHRASES if phrase in walls(told)}
        r, c = position
        marks[position] = " "
        for step in MOVES.values():
            marks.setdefault((r + step[0], c + step[1]), "#" if step in blocked else " ")
        step = MOVES.get(action.strip())
        if step is not None and step not in blocked:
            position = (r + step[0], c + step[1])
            path.append(position)
        told = answer or told
        if answer == "Success":
            goal = goal or position
            marks[position] = " "
            break
    if ended is not None and "maze" in ended:
        return _whole_maze(ended, path)
    if goal is not None:
        marks.setdefault(goal, " ")
    top, left = min(r for r, _ in marks), min(c for _, c in marks)
    bottom, right = max(r for r, _ in marks), max(c for _, c in marks)
    grid = [[marks.get((r, c), "?") for c in range(left, right + 1)] for r in range(top, bottom + 1)]
    for r, c in path:
        grid[r - top][c - left] = "."
    if goal is not None:
        grid[goal[0] - top][goal[1] - left] = "G"
    grid[position[0] - top][position[1] - left] = "@"
    return {"rows": ["".join(row) for row in grid], "whole": False}


def _whole_maze(ended: dict[str, Any], path: list[Cell]) -> dict[str, Any]:
    """The layout with the way that was walked, after the end."""
    end = tuple(ended["info"].get("position", path[-1]))
    dr, dc = end[0] - path[-1][0], end[1] - path[-1][1]
    grid = [list(row.replace("G", " ")) for row in ended["maze"]["rows"]]
    for r, c in path:
        grid[r + dr][c + dc] = "."
    grid[ended["maze"]["goal"][0]][ended["maze"]["goal"][1]] = "G"
    grid[end[0]][end[1]] = "@"
    return {"rows": ["".join(row) for row in grid], "whole": True}


# -- Chess


def _chess(transcript: Transcript, over: bool) -> dict[str, Any]:
    fens = [plain_fen(text) for text in transcript.observations]
    board = chess.Board(fens[-1])
    legal: dict[str, list[str]] = {}
    promotions: set[str] = set()
    for move in () if over else board.legal_moves:
        source, target = chess.square_name(move.from_square), chess.square_name(move.to_square)
        if move.promotion:
            promotions.add(source + target)
        if target not in legal.setdefault(source, []):
            legal[source].append(target)
    steps = [
        _chess_step(before, action, after)
        for before, action, after in zip(fens[:-1], transcript.actions, fens[1:], strict=True)
    ]
    played = [squares for _, squares in steps if squares]
    king = board.king(board.turn)
    return {
        "fen": fens[-1],
        "legal": legal,
        "promotions": sorted(promotions),
        "last": list(played[-1]) if played else [],
        "check": chess.square_name(king) if king is not None and board.is_check() else None,
        "moves": [text for text, _ in steps],
    }


@lru_cache(maxsize=8192)
def _chess_step(before: str, action: str, after: str) -> tuple[str, tuple[str, ...]]:
    """One turn as people write it, and the squares of the last move on the board; the reply is read off the position."""
    board = chess.Board(before)
    move = read_move(board, action)
    if move is None:
        return f"{action[:20]}?", ()
    text = f"{board.fullmove_number}. {board.san(move)}"
    board.push(move)
    for reply in board.legal_moves:
        board.push(reply)
        same = position_text(board, False) == after
        board.pop()
        if same:
            return f"{text} {board.san(reply)}", (
                chess.square_name(reply.from_square),
                chess.square_name(reply.to_square),
            )
    return text, (chess.square_name(move.from_square), chess.square_name(move.to_square))
