"""The tasks of lmrl as a taskset of the Environments Hub."""

from lmrl_bridges.verifiers import LmrlConfig, LmrlEnv, LmrlEnvConfig, LmrlTaskset

__all__ = ["LmrlConfig", "LmrlEnv", "LmrlEnvConfig", "LmrlTaskset"]
