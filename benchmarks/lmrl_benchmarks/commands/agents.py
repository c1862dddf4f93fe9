"""``lmrl agents ...``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from tyro.conf import OmitArgPrefixes, Positional

from lmrl_agents.models.description import read_description
from lmrl_agents.playing.loading import check_spec
from lmrl_agents.playing.room import DEFAULT, RoomSettings
from lmrl_agents.settings import KeyValues
from lmrl_benchmarks.commands.terminal import ON_TERMINAL, Listing, wide_console
from lmrl_envs import doors, load_task
from lmrl_envs.files import printable


def list_agents(listing: OmitArgPrefixes[Listing] = ON_TERMINAL) -> None:
    """List the agents that can be evaluated by name, the algorithms that train one, and the rewards that these can be trained by.

    Args:
        listing: How it is told.
    """
    from lmrl_agents.learning.train import algorithms as algorithm_names
    from lmrl_agents.playing.loading import agent_names

    reward_names = {name: doors.owner(point) for name, point in doors.installed("lmrl.rewards").items()}
    whole = {"agents": agent_names(), "algorithms": algorithm_names(), "rewards": reward_names}
    if listing.tells(
        [{"kind": k[:-1], "name": n, "about": about} for k, of in whole.items() for n, about in of.items()], whole
    ):
        return
    agents = Table(title="agents (lmrl eval --agent NAME)", title_justify="left")
    agents.add_column("name")
    agents.add_column("from")
    for name, owner in whole["agents"].items():
        agents.add_row(name, owner)
    algorithms = Table(title="algorithms (lmrl train NAME)", title_justify="left")
    algorithms.add_column("name")
    algorithms.add_column("what it is")
    for name, text in whole["algorithms"].items():
        algorithms.add_row(name, text)
    rewards = Table(title="rewards (lmrl train ALGORITHM --reward NAME)", title_justify="left")
    rewards.add_column("name")
    rewards.add_column("from")
    for name, owner in reward_names.items():
        rewards.add_row(name, owner)
    console = wide_console()
    console.print(agents, algorithms, rewards)
    console.print(
        "openai and transformers take a model: openai:my-model, transformers:path/to/model; policy takes the name of one of the task's own "
        "policies: policy:expert. Besides: the folder of a trained model, or file.py:factory."
    )


def new(name: Positional[str], out: Path | None = None) -> int:
    """Write a package with an agent of your own and a passing test.

    Args:
        name: Name of the agent and the package, such as my-agent.
        out: Folder; by default the name.
    """
    from lmrl_agents.playing.template import write_template

    for path in write_template(name, out or Path(name)):
        print(path)
    return 0


def export(run: Positional[Path], out: Path, merge: bool = False) -> int:
    """Write a trained policy as a Hugging Face folder: config, safetensors, tokenizer. vLLM serves it as it is.

    Args:
        run: Folder of a training run, or of its final model.
        out: New folder.
        merge: Make adapters part of the network; without it they are written alone, as peft has them.
    """
    from lmrl_agents.models.model import LanguageModel
    from lmrl_agents.playing.identity import model_folder

    if out.exists():
        print(f"{out} exists; choose another folder", file=sys.stderr)
        return 1
    try:
        model = LanguageModel.load(model_folder(run))
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 1
    model.export(out, whole=merge)
    description = read_description(model_folder(run))
    (out / "README.md").write_text(_model_card(description), "utf-8")
    print(out)
    if "beta" in description.get("decoding", {}):
        print(f"{run}: its values are not exported; this is the policy of the data, which they guide", file=sys.stderr)
    return 0


def _model_card(description: Mapping[str, Any]) -> str:
    """What a hub shows of an exported model."""
    told = {
        key: printable(str(description.get(key, "unknown")))
        for key in ("algorithm", "env_id", "data", "preset", "seed")
    }
    source = printable(str(description["model"]["source"]))
    base = "" if source == "config" else f"base_model: {json.dumps(source)}\n"
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [lmrl, reinforcement-learning]
{base}---
# {told["algorithm"]} on {told["env_id"]}

Trained by lmrl's `{told["algorithm"]}` (preset {told["preset"]}, seed {told["seed"]}) on `{told["data"] or "games of its own"}`; {description.get("parameters", "an unknown number of")}
parameters. It plays one task and reads it in a form of its own: `lmrl eval` plays it from the folder of the training, or from a server that
holds this one. A critic that guided it is not part of it.
"""


def check(
    spec: Positional[str],
    env: tuple[str, ...] = (),
    agent_arg: KeyValues = {},
    room: OmitArgPrefixes[RoomSettings] = DEFAULT,
) -> int:
    """Check that an agent keeps the protocol: texts, batch equal to single, early and late in games, seeds obeyed, no state across
    games, nothing left behind, what it tells can be recorded.

    Args:
        spec: Name (lmrl agents list), folder of a trained model, or file.py:factory.
        env: Task ids to check it on; by default one fully observed, one that is a conversation, and the openings of the others.
        agent_arg: Arguments of the agent, as key=value.
        room: How it is run.
    """
    from lmrl_agents import load_agent
    from lmrl_agents.playing.conformance import check_agent
    from lmrl_agents.playing.room import Room

    for id in env:
        load_task(id)
    if room.in_process:
        found = vars(check_agent(load_agent(spec, **agent_arg), env, closing=True))
    else:
        check_spec(spec)
        found = Room(spec, agent_arg, room).check(env)
    for breach in found["breaches"]:
        print(printable(f"{spec}: {breach}"), file=sys.stderr)
    if found["breaches"]:
        return 1
    print(f"{spec} keeps the protocol ({found['requests']} requests, {found['milliseconds']:.1f} ms an action)")
    return 0
