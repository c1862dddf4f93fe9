"""Training a language model as the partner of a task."""
