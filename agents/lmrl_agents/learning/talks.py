"""What `chai` learns from: positions, utterances and rewards of talks, and a language model's proposals, drawn once and kept in a file.

Arms that start from the same model and data share the file: drawing the proposals is most of what an arm costs.
"""

from __future__ import annotations

import hashlib
import json
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Sampling
from lmrl_agents.models.step_cache import cache_home
from lmrl_agents.models.utterances import MISSING, Texts, facts_of, price_grid, prices_of
from lmrl_agents.playing.protocol import Request
from lmrl_agents.playing.utterance_agent import Proposal, Proposer
from lmrl_datasets import Dataset
from lmrl_envs import Transcript, task
from lmrl_envs.files import lock
from lmrl_envs.surface import BLANK, Bargaining, Position

AT_ONCE = 200
"""Talks whose proposals are drawn together, turn by turn: of each, the model reads only what is new."""


class Talks:
    """Arrays over all positions of some talks in which an utterance was said, S in all; one talk after the other.

    ``last``, ``success`` bool [S], ``returns`` float [S] (of the whole talk); of what was said ``act_ids`` int64, ``prices`` float (NaN:
    none), ``word_ids`` int64 [S]; of the M proposals at each of CHAI's five prices ``offered_acts``, ``offered_words`` int64, ``offered_prices`` float [S, M, 5], and
    ``priced`` bool [S, M]: whether they have a price at all; ``words`` float [U, width], the embeddings of all texts.
    """

    def __init__(self, arrays: dict[str, np.ndarray], texts: list[str], embed: Texts, kinds: int, answers: int) -> None:
        self.last, self.success, self.returns = arrays["last"], arrays["success"], arrays["returns"]
        self.own, self.price = arrays["own"], arrays["prices"]
        self.sells = bool(arrays["facts"][0][1] == 1.0)  # at the first turn nobody has named a price, see `prices_of`
        self._facts, self._said = arrays["facts"], torch.from_numpy(arrays["said"])
        self.words = torch.stack([embed.of(text) for text in texts])
        self.width, self.kinds, self.answers = self.words.shape[1], kinds, answers
        self._heard = F.one_hot(torch.from_numpy(arrays["heard"]), answers).float()
        self.act_ids, self.word_ids = (torch.from_numpy(arrays[key]) for key in ("acts", "word_ids"))
        self.prices = torch.tensor(arrays["prices"], dtype=torch.float32)
        self.offered_acts, self.offered_words = (
            torch.from_numpy(arrays[key]) for key in ("offered_acts", "offered_words")
        )
        self._offered_prices = torch.tensor(arrays["offered_prices"], dtype=torch.float32)
        self._priced = torch.from_numpy(arrays["priced"])

    def states(self, missing: float) -> torch.Tensor:
        """float [S, FACTS + answers + width], with ``missing`` for a price that a buyer has not named."""
        facts = torch.tensor(self._facts, dtype=torch.float32)
        facts[:, 3] = torch.where(self._absent(facts), torch.tensor(missing), facts[:, 3])
        return torch.cat([facts, self._heard, self.words[self._said]], dim=1)

    @staticmethod
    def _absent(facts: torch.Tensor) -> torch.Tensor:
        """Where a buyer has named no price, bool [S]."""
        return (facts[:, 4] > 0) & (facts[:, 3] < 1)

    def offered_prices(self, missing: float) -> torch.Tensor:
        """The proposals' prices where ``missing`` stands for a buyer's that is not known, float [S, M, 5]."""
        facts = torch.tensor(self._facts, dtype=torch.float32)
        where = self._absent(facts)[:, None, None] & self._priced[..., None] & (missing != MISSING)
        grid = torch.stack([missing + share * (facts[:, 1] - missing) for share in price_grid(0.0, 1.0)], dim=1)
        return torch.where(where, grid[:, None], self._offered_prices)


