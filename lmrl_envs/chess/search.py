"""A small chess search: iterative deepening alpha-beta with quiescence on a plain list of 64 squares.

Pure Python, several times faster than searching on `chess.Board`, and a function of the position alone: no clock, no
memory between calls. Strength is set by a budget of nodes. The moves at the root come from `chess.Board`, so whatever
is played is legal.

Squares are numbered as in python-chess (a1 = 0, h8 = 63); pieces are 1 to 6 (pawn, knight, bishop, rook, queen, king),
negative for Black; scores are in hundredths of a pawn.
"""

from __future__ import annotations

import random

import chess

MATE = 30_000
KING = 60_000
_INFINITY = 10**6
_DELTA = 200
_DIAGONAL, _STRAIGHT = ((1, 1), (1, -1), (-1, 1), (-1, -1)), ((0, 1), (0, -1), (1, 0), (-1, 0))
_JUMPS = ((1, 2), (2, 1), (-1, 2), (-2, 1), (1, -2), (2, -1), (-1, -2), (-2, -1))


def _ray(square: int, direction: tuple[int, int], length: int = 7) -> tuple[int, ...]:
    rank, file = divmod(square, 8)
    ray = []
    for _ in range(length):
        rank, file = rank + direction[0], file + direction[1]
        if not (0 <= rank < 8 and 0 <= file < 8):
            break
        ray.append(8 * rank + file)
    return tuple(ray)


def _rays(directions: tuple[tuple[int, int], ...], length: int = 7) -> tuple[tuple[tuple[int, ...], ...], ...]:
    return tuple(tuple(ray for d in directions if (ray := _ray(sq, d, length))) for sq in range(64))


_SLIDES = {3: _rays(_DIAGONAL), 4: _rays(_STRAIGHT), 5: _rays(_DIAGONAL + _STRAIGHT)}
_STEPS = {
    kind: tuple(tuple(sq for ray in rays for sq in ray) for rays in _rays(directions, 1))
    for kind, directions in ((2, _JUMPS), (6, _DIAGONAL + _STRAIGHT))
}
_PAWN_TAKES = {side: tuple(sum(rays, ()) for rays in _rays(((side, 1), (side, -1)), 1)) for side in (1, -1)}
_ALIGNED = tuple(
    frozenset(sq for directions in (_DIAGONAL + _STRAIGHT,) for d in directions for sq in _ray(king, d))
    for king in range(64)
)
# Castling rights as bits, lost when a piece leaves or enters one of these squares.
_RIGHTS = {chess.H1: 1, chess.A1: 2, chess.H8: 4, chess.A8: 8, chess.E1: 3, chess.E8: 12}
_KEEPS = tuple(15 & ~_RIGHTS.get(sq, 0) for sq in range(64))

_random = random.Random(20)
_KEYS = [[_random.getrandbits(62) for _ in range(64)] for _ in range(13)]
_SIDE_KEY = _random.getrandbits(62)
_RIGHT_KEYS = [_random.getrandbits(62) for _ in range(16)]

Tables = list[list[int]]


def _worth(kind: int, square: int, opening: float) -> float:
    """Value of a white piece on a square; ``opening`` runs from 1 (all pieces on the board) to 0 (few)."""
    rank, file = divmod(square, 8)
    centre = min(file, 7 - file) + min(rank, 7 - rank)
    ending = 1 - opening
    if kind == 1:
        middle = min(file, 7 - file) == 3
        step = (0, 0, 2, 6, 14, 30, 60, 0)[rank]
        return 95 + step + opening * middle * (-18 if rank == 1 else 14 if rank in (3, 4) else 0) + 2.5 * ending * step
    if kind == 2:
        return 290 + 9 * centre
    if kind == 3:
        return 315 + 5 * centre - 8 * (rank == 0)
    if kind == 4:
        return 490 + 20 * (rank == 6) + opening * 4 * min(file, 7 - file)
    if kind == 5:
        return 940 + 3 * centre
    shelter = (12, 30, 2, -4)[min(file, 7 - file)] if rank == 0 else -16 * rank - 10
    return KING + opening * shelter + ending * 10 * centre


