"""Training algorithms: one readable file each."""