def cached_talks(run: TrainingRun, model: LanguageModel, episodes: int, candidates: int, top_p: float) -> Talks:
    """The talks of a run's data with the model's proposals; drawn at the first call.

    Raises:
        TrainingError: the task is no bargain.
    """
    bargaining = task(run.env_id).surface.bargaining
    if bargaining is None:
        raise TrainingError(f"nobody bargains in {run.env_id}: chai learns where prices are settled")
    proposer = Proposer(
        model, model.form, Sampling(1.0, 0, top_p, model.form.max_action_tokens), bargaining, candidates
    )
    weights = hashlib.sha256(model.lm.get_input_embeddings().weight.detach().cpu().numpy().tobytes()).hexdigest()
    what = [
        "talks 4",
        run.data_fingerprint(),
        weights,
        model.tokenizer.fingerprint(),
        str(model.form),
        episodes,
        candidates,
        top_p,
    ]
    path = cache_home().parent / "talks" / f"{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as file:
        lock(file.fileno(), wait=True)  # arms that run side by side draw them once
        arrays = _kept(path)
        if arrays is None:
            arrays = _drawn(run, run.load_data(), proposer, bargaining, episodes)
            fresh = path.with_suffix(".new.npz")
            np.savez_compressed(fresh, **arrays)  # type: ignore[arg-type]
            fresh.replace(path)
    texts = [str(text) for text in arrays.pop("texts")]
    return Talks(arrays, texts, Texts(model), len(bargaining.acts), len(bargaining.answers))


def _kept(path: Path) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError):  # not there, or damaged: drawn anew
        return None


def _drawn(
    run: TrainingRun, data: Dataset, proposer: Proposer, bargaining: Bargaining, episodes: int
) -> dict[str, np.ndarray]:
    table: dict[str, int] = {}

    def number(text: str) -> int:
        return table.setdefault(text, len(table))

    columns: dict[str, list] = {
        key: [] for key in ("facts", "heard", "said", "own", "acts", "prices", "word_ids", "last", "success", "returns")
    }
    waiting: list[tuple[Request, Position]] = []
    starts: list[int] = []
    turns: list[int] = []
    for k in range(min(episodes, len(data))):
        episode = data[k]
        transcript = episode.transcript
        positions = bargaining.positions(transcript)
        starts.append(len(waiting))
        turns.append(len(transcript.actions))
        for turn in range(turns[k]):
            position = positions[turn]
            said = proposer.reader.read(transcript.actions[turn], position)
            request = Request(run.env_id, k, k, Transcript(transcript[: 2 * turn + 1]))
            waiting.append((request, position))
            row = (
                facts_of(position, MISSING), position.heard, number(position.said), prices_of(position, MISSING)[0], said.act, said.price, number(said.text),
                turn == turns[k] - 1, bool(episode.success), float(sum(transcript.rewards)),
            )  # fmt: skip
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    offered: list[list[list[Proposal]]] = [[]] * len(waiting)
    priced: list[list[bool]] = [[]] * len(waiting)
    for first in range(0, len(turns), AT_ONCE):
        talks = range(first, min(first + AT_ONCE, len(turns)))
        for turn in range(max(turns[k] for k in talks)):
            rows = [starts[k] + turn for k in talks if turn < turns[k]]
            drawn = proposer.propose([waiting[row][0] for row in rows], [waiting[row][1] for row in rows])
            for row, proposals in zip(rows, drawn, strict=True):
                # Two acts at most are open: as many everywhere.
                group = list(islice(cycle(proposals), proposer.candidates + 2))
                distinct = {one.text: one for one in group}
                said = {key: proposer.reader.at_prices(one, waiting[row][1], MISSING) for key, one in distinct.items()}
                offered[row] = [said[one.text] for one in group]
                priced[row] = [BLANK in one.text for one in group]
        proposer.finished(talks)
    arrays = {key: np.array(column) for key, column in columns.items()}
    cells = {"acts": lambda one: one.act, "words": lambda one: number(one.text), "prices": lambda one: one.price}
    for key, value in cells.items():
        kind = np.float32 if key == "prices" else np.int64
        arrays[f"offered_{key}"] = np.array([[[value(one) for one in at] for at in group] for group in offered], kind)
    arrays["priced"] = np.array(priced)
    arrays["texts"] = np.array(list(table))
    return arrays
