"""minigrad.kernels.jit: from text to machine code, cached on disk."""
