"""Hostile play of every task: random operations, checked against the contract, minimised and replayed when they break it.

``python -m lmrl_benchmarks.fuzz`` is the campaign; `lmrl_benchmarks.fuzz.cases` says what a case is.
"""
