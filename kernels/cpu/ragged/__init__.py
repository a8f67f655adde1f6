"""Sequences of different lengths: their packed layout, gather and scatter of rows."""
