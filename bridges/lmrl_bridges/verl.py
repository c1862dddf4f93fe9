"""Every task as an agent loop of verl, written against the interface of verl 0.9 as it was read: `verl` needs a GPU build and
is not run here; the tests play against a stub of that interface.

    actor_rollout_ref.rollout.agent.default_agent_loop=lmrl

Rows of the training set are those of `rows`: the loop reads ``env_id``, ``env_kwargs`` and ``seed`` of a row, so that the rollouts of a
group play one game. What the model sampled is kept as it was sampled, the environment's texts are masked.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput, register

from lmrl_bridges.chat_tokens import answer_ids, prompt_ids
from lmrl_bridges.game import Game, game_rows

NAME = "lmrl"


@register(NAME)
class LmrlAgentLoop(AgentLoopBase):
    """One game."""

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """Play the row's game. One that is cut off, by the length of a response, is rewarded with the task's least return."""
        game = Game(row["env_id"], row.get("env_kwargs"))
        opening = game.reset(row["seed"])
        messages = [
            {"role": "system", "content": game.instructions},
            {"role": "user", "content": opening},
        ]
        template = dict(getattr(self, "apply_chat_template_kwargs", None) or {})
        prompt = prompt_ids(self.tokenizer, messages, **template)
        most = self.rollout_config.response_length
        said: list[int] = []
        mask: list[int] = []
        logs: list[float] = []
        request, end = uuid4().hex, self.tokenizer.eos_token_id
        while True:
            output = await self.server_manager.generate(
                request_id=request, prompt_ids=prompt + said, sampling_params=sampling_params
            )
            ids = list(output.token_ids)
            said += ids
            mask += [1] * len(ids)
            logs += list(output.log_probs or [0.0] * len(ids))
            text = game.step(self.tokenizer.decode(ids, skip_special_tokens=True))[0]
            follows = [] if ids and ids[-1] == end else [end]
            follows += answer_ids(self.tokenizer, text, **template)
            if game.over or len(said) + len(follows) >= most:
                break
            said += follows
            mask += [0] * len(follows)
            logs += [0.0] * len(follows)
        result = game.result
        game.close()
        return AgentLoopOutput(
            prompt_ids=prompt,
            response_ids=said[:most],
            response_mask=mask[:most],
            response_logprobs=logs[:most],
            reward_score=result["return"],
            num_turns=1 + 2 * int(result["turns"]),
            metrics={},
            extra_fields={f"lmrl_{name}": value for name, value in result.items()},
        )


def rows(env_id: str, games: int, seed: int = 0, **arguments: Any) -> list[dict[str, Any]]:
    """Rows of a training set (for ``pandas.DataFrame(rows).to_parquet(...)``), with verl's columns ``agent_name`` and ``data_source``."""
    return [{**row, "agent_name": NAME, "data_source": NAME} for row in game_rows(env_id, games, seed, **arguments)]
