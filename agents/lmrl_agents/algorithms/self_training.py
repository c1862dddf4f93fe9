"""Self-training: the policy imitates what most of its own answers to a prompt agree on; nobody rewards anything.

Self-consistency (Wang et al., arXiv 2203.11171) as training data (Huang et al., arXiv 2210.11610). Each round, of ``group_size`` games from one seed:

    vote = "text"      the games whose last action is the most frequent one (numbers and names to be guessed)
    vote = "overlap"   the game whose last action shares most pairs of neighbouring words with the others' (free text)
    vote = "parts"     a last action that is put together of the parts that most say, where the task's surface has
                       ``agreed(games) -> str``

are imitated. Where most answers are right this improves; nothing else holds it: what is agreed on grows, whether right or not. ``agreement`` (share
of the winners, or mean overlap) and ``distinct`` (share of different answers in a group) are logged beside gold, so that a
collapse shows: agreement up, distinct down, gold standing or falling.

    lmrl train self_training --env lmrl/Headline-v0 --data headline/mixed-v0 --sample --start runs/bc --set self_training.vote=parts self_training.iterations=3 --out runs/self
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from lmrl_agents.learning.imitation import ImitationConfig, imitate
from lmrl_agents.learning.online import rounds
from lmrl_agents.learning.optimisation import adamw
from lmrl_agents.learning.rewarding import Rewarding
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_agents.playing.rollout import Played
from lmrl_envs import Transcript, load_task

VOTES = ("text", "overlap", "parts")


@dataclass(frozen=True)
class Config(ImitationConfig):
    """Hyperparameters; the preset's ``[self_training]`` table. ``episodes`` counts groups."""

    episodes: int = 32
    """Groups a round."""
    group_size: int = 16
    """Games from one seed."""
    vote: str = "overlap"
    """One of `VOTES`."""


class Voted(Rewarding):
    """Rewards a game's last action by how far the others of its group agree with it; the task's own reward is not read."""

    def __init__(self, session: Session, config: Config) -> None:
        super().__init__(session, config.episodes * config.group_size)
        self.config = config
        self.chosen: list[list[int | Transcript]] = []
        """Of each group: which of its games are imitated, or a game that was put together."""

    def give(self, games: Sequence[Played]) -> list[list[float]]:
        """See `Rewarding.give`."""
        size, found, self.chosen = self.config.group_size, [], []
        agreed = getattr(load_task(self.run.env_id).surface, "agreed", lambda games: None)
        for k in range(0, len(games), size):
            group = games[k : k + size]
            answers = [played.actions[-1] for played in group]
            shares = shares_of(answers, self.config.vote)
            best = max(shares)
            winners: list[int | Transcript] = [i for i, share in enumerate(shares) if share == best]
            if self.config.vote == "overlap":
                winners = winners[:1]
            elif self.config.vote == "parts":
                said = agreed([_answered(played, answer) for played, answer in zip(group, answers, strict=True)])
                if said is None:
                    raise ValueError(f"vote=parts: {self.run.env_id} does not say what parts its answers have")
                winners = [_answered(group[0], said)]
            self.chosen.append(winners)
            found += [[0.0] * (len(g.actions) - 1) + [share] for g, share in zip(group, shares, strict=True)]
        return found


def _answered(played: Played, answer: str) -> Transcript:
    """A game with another last action; it holds no rewards."""
    texts = [turn.text for turn in played.transcript]
    texts[-2] = answer
    return Transcript.from_texts(texts, [0.0] * (len(texts) // 2))


def shares_of(answers: Sequence[str], vote: str) -> list[float]:
    """How far each answer is agreed with: float in [0, 1] each.

    Args:
        answers: of one group.
        vote: "text": the share of equal answers, whatever their case and blanks; else the mean Jaccard similarity with the others' pairs
            of neighbouring words (single words for an answer of one).

    Raises:
        ValueError: there is no such vote.
    """
    if vote not in VOTES:
        raise ValueError(f"vote={vote!r} is not known; choose one of {', '.join(VOTES)}")
    plain = [" ".join(answer.lower().split()) for answer in answers]
    if vote == "text":
        counts = Counter(plain)
        return [counts[answer] / len(plain) for answer in plain]
    bags = [_pairs(answer) for answer in plain]
    others = max(1, len(bags) - 1)
    return [sum(_jaccard(a, b) for j, b in enumerate(bags) if j != i) / others for i, a in enumerate(bags)]


def _pairs(answer: str) -> frozenset[tuple[str, ...]]:
    words = answer.replace(",", " ").replace(".", " ").split()
    return frozenset(pairwise(words)) if len(words) > 1 else frozenset((w,) for w in words)


def _jaccard(a: frozenset, b: frozenset) -> float:
    return len(a & b) / len(a | b) if a | b else 1.0


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    shares_of((), config.vote)
    model = start_policy(run)
    optimizer = adamw(config.learning_rate, config.weight_decay, model)
    session = Session(run, model, config, {"policy": model}, {"policy": optimizer})
    voted = Voted(session, config)
    for round_, episodes in rounds(session, config, config.group_size, voted):
        pool = [_as_ids(one, k, episodes, model, config) for k, own in enumerate(voted.chosen) for one in own]
        loss = imitate(session, config, pool, round_)
        shares = [episode.rewards[-1] for episode in episodes]
        groups = [episodes[k : k + config.group_size] for k in range(0, len(episodes), config.group_size)]
        distinct = [len({episode.actions[-1] for episode in group}) / len(group) for group in groups]
        best = [max(shares[k : k + config.group_size]) for k in range(0, len(shares), config.group_size)]
        session.log(loss=loss, agreement=sum(best) / len(best), distinct=sum(distinct) / len(distinct))
    return session.finish()


def _as_ids(
    chosen: int | Transcript, group: int, episodes: Sequence[TokenEpisode], model: LanguageModel, config: Config
) -> TokenEpisode:
    if isinstance(chosen, int):
        return episodes[group * config.group_size + chosen]
    return TokenEpisode.from_transcript(chosen, True, False, model.tokenizer, model.form)
