"""Every task in TRL's GRPO (read against TRL 1.16): by the tools of an environment, or by plain messages.

    rows = Dataset.from_list(lmrl_bridges.trl.rows("lmrl/Wordle-v0", 1000))
    GRPOTrainer(model, train_dataset=rows, environment_factory=environment("lmrl/Wordle-v0"), ...)

    rows = Dataset.from_list(lmrl_bridges.trl.rows("lmrl/Wordle-v0", 1000, tools=False))
    GRPOTrainer(model, train_dataset=rows, rollout_func=rollout, reward_funcs=score, ...)

A row names its game's seed, so that all completions of a group play the same game, and what GRPO compares is play, not luck. A dict
of environments trains on several tasks at once: rows then say in ``environment=`` which they belong to. A game that is not played
to its end, because the model stopped calling or ran out of tokens, is rewarded with the task's least return.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

from lmrl_bridges.chat_tokens import answer_ids, prompt_ids
from lmrl_bridges.game import Game, game_rows

GAME = "game"
"""Key of a prompt's last message that names its game; chat templates pass over it."""


def rows(
    env_id: str, games: int, seed: int = 0, *, tools: bool = True, environment: str | None = None, **arguments: Any
) -> list[dict[str, Any]]:
    """Rows of a training set.

    Args:
        env_id: task id, ``module:id`` or ``file.py:id``.
        games: how many.
        seed: base seed of the games.
        tools: for `environment`; False: for `rollout`.
        environment: name of the row's environment, where the trainer is given several.
        arguments: of `game_rows`.
    """
    game = Game(env_id, arguments.get("env_kwargs"))
    found = []
    for row in game_rows(env_id, games, seed, **arguments):
        system = row["prompt"][0]["content"]
        if tools:
            system += f"\n\nEvery turn, answer with one call of the tool {game.tool.name}, until the game is over."
            prompt, kept = [{"role": "user", "content": ""}], {"seed": row["seed"], "index": row["index"]}
        else:
            about = json.dumps({key: row[key] for key in ("env_id", "env_kwargs", "seed")})
            prompt, kept = [{"role": "user", "content": game.reset(row["seed"]), GAME: about}], {"index": row["index"]}
        prompt.insert(0, {"role": "system", "content": system, **({} if tools else {GAME: ""})})
        found.append({"prompt": prompt, **kept, **({"environment": environment} if environment else {})})
    game.close()
    return found


def environment(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> type:
    """A class of environments of a task, for ``environment_factory``.

    It has TRL's ``reset`` and ``get_reward``, and one public method more: the task's tool.
    """
    first = Game(env_id, env_kwargs)
    tool = first.tool
    first.close()

    argument = tool.argument

    def call(self: Any, **arguments: str) -> str:
        return self._game.step(str(arguments[argument]))[0]

    call.__name__ = tool.name
    call.__doc__ = (
        f"{tool.does}\n\nArgs:\n    {tool.argument}: {tool.means}.\n\nReturns:\n    What the environment says."
    )
    call.__annotations__ = {tool.argument: str, "return": str}
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            inspect.Parameter(tool.argument, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str),
        ],
        return_annotation=str,
    )

    class Environment:
        """Games of a task, one after the other."""

        def __init__(self) -> None:
            self._game = Game(env_id, env_kwargs, read=False)

        def reset(self, seed: int | None = None, **_: Any) -> str:
            return self._game.reset(seed)

        def get_reward(self) -> float:
            return self._game.score

    setattr(Environment, tool.name, call)
    Environment.__name__ = "".join(c for c in env_id.rpartition(":")[2] if c.isalnum())
    return Environment


def rollout(prompts: list[Any], trainer: Any) -> dict[str, Any]:
    """Play a batch of games by plain messages, for ``rollout_func``: one for each prompt, all of them a turn at a time.

    What the model sampled is trained on as it was sampled; the environment's texts are masked.

    Returns:
        TRL's ``prompt_ids``, ``completion_ids``, ``logprobs`` and ``env_mask``, lists for each prompt, and ``lmrl_return``,
        ``lmrl_success``, ``lmrl_turns``, which reach the reward functions.
    """
    tokenizer, most = trainer.processing_class, trainer.max_completion_length
    template = dict(trainer.chat_template_kwargs or {})
    if trainer.chat_template is not None:
        template["chat_template"] = trainer.chat_template
    games, opened = [], []
    for prompt in prompts:
        about = json.loads(prompt[-1][GAME])
        games.append(Game(about["env_id"], about["env_kwargs"]))
        games[-1].reset(about["seed"])
        opened.append(prompt_ids(tokenizer, [{k: m[k] for k in ("role", "content")} for m in prompt], **template))
    said: list[list[int]] = [[] for _ in prompts]
    mask: list[list[int]] = [[] for _ in prompts]
    logs: list[list[float]] = [[] for _ in prompts]
    live, has_logs = list(range(len(prompts))), True
    while live:
        answers, values, *_ = trainer._generate_single_turn([opened[i] + said[i] for i in live], None, {}, 1)
        has_logs = has_logs and values is not None
        going = []
        for k, i in enumerate(live):
            ids = list(answers[k])
            said[i] += ids
            mask[i] += [1] * len(ids)
            logs[i] += list(values[k]) if values is not None else []
            text = games[i].step(tokenizer.decode(ids, skip_special_tokens=True))[0]
            follows = [] if ids and ids[-1] == tokenizer.eos_token_id else [tokenizer.eos_token_id]
            follows += answer_ids(tokenizer, text, **template)
            if games[i].over or len(said[i]) + len(follows) >= most:
                continue
            said[i] += follows
            mask[i] += [0] * len(follows)
            logs[i] += [0.0] * len(follows)
            going.append(i)
        live = going
    results = [game.result for game in games]
    for game in games:
        game.close()
    return {
        "prompt_ids": opened,
        "completion_ids": [ids[:most] for ids in said],
        "logprobs": [values[:most] for values in logs] if has_logs else None,
        "env_mask": [bits[:most] for bits in mask],
        **{f"lmrl_{name}": [result[name] for result in results] for name in ("return", "success", "turns")},
    }


def score(completions: list[Any], lmrl_return: list[float], **_: Any) -> list[float]:
    """The reward of a game that `rollout` played, for ``reward_funcs``: its score."""
    return lmrl_return
