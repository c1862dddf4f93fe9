"""Suites: which agents play which tasks, with which seeds. TOML files, versioned and hashed."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from lmrl_envs import Task, doors, load_task, task
from lmrl_envs.files.untrusted import NAME, Amount, Count, Integer, Refused, Schema, convert, decode, shown
from lmrl_envs.tasks import plugin_folders

Positive = Annotated[int, Meta(ge=1, le=1_000_000)]
"""Of episodes: of a suite, of a run."""
RoundOver = dict[str, Positive | Annotated[list[Any], Meta(min_length=1)]]
"""Reset options that go round over the episodes: the values, or a number n for 0 to n - 1."""
Commitment = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
"""A SHA-256 in hex digits, or nothing."""
OPTIONAL = frozenset(
    {"each", "train_kwargs", "start", "settings", "tasks", "reward", "max_cost_usd", "description", "commitment"}
)
"""Keys that are left out of what is hashed where they are empty."""
HUMAN = "human"
"""The agent under whose name the games of people stand (`lmrl serve`); it need not play every task, nor every episode."""


class SuiteError(ValueError):
    """A suite file is missing or wrong; the message says where."""


class SuiteTask(Schema, frozen=True):
    """A task of a suite."""

    id: str
    kwargs: dict[str, Any] = {}
    episodes: Positive | None = None
    """Evaluation episodes, if other than the suite's."""
    data: dict[str, Any] = {}
    """``name`` of the dataset that agents are trained on, and ``episodes`` to generate or ``sample = true``."""
    each: RoundOver = {}
    """Reset options that go round over the episodes: a list of values, or a number n for 0 to n - 1."""

    train_kwargs: dict[str, Any] = {}
    """Arguments of the environment that is played in training and validation: another opponent, say. Not those of the
    evaluation by themselves, which may choose what is held out."""

    @property
    def slug(self) -> str:
        """A name for folders and anchors."""
        extra = "".join(f"-{value}" for _, value in sorted(self.kwargs.items()))
        name = self.id.rpartition(":")[2].removeprefix("lmrl/").removesuffix("-v0") + extra
        return "".join(c if c.isalnum() or c in "-." else "-" for c in name)


class SuiteAgent(Schema, frozen=True):
    """An agent of a suite: one that is there (``spec``), or one that is trained first (``train``)."""

    name: str
    spec: str = ""
    agent_kwargs: dict[str, Any] = {}
    train: str = ""
    preset: str = "nano"
    start: str = ""
    """Name of the agent of this suite whose trained model the training starts from."""
    settings: dict[str, Any] = {}
    """Training settings in place of the preset's, as ``table.name``."""
    reward: str = ""
    """What is optimised in training, and recorded beside the task's own reward; none named: that."""
    tasks: list[str] = []
    """Ids of the tasks it plays; none named: all."""

    @property
    def training_key(self) -> str:
        """Agents with the same key share one training run (they only decode differently)."""
        key = f"{doors.short_name(self.train)}-{self.preset}" + (f"-from-{self.start}" if self.start else "")
        if self.settings or self.reward:
            chosen: Any = [self.settings, self.reward] if self.reward else self.settings
            key += "-" + hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:6]
        return key


