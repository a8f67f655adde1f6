"""Which target runs a compiled loop: the arrays that it is given decide."""

from __future__ import annotations

from collections.abc import Iterable

from minigrad.kernels.passes.legalize import Refusal
from minigrad.kernels.runtime.executable import Target


def target_for(devices: Iterable[str]) -> Target:
    """Return the target for arguments on these devices.

    Parameters
    ----------
    devices : iterable of str

    Raises
    ------
    Refusal
        If there is none.
    """
    if any(device != "cpu" for device in devices):
        raise Refusal("its arrays are not on the CPU")
    from minigrad.kernels.targets import numba_cpu  # Numba is loaded when it is needed

    return numba_cpu
