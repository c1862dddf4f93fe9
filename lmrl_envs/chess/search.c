/* The search of search.py in C: the same moves and scores to the last bit, in a fraction of the time.

   search.py is the definition and says why things are done; this follows it function by function. No state is kept between
   calls, so calls from several threads do not meet. Tables come from Python (native.py): nothing is defined twice. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t u64;

enum { MATE = 30000, INFINITE = 1000000, KING = 60000, DELTA = 200 };
/* Room for moves: no position of a game has more (218 legal ones; 16 pieces take in 8 directions). Small, for the stacks of threads. */
enum { MOST_PLIES = 128, MOST_MOVES = 256, MOST_CAPTURES = 128 };
enum { PAWN = 1, KNIGHT = 2, BISHOP = 3, ROOK = 4, QUEEN = 5, KING_PIECE = 6 };

/* In this order by native.py. Piece p of Black stands at 13 - p, as in a Python list. */
typedef struct {
    u64 pawn[2][64]; /* what a pawn of White, of Black takes from a square */
    u64 reach[7][64]; /* what a piece of each kind reaches on an empty board; none for pawns */
    u64 near[64]; /* what any of them reaches */
    u64 between[64][64], behind[64][64];
    u64 keys[13][64], right_keys[16], side_key;
    u64 keeps[64];
} Tables;

typedef struct {
    int32_t gain;
    int8_t from, to, promotion, unused;
} Move;

typedef struct {
    int8_t b[64];
    u64 own, enemy, pawns, key;
    int32_t side, rights, ep, score;
} Position;

typedef struct {
    u64 key;
    int32_t ep, depth, low, high;
    Move move;
    int8_t used, has_move;
} Entry;

typedef struct {
    Move *moves;
    int n, most, full;
} Moves;

typedef struct {
    const Tables *tables;
    int32_t worth[13][64];
    int64_t nodes, limit;
    int stop;
    Entry *memory;
    u64 size, held;
    Move killers[MOST_PLIES];
    int8_t has_killer[MOST_PLIES];
} Search;

enum { SPENT = 1, FAILED = 2 }; /* reasons to stop: the budget; no king, no memory, too many moves (Python then takes over) */

static inline int row(int piece) { return piece < 0 ? piece + 13 : piece; }
static inline int lowest(u64 bits) { return __builtin_ctzll(bits); }
#define BIT(square) ((u64)1 << (square))

static int attacked(const Tables *tables, const int8_t *b, int square, int by, u64 attackers, u64 pawns, u64 occupied) {
    if (tables->pawn[by > 0][square] & attackers & pawns) return 1; /* where a pawn of the other side would take */
    for (u64 near = tables->near[square] & attackers & ~pawns; near; near &= near - 1) {
        int sq = lowest(near);
        if (tables->reach[b[sq] * by][square] & BIT(sq) && !(tables->between[square][sq] & occupied)) return 1;
    }
    return 0;
}

static int before(const Move *a, const Move *b) {
    if (a->gain != b->gain) return a->gain > b->gain;
    if (a->from != b->from) return a->from > b->from;
    if (a->to != b->to) return a->to > b->to;
    return a->promotion > b->promotion;
}

static void sort(Move *moves, int n) {
    for (int i = 1; i < n; i++) {
        Move move = moves[i];
        int j = i;
        for (; j && before(&move, &moves[j - 1]); j--) moves[j] = moves[j - 1];
        moves[j] = move;
    }
}

static inline void add(Moves *found, int gain, int from, int to, int promotion) {
    if (found->n == found->most) found->full = 1;
    else found->moves[found->n++] = (Move){gain, (int8_t)from, (int8_t)to, (int8_t)promotion, 0};
}

static void castling(const Search *s, const Position *p, Moves *found) {
    int side = p->side, king = side > 0 ? 4 : 60, mine = side > 0 ? p->rights & 3 : p->rights >> 2;
    const int8_t *b = p->b;
    const int32_t *table = s->worth[row(6 * side)], *rook = s->worth[row(4 * side)];
#define SAFE(square) (!attacked(s->tables, b, square, -side, p->enemy, p->pawns, p->own | p->enemy))
    if (!mine || !SAFE(king)) return;
    if (mine & 1 && !b[king + 1] && !b[king + 2] && SAFE(king + 1))
        add(found, table[king + 2] - table[king] + rook[king + 1] - rook[king + 3], king, king + 2, 0);
    if (mine & 2 && !b[king - 1] && !b[king - 2] && !b[king - 3] && SAFE(king - 1))
        add(found, table[king - 2] - table[king] + rook[king - 1] - rook[king - 4], king, king - 2, 0);
#undef SAFE
}

