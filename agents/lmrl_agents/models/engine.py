"""Generation for conversations: each game keeps its key-value cache from turn to turn.

`sampling.generate` reads every context from its first token. Here a context is compared with what the game's slot holds,
and only the rest is read. Games with equal contexts share what they say alike, up to the token at which they part. The results are the
same; what it costs: docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.utils import parametrize

from lmrl_agents.models.families import forgets
from lmrl_agents.models.gpt2_pass import is_plain_gpt2, last_states
from lmrl_agents.models.sampling import Generated, Policy, Sampling, Tables, draw, evaluating, tables_of
from lmrl_agents.models.slot_cache import ATTENTION, Rows, SlotCache

TOKENS_AT_ONCE = 8192
"""Most tokens of one forward pass, padding included, unless a single row is longer."""


@dataclass
class Counts:
    """What an engine has done; tokens are counted once, whatever the number of networks."""

    kept: int = 0
    """Tokens of contexts that were in the cache."""
    copied: int = 0
    """Tokens of contexts that were copied from an equal context."""
    read: int = 0
    """Tokens of contexts that went through the networks."""
    generated: int = 0
    """Tokens drawn."""
    passes: int = 0
    """Forward passes."""
    rows: int = 0
    """Rows of single-token passes, idle ones between others included."""


@dataclass(eq=False)
class _Slot:
    index: int
    key: Hashable | None = None
    ids: list[int] = field(default_factory=list)
    """Tokens whose keys and values the cache holds."""
    used: int = 0


class SlotEngine:
    """Draws actions for many games at once, like `sampling.generate`, and keeps what it has read.

    A game is known by its key. Whatever is asked, in whatever order and grouping, the answer is that of `generate`: the
    caches only save work. Changed weights are noticed and empty them.

    Args:
        policy: see `sampling.Policy`.
        sampling: temperature and cuts.
        slots: most games whose caches are kept; when more are played, those that waited longest are read anew. There are
            as many slots as games were played at once. Each takes 2 x layers x key heads x head width x longest
            conversation numbers, for each network.

    Raises:
        ValueError: a network does not attend to all earlier tokens by plain attention; use `generate` then.
    """

    def __init__(self, policy: Policy, sampling: Sampling, slots: int) -> None:
        if slots < 1:
            raise ValueError(f"slots={slots} must be at least 1")
        problem = unsupported(policy)
        if problem:
            raise ValueError(f"{problem}; use sampling.generate")
        self.policy, self.sampling = policy, sampling
        self.counts = Counts()
        self._most = slots
        self._slots: list[_Slot] = []
        self._of: dict[Hashable, _Slot] = {}
        self._caches = [SlotCache() for _ in policy.networks]
        self._weights: tuple[list[tuple[int, int]], list[float]] = ([], [])
        self._forwards: list[Callable[..., torch.Tensor]] = []
        self._calls = 0

    def generate(
        self,
        keys: Sequence[Hashable],
        contexts: Sequence[Sequence[int]],
        uniforms: Sequence[Callable[[], float]],
    ) -> list[Generated]:
        """One action per game.

        Args:
            keys: one per game, all different.
            contexts: ids that end where an action begins; cheapest when each begins with the game's last context and
                action.
            uniforms: one source of uniform numbers per game.
        """
        if not len(keys) == len(contexts) == len(uniforms):
            raise ValueError(f"{len(keys)} keys, {len(contexts)} contexts, {len(uniforms)} sources of numbers")
        if len(set(keys)) < len(keys):
            raise ValueError("a game was asked for twice in one call")
        if not all(len(context) for context in contexts):
            raise ValueError("an empty context")
        room = self.policy.max_positions - self.sampling.max_tokens
        cut = [list(context)[-room:] for context in contexts]
        found: list[Generated] = []
        try:
            with (
                evaluating(self.policy),
                torch.inference_mode(),
                parametrize.cached(),
                _attention(self.policy.networks),
            ):
                self._notice_changes()
                self._forwards = [last_states if is_plain_gpt2(n) else _last_states for n in self.policy.networks]
                for first in range(0, len(keys), self._most):
                    part = slice(first, first + self._most)
                    found += self._play(keys[part], cut[part], uniforms[part])
        except BaseException:  # whatever it was, the caches may be half written
            self.clear()
            raise
        return found

    def release(self, keys: Sequence[Hashable]) -> None:
        """These games are over: their slots go to the next new ones (unknown keys are ignored)."""
        for key in keys:
            slot = self._of.pop(key, None)
            if slot is not None:
                slot.key = None  # what it holds stays: the next game may begin the same way

    def clear(self) -> None:
        """Forget all that was read, and give the memory back (before a gradient step on a GPU, say)."""
        for slot in self._slots:
            slot.key, slot.ids = None, []
        self._of.clear()
        for cache in self._caches:
            cache.clear()

    # -- slots

    def _notice_changes(self) -> None:
        """Compares where the weights lie, how often they were written in place, and their first numbers: fused
        optimizers do not count what they write.
        """
        weights = [p.detach() for network in self.policy.networks for p in network.parameters()]
        now = (
            [(w.data_ptr(), 0 if w.is_inference() else w._version) for w in weights],
            torch.cat([w.reshape(-1)[:4].double() for w in weights]).tolist(),
        )
        if now != self._weights:
            self.clear()
            self._weights = now

    def _claim(self, keys: Sequence[Hashable], contexts: Sequence[list[int]]) -> list[_Slot]:
        """A slot for each game, cut to the beginning that it shares with the context (never all of it)."""
        self._calls += 1
        for key in keys:
            if key in self._of:
                self._of[key].used = self._calls
        free = [slot for slot in self._slots if slot.key is None]
        missing = sum(key not in self._of for key in keys) - len(free)
        new = [_Slot(len(self._slots) + i) for i in range(min(missing, self._most - len(self._slots)))]
        self._slots += new
        free += new
        for cache in self._caches:
            cache.reserve(0, len(self._slots))
        claimed = []
        for key, context in zip(keys, contexts, strict=True):
            slot = self._of.get(key)
            if slot is None:
                if not free:
                    longest = min((s for s in self._slots if s.used < self._calls), key=lambda s: s.used)
                    self.release([longest.key])
                    free.append(longest)
                slot = max(free[:16], key=lambda s: _shared(s.ids, context))
                free.remove(slot)
                slot.key, slot.used = key, self._calls
                self._of[key] = slot
            del slot.ids[_shared(slot.ids, context) :]
            claimed.append(slot)
        return claimed

    def _neighbours(self, slots: list[_Slot]) -> tuple[int, int]:
        """A run of slots, first and one past the last, with these slots and few others; moves slots if need be."""
        indices = sorted(slot.index for slot in slots)
        first, last = indices[0], indices[-1] + 1
        if len(indices) >= 0.75 * (last - first):
            return first, last
        # The run that holds most of them already; those outside change places with the others inside.
        size = len(indices)
        inside = [sum(1 for i in indices[k:] if i < begin + size) for k, begin in enumerate(indices)]
        first = min(indices[inside.index(max(inside))], len(self._slots) - size)
        taken = set(indices)
        outside = [i for i in indices if not first <= i < first + size]
        holes = [i for i in range(first, first + size) if i not in taken]
        length = max(len(self._slots[i].ids) for i in (*outside, *holes))
        for cache in self._caches:
            cache.exchange(outside, holes, length)
        for a, b in zip(outside, holes, strict=True):
            there, here = self._slots[a], self._slots[b]
            self._slots[a], self._slots[b] = here, there
            there.index, here.index = b, a
        return first, first + size

    # -- forward passes

    def _play(
        self, keys: Sequence[Hashable], contexts: list[list[int]], uniforms: Sequence[Callable[[], float]]
    ) -> list[Generated]:
        slots = self._claim(keys, contexts)
        self._reserve(contexts)
        tables, rows = self._read(slots, contexts)
        eoa, most = self.policy.tokenizer.eoa, self.sampling.max_tokens
        live = list(range(len(slots)))
        ids: list[list[int]] = [[] for _ in slots]
        logprobs: list[list[float]] = [[] for _ in slots]
        holders = {row: slots[i] for i, row in reversed(list(enumerate(rows)))}
        for step in range(most):
            tokens, chances = draw(*tables, rows, [uniforms[i]() for i in live])
            self.counts.generated += len(tokens)
            branches: dict[tuple[int, int], list[int]] = {}
            for i, row, token, logprob in zip(live, rows, tokens, chances, strict=True):
                ids[i].append(token)
                logprobs[i].append(logprob)
                if token != eoa:
                    branches.setdefault((row, token), []).append(i)
            if not branches or step == most - 1:
                break
            going = [self._holder(holders[row], [slots[i] for i in games]) for (row, _), games in branches.items()]
            tables, places = self._advance(going, [token for _, token in branches])
            holders = dict(zip(places, going, strict=True))
            live = [i for games in branches.values() for i in games]
            rows = [place for place, games in zip(places, branches.values(), strict=True) for _ in games]
        return [Generated(tuple(a), tuple(b)) for a, b in zip(ids, logprobs, strict=True)]

    def _holder(self, parent: _Slot, slots: list[_Slot]) -> _Slot:
        """Of the slots of games that have said the same so far, the one that holds it; the others hold the context.

        Args:
            parent: holds all of it but the last token.
            slots: of the games.
        """
        if parent in slots:
            return parent
        slot = min(slots, key=lambda slot: slot.index)
        if len(slot.ids) < len(parent.ids):
            for cache in self._caches:
                cache.copy(parent.index, [slot.index], len(slot.ids), len(parent.ids))
            slot.ids = list(parent.ids)
        return slot

    def _reserve(self, contexts: list[list[int]]) -> None:
        need = max(
            max(len(context) for context in contexts) + self.sampling.max_tokens,
            max(len(slot.ids) for slot in self._slots) + 1,
        )
        capacity = self._caches[0].capacity
        if need > capacity:
            # At least an eighth more, so that many short turns do not copy the cache each time.
            for cache in self._caches:
                cache.reserve(max(need, capacity + capacity // 8))

    def _read(self, slots: list[_Slot], contexts: list[list[int]]) -> tuple[Tables, list[int]]:
        """Bring the slots up to their contexts.

        Returns:
            the distributions of the first token for each distinct context, and which of them each slot has.
        """
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, context in enumerate(contexts):
            groups.setdefault(tuple(context), []).append(i)
        readers = [max(group, key=lambda i: len(slots[i].ids)) for group in groups.values()]
        self.counts.kept += sum(len(slots[i].ids) for i in readers)
        logits: list[torch.Tensor] = []
        order: list[int] = []
        for batch in _batches([len(contexts[i]) - len(slots[i].ids) for i in readers]):
            batch.sort(key=lambda k: slots[readers[k]].index)
            chosen = [readers[k] for k in batch]
            new = [contexts[i][len(slots[i].ids) :] for i in chosen]
            self.counts.read += sum(map(len, new))
            logits.append(self._forward([slots[i] for i in chosen], new))
            order += batch
        for reader, group in zip(readers, groups.values(), strict=True):
            context = contexts[reader]
            slots[reader].ids = list(context)
            others = [i for i in group if i != reader]
            if others:
                first = min(len(slots[i].ids) for i in others)
                for cache in self._caches:
                    cache.copy(slots[reader].index, [slots[i].index for i in others], first, len(context))
                for i in others:
                    self.counts.kept += len(slots[i].ids)
                    self.counts.copied += len(context) - len(slots[i].ids)
                    slots[i].ids = list(context)
        place = {k: row for row, k in enumerate(order)}
        rows = [0] * len(slots)
        for k, group in enumerate(groups.values()):
            for i in group:
                rows[i] = place[k]
        return tables_of(torch.cat(logits), self.sampling), rows

    def _advance(self, slots: list[_Slot], tokens: list[int]) -> tuple[Tables, list[int]]:
        """One more token for each slot; as `_read`."""
        first, last = self._neighbours(slots)
        run = self._slots[first:last]
        column = [[self.policy.tokenizer.eoa]] * len(run)
        for slot, token in zip(slots, tokens, strict=True):
            column[slot.index - first] = [token]
        logits = self._forward(run, column)
        self.counts.rows += len(run)
        for slot, token in zip(slots, tokens, strict=True):
            slot.ids.append(token)
        rows = [slot.index - first for slot in slots]
        if len(rows) < len(run):
            logits = logits[torch.tensor(rows, device=logits.device)]
            rows = list(range(len(rows)))
        return tables_of(logits, self.sampling), rows

    def _forward(self, slots: list[_Slot], new: list[list[int]]) -> torch.Tensor:
        """Logits [N, V] after the last new token of each slot; the caches then hold the new tokens."""
        device, size = self.policy.device, max(map(len, new))
        starts = [len(slot.ids) for slot in slots]
        capacity = max(starts) + size
        for cache in self._caches:
            cache.reserve(capacity)
        rows = Rows.of([slot.index for slot in slots], starts, size, self._caches[0].capacity, device)
        pad = self.policy.tokenizer.eoa
        tokens = torch.tensor([[*row, *[pad] * (size - len(row))] for row in new], device=device)
        # Padding may stand past the last position that the network knows.
        positions = rows.positions.clamp_(max=self.policy.max_positions - 1)
        last = torch.tensor([len(row) - 1 for row in new], device=device)
        states = []
        for network, cache, forward in zip(self.policy.networks, self._caches, self._forwards, strict=True):
            cache.rows = rows
            states.append(forward(network, cache, tokens, positions, last))
        self.counts.passes += 1
        return self.policy.logits(states)


def unsupported(policy: Policy) -> str | None:
    """Why a policy's caches cannot be kept in slots, or None."""
    for network in policy.networks:
        if reason := forgets(network):
            return reason
        config = network.config.get_text_config()
        if config._attn_implementation not in ("sdpa", "eager", ATTENTION):
            return f"attention {config._attn_implementation!r} takes no masks of this kind (sdpa and eager do)"
    return None


