"""Agents that play: the protocol, loading, rollouts, trained models as agents."""