static void pawn_moves(const Search *s, const Position *p, int f, Moves *found) {
    int side = p->side, t = f + 8 * side, last = t < 8 || t >= 56;
    const int8_t *b = p->b;
    const int32_t *table = s->worth[row(side)], *queen = s->worth[row(5 * side)], *knight = s->worth[row(2 * side)];
    int here = table[f];
    if (!b[t]) {
        if (last) {
            add(found, queen[t] - here, f, t, QUEEN);
            add(found, knight[t] - here, f, t, KNIGHT);
        } else {
            add(found, table[t] - here, f, t, 0);
            if ((side > 0 ? f < 16 : f >= 48) && !b[t + 8 * side])
                add(found, table[t + 8 * side] - here, f, t + 8 * side, 0);
        }
    }
    for (u64 takes = s->tables->pawn[side < 0][f]; takes; takes &= takes - 1) {
        t = lowest(takes);
        int other = b[t], taken = s->worth[row(other)][t];
        if (other * side < 0) {
            if (last) {
                add(found, queen[t] - here + taken, f, t, QUEEN);
                add(found, knight[t] - here + taken, f, t, KNIGHT);
            } else {
                add(found, table[t] - here + taken, f, t, 0);
            }
        } else if (t == p->ep) {
            add(found, table[t] - here + s->worth[row(-side)][t - 8 * side], f, t, 0);
        }
    }
}

/* Pseudo-legal moves, largest gain first; how many. */
static int all_moves(Search *s, const Position *p, Move moves[MOST_MOVES]) {
    const Tables *tables = s->tables;
    u64 occupied = p->own | p->enemy;
    Moves found = {moves, 0, MOST_MOVES, 0};
    for (u64 own = p->own; own; own &= own - 1) {
        int f = lowest(own), piece = p->b[f], kind = piece * p->side;
        if (kind == PAWN) {
            pawn_moves(s, p, f, &found);
            continue;
        }
        const int32_t *table = s->worth[row(piece)];
        for (u64 targets = tables->reach[kind][f] & ~p->own; targets; targets &= targets - 1) {
            int t = lowest(targets);
            if (!(tables->between[f][t] & occupied)) /* of knights and kings nothing lies between */
                add(&found, table[t] - table[f] + s->worth[row(p->b[t])][t], f, t, 0);
        }
    }
    if (p->rights) castling(s, p, &found);
    if (found.full) s->stop = FAILED;
    sort(moves, found.n);
    return found.n;
}

/* Captures and promotions to a queen that gain `least` or more, largest gain first; no captures en passant. */
static int captures(Search *s, const Position *p, int least, Move moves[MOST_CAPTURES]) {
    static const u64 not_a = 0xfefefefefefefefeULL, not_h = 0x7f7f7f7f7f7f7f7fULL;
    const Tables *tables = s->tables;
    u64 occupied = p->own | p->enemy, mine = p->own & p->pawns;
    Moves found = {moves, 0, MOST_CAPTURES, 0};
    int side = p->side;
    if (mine) {
        const int steps[3] = {7 * side, 9 * side, 8 * side};
        const u64 ways[3] = {
            (side > 0 ? (mine & not_a) << 7 : (mine & not_h) >> 7) & p->enemy,
            (side > 0 ? (mine & not_h) << 9 : (mine & not_a) >> 9) & p->enemy,
            (side > 0 ? (mine & (u64)0xff << 48) << 8 : (mine & (u64)0xff << 8) >> 8) & ~occupied,
        };
        for (int way = 0; way < 3; way++)
            for (u64 targets = ways[way]; targets; targets &= targets - 1) {
                int t = lowest(targets), f = t - steps[way], promotion = t < 8 || t >= 56 ? QUEEN : 0;
                int put = promotion ? QUEEN * side : side;
                int gain = s->worth[row(put)][t] - s->worth[row(side)][f] + s->worth[row(p->b[t])][t];
                if (gain >= least) add(&found, gain, f, t, promotion);
            }
    }
    for (u64 pieces = p->own ^ mine; pieces; pieces &= pieces - 1) {
        int f = lowest(pieces), piece = p->b[f];
        const int32_t *table = s->worth[row(piece)];
        for (u64 targets = tables->reach[piece * side][f] & p->enemy; targets; targets &= targets - 1) {
            int t = lowest(targets);
            if (tables->between[f][t] & occupied) continue;
            int gain = table[t] - table[f] + s->worth[row(p->b[t])][t];
            if (gain >= least) add(&found, gain, f, t, 0);
        }
    }
    if (found.full) s->stop = FAILED;
    sort(moves, found.n);
    return found.n;
}

