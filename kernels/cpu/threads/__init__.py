"""A team of threads: atomics, a barrier, and whether a team pays."""
