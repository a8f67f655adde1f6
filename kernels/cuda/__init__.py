"""Plans as CUDA text."""
