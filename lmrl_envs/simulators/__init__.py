"""Simulators: what answers the agent in tasks with a partner, an opponent or an oracle."""

from lmrl_envs.simulators.base import Simulator, SimulatorError

__all__ = ["Simulator", "SimulatorError"]
