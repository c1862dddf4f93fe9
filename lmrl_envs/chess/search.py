"""A small chess search: iterative deepening alpha-beta with quiescence on a plain list of 64 squares.

Pure Python, several times faster than searching on `chess.Board`, and a function of the position alone: no clock, no
memory between calls. Beside the list, bits say where each side's pieces and all pawns stand: they make captures and
attacks on a king cheap to find. Strength is set by a budget of nodes. The moves at the root come from `chess.Board`, so
whatever is played is legal.

Squares are numbered as in python-chess (a1 = 0, h8 = 63); pieces are 1 to 6 (pawn, knight, bishop, rook, queen, king),
negative for Black; scores are in hundredths of a pawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import chess

from lmrl_envs.chess.geometry import BEHIND, BETWEEN, PAWN_TAKES, REACH, SLIDES, STEPS, attacked
from lmrl_envs.chess.worth import KING, worth_near

MATE = 30_000
_INFINITY = 10**6
_DELTA = 200
_NOT_A, _NOT_H = ~chess.BB_FILE_A & chess.BB_ALL, ~chess.BB_FILE_H & chess.BB_ALL
# Castling rights as bits, lost when a piece leaves or enters one of these squares.
_RIGHTS = {chess.H1: 1, chess.A1: 2, chess.H8: 4, chess.A8: 8, chess.E1: 3, chess.E8: 12}
_KEEPS = tuple(15 & ~_RIGHTS.get(sq, 0) for sq in range(64))

_random = random.Random(20)
_KEYS = [[_random.getrandbits(62) for _ in range(64)] for _ in range(13)]
_SIDE_KEY = _random.getrandbits(62)
_RIGHT_KEYS = [_random.getrandbits(62) for _ in range(16)]


class _Stop(Exception):
    """The budget of nodes is spent."""


Move = tuple[int, int, int, int]
"""Gain, from, to, promotion piece (0: none). The gain is the change of score, from the mover's view."""

Position = tuple[list[int], int, int, int, int, int, int, int, int]
"""Squares; bits of the mover's pieces, of the other's, of all pawns; side to move; castling rights; square of a capture en
passant (-1: none); score from the mover's view; key."""