/* The position after a move. */
static void play(const Search *s, const Position *p, const Move *move, Position *child) {
    const Tables *tables = s->tables;
    int f = move->from, t = move->to, side = p->side, piece = p->b[f], taken = p->b[t];
    int put = move->promotion ? move->promotion * side : piece, ep = -1;
    u64 own = p->own ^ (BIT(f) | BIT(t)), enemy = p->enemy, pawns = p->pawns;
    u64 key = p->key ^ tables->keys[row(piece)][f] ^ tables->keys[row(put)][t] ^ tables->side_key;
    memcpy(child->b, p->b, 64);
    child->b[f] = 0;
    child->b[t] = (int8_t)put;
    if (taken) {
        key ^= tables->keys[row(taken)][t];
        enemy ^= BIT(t);
        pawns &= ~BIT(t);
    }
    if (piece == side) {
        pawns ^= move->promotion ? BIT(f) : BIT(f) | BIT(t);
        if (t - f == 16 * side) {
            ep = f + 8 * side;
        } else if ((t - f) % 8 && !taken) {
            int passed = t - 8 * side;
            child->b[passed] = 0;
            enemy ^= BIT(passed);
            pawns ^= BIT(passed);
            key ^= tables->keys[row(-side)][passed];
        }
    } else if (piece == 6 * side && (t - f == 2 || f - t == 2) && p->rights) {
        int corner = t > f ? t + 1 : t - 2, beside = t > f ? t - 1 : t + 1;
        child->b[corner] = 0;
        child->b[beside] = (int8_t)(4 * side);
        own ^= BIT(corner) | BIT(beside);
        key ^= tables->keys[row(4 * side)][corner] ^ tables->keys[row(4 * side)][beside];
    }
    child->own = enemy;
    child->enemy = own;
    child->pawns = pawns;
    child->key = key;
    child->side = -side;
    child->rights = p->rights & (int32_t)tables->keeps[f] & (int32_t)tables->keeps[t];
    child->ep = ep;
    child->score = -p->score - move->gain;
}

/* The place of a key in an open table of a power of two, never full. */
static Entry *place(Entry *memory, u64 size, u64 key, int32_t ep) {
    u64 i = (key + (u64)(ep + 1) * 0x632be59bd9b4e019ULL) * 0x9e3779b97f4a7c15ULL >> 20;
    for (;; i++) {
        Entry *entry = &memory[i & (size - 1)];
        if (!entry->used || (entry->key == key && entry->ep == ep)) return entry;
    }
}

static void remember(Search *s, u64 key, int32_t ep, int depth, int low, int high, const Move *move) {
    if (2 * s->held >= s->size) {
        u64 size = 2 * s->size;
        Entry *memory = calloc(size, sizeof(Entry));
        if (!memory) {
            s->stop = FAILED;
            return;
        }
        for (u64 i = 0; i < s->size; i++)
            if (s->memory[i].used) *place(memory, size, s->memory[i].key, s->memory[i].ep) = s->memory[i];
        free(s->memory);
        s->memory = memory;
        s->size = size;
    }
    Entry *entry = place(s->memory, s->size, key, ep);
    s->held += !entry->used;
    *entry = (Entry){key, ep, depth, low, high, move ? *move : (Move){0, 0, 0, 0, 0}, 1, move != NULL};
}

