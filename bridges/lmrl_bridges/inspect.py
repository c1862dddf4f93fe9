"""Every task in Inspect AI: a task by entry point, a solver that plays, a scorer, and logs that replay (read against 0.3.285).

    inspect eval lmrl_bridges/game -T env=lmrl/TwentyQuestions-v1 -T games=20 --model openai/gpt-x
    python -m lmrl_bridges.inspect logs/2026-...eval

Sample k is the game that episode k of ``lmrl eval --seed`` plays: a score here is one there, game by game.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import ChatMessageSystem, ChatMessageTool, ChatMessageUser
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import ToolDef, ToolParam, ToolParams

from lmrl_bridges.game import Game, borrowed, game_rows
from lmrl_datasets.replay import make_recorded, replay_episode
from lmrl_datasets.schema import Episode, plain
from lmrl_envs import task as task_row
from lmrl_envs.language.answers import Tool

PLAYED = "lmrl"
"""Where a sample's store keeps its game: actions, rewards, texts and result."""


@task
def game(
    env: str,
    games: int = 100,
    seed: int = 0,
    tools: bool = False,
    env_kwargs: str | dict[str, Any] = "{}",
) -> Task:
    """Play a task of lmrl.

    Args:
        env: task id, ``module:id`` or ``file.py:id``.
        games: how many.
        seed: base seed of the games.
        tools: the model answers by calling the task's tool; else by its message.
        env_kwargs: arguments of the environment, as JSON.
    """
    kwargs = json.loads(env_kwargs) if isinstance(env_kwargs, str) else dict(env_kwargs)
    first = Game(env, kwargs)
    samples = []
    for row in game_rows(env, games, seed, "evaluation", kwargs):
        opening = first.reset(row["seed"])
        messages = [ChatMessageSystem(content=first.instructions), ChatMessageUser(content=opening)]
        about = {key: row[key] for key in ("env_id", "env_kwargs", "seed", "index")}
        samples.append(Sample(input=[*messages], id=row["index"], metadata=about))
    first.close()
    return Task(dataset=MemoryDataset(samples, name=first.row.id), solver=play(tools), scorer=outcome(), version=1)


@solver
def play(tools: bool = False) -> Solver:
    """Play the sample's game to its end, or to a limit of Inspect's."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        now = borrowed(state.metadata["env_id"], state.metadata["env_kwargs"])
        now.reset(state.metadata["seed"])
        if tools:
            state.tools = [_tool(now.tool)]
        try:
            while not now.over:
                state = await generate(state, tool_calls="none")
                call = next(iter(state.output.message.tool_calls or []), None) if tools else None
                if call is None:
                    text = now.step(state.output.completion)[0]
                    state.messages.append(ChatMessageUser(content=text))
                else:
                    text = now.step(str(call.arguments.get(now.tool.argument, "")))[0]
                    for other in state.output.message.tool_calls or []:
                        said = text if other is call else "Only the first call of a message is played."
                        state.messages.append(
                            ChatMessageTool(content=said, tool_call_id=other.id, function=other.function)
                        )
        finally:  # a limit of Inspect's stops a game in the midst of it
            _keep(state, now)
            now.let_go()
        return state

    return solve


def _tool(tool: Tool) -> Any:
    async def execute(**arguments: Any) -> str:
        raise RuntimeError("calls are played by the solver")

    properties = {tool.argument: ToolParam(type="string", description=tool.means)}
    parameters = ToolParams(properties=properties, required=[tool.argument])
    return ToolDef(execute, tool.name, tool.does, parameters).as_tool()


def _keep(state: TaskState, now: Game) -> None:
    said = now.transcript
    state.store.set(
        PLAYED,
        {
            "observations": list(said.observations),
            "actions": list(said.actions),
            "rewards": list(said.rewards),
            "terminated": now.terminated,
            "truncated": now.truncated,
            "info": plain(now.info) if now.over else {},
            "result": now.result,
        },
    )


@scorer(metrics={"*": [mean(), stderr()]})
def outcome() -> Scorer:
    """Return, success, turns and valid share of a game; an unfinished one has the task's least return."""

    async def score(state: TaskState, target: Target) -> Score:
        kept = state.store.get(PLAYED)
        actions = kept["actions"]
        return Score(value=kept["result"], answer=actions[-1] if actions else "", explanation="\n".join(actions))

    return score


def episodes(log: EvalLog | str | Path) -> Iterator[Episode]:
    """The games of a log, as this suite's datasets hold them. Unfinished ones are ``stopped``.

    Raises:
        ValueError: a sample holds no game.
    """
    if not isinstance(log, EvalLog):
        log = read_eval_log(str(log))
    for sample in log.samples or []:
        kept = sample.store.get(PLAYED)
        if kept is None:
            raise ValueError(f"sample {sample.id} holds no game")
        unfinished = not (kept["terminated"] or kept["truncated"])
        yield Episode(
            episode_id=sample.metadata["index"],
            env_id=sample.metadata["env_id"],
            seed=sample.metadata["seed"],
            policy=log.eval.model,
            observations=tuple(kept["observations"]),
            actions=tuple(kept["actions"]),
            rewards=tuple(kept["rewards"]),
            terminated=kept["terminated"],
            truncated=kept["truncated"] or unfinished,
            stopped=unfinished,
            success=bool(kept["result"]["success"]),
            env_kwargs=sample.metadata["env_kwargs"],
            info=kept["info"],
        )


def replay(log: EvalLog | str | Path) -> int:
    """Play the games of a log again and compare every text, reward and end; returns how many.

    Raises:
        DatasetError: something differs.
    """
    count = 0
    for episode in episodes(log):
        env: Any = make_recorded(task_row(episode.env_id), episode.env_kwargs, f"sample {episode.episode_id}").unwrapped
        replay_episode(env, episode)
        env.close()
        count += 1
    return count


if __name__ == "__main__":
    import sys

    for path in sys.argv[1:]:
        sys.stdout.write(f"{path}: {replay(path)} games replayed\n")
