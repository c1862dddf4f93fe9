"""`lmrl serve`: play tasks and watch agents in a browser."""
