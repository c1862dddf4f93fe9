"""Pairs of games and what labellers say of them; what the games are worth (gold) lies in a file of its own."""

from lmrl_datasets.preferences.schema import Fragment, Label, Pair
from lmrl_datasets.preferences.store import Preferences, load_gold, load_preferences

__all__ = ["Fragment", "Label", "Pair", "Preferences", "load_gold", "load_preferences"]