@contextmanager
def _attention(networks: Sequence[Any]) -> Iterator[None]:
    """Let the networks attend by `slot_attention` where they would by PyTorch's kernel."""
    changed = [
        network.config
        for network in networks
        if network.config._attn_implementation == "sdpa" and getattr(network, "_supports_attention_backend", False)
    ]
    for config in changed:
        config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        for config in changed:
            config._attn_implementation = "sdpa"


def _last_states(
    network: Any, cache: SlotCache, tokens: torch.Tensor, positions: torch.Tensor, last: torch.Tensor
) -> torch.Tensor:
    """The state after the last new token of each row, float [N, width], from the network's own ``forward``."""
    assert cache.rows is not None
    mask = cache.rows.mask()
    if mask is not None and network.config._attn_implementation == "eager":  # which adds the mask to the scores
        zeros = torch.zeros(mask.shape, dtype=network.dtype, device=mask.device)
        mask = zeros.masked_fill_(~mask, torch.finfo(network.dtype).min)
    output = network(
        input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
    )
    return output.last_hidden_state[torch.arange(len(last), device=last.device), last]


def _shared(ids: list[int], context: list[int]) -> int:
    """Length of the common beginning, at most all but the last token of the context."""
    most = min(len(ids), len(context) - 1)
    if ids[:most] == context[:most]:
        return most
    return next(i for i in range(most) if ids[i] != context[i])


def _batches(sizes: list[int]) -> Iterator[list[int]]:
    """Positions of rows by batch, such that padding to the longest row of a batch adds little."""
    order = sorted(range(len(sizes)), key=lambda i: -sizes[i])
    first = 0
    while first < len(order):
        longest, real, last = sizes[order[first]], sizes[order[first]], first + 1
        while last < len(order):
            padded = longest * (last + 1 - first)
            real += sizes[order[last]]
            # A pass of its own costs about as much as 32 tokens more in this one.
            if padded > 1.25 * real + 32 or padded > TOKENS_AT_ONCE:
                break
            last += 1
        yield order[first:last]
        first = last
