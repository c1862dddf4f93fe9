"""Language models: text to ids, steps, heads, generation, several processes."""
