"""minigrad.kernels.runtime: from a call to a run: specialization, executables, ragged rows."""
