"""``python -m lmrl_benchmarks`` is the command ``lmrl``."""

from lmrl_benchmarks.commands.cli import main

main()
