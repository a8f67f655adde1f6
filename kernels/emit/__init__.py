"""Text of kernels. Nothing in here imports a compiler or an array library."""
