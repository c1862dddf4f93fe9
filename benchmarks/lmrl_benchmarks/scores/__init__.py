"""Scores: references, intervals, comparisons."""
