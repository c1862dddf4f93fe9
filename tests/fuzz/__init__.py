"""Hostile play of every task by Hypothesis state machines, held to `lmrl_envs.contract`."""
