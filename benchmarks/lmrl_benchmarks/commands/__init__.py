"""The commands of ``lmrl``, one module per group; each function is a command and its docstring the help."""
