"""Samples of the datasets, shipped with the package."""
