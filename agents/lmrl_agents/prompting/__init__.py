"""Language models that play by prompt."""
