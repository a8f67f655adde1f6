"""What the generated CPU code calls, compiled once for each machine. Imports Numba."""

from minigrad.kernels.cpu.numba_folder import ensure_numba_folder

ensure_numba_folder()
