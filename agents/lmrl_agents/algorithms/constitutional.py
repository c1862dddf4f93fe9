"""Constitutional AI, the supervised stage: answers are criticised and revised, and the revisions imitated (Bai et al., arXiv 2212.08073).

Each round the starting policy plays; the last action of each game is criticised under a principle and revised, ``revisions`` times over; the policy
imitates all that was revised so far. Who criticises (``reviser``) is a language model (``openai:MODEL``, ``transformers:PATH``; its principles and
wordings are `lmrl_agents/rewards/revising.toml`), or scripted: it mends each fault that the task knows with probability .5.
Critiques and revisions are in ``revised.jsonl``. No reward is read.

The second stage, RL from AI preferences: `rlaif` with ``rlaif.labeller=constitution:FILE`` or ``judge:...``, started from this run.

    lmrl train constitutional --env lmrl/Headline-v0 --data headline/mixed-v0 --sample --start runs/bc --set constitutional.iterations=3 --out runs/constitutional
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmrl_agents.learning.imitation import ImitationConfig, imitate
from lmrl_agents.learning.online import frozen, rounds
from lmrl_agents.learning.optimisation import adamw
from lmrl_agents.learning.rewarding import Rewarding
from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.distributed import world_size
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_agents.playing.rollout import Played
from lmrl_agents.rewards.revising import load_reviser
from lmrl_envs import Transcript
from lmrl_envs.files import JsonLines

REVISED = "revised.jsonl"


@dataclass(frozen=True)
class Config(ImitationConfig):
    """Hyperparameters; the preset's ``[constitutional]`` table."""

    reviser: str = "scripted:notices=.5"
    """Who criticises and revises, see `lmrl_agents.rewards.revising`."""
    revisions: int = 1
    """How often an answer is revised."""


class Revised(Rewarding):
    """Games with their last action revised; every action is given 0: nothing is rewarded."""

    def __init__(self, session: Session, config: Config) -> None:
        super().__init__(session, config.episodes)
        if world_size() > 1:
            raise TrainingError("constitutional revises in one process")
        self.config, self.reviser = config, load_reviser(config.reviser)
        self.games: list[Transcript] = []
        self._journal = JsonLines(Path(session.run.out) / REVISED)
        kept = self._journal.read(dict[str, Any]) if session.done else []
        self._journal.rewrite(json.dumps(row) for row in kept if row["round"] < session.done)

    def give(self, games: Sequence[Played]) -> list[list[float]]:
        """See `Rewarding.give`."""
        texts = [[turn.text for turn in played.transcript] for played in games]
        rows = [
            {"round": self.session.done, "episode": g.episode, "said": t[-2]} for g, t in zip(games, texts, strict=True)
        ]
        for number in range(self.config.revisions):
            now = [Transcript.from_texts(own, [0.0] * (len(own) // 2)) for own in texts]
            seeds = [played.seed + number for played in games]
            for row, own, (critique, said) in zip(
                rows, texts, self.reviser.revise(self.run.env_id, now, seeds), strict=True
            ):
                own[-2] = said
                row.setdefault("critiques", []).append(critique)
                row["revised"] = said
        self.games = [Transcript.from_texts(own, [0.0] * (len(own) // 2)) for own in texts]
        self._journal.append(json.dumps(row) for row in rows)
        return [[0.0] * len(played.actions) for played in games]


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    model = start_policy(run)
    start = frozen(model)
    optimizer = adamw(config.learning_rate, config.weight_decay, model)
    state: dict[str, Any] = {"revised": []}
    session = Session(run, model, config, {"policy": model}, {"policy": optimizer}, state)
    session.acting = start
    revised = Revised(session, config)
    pool = [TokenEpisode.from_json(game) for game in state["revised"]]
    for round_, _ in rounds(session, config, 1, revised):
        pool += [TokenEpisode.from_transcript(g, True, False, model.tokenizer, model.form) for g in revised.games]
        state["revised"] = [asdict(game) for game in pool]
        session.log(loss=imitate(session, config, pool, round_))
    return session.finish()
