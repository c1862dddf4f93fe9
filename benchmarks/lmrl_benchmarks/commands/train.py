"""``lmrl train``."""

from __future__ import annotations

from tyro.conf import OmitArgPrefixes

from lmrl_agents.learning.run import TrainingRun


def train(run: OmitArgPrefixes[TrainingRun]) -> int:
    """Train an agent. The folder OUT then is an agent: lmrl eval --agent OUT."""
    from lmrl_agents.learning.train import train as train_algorithm

    print(f"model in {train_algorithm(run)}")
    return 0
