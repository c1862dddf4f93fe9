"""Recorded conversations as training pairs for a partner, and how well a model agrees with the recorded partner."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lmrl_envs.simulators.base import PartnerReply, PartnerRequest, Role
from lmrl_envs.simulators.language_model import Messages
from lmrl_envs.simulators.prompting import encodable
from lmrl_envs.simulators.transformers_lm import TransformersPartner


@dataclass(frozen=True)
class PartnerEpisode:
    """One recorded conversation, seen from the partner's side."""

    hidden: Mapping[str, Any]
    """What the partner knew, as in `PartnerRequest.hidden`."""
    texts: Sequence[str]
    """Environment and agent in turn, the environment first."""
    secret: str = ""
    """What is held out as a whole ("the object is a dog"); by default all of ``hidden``."""
    states: Sequence[Mapping[str, Any]] = ()
    """The partner's state before each of its turns, where it keeps one."""
    outcomes: Sequence[Mapping[str, Any]] = ()
    """What each of its turns meant beside the words (`PartnerReply.outcome`), where that matters."""


class Pair(NamedTuple):
    """One turn of the partner."""

    request: PartnerRequest
    prompt: Messages
    target: str
    secret: str

    @property
    def key(self) -> str:
        """Equal for equal prompts."""
        return json.dumps(self.prompt)


def make_pairs(episodes: Iterable[PartnerEpisode], role: Role) -> tuple[list[Pair], int]:
    """The partner's turns as training pairs, and how many turns the role cannot read.

    What the model is to say is the recorded text, or ``role.target(reply, request)`` where the role has that method.
    """
    target_of = getattr(role, "target", lambda reply, request: reply.text)
    pairs, unread = [], 0
    for episode in episodes:
        secret = episode.secret or json.dumps(dict(episode.hidden), sort_keys=True)
        texts = tuple(episode.texts)
        for turn, i in enumerate(range(1, len(texts) - 1, 2)):
            state = episode.states[turn] if episode.states else {}
            outcome = episode.outcomes[turn] if episode.outcomes else {}
            request = PartnerRequest(dict(episode.hidden), texts[:i], texts[i], 0, dict(state))
            target = target_of(PartnerReply(texts[i + 1], outcome=outcome), request)
            if not target.strip() or role.parse(target, request) is None:
                unread += 1
                continue
            pairs.append(Pair(request, encodable(role.messages(request)), target.strip(), secret))
    return pairs, unread


def split_pairs(
    pairs: Sequence[Pair], holdout_secrets: float, holdout_turns: float, seed: int = 0
) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Pairs for training, held-out turns (prompts not trained on), held-out secrets.

    Args:
        pairs: from `make_pairs`.
        holdout_secrets: share of the secrets to hold out.
        holdout_turns: share of the distinct prompts about the other secrets to hold out.
        seed: of the draw.

    Raises:
        ValueError: nothing is left to train on.
    """
    rng = np.random.default_rng(seed)

    def draw(names: Iterable[str], share: float) -> set[str]:
        ordered = sorted(set(names))
        count = min(math.ceil(share * len(ordered)), len(ordered) - 1)
        return {ordered[i] for i in rng.permutation(len(ordered))[: max(0, count)]}

    secrets = draw((pair.secret for pair in pairs), holdout_secrets)
    known = [pair for pair in pairs if pair.secret not in secrets]
    prompts = draw((pair.key for pair in known), holdout_turns)
    train = [pair for pair in known if pair.key not in prompts]
    if not train:
        raise ValueError(f"{len(pairs)} usable turns are too few to train on and hold some out")
    return (
        train,
        [pair for pair in known if pair.key in prompts],
        [pair for pair in pairs if pair.secret in secrets],
    )


@dataclass(frozen=True)
class Agreement:
    """How often a model says what the recorded partner said, over distinct prompts."""

    turns: int
    usable: float
    """Share of texts that the role can read."""
    exact: float
    """Share of replies that are the recorded partner's, word for word."""
    yes_no_accuracy: float | None = None
    """Share of right answers where the partner said yes or no; an unusable one is wrong."""
    yes_no_balanced: float | None = None
    """The mean of the shares among yes and among no."""
    majority: float | None = None
    """What always giving the commoner of the two would score."""


def measure_agreement(partner: TransformersPartner, pairs: Sequence[Pair], limit: int = 500) -> Agreement | None:
    """Ask ``partner`` up to ``limit`` of the distinct prompts, greedily; None when there are no pairs."""
    distinct = list({pair.key: pair for pair in pairs}.values())
    if len(distinct) > limit:
        chosen = np.random.default_rng(0).permutation(len(distinct))[:limit]
        distinct = [distinct[i] for i in sorted(chosen)]
    if not distinct:
        return None
    role = partner.role
    texts = partner.generate([pair.prompt for pair in distinct])
    said, meant = [], []
    for pair, text in zip(distinct, texts, strict=True):
        reply, recorded = partner.read(text, pair.request), role.parse(pair.target, pair.request)
        said.append(None if reply is None else reply.text)
        meant.append(pair.target if recorded is None else recorded.text)
    turns = len(distinct)
    usable = sum(text is not None for text in said) / turns
    exact = sum(a == b for a, b in zip(said, meant, strict=True)) / turns
    labels = [_yes_no(text) for text in meant]
    right = {"yes": [], "no": []}
    for label, text in zip(labels, said, strict=True):
        if label is not None:
            right[label].append(_yes_no(text) == label)
    if None in labels or not labels:
        return Agreement(turns, usable, exact)
    shares = [float(np.mean(values)) for values in right.values() if values]
    return Agreement(
        turns,
        usable,
        exact,
        yes_no_accuracy=sum(map(sum, right.values())) / turns,
        yes_no_balanced=float(np.mean(shares)),
        majority=Counter(labels).most_common(1)[0][1] / turns,
    )


def _yes_no(text: str | None) -> str | None:
    word = (text or "").strip().lower().rstrip(".!")
    return word if word in ("yes", "no") else None
