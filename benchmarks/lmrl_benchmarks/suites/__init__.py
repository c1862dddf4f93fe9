"""Suite files (TOML)."""
