"""Agents for the lmrl tasks: scripted, prompted, and trained by one readable file per algorithm."""

from lmrl_agents.api import Agent, AgentError, Request, agent_names, load_agent

__all__ = ["Agent", "AgentError", "Request", "agent_names", "load_agent"]
