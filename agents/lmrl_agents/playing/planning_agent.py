"""Agents that choose the best of the candidates of a turn, as `lmrl train planning` trains them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lmrl_agents.models.description import read_description
from lmrl_agents.models.planning_values import PlanningValues, Talks, TextTable, padded
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.playing.answers import DetailedAgent
from lmrl_agents.playing.followed import Followed
from lmrl_agents.playing.identity import model_digest, model_folder
from lmrl_agents.playing.protocol import Action, AgentError, Request
from lmrl_envs import Transcript
from lmrl_envs.wrappers import Offers


class PlanningAgent(DetailedAgent):
    """Says the best of what its providers offer, which are those of the data unless others are named.

    Args:
        folder: of the run, or its ``final``.
        providers: policies of the task, with commas between.
        random: whether one of the candidates is said at random, to compare with.
        device: where the values are computed.
    """

    def __init__(self, folder: str | Path, providers: str = "", random: bool = False, device: str = "cpu") -> None:
        path = model_folder(folder)
        try:
            self._description = read_description(path)
            self.tokenizer = TaskTokenizer.load(path)
            self.values = PlanningValues.load(path, self.tokenizer).to(device)
        except ValueError as problem:
            raise AgentError(str(problem)) from problem
        self.folder, self.random, self.device = path, random, device
        self.offering: dict[str, Any] = {**self._description.get("decoding", {})}
        if providers:
            self.offering["providers"] = tuple(providers.split(","))
        self._games = Followed(self._providers, Offers.next)

    def act_with_details(self, requests: Sequence[Request]) -> list[Action]:
        """As `act`, with how many candidates there were and the value of the one that is said."""
        sets = [self._games.answer(request) for request in requests]
        if self.random:
            seeds = [hash((request.seed, len(request.transcript))) for request in requests]
            return [Action(own[seed % len(own)]) for own, seed in zip(sets, seeds, strict=True)]
        scores = self.scores([request.transcript for request in requests], sets)
        best = [max(range(len(own)), key=own.__getitem__) for own in scores]
        return [
            Action(own[k], {"candidates": len(own), "value": round(score[k], 3)})
            for own, score, k in zip(sets, scores, best, strict=True)
        ]

    def choose(self, transcript: Transcript, candidates: Sequence[str]) -> str:
        """The best of somebody else's candidates, such as ``info["candidates"]`` of `lmrl_envs.wrappers.Candidates`."""
        if not candidates:
            raise AgentError("there is no candidate to choose from")
        [scores] = self.scores([transcript], [candidates])
        return candidates[max(range(len(scores)), key=scores.__getitem__)]

    @torch.inference_mode()
    def scores(self, transcripts: Sequence[Transcript], sets: Sequence[Sequence[str]]) -> list[list[float]]:
        """Q of the candidates of each conversation."""
        table, said, heard = TextTable(self.tokenizer), [], []
        for transcript in transcripts:
            said.append([table.row(text) for text in ("", *transcript.actions)])
            heard.append([table.row(text) for text in transcript.observations])
        offered = padded([[table.row(text) for text in own] for own in sets], 0)
        turns = [len(own) for own in said]
        rows, last = torch.arange(len(turns)), torch.tensor(turns) - 1
        where = torch.zeros(len(turns), max(turns), offered.shape[1], dtype=torch.int64)
        where[rows, last] = offered
        talks = Talks(table.ids(), padded(said, 0), padded(heard, 0), where, torch.ones_like(where, dtype=torch.bool))
        found = self.values(talks.to(self.device))[rows, last].tolist()
        return [scores[: len(own)] for scores, own in zip(found, sets, strict=True)]

    def _providers(self, request: Request) -> Offers:
        try:
            return Offers(request.env_id, request.seed, request.env_kwargs, **self.offering)
        except (ValueError, TypeError) as problem:
            raise AgentError(f"{self.folder}: {problem}") from problem

    def finished(self, episodes: Sequence[int]) -> None:
        """These games are over: their providers can go."""
        self._games.finished(episodes)

    def fingerprint(self) -> str:
        """Hash of the model with its values."""
        return model_digest(self.folder)

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        return {
            "kind": "the best of candidates by value",
            "random": self.random,
            "offering": self.offering,
            **self._description,
        }
