"""Best of n as an agent: n actions of another agent, and of these the one that a reward likes best.

    lmrl eval --agent best_of:64,learned:runs/model,suboptimal --env lmrl/Headline-v0 --out runs/best-of-64

Stiennon et al. (arXiv 2009.01325); how far it moves from the agent that it draws from: `best_of_n.best_of_n_kl`. In a task of one
turn it is best of n of the whole game; in others each action is the best of n by what the reward gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lmrl_agents.playing.answers import DetailedAgent, actions_of, introduction, tell_finished
from lmrl_agents.playing.identity import parts_of_best_of, reward_identity
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.protocol import Action, Agent, Request
from lmrl_agents.rewards.loading import check_reward, load_reward
from lmrl_agents.rewards.protocol import Reward, Trajectory, scored
from lmrl_envs import Transcript, Turn

AT_ONCE = 4096
"""Actions that are drawn, and scored, at once."""


class BestOf(DetailedAgent):
    """Plays the best of ``n`` actions of ``policy`` by ``reward``; of equals the one that was drawn first.

    The first candidate is what the policy plays alone.
    """

    def __init__(self, n: int, name: str, reward: Reward, policy: Agent) -> None:
        self.n, self.name, self.reward, self.policy = n, name, reward, policy

    def act_with_details(self, requests: Sequence[Request]) -> list[Action]:
        """Actions, with what the reward gave (``optimised``) and its mean over the candidates."""
        size = max(1, AT_ONCE // self.n)
        return [a for k in range(0, len(requests), size) for a in self._best(requests[k : k + size])]

    def _best(self, requests: Sequence[Request]) -> list[Action]:
        drawn = actions_of(self.policy, [self._copy(request, k) for request in requests for k in range(self.n)])
        # Equal answers to one request are scored once.
        places: dict[tuple[int, str], int] = {}
        asked: list[Trajectory] = []
        for number, action in enumerate(drawn):
            key = number // self.n, action.text
            if action.error is None and key not in places:
                request = requests[number // self.n]
                check_reward(self.name, request.env_kwargs)
                said = Transcript((*request.transcript, Turn(action.text, True, 0.0)))
                places[key] = len(asked)
                asked.append(Trajectory.of(request.env_id, said, env_kwargs=request.env_kwargs))
        given = [values[-1] for values in scored(self.reward, self.name, asked)]
        best = []
        for i in range(len(requests)):
            candidates = drawn[i * self.n : (i + 1) * self.n]
            broken = next((action for action in candidates if action.error is not None), None)
            if broken is not None:
                best.append(broken)
                continue
            values = [given[places[i, action.text]] for action in candidates]
            top = int(np.argmax(values))
            tokens = [action.details.get("completion_tokens", 0) for action in candidates]
            told = {"optimised": values[top], "candidates_mean": round(float(np.mean(values)), 4)}
            best.append(
                Action(candidates[top].text, {**told, **({"completion_tokens": sum(tokens)} if sum(tokens) else {})})
            )
        return best

    def _copy(self, request: Request, k: int) -> Request:
        """The request for candidate k: another game to the policy, with a seed of its own."""
        seed = (
            int(np.random.SeedSequence((request.seed, k)).generate_state(1, np.uint64)[0]) >> 1 if k else request.seed
        )
        return replace(request, episode=request.episode * self.n + k, seed=seed)

    def finished(self, episodes: Sequence[int]) -> None:
        """See `Agent.act`."""
        tell_finished(self.policy, [episode * self.n + k for episode in episodes for k in range(self.n)])

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        return {"kind": "best of n", "n": self.n, "reward": self.name, "policy": introduction(self.policy).about}

    def fingerprint(self) -> str:
        """Of reward and policy."""
        return "; ".join(filter(None, (reward_identity(self.name), introduction(self.policy).fingerprint)))

    def close(self) -> None:
        """End what the policy has open."""
        getattr(self.policy, "close", lambda: None)()


def best_of(argument: str = "", **kwargs: Any) -> BestOf:
    """``best_of:N,REWARD,POLICY``; keyword arguments are the policy's.

    Raises:
        ValueError: another form, n below 1, no such reward.
        AgentError: no such policy.
    """
    n, reward, policy = parts_of_best_of(argument)
    return BestOf(n, reward, load_reward(reward), load_agent(policy, **kwargs))