static int quiesce(Search *s, const Position *p, int alpha, int beta) {
    Move moves[MOST_CAPTURES];
    int score = p->score, best = score, floor = alpha > score ? alpha : score;
    int n = captures(s, p, floor - score - DELTA, moves);
    for (int i = 0; i < n; i++) {
        int gain = moves[i].gain, f = moves[i].from, t = moves[i].to, value = score + gain;
        if (gain > KING / 2) return KING;
        if (value + DELTA < floor) break;
        s->nodes++;
        if (value > floor) { /* else the opponent need but stand still */
            Position child;
            int piece = p->b[f];
            memcpy(child.b, p->b, 64);
            child.b[f] = 0;
            child.b[t] = (int8_t)(moves[i].promotion ? moves[i].promotion * p->side : piece);
            child.pawns = p->pawns & ~BIT(t);
            if (piece == p->side) child.pawns ^= moves[i].promotion ? BIT(f) : BIT(f) | BIT(t);
            child.own = p->enemy & ~BIT(t);
            child.enemy = p->own ^ (BIT(f) | BIT(t));
            child.side = -p->side;
            child.score = -value;
            value = -quiesce(s, &child, -beta, -floor);
        }
        if (value > best) {
            best = value;
            if (value > floor) {
                floor = value;
                if (value >= beta) break;
            }
        }
    }
    return best;
}

static int same(const Move *a, const Move *b) {
    return a->from == b->from && a->to == b->to && a->promotion == b->promotion;
}

/* The remembered move first, then gains, then the move that refuted another line. */
static void order(Move *moves, int n, const Move *hint, const Move *killer) {
    for (int i = 0; killer && i < n; i++)
        if (same(&moves[i], killer)) {
            Move move = moves[i];
            for (; i && moves[i - 1].gain <= 60; i--) moves[i] = moves[i - 1];
            moves[i] = move;
            break;
        }
    for (int i = 0; hint && i < n; i++)
        if (same(&moves[i], hint) && moves[i].gain == hint->gain) {
            Move move = moves[i];
            for (; i; i--) moves[i] = moves[i - 1];
            moves[0] = move;
            break;
        }
}

/* Negamax value for the side to move, within (alpha, beta), fail-soft; without meaning once `stop` is set. */
static int search(Search *s, const Position *p, int depth, int alpha, int beta, int ply, int skip) {
    const Tables *tables = s->tables;
    int side = p->side, king = 0;
    while (king < 64 && p->b[king] != KING_PIECE * side) king++;
    if (king == 64 || ply >= MOST_PLIES) {
        s->stop = FAILED;
        return 0;
    }
    int check = attacked(tables, p->b, king, -side, p->enemy, p->pawns, p->own | p->enemy);
    if (check && ply < 12) depth++;
    s->nodes++;
    if (depth <= 0) return p->score >= beta ? p->score : quiesce(s, p, alpha, beta);
    if (s->nodes > s->limit) {
        s->stop = SPENT;
        return 0;
    }
    u64 key = p->key ^ tables->right_keys[p->rights];
    const Entry *entry = place(s->memory, s->size, key, p->ep);
    Move hint;
    int has_hint = entry->used && entry->has_move;
    if (entry->used) {
        hint = entry->move;
        if (entry->depth >= depth && abs(entry->low) < MATE - 100) {
            if (entry->low >= beta) return entry->low;
            if (entry->high <= alpha) return entry->high;
        }
    }
    u64 pieces = p->own & ~p->pawns;
    if (skip && depth >= 3 && !check && abs(beta) < MATE - 100 && pieces & (pieces - 1)) {
        Position passed = *p;
        passed.own = p->enemy;
        passed.enemy = p->own;
        passed.side = -side;
        passed.ep = -1;
        passed.score = -p->score;
        passed.key = p->key ^ tables->side_key;
        int value = -search(s, &passed, depth - 3, -beta, 1 - beta, ply + 1, 0);
        if (s->stop) return 0;
        if (value >= beta) return value;
    }
    Move moves[MOST_MOVES];
    int n = all_moves(s, p, moves), best = -INFINITE, floor = alpha;
    order(moves, n, has_hint ? &hint : NULL, s->has_killer[ply] ? &s->killers[ply] : NULL);
    const Move *best_move = NULL;
    u64 guards = p->enemy & ~p->pawns;
    for (int i = 0; i < n; i++) {
        int f = moves[i].from, t = moves[i].to;
        Position child;
        play(s, p, &moves[i], &child);
        /* Only such a move can leave the own king in check. */
        if ((check || f == king || tables->behind[king][f] & guards || t == p->ep) &&
            attacked(tables, child.b, f == king ? t : king, -side, child.own, child.pawns, child.own | child.enemy))
            continue;
        int value = -search(s, &child, depth - 1, -beta, -floor, ply + 1, 1);
        if (s->stop) return 0;
        if (value > best) {
            best = value;
            best_move = &moves[i];
            if (value > floor) {
                floor = value;
                if (value >= beta) {
                    if (!p->b[t]) {
                        s->killers[ply] = moves[i];
                        s->has_killer[ply] = 1;
                    }
                    break;
                }
            }
        }
    }
    if (best == -INFINITE) return check ? ply - MATE : 0;
    remember(s, key, p->ep, depth, best > alpha ? best : -INFINITE, best < beta ? best : INFINITE, best_move);
    return best;
}

