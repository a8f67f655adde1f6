"""Vectors of the CPU's registers and elementary functions on them."""
