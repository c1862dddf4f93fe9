"""``lmrl agents ...``."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def list_agents() -> None:
    """List the agents that can be evaluated by name, and the algorithms that train one."""
    from lmrl_agents.algorithms import ALGORITHMS
    from lmrl_agents.api import agent_names

    agents = Table(title="agents (lmrl eval --agent NAME)", title_justify="left")
    agents.add_column("name")
    agents.add_column("from")
    for name, owner in agent_names().items():
        agents.add_row(name, owner)
    algorithms = Table(title="algorithms (lmrl train NAME)", title_justify="left")
    algorithms.add_column("name")
    algorithms.add_column("what it is")
    for name, text in ALGORITHMS.items():
        algorithms.add_row(name, text)
    Console().print(agents, algorithms)
    Console().print("Besides: the folder of a trained model, or file.py:factory.")
