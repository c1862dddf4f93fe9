"""Agents for the lmrl tasks: scripted, prompted, and trained by one readable file per algorithm."""

from lmrl_agents.api import Action, Agent, AgentError, AgentStopped, Request, agent_names, load_agent

__all__ = ["Action", "Agent", "AgentError", "AgentStopped", "Request", "agent_names", "load_agent"]