_FORCE = (0, 0, 3, 3, 5, 9, 0)


def _tables(board: list[int]) -> Tables:
    """Piece values by square, indexed by piece (negative from the end), for positions near this one."""
    material = sum(_FORCE[abs(piece)] for piece in board)
    tables: Tables = [[0] * 64 for _ in range(13)]
    for kind in range(1, 7):
        worth = [round(_worth(kind, sq, min(1.0, material / 50))) for sq in range(64)]
        tables[kind] = worth
        tables[-kind] = [-worth[sq ^ 56] for sq in range(64)]
    for side in (1, -1):
        # A king without pieces is driven to the edge by the other king, which has to come near.
        ours, theirs = (sum(_FORCE[abs(p)] for p in board if p * s > 0) for s in (side, -side))
        if not ours and theirs >= 5:
            weak = board.index(6 * side)
            for sq in range(64):
                rank, file = divmod(sq, 8)
                centre = min(file, 7 - file) + min(rank, 7 - rank)
                tables[6 * side][sq] = side * (KING + 30 * centre)
                tables[-6 * side][sq] = -side * (KING - 12 * chess.square_distance(sq, weak))
    return tables


def attacked(b: list[int], square: int, by: int) -> bool:
    """Whether ``square`` is attacked by the pieces of side ``by`` (1 or -1)."""
    knight, king = 2 * by, 6 * by
    for sq in _STEPS[2][square]:
        if b[sq] == knight:
            return True
    for sq in _PAWN_TAKES[-by][square]:
        if b[sq] == by:
            return True
    for sq in _STEPS[6][square]:
        if b[sq] == king:
            return True
    queen = 5 * by
    for slider, rays in ((3 * by, _SLIDES[3][square]), (4 * by, _SLIDES[4][square])):
        for ray in rays:
            for sq in ray:
                piece = b[sq]
                if piece:
                    if piece in (slider, queen):
                        return True
                    break
    return False


class _Stop(Exception):
    """The budget of nodes is spent."""


Move = tuple[int, int, int, int]
"""Gain, from, to, promotion piece (0: none). The gain is the change of score, from the mover's view."""


