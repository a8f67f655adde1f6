"""Gradient checkpointing: keep the inputs of a function, and run it again when its gradient is wanted."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from minigrad import dispatch, memory
from minigrad.autograd import listed_tensors
from minigrad.backends.base import by_type
from minigrad.backpropagation import backpropagate, node_key
from minigrad.dispatch import apply, interpreting
from minigrad.errors import GradientError
from minigrad.op import Domain, Op
from minigrad.random import noting_draws, repeating_draws
from minigrad.tape import Eager, is_grad_enabled
from minigrad.tensor import Tensor, make

_RESULTS = "the results of the function"


class _Reads:
    """What a function read that was there before it ran.

    Attributes
    ----------
    tracked : dict
        Weak references to tensors that gradients flow through.
    constants : dict
        Weak references to the memory of other tensors.
    """

    def __init__(self) -> None:
        self.start = memory.tick()
        self.tracked: dict[int, weakref.ref[Tensor]] = {}
        self.constants: dict[int, weakref.ref[Any]] = {}
        self._made: set[int] = set()

    def note(self, arg: Tensor) -> None:
        """Note that an op reads ``arg``."""
        if arg.requires_grad:
            record = getattr(arg._node, "record", arg._node)
            if record is None or record.time < self.start:
                self.tracked[id(arg)] = weakref.ref(arg)
        else:
            holder = memory.owner(arg._array)
            if id(holder) not in self._made:
                self.constants[id(holder)] = weakref.ref(holder)

    def note_result(self, result: Tensor) -> None:
        """Note that an op made ``result``; its memory is new unless it is a view of what was read."""
        holder = memory.owner(result._array)
        known = self.constants.get(id(holder))
        if known is None or known() is not holder:
            self.constants.pop(id(holder), None)
            self._made.add(id(holder))

    def close(self) -> None:
        """Forget what has died: the function had made it itself."""
        self.tracked = {key: ref for key, ref in self.tracked.items() if ref() is not None}
        self.constants = {
            key: ref
            for key, ref in self.constants.items()
            if (holder := ref()) is not None and not memory.written_after(holder, self.start)
        }

    def sources(self) -> dict[Any, Tensor]:
        """Return the tracked tensors by `node_key`."""
        alive = [t for ref in self.tracked.values() if (t := ref()) is not None]
        return {node_key(t._node or t): t for t in alive}


class _Watching(Eager):
    """Run each op at once, and note what it reads."""

    def __init__(self, tracking: bool, checking: bool, notes: tuple[_Reads, ...]) -> None:
        super().__init__(tracking, checking)
        self.notes = notes

    def switched(self, tracking: bool, checking: bool) -> Eager:
        return _Watching(tracking, checking, self.notes)

    def apply(self, op: Op, args: tuple[Any, ...], attrs: Any) -> Any:
        for arg in args:
            if isinstance(arg, Tensor):
                for reads in self.notes:
                    reads.note(arg)
        out = super().apply(op, args, attrs)
        for result in out if isinstance(out, tuple) else (out,):
            for reads in self.notes:
                reads.note_result(result)
        return out


def _watched(function: Callable[..., Any], args: tuple[Any, ...], tracking: bool) -> Any:
    """Return what ``function`` returned, and what it read."""
    above = dispatch.current()
    reads = _Reads()
    notes = (*getattr(above, "notes", ()), reads)
    with interpreting(_Watching(tracking, above.checking, notes)):
        results = function(*args)
        for result in listed_tensors(results, _RESULTS):
            if result.requires_grad:  # it may come from outside, and no op has read it
                reads.note(result)
    reads.close()
    return results, reads


def checkpoint(function: Callable[..., Any], *args: Any) -> Any:
    """Return ``function(*args)``, keeping no intermediate result: the backward pass runs it again.

    Parameters
    ----------
    function : callable
        Takes and returns tensors, and must do the same when it is run again. What it draws from
        generators is drawn again; what it writes in place is written again.
    *args : Any
        What it is called with. Gradients flow to the tensors among them, and to tracked tensors the
        function reads besides.

    Returns
    -------
    Any
        What the function returned.

    Raises
    ------
    GradientError
        In the backward pass, if the function reads other tensors than the first time, or a tensor
        that was written since.

    Examples
    --------
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> mg.sum(mg.checkpoint(lambda x: mg.exp(x) * x, x)).backward()
    >>> x.grad
    tensor([ 5.4366, 22.1672])
    """
    if not is_grad_enabled():
        return function(*args)
    with noting_draws() as draws:
        first, reads = _watched(function, args, tracking=False)
    several = isinstance(first, (tuple, list))
    results = [tuple(t._array for t in listed_tensors(first, _RESULTS))]
    found = reads.sources()
    given = [t for t in args if isinstance(t, Tensor) and t.requires_grad]
    sources = {**{node_key(t._node or t): t for t in given}, **found}
    if not sources:
        return first
    finished = memory.tick()

    def formula(m: Any, *arrays: Any) -> Any:
        outs = results.pop()
        return outs if several else outs[0]

    def rule(m: Any, g: Any, y: Any, *xs: Any) -> tuple[Any, ...]:
        as_tensors = isinstance(xs[0], Tensor)
        _check_unwritten(reads, finished)
        with repeating_draws(draws):
            outs, again = _watched(function, args, tracking=True)
        again_listed = listed_tensors(outs, _RESULTS)
        cotangents = [c if as_tensors else make(c, None) for c in (g if several else (g,))]
        firsts = tuple(getattr(t, "_array", t) for t in (y if several else (y,)))
        _check_same(again_listed, firsts, reads, set(found), again)
        pairs = [(o, c) for o, c in zip(again_listed, cotangents, strict=True) if o.requires_grad]
        parts = backpropagate(
            [o for o, _ in pairs],
            [c for _, c in pairs],
            wanted=tuple(sources.values()),
            retain_graph=as_tensors,
            create_graph=as_tensors,
            independent=True,
        )
        listed = [parts.get(key) for key in sources]
        return tuple(p if as_tensors or p is None else p._array for p in listed)

    op = Op("checkpoint", formula, rule, domain=Domain(), joint=True, saves="all")
    return apply(op, tuple(sources.values()), {})


def _check_unwritten(reads: _Reads, finished: int) -> None:
    for ref in reads.constants.values():
        holder = ref()
        if holder is not None and memory.written_after(holder, finished):
            raise GradientError(
                f"checkpoint: a tensor ({holder.dtype}{list(holder.shape)}) that the function reads "
                "was written in place after the forward pass, so the gradient would be wrong; call "
                "backward() before you update tensors, or update a clone()"
            )


def _check_same(
    outs: tuple[Tensor, ...],
    first: tuple[Any, ...],
    reads: _Reads,
    sources: set[Any],
    again: _Reads,
) -> None:
    shapes, before = [o.shape for o in outs], [tuple(a.shape) for a in first]
    unread = [
        key
        for key, ref in reads.constants.items()
        if ref() is not None and key not in again.constants
    ]
    if unread or sources != set(again.sources()):
        what = "reads other tensors"
    elif shapes != before:
        what = f"returns shapes {shapes} instead of {before}"
    elif not all(map(_close, outs, first)):
        what = "returns other values"
    else:
        return
    raise GradientError(
        f"checkpoint: run again for the backward pass, the function {what}, so the gradient would be "
        "wrong; give it as arguments what changes (a lambda in a loop sees the variable's last value)"
    )


def _close(out: Tensor, first: Any) -> bool:
    """Say whether two runs agree, but for what the order of sums on a GPU leaves open."""
    backend = by_type[type(first)]
    with backend.place(first):
        same = backend.namespace.allclose(out._array, first, rtol=1e-3, atol=1e-5, equal_nan=True)
        return bool(same)
