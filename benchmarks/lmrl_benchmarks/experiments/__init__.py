"""Experiments that are no table of tasks and agents: a grid of settings, a function that runs one of them, a page."""
