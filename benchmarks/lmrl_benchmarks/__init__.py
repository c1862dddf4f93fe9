"""Suites, runs, records, statistics, reports, and the command line of lmrl."""
