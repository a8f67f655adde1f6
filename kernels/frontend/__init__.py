"""What a user writes: cells, their gates and their docstrings, before anything is traced."""
