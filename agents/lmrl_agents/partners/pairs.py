"""Recorded conversations as training pairs for a partner, and how well a model agrees with the recorded partner."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from lmrl_envs.partners.backend import Messages
from lmrl_envs.partners.base import PartnerPrompt, PartnerReply, PartnerRequest
from lmrl_envs.partners.model_partner import ModelPartner
from lmrl_envs.partners.prompting import encodable


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
    label: str | None
    """What the recorded reply amounts to ("yes", a topic, a decision); see `PartnerPrompt.label`."""

    @property
    def key(self) -> str:
        """Equal for equal prompts."""
        return json.dumps(self.prompt)


def make_pairs(episodes: Iterable[PartnerEpisode], partner_prompt: PartnerPrompt) -> tuple[list[Pair], int]:
    """The partner's turns as training pairs, and how many turns the partner's prompt cannot read.

    What the model is to say is the recorded text, or ``partner_prompt.target(reply, request)`` where the partner's prompt has that method.
    """
    target_of = getattr(partner_prompt, "target", lambda reply, request: reply.text)
    pairs, unread = [], 0
    for episode in episodes:
        secret = episode.secret or json.dumps(dict(episode.hidden), sort_keys=True)
        texts = tuple(episode.texts)
        for turn, i in enumerate(range(1, len(texts) - 1, 2)):
            state = episode.states[turn] if episode.states else {}
            outcome = episode.outcomes[turn] if episode.outcomes else {}
            request = PartnerRequest(dict(episode.hidden), texts[:i], texts[i], 0, dict(state))
            target = target_of(PartnerReply(texts[i + 1], outcome=outcome), request)
            reply = partner_prompt.parse(target, request) if target.strip() else None
            if reply is None:
                unread += 1
                continue
            prompt = encodable(partner_prompt.messages(request))
            pairs.append(Pair(request, prompt, target.strip(), secret, label_of(partner_prompt, reply, request)))
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


def label_of(partner_prompt: PartnerPrompt, reply: PartnerReply, request: PartnerRequest) -> str | None:
    """What a reply amounts to, by the role's own ``label``; without one ``yes`` and ``no``, and None for other words."""
    own = getattr(partner_prompt, "label", None)
    if own is not None:
        return own(reply, request)
    word = reply.text.strip().lower().rstrip(".!")
    return word if word in ("yes", "no") else None


def repeats(labels: Sequence[str | None], balance: float) -> list[int]:
    """How often to show each item so that rarer labels come as often as others: ``(most / own) ** balance`` times,
    `MOST_REPEATS` times at most. With 0 once each; with 1 all labels are about equally frequent."""
    counts = Counter(labels)
    most = max(counts.values(), default=0)
    return [min(MOST_REPEATS, max(1, round((most / counts[label]) ** balance))) for label in labels]


MOST_REPEATS = 12


@dataclass(frozen=True)
class Agreement:
    """How often a model says what the recorded partner said, over distinct prompts."""

    turns: int
    usable: float
    """Share of texts that the partner's prompt can read."""
    exact: float
    """Share of replies that are the recorded partner's, word for word."""
    same: float | None = None
    """Share of replies that amount to the same (`label_of`); an unusable one does not. None where replies have no labels."""
    balanced: float | None = None
    """The mean of these shares over the labels: 1 / (number of labels) for a partner that always says the same."""
    majority: float | None = None
    """What always giving the commonest label would score as ``same``."""
    by_question: float | None = None
    """What knowing the question but not the secret would score: the commonest label of that very question among the turns
    trained on, the commonest of all where it was not asked. (Where the label of an open question is its topic, always right.)"""
    by_label: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Label of the recorded reply -> turns with it, and how many of them the model's reply amounts to."""


def _commonest(known: Sequence[Pair]) -> Callable[[str], str | None]:
    """Question -> its commonest label among known turns, or the commonest label of all."""
    overall = Counter(pair.label for pair in known)
    labels: dict[str, Counter[str | None]] = {}
    for pair in known:
        labels.setdefault(pair.request.action, Counter())[pair.label] += 1
    return lambda question: labels.get(question, overall).most_common(1)[0][0]


def measure_agreement(
    partner: ModelPartner, pairs: Sequence[Pair], known: Sequence[Pair], limit: int = 500
) -> Agreement | None:
    """Ask ``partner``, trained on ``known``, up to ``limit`` of the distinct prompts, greedily; None without pairs."""
    distinct = list({pair.key: pair for pair in pairs}.values())
    if len(distinct) > limit:
        chosen = np.random.default_rng(0).permutation(len(distinct))[:limit]
        distinct = [distinct[i] for i in sorted(chosen)]
    if not distinct:
        return None
    partner_prompt = partner.partner_prompt
    texts = partner.generate([pair.prompt for pair in distinct])
    usable = exact = guessed = 0
    guess = _commonest(known)
    by_label: dict[str, tuple[int, int]] = {}
    for pair, text in zip(distinct, texts, strict=True):
        reply, recorded = partner.read(text, pair.request), partner_prompt.parse(pair.target, pair.request)
        usable += reply is not None
        exact += reply is not None and recorded is not None and reply.text == recorded.text
        if pair.label is not None:
            guessed += guess(pair.request.action) == pair.label
            turns, right = by_label.get(pair.label, (0, 0))
            agrees = reply is not None and label_of(partner_prompt, reply, pair.request) == pair.label
            by_label[pair.label] = (turns + 1, right + agrees)
    turns = len(distinct)
    labelled = sum(count for count, _ in by_label.values())
    if labelled < turns:
        return Agreement(turns, usable / turns, exact / turns)
    return Agreement(
        turns,
        usable / turns,
        exact / turns,
        same=sum(right for _, right in by_label.values()) / turns,
        balanced=float(np.mean([right / count for count, right in by_label.values()])),
        majority=max(count for count, _ in by_label.values()) / turns,
        by_question=guessed / turns,
        by_label=dict(sorted(by_label.items())),
    )
