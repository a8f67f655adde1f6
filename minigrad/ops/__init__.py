"""The tables: one record for each op, by topic. Importing a table fills `minigrad.op.OPS`."""
