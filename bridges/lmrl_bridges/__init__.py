"""Tasks of this suite in other people's trainers and evaluations: one module for each (`docs/bridges.md`).

Nothing of theirs is imported before its module is: ``lmrl_bridges.trl`` needs TRL, ``lmrl_bridges.inspect`` Inspect AI, and so on;
the extras ``bridge-trl``, ``bridge-inspect``, ... install what each of them needs.
"""

from lmrl_bridges.game import Game, game_rows

__all__ = ["Game", "game_rows"]
