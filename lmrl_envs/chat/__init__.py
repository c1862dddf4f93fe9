"""Talk with a stranger who should enjoy it."""
