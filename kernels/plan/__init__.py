"""minigrad.kernels.plan: a loop as data: products, fused elementwise loops, buffers."""
