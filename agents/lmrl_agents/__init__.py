"""Agents for the lmrl tasks: scripted, prompted, and trained by one readable file per algorithm."""

from lmrl_agents.playing.loading import agent_names, load_agent
from lmrl_agents.playing.protocol import Action, Agent, AgentError, AgentStopped, Request

__all__ = ["Action", "Agent", "AgentError", "AgentStopped", "Request", "agent_names", "load_agent"]
