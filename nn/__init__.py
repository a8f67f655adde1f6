"""minigrad.nn: the layers. They are built from the engine and from the kernels."""

if __name__ != "minigrad.nn":
    raise ImportError(
        f"the folder nn/ is the package 'minigrad.nn' and was imported as {__name__!r}: "
        "write 'from minigrad import nn' (install minigrad first: pip install -e .)"
    )
