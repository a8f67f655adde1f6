"""Checkpointing: keep the states between segments of a loop, and run each again for its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy

from minigrad.checks import check_integer
from minigrad.errors import ArgumentError
from minigrad.ops.shape import concat, split
from minigrad.recompute import checkpoint
from minigrad.tensor import Tensor

# Runs a segment: its inputs, its states, its lengths and its mask to its outputs and final states.
RunSegment = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]


def check_checkpoint_every(where: str, every: Any, reset: Any) -> int:
    """Return the length of segments; refuse one that makes no sense.

    Raises
    ------
    ArgumentError
    """
    steps = check_integer(where, "checkpoint_every", every, low=1)
    if reset is not None:
        raise ArgumentError(
            f"{where}: checkpoint_every and reset cannot be used together, because a reset goes back "
            "to a state of another segment; leave one of them out"
        )
    return steps


def run_in_segments(
    run: RunSegment,
    every: int,
    inputs: Sequence[Tensor],
    states: Sequence[Tensor],
    lengths: Any,
    mask: Any,
    reverse: bool,
) -> tuple[Tensor, ...]:
    """Run a loop in segments of ``every`` steps, of which nothing is kept but the states between them.

    Parameters
    ----------
    run : callable
        ``run(inputs, states, lengths, mask)`` runs a segment.
    every : int
    inputs, states : sequence of Tensor
        Shapes (T, N, ...) and (N, ...).
    lengths, mask : array, optional
        Shapes (N,) and (T, N).
    reverse : bool
        Whether the last segment comes first.

    Returns
    -------
    tuple of Tensor
        The outputs, and the final states.
    """
    steps, count = inputs[0].shape[0], len(inputs)
    bounds = [*range(0, steps, every), steps]
    sizes = [end - begin for begin, end in pairwise(bounds)]
    parts = [split(x, sizes, axis=0) for x in inputs]
    segments = list(zip(zip(*parts, strict=True), pairwise(bounds), strict=True))
    outputs = []
    for xs, (begin, end) in reversed(segments) if reverse else segments:
        inside = None if lengths is None else numpy.clip(lengths - begin, 0, end - begin)
        present = None if mask is None else mask[begin:end]

        def segment(*given: Tensor, inside: Any = inside, present: Any = present) -> Any:
            output, finals = run(given[:count], given[count:], inside, present)
            return (output, *finals)

        output, *states = checkpoint(segment, *xs, *states)
        outputs.append(output)
    return concat(outputs[::-1] if reverse else outputs, axis=0), *states
