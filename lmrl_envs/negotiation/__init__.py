"""Haggling over a used thing."""