class Search:
    """One search from one position."""

    def __init__(self, board: chess.Board, nodes: int) -> None:
        self.board = [0] * 64
        for sq, piece in board.piece_map().items():
            self.board[sq] = piece.piece_type if piece.color else -piece.piece_type
        self.tables = _tables(self.board)
        self.side = 1 if board.turn else -1
        self.rights = sum(bit for sq, bit in _RIGHTS.items() if bit in (1, 2, 4, 8) and board.castling_rights >> sq & 1)
        self.ep = -1 if board.ep_square is None else board.ep_square
        self.score = sum(self.tables[piece][sq] for sq, piece in enumerate(self.board) if piece)
        self.key = 0
        for sq, piece in enumerate(self.board):
            if piece:
                self.key ^= _KEYS[piece][sq]
        self.nodes, self.limit = 0, nodes
        self.memory: dict[tuple[int, int], tuple[int, int, int, tuple[int, int, int] | None]] = {}
        self.killers: dict[int, tuple[int, int, int]] = {}

    def root(self, moves: list[chess.Move], margin: int = 0) -> list[tuple[chess.Move, int]]:
        """Moves with scores, best first. Scores within ``margin`` of the best are exact, the others are bounds."""
        scored = [(move, 0) for move in moves]
        limit, self.limit = self.limit, 50 * self.limit
        for depth in range(0, 40):
            best, found = -_INFINITY, []
            try:
                for move, _ in scored:
                    child = self.play(self.board, self.side, self.rights, self.score, self.key, self._root_move(move))
                    score = -self.search(*child, depth, -_INFINITY, -(best - margin), 1)
                    found.append((move, score))
                    best = max(best, score)
            except _Stop:
                break
            self.limit = limit  # only from the second round on: the first one is always finished
            scored = sorted(found, key=lambda pair: -pair[1])
            if len(moves) == 1 or abs(scored[0][1]) > MATE - 100 or self.nodes > limit:
                break
        return scored

    def _root_move(self, move: chess.Move) -> Move:
        f, t, promotion = move.from_square, move.to_square, move.promotion or 0
        for known in self.moves(self.board, self.side, self.ep, self.rights):
            if known[1:] == (f, t, promotion):
                return known
        return self._gain(self.board, f, t, promotion), f, t, promotion  # an under-promotion

    def _gain(self, b: list[int], f: int, t: int, promotion: int) -> int:
        side = 1 if b[f] > 0 else -1
        now, then = self.tables[b[f]], self.tables[promotion * side if promotion else b[f]]
        return side * (then[t] - now[f] - self.tables[b[t]][t])

    def moves(self, b: list[int], side: int, ep: int, rights: int, quiet: bool = True) -> list[Move]:
        """Pseudo-legal moves (the king may be left in check; castling is fully checked); only gains unless ``quiet``."""
        tables, found = self.tables, []
        add = found.append
        for f, piece in enumerate(b):
            if piece * side <= 0:
                continue
            table = tables[piece]
            kind, here = piece * side, table[f]
            if kind == 1:
                self._pawn_moves(b, side, f, ep, quiet, add)
            elif kind == 2 or kind == 6:
                for t in _STEPS[kind][f]:
                    other = b[t]
                    if other:
                        if other * side < 0:
                            add((side * (table[t] - here - tables[other][t]), f, t, 0))
                    elif quiet:
                        add((side * (table[t] - here), f, t, 0))
            else:
                for ray in _SLIDES[kind][f]:
                    for t in ray:
                        other = b[t]
                        if other:
                            if other * side < 0:
                                add((side * (table[t] - here - tables[other][t]), f, t, 0))
                            break
                        if quiet:
                            add((side * (table[t] - here), f, t, 0))
        if quiet and rights:
            self._castling(b, side, rights, add)
        found.sort(reverse=True)
        return found

    def _pawn_moves(self, b: list[int], side: int, f: int, ep: int, quiet: bool, add) -> None:  # type: ignore[no-untyped-def]
        tables = self.tables
        table, here = tables[side], tables[side][f]
        t = f + 8 * side
        last = not 8 <= t < 56
        if not b[t]:
            if last:
                add((side * (tables[5 * side][t] - here), f, t, 5))
                if quiet:
                    add((side * (tables[2 * side][t] - here), f, t, 2))
            elif quiet:
                add((side * (table[t] - here), f, t, 0))
                if (f < 16 if side > 0 else f >= 48) and not b[t + 8 * side]:
                    add((side * (table[t + 8 * side] - here), f, t + 8 * side, 0))
        for t in _PAWN_TAKES[side][f]:
            other = b[t]
            if other * side < 0:
                if last:
                    add((side * (tables[5 * side][t] - here - tables[other][t]), f, t, 5))
                    if quiet:
                        add((side * (tables[2 * side][t] - here - tables[other][t]), f, t, 2))
                else:
                    add((side * (table[t] - here - tables[other][t]), f, t, 0))
            elif t == ep:
                add((side * (table[t] - here - tables[-side][t - 8 * side]), f, t, 0))

    def _castling(self, b: list[int], side: int, rights: int, add) -> None:  # type: ignore[no-untyped-def]
        king = 4 if side > 0 else 60
        mine = rights & 3 if side > 0 else rights >> 2
        if not mine or attacked(b, king, -side):
            return
        table, rook = self.tables[6 * side], self.tables[4 * side]
        if mine & 1 and not b[king + 1] and not b[king + 2] and not attacked(b, king + 1, -side):
            add((side * (table[king + 2] - table[king] + rook[king + 1] - rook[king + 3]), king, king + 2, 0))
        if mine & 2 and not b[king - 1] and not b[king - 2] and not b[king - 3] and not attacked(b, king - 1, -side):
            add((side * (table[king - 2] - table[king] + rook[king - 1] - rook[king - 4]), king, king - 2, 0))

    def play(self, b: list[int], side: int, rights: int, score: int, key: int, move: Move):  # type: ignore[no-untyped-def]
        """The arguments of `search` for the position after a move."""
        gain, f, t, promotion = move
        piece, taken = b[f], b[t]
        b = b[:]
        b[f] = 0
        b[t] = put = promotion * side if promotion else piece
        key ^= _KEYS[piece][f] ^ _KEYS[put][t] ^ _SIDE_KEY
        if taken:
            key ^= _KEYS[taken][t]
        ep = -1
        if piece == side:
            if t - f == 16 * side:
                ep = f + 8 * side
            elif (t - f) % 8 and not taken:
                b[t - 8 * side] = 0
                key ^= _KEYS[-side][t - 8 * side]
        elif piece == 6 * side and abs(t - f) == 2 and rights:
            corner, beside = (t + 1, t - 1) if t > f else (t - 2, t + 1)
            b[corner], b[beside] = 0, 4 * side
            key ^= _KEYS[4 * side][corner] ^ _KEYS[4 * side][beside]
        return b, -side, rights & _KEEPS[f] & _KEEPS[t], ep, score + side * gain, key

    def search(
        self,
        b: list[int],
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
        check = attacked(b, king, -side)
        if check and ply < 12:
            depth += 1
        if depth <= 0:
            return self.quiesce(b, side, score, alpha, beta)
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
        if skip and depth >= 3 and not check and abs(beta) < MATE - 100 and any(1 < p * side < 6 for p in b):
            value = -self.search(
                b, -side, rights, -1, score, key ^ _SIDE_KEY, depth - 3, -beta, 1 - beta, ply + 1, False
            )
            if value >= beta:
                return value
        moves = self._ordered(self.moves(b, side, ep, rights), hint, self.killers.get(ply))
        best, best_move, floor, aligned = -_INFINITY, None, alpha, _ALIGNED[king]
        for move in moves:
            f = move[1]
            child = self.play(b, side, rights, score, key, move)
            # Only such a move can leave the own king in check.
            risky = check or f == king or f in aligned or move[2] == ep
            if risky and attacked(child[0], move[2] if f == king else king, -side):
                continue
            value = -self.search(*child, depth - 1, -beta, -floor, ply + 1)
            if value > best:
                best, best_move = value, move[1:]
                if value > floor:
                    floor = value
                    if value >= beta:
                        if not b[move[2]]:
                            self.killers[ply] = move[1:]
                        break
        if best == -_INFINITY:
            return ply - MATE if check else 0
        low, high = (best if best > alpha else -_INFINITY), (best if best < beta else _INFINITY)
        self.memory[entry_key] = depth, low, high, best_move
        return best

    @staticmethod
    def _ordered(
        moves: list[Move], hint: tuple[int, int, int] | None, killer: tuple[int, int, int] | None
    ) -> list[Move]:
        """The remembered move first, then gains, then the move that refuted another line."""
        if hint is not None or killer is not None:
            moves.sort(key=lambda m: (m[1:] == hint, m[0] > 60 or m[1:] == killer), reverse=True)
        return moves

    def quiesce(self, b: list[int], side: int, score: int, alpha: int, beta: int) -> int:
        """Value after the captures worth making; standing still is always allowed."""
        self.nodes += 1
        best = side * score
        if best >= beta:
            return best
        floor = max(alpha, best)
        stand = best
        for move in self.moves(b, side, -1, 0, quiet=False):
            gain = move[0]
            if gain > KING // 2:
                return KING
            if stand + gain + _DELTA < floor:
                break
            child = self.play(b, side, 0, score, 0, move)
            value = -self.quiesce(child[0], -side, child[4], -beta, -floor)
            if value > best:
                best = value
                if value > floor:
                    floor = value
                    if value >= beta:
                        break
        return best
