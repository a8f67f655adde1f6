"""What the generated CPU code calls, compiled once for each machine. Imports Numba."""
