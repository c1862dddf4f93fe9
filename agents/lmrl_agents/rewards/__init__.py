"""Rewards: what is optimised in place of a task's own."""