class Search:
    """One search from one position."""

    def __init__(self, board: chess.Board, nodes: int) -> None:
        b = [0] * 64
        kinds = board.pawns, board.knights, board.bishops, board.rooks, board.queens, board.kings
        for kind, squares in enumerate(kinds, start=1):
            for sq in chess.scan_forward(squares & board.occupied_co[True]):
                b[sq] = kind
            for sq in chess.scan_forward(squares & board.occupied_co[False]):
                b[sq] = -kind
        self.worth = worth_near(b)
        castling = board.clean_castling_rights()
        rights = sum(_RIGHTS[sq] for sq in (chess.H1, chess.A1, chess.H8, chess.A8) if castling >> sq & 1)
        score = key = 0
        for sq in chess.scan_forward(board.occupied):
            piece = b[sq]
            score += self.worth[piece][sq] * (1 if piece > 0 else -1)
            key ^= _KEYS[piece][sq]
        side, ep = (1 if board.turn else -1), (-1 if board.ep_square is None else board.ep_square)
        own, other = board.occupied_co[board.turn], board.occupied_co[not board.turn]
        self.position: Position = b, own, other, board.pawns, side, rights, ep, side * score, key
        self.nodes, self.limit = 0, nodes
        self.memory: dict[tuple[int, int], tuple[int, int, int, Move | None]] = {}
        self.killers: dict[int, tuple[int, int, int]] = {}
        self.places: dict[int, tuple[int, ...]] = {}

    def root(self, moves: list[chess.Move], margin: int = 0) -> list[tuple[chess.Move, int]]:
        """Moves with scores, best first. Scores within ``margin`` of the best are exact, the others are bounds."""
        known = {move[1:]: move for move in self.moves(*self.position[:7])}
        children = {move: self.play(self.position, self._root_move(move, known)) for move in moves}
        scored = [(move, 0) for move in moves]
        limit, self.limit = self.limit, 50 * self.limit
        for depth in range(0, 40):
            best, found = -_INFINITY, []
            try:
                for move, _ in scored:
                    score = -self.search(*children[move], depth, -_INFINITY, -(best - margin), 1)
                    found.append((move, score))
                    best = max(best, score)
            except _Stop:
                break
            self.limit = limit  # only from the second round on: the first one is always finished
            scored = sorted(found, key=lambda pair: -pair[1])
            if len(moves) == 1 or abs(scored[0][1]) > MATE - 100 or self.nodes > limit:
                break
        return scored

    def _root_move(self, move: chess.Move, known: dict[tuple[int, int, int], Move]) -> Move:
        f, t, promotion = move.from_square, move.to_square, move.promotion or 0
        if (f, t, promotion) in known:
            return known[f, t, promotion]
        b, worth, side = self.position[0], self.worth, self.position[4]  # an under-promotion
        gain = worth[promotion * side if promotion else b[f]][t] - worth[b[f]][f] + worth[b[t]][t]
        return gain, f, t, promotion

    def _squares(self, bits: int) -> tuple[int, ...]:
        """The squares of the bits; kept, because one side's pieces stay while the other moves."""
        found = self.places[bits] = tuple(chess.scan_forward(bits))
        return found

    def moves(self, b: list[int], own: int, enemy: int, pawns: int, side: int, rights: int, ep: int) -> list[Move]:
        """Pseudo-legal moves (the king may be left in check; castling is fully checked), largest gain first."""
        worth, found = self.worth, []
        add = found.append
        for f in self.places.get(own) or self._squares(own):
            piece = b[f]
            table = worth[piece]
            kind, here = piece * side, table[f]
            if kind == 1:
                self._pawn_moves(b, side, f, ep, add)
            elif kind == 2 or kind == 6:
                for t in STEPS[kind][f]:
                    other = b[t]
                    if not other:
                        add((table[t] - here, f, t, 0))
                    elif other * side < 0:
                        add((table[t] - here + worth[other][t], f, t, 0))
            else:
                for ray in SLIDES[kind][f]:
                    for t in ray:
                        other = b[t]
                        if other:
                            if other * side < 0:
                                add((table[t] - here + worth[other][t], f, t, 0))
                            break
                        add((table[t] - here, f, t, 0))
        if rights:
            self._castling(b, own, enemy, pawns, side, rights, add)
        found.sort(reverse=True)
        return found

    def _pawn_moves(self, b: list[int], side: int, f: int, ep: int, add: Callable[[Move], None]) -> None:
        worth = self.worth
        table = worth[side]
        here = table[f]
        t = f + 8 * side
        last = not 8 <= t < 56
        if not b[t]:
            if last:
                add((worth[5 * side][t] - here, f, t, 5))
                add((worth[2 * side][t] - here, f, t, 2))
            else:
                add((table[t] - here, f, t, 0))
                if (f < 16 if side > 0 else f >= 48) and not b[t + 8 * side]:
                    add((table[t + 8 * side] - here, f, t + 8 * side, 0))
        for t in PAWN_TAKES[side][f]:
            other = b[t]
            if other * side < 0:
                if last:
                    add((worth[5 * side][t] - here + worth[other][t], f, t, 5))
                    add((worth[2 * side][t] - here + worth[other][t], f, t, 2))
                else:
                    add((table[t] - here + worth[other][t], f, t, 0))
            elif t == ep:
                add((table[t] - here + worth[-side][t - 8 * side], f, t, 0))

    def _castling(
        self, b: list[int], own: int, enemy: int, pawns: int, side: int, rights: int, add: Callable[[Move], None]
    ) -> None:
        king = 4 if side > 0 else 60
        mine = rights & 3 if side > 0 else rights >> 2

        def safe(square: int) -> bool:
            return not attacked(b, square, -side, enemy, pawns, own | enemy)

        if not mine or not safe(king):
            return
        table, rook = self.worth[6 * side], self.worth[4 * side]
        if mine & 1 and not b[king + 1] and not b[king + 2] and safe(king + 1):
            add((table[king + 2] - table[king] + rook[king + 1] - rook[king + 3], king, king + 2, 0))
        if mine & 2 and not b[king - 1] and not b[king - 2] and not b[king - 3] and safe(king - 1):
            add((table[king - 2] - table[king] + rook[king - 1] - rook[king - 4], king, king - 2, 0))

    def captures(self, b: list[int], own: int, enemy: int, pawns: int, side: int, least: int) -> list[Move]:
        """Captures and promotions to a queen that gain ``least`` or more, largest gain first; no captures en passant."""
        worth, found = self.worth, []
        occupied, mine = own | enemy, own & pawns
        if mine:
            if side > 0:
                ways = (
                    (7, (mine & _NOT_A) << 7 & enemy),
                    (9, (mine & _NOT_H) << 9 & enemy),
                    (8, (mine & chess.BB_RANK_7) << 8 & ~occupied),
                )
            else:
                ways = (
                    (-7, (mine & _NOT_H) >> 7 & enemy),
                    (-9, (mine & _NOT_A) >> 9 & enemy),
                    (-8, (mine & chess.BB_RANK_2) >> 8 & ~occupied),
                )
            for step, targets in ways:
                while targets:
                    bit = targets & -targets
                    targets ^= bit
                    t = bit.bit_length() - 1
                    promotion = 0 if 8 <= t < 56 else 5
                    gain = worth[promotion * side or side][t] - worth[side][t - step] + worth[b[t]][t]
                    if gain >= least:
                        found.append((gain, t - step, t, promotion))
        pieces = own ^ mine
        for f in self.places.get(pieces) or self._squares(pieces):
            piece = b[f]
            kind = piece * side
            targets = REACH[kind][f] & enemy
            if not targets:
                continue
            table, between = worth[piece], BETWEEN[f]
            while targets:
                bit = targets & -targets
                targets ^= bit
                t = bit.bit_length() - 1
                if between[t] & occupied:
                    continue
                gain = table[t] - table[f] + worth[b[t]][t]
                if gain >= least:
                    found.append((gain, f, t, 0))
        if len(found) > 1:
            found.sort(reverse=True)
        return found

    def play(self, position: Position, move: Move) -> Position:
        """The position after a move."""
        b, own, enemy, pawns, side, rights, _, score, key = position
        gain, f, t, promotion = move
        piece, taken = b[f], b[t]
        b = b[:]
        b[f] = 0
        b[t] = put = promotion * side if promotion else piece
        left, entered = 1 << f, 1 << t
        own ^= left | entered
        key ^= _KEYS[piece][f] ^ _KEYS[put][t] ^ _SIDE_KEY
        if taken:
            key ^= _KEYS[taken][t]
            enemy ^= entered
            pawns &= ~entered
        ep = -1
        if piece == side:
            pawns ^= left if promotion else left | entered
            if t - f == 16 * side:
                ep = f + 8 * side
            elif (t - f) % 8 and not taken:
                passed = t - 8 * side
                b[passed] = 0
                enemy ^= 1 << passed
                pawns ^= 1 << passed
                key ^= _KEYS[-side][passed]
        elif piece == 6 * side and abs(t - f) == 2 and rights:
            corner, beside = (t + 1, t - 1) if t > f else (t - 2, t + 1)
            b[corner], b[beside] = 0, 4 * side
            own ^= 1 << corner | 1 << beside
            key ^= _KEYS[4 * side][corner] ^ _KEYS[4 * side][beside]
        return b, enemy, own, pawns, -side, rights & _KEEPS[f] & _KEEPS[t], ep, -score - gain, key

    def search(
        self,
        b: list[int],
        own: int,
        enemy: int,
        pawns: int,
        side: int,
        rights: int,
        ep: int,
        score: int,
        key: int,
        depth: int,
        alpha: int,
        beta: int,
        ply: int,
        skip: bool = True,
    ) -> int:
        """Negamax value of a position for the side to move, within (alpha, beta), fail-soft."""
        king = b.index(6 * side)
        check = attacked(b, king, -side, enemy, pawns, own | enemy)
        if check and ply < 12:
            depth += 1
        if depth <= 0:
            self.nodes += 1
            return score if score >= beta else self.quiesce(b, own, enemy, pawns, side, score, alpha, beta)
        self.nodes += 1
        if self.nodes > self.limit:
            raise _Stop
        entry_key = (key ^ _RIGHT_KEYS[rights], ep)
        entry = self.memory.get(entry_key)
        hint = None
        if entry is not None:
            known_depth, low, high, hint = entry
            if known_depth >= depth and abs(low) < MATE - 100:
                if low >= beta:
                    return low
                if high <= alpha:
                    return high
        # To pass and still be too good for the opponent; not with pawns alone, where passing may be a gift.
        pieces = own & ~pawns
        if skip and depth >= 3 and not check and abs(beta) < MATE - 100 and pieces & (pieces - 1):
            value = -self.search(
                b,
                enemy,
                own,
                pawns,
                -side,
                rights,
                -1,
                -score,
                key ^ _SIDE_KEY,
                depth - 3,
                -beta,
                1 - beta,
                ply + 1,
                False,
            )
            if value >= beta:
                return value
        position = b, own, enemy, pawns, side, rights, ep, score, key
        moves = self._ordered(self.moves(b, own, enemy, pawns, side, rights, ep), hint, self.killers.get(ply))
        best, best_move, floor = -_INFINITY, None, alpha
        behind, guards = BEHIND[king], enemy & ~pawns
        for move in moves:
            f, t = move[1], move[2]
            child = self.play(position, move)
            # Only such a move can leave the own king in check.
            if (check or f == king or behind[f] & guards or t == ep) and attacked(
                child[0], t if f == king else king, -side, child[1], child[3], child[1] | child[2]
            ):
                continue
            value = -self.search(*child, depth - 1, -beta, -floor, ply + 1)
            if value > best:
                best, best_move = value, move
                if value > floor:
                    floor = value
                    if value >= beta:
                        if not b[t]:
                            self.killers[ply] = move[1:]
                        break
        if best == -_INFINITY:
            return ply - MATE if check else 0
        low, high = (best if best > alpha else -_INFINITY), (best if best < beta else _INFINITY)
        self.memory[entry_key] = depth, low, high, best_move
        return best

    @staticmethod
    def _ordered(moves: list[Move], hint: Move | None, killer: tuple[int, int, int] | None) -> list[Move]:
        """The remembered move first, then gains, then the move that refuted another line."""
        if killer is not None:
            for place, move in enumerate(moves):
                if move[1:] == killer:
                    while place and moves[place - 1][0] <= 60:
                        place -= 1
                    moves.remove(move)
                    moves.insert(place, move)
                    break
        if hint is not None and hint in moves:
            moves.remove(hint)
            moves.insert(0, hint)
        return moves

    def quiesce(
        self, b: list[int], own: int, enemy: int, pawns: int, side: int, score: int, alpha: int, beta: int
    ) -> int:
        """Value after the captures worth making; standing still (``score``, below ``beta`` here) is always allowed."""
        best = score
        floor = max(alpha, score)
        for gain, f, t, promotion in self.captures(b, own, enemy, pawns, side, floor - score - _DELTA):
            if gain > KING // 2:
                return KING
            value = score + gain
            if value + _DELTA < floor:
                break
            self.nodes += 1
            if value > floor:  # else the opponent need but stand still
                left, entered = 1 << f, 1 << t
                after, kept = b[:], pawns & ~entered
                piece = after[f]
                after[f] = 0
                after[t] = promotion * side if promotion else piece
                if piece == side:
                    kept ^= left if promotion else left | entered
                value = -self.quiesce(after, enemy & ~entered, own ^ left | entered, kept, -side, -value, -beta, -floor)
            if value > best:
                best = value
                if value > floor:
                    floor = value
                    if value >= beta:
                        break
        return best