/* What `root` of search.py does for the n moves at `moves` (from, to, promotion of each; their order is changed to the best
   first) with their scores. Returns the nodes searched, or -1: no king, no memory, or moves beyond what fits. */
int64_t lmrl_root(const Tables *tables, const int32_t *worth, const Position *position, int64_t limit, int32_t margin,
                  int32_t n, Move *moves, int32_t *scores) {
    if (n < 1 || n > MOST_MOVES) return -1;
    Search *s = calloc(1, sizeof(Search));
    Position *children = malloc((size_t)n * sizeof(Position));
    int32_t *found = malloc((size_t)n * sizeof(int32_t));
    int *ranks = malloc((size_t)n * sizeof(int)), *ranked = malloc((size_t)n * sizeof(int));
    int64_t nodes = -1;
    if (s) s->memory = calloc(s->size = 1024, sizeof(Entry));
    if (!s || !children || !found || !ranks || !ranked || !s->memory) goto done;
    s->tables = tables;
    memcpy(s->worth, worth, sizeof(s->worth));
    s->limit = 50 * limit; /* the first round is always finished */
    Move known[MOST_MOVES];
    int of = all_moves(s, position, known);
    for (int i = 0; i < n; i++) {
        Move move = moves[i];
        int piece = position->b[move.from], put = move.promotion ? move.promotion * position->side : piece;
        move.gain = s->worth[row(put)][move.to] - s->worth[row(piece)][move.from] /* an under-promotion */
            + s->worth[row(position->b[move.to])][move.to];
        for (int j = 0; j < of; j++)
            if (same(&known[j], &move)) move = known[j];
        play(s, position, &move, &children[i]);
        ranks[i] = i;
        scores[i] = 0;
    }
    for (int depth = 0; depth < 40; depth++) {
        int best = -INFINITE;
        for (int i = 0; i < n; i++) {
            int value = -search(s, &children[ranks[i]], depth, -INFINITE, margin - best, 1, 1);
            if (s->stop) break;
            found[i] = value;
            if (value > best) best = value;
        }
        if (s->stop) break;
        s->limit = limit;
        for (int i = 0; i < n; i++) { /* a stable sort, best first */
            int j = i;
            for (; j && scores[j - 1] < found[i]; j--) {
                scores[j] = scores[j - 1];
                ranked[j] = ranked[j - 1];
            }
            scores[j] = found[i];
            ranked[j] = ranks[i];
        }
        memcpy(ranks, ranked, (size_t)n * sizeof(int));
        if (n == 1 || abs(scores[0]) > MATE - 100 || s->nodes > limit) break;
    }
    if (s->stop != FAILED) {
        nodes = s->nodes;
        memcpy(known, moves, (size_t)n * sizeof(Move));
        for (int i = 0; i < n; i++) moves[i] = known[ranks[i]];
    }
done:
    if (s) free(s->memory);
    free(s);
    free(children);
    free(found);
    free(ranks);
    free(ranked);
    return nodes;
}

#ifndef SOURCE
#error "SOURCE: the sha256 of this file, so that a library of another one is not used"
#endif
#define TEXT(x) #x
#define AS_TEXT(x) TEXT(x)
const char lmrl_source[] = AS_TEXT(SOURCE);
