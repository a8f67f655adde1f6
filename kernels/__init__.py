"""minigrad.kernels: turns a step function into a loop. It uses the engine and knows no layer."""

if __name__ != "minigrad.kernels":
    raise ImportError(
        f"the folder kernels/ is the package 'minigrad.kernels' and was imported as {__name__!r}: "
        "write 'from minigrad import kernels' (install minigrad first: pip install -e .)"
    )

from minigrad.kernels.cell import Cell as Cell
from minigrad.kernels.cell import cell as cell
from minigrad.kernels.explain import explain as explain
from minigrad.kernels.scan import scan as scan