class Suite(Schema, frozen=True):
    """A whole suite."""

    name: str
    version: Integer
    episodes: Positive
    seed: Integer
    training_seeds: Annotated[tuple[Integer, ...], Meta(min_length=1, max_length=1000)]
    tasks: Annotated[tuple[SuiteTask, ...], Meta(min_length=1, max_length=1000)]
    agents: Annotated[tuple[SuiteAgent, ...], Meta(max_length=1000)] = ()
    max_cost_usd: Count | Amount | None = None
    """What one cell of an agent on a paid server may cost; handed to agents called ``openai:...``."""
    description: str = ""
    commitment: Commitment = ""
    """Of a sealed suite: the SHA-256 of the secret salt that its games' seeds are drawn with (see `sealing`)."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return decode(json.dumps(self, default=_used))

    @property
    def digest(self) -> str:
        """Hash of everything that determines the runs."""
        values = {key: value for key, value in self.as_dict().items() if key != "description"}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def only(self, names: list[str]) -> list[SuiteAgent]:
        """The agents of these names; a name that the suite lacks is taken as the spec of an agent.

        Raises:
            SuiteError: no names, or two specs that would share a folder.
        """
        if not names:
            raise SuiteError("name at least one agent")
        known = {agent.name: agent for agent in self.agents}
        chosen = [known.get(name) or SuiteAgent(name=folder_name(name), spec=name) for name in names]
        taken: dict[str, str] = {}
        for agent, name in zip(chosen, names, strict=True):
            if agent.name.lower() in taken or (agent.spec == name and agent.name in known):
                raise SuiteError(
                    f"agents {taken.get(agent.name.lower(), agent.name)!r} and {name!r} would share the name "
                    f"{agent.name!r} in the run; name one in a suite file"
                )
            taken[agent.name.lower()] = name
        return chosen

    def agent(self, name: str) -> SuiteAgent:
        """The agent of this name."""
        return next(agent for agent in self.agents if agent.name == name)


def folder_name(spec: str) -> str:
    """The name that an agent given by its spec has in a run: of files and folders of this machine the last part, of models the
    owner too (``openai:unsloth/x`` is ``openai-unsloth--x``).
    """
    place, _, rest = spec.partition(":")
    place = place.rstrip("/").rpartition("/")[2]
    if rest.startswith(("/", ".", "~")):
        rest = rest.rstrip("/").rpartition("/")[2]
    text = f"{place}-{rest}".strip("-") if rest else place
    text = re.sub(r"[^A-Za-z0-9_.+=-]", "-", text.replace("/", "--")).strip("-.+=") or "agent"
    if len(text) > 80:
        text = f"{text[:71]}-{hashlib.sha256(spec.encode('utf-8', 'replace')).hexdigest()[:8]}"
    return text if NAME.fullmatch(text) else f"_{text[:79]}"


def _used(value: Any) -> dict[str, Any]:
    items = {key: getattr(value, key) for key in value.__struct_fields__}
    return {key: item for key, item in items.items() if key not in OPTIONAL or item not in ({}, [], "", None)}


def suite_names() -> list[str]:
    """Suites that ship with this package, and those of packages with tasks."""
    return sorted(_files())


def _files() -> dict[str, Any]:
    """Suites by name; no plug-in's takes the place of one that ships."""
    folders = [*plugin_folders("suites"), resources.files("lmrl_benchmarks.running.suites")]
    entries = (entry for folder in folders for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return {entry.name.removesuffix(".toml"): entry for entry in entries}


def load_suite(name: str) -> Suite:
    """A suite by name, or from a TOML file.

    Raises:
        SuiteError: no such suite, or a file that is none.
    """
    text = suite_text(name)
    try:
        suite = suite_from(tomllib.loads(text), load_task)
        if name.endswith(".toml") and (why := borrowed_name(suite)):
            raise SuiteError(why)
        return suite
    except (tomllib.TOMLDecodeError, Refused) as problem:
        raise SuiteError(f"suite {name!r} is not well formed: {problem}") from None
    except SuiteError as problem:
        raise SuiteError(f"suite {name!r} {problem}") from None


def borrowed_name(suite: Suite) -> str | None:
    """That a suite has the name of one that ships and is another one; None if it has not."""
    known = {name.casefold(): name for name in _files()}
    name = known.get(suite.name.casefold())
    own = load_suite(name) if name else suite
    if own.digest == suite.digest:
        return None
    return f"has the name of the suite {name!r} that ships (version {own.version}, digest {own.digest}) and is another: rename it"


def suite_text(name: str) -> str:
    """The TOML text of a suite by name, or of a file.

    Raises:
        SuiteError: no such suite, or no text.
    """
    path: Any = Path(name) if name.endswith(".toml") else _files().get(name)
    if path is None or not path.is_file():
        raise SuiteError(f"no suite {name!r}; there are {', '.join(suite_names())}, or give a .toml file")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as problem:
        raise SuiteError(f"suite {name!r} is not well formed: {problem}") from None


def suite_from(values: Mapping[str, Any], find: Callable[[str], Task] = task) -> Suite:
    """A suite from the values of a TOML file or of ``suite.json``.

    Args:
        values: as read.
        find: looks tasks up; `lmrl_envs.load_task` imports what the suite names, which only a person's own may.

    Raises:
        SuiteError: names, numbers or starts that do not do; the message goes on after the suite's name.
        Refused: missing or unknown keys, values of other types.
        gymnasium.error.NameNotFound: an unknown task.
    """
    suite = convert(values, Suite)
    _check(suite, find)
    return suite


def _check(suite: Suite, find: Callable[[str], Task]) -> None:
    if not NAME.fullmatch(suite.name):
        raise SuiteError(f"has the name {shown(suite.name)!r}, which is none (pages are named so)")
    for entry in suite.tasks:
        find(entry.id)
    for what, names in (("task", [t.slug for t in suite.tasks]), ("agent", [a.name for a in suite.agents])):
        if len({str(name).lower() for name in names}) < len(names):  # folders, where "A" may be "a"
            raise SuiteError("names a task twice" if what == "task" else "names an agent twice")
        for name in names:
            if not NAME.fullmatch(name):
                raise SuiteError(
                    f"has the {what} {shown(name)!r}: letters, digits and _.+=- only, 80 at most, and no name of a device"
                )
    known = {agent.name: agent for agent in suite.agents}
    ids = {entry.id for entry in suite.tasks}
    for agent in suite.agents:
        if agent.train and not NAME.fullmatch(agent.training_key):  # a folder, too
            raise SuiteError(f"trains {agent.name!r} by {agent.training_key!r}, which is no algorithm and preset")
        for id in agent.tasks:
            if id not in ids:
                raise SuiteError(f"lets {agent.name!r} play {id!r}, which is no task of it")
        seen = [agent.name]
        while agent.start:
            if agent.start not in known or not known[agent.start].train or agent.start in seen:
                raise SuiteError(
                    f"lets {agent.name!r} start from {agent.start!r}, which is no other trained agent of it"
                )
            agent = known[agent.start]
            seen.append(agent.name)
