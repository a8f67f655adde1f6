"""Random numbers: with a seed the same in every process and on every device, else new ones.

Numbers are drawn on the CPU by the counter-based generator Philox (Salmon 2011) and copied to the device,
so a GPU run repeats a CPU run. A generator can be split into independent ones, and its state is plain
data that can be stored as JSON.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy

from minigrad import dtypes
from minigrad.checks import Shape, check_integer, check_number, sizes_of
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.lock import lock
from minigrad.tensor import Tensor, new_tensor

_repeating: ContextVar[dict[Generator, Generator]] = ContextVar("minigrad_repeats", default={})  # noqa: B039  never written to
_noting: ContextVar[tuple[dict[Generator, Any], ...]] = ContextVar("minigrad_draws", default=())


@contextmanager
def noting_draws() -> Iterator[dict[Generator, Any]]:
    """Note each generator drawn from inside the ``with`` block, and the state it had before.

    Yields
    ------
    dict
        From each generator to the state that it had; it is filled as numbers are drawn.

    Examples
    --------
    >>> with mg.random.noting_draws() as noted:
    ...     x = mg.rand(3)
    >>> len(noted)
    1
    """
    noted: dict[Generator, Any] = {}
    token = _noting.set((*_noting.get(), noted))
    try:
        yield noted
    finally:
        _noting.reset(token)


@contextmanager
def repeating_draws(noted: dict[Generator, Any]) -> Iterator[None]:
    """Draw again what was drawn when ``noted`` was written; go on from the present state after it.

    Parameters
    ----------
    noted : dict
        What `noting_draws` gave.

    Yields
    ------
    None
        Nothing.

    Examples
    --------
    >>> with mg.random.noting_draws() as noted:
    ...     x = mg.rand(3)
    >>> with mg.random.repeating_draws(noted):
    ...     y = mg.rand(3)
    >>> bool(mg.all(x == y))
    True
    """
    again = {generator: _generator_at(state) for generator, state in noted.items()}
    token = _repeating.set({**_repeating.get(), **again})
    try:
        yield
    finally:
        _repeating.reset(token)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from the global generator as after `manual_seed`; go on from its present state after it.

    Parameters
    ----------
    seed : int
        Any integer from 0 on.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    ArgumentError
        If the seed is no integer or negative.

    Examples
    --------
    >>> with mg.random.seeded(0):
    ...     x = mg.rand(3)
    >>> with mg.random.seeded(0):
    ...     y = mg.rand(3)
    >>> bool(mg.all(x == y))
    True
    """
    with repeating_draws({default_generator: Generator(seed).get_state()}):
        yield


class Generator:
    """A source of random tensors.

    Parameters
    ----------
    seed : int, optional
        Any non-negative integer. Equal seeds give equal numbers, in every process: workers that are to
        differ take ``Generator(seed + worker)``. Without a seed the operating system gives one, and a
        forked process gets another.

    Raises
    ------
    ArgumentError
        If the seed is no integer or negative.

    Examples
    --------
    >>> generator = mg.Generator(3)
    >>> x, y = generator.normal((2, 3)), mg.Generator(3).normal((2, 3))
    >>> bool(mg.all(x == y))
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        if seed is None:
            self._start(_seed_of_the_system(), (), 0)
            _unseeded.add(self)
        else:
            self._start(check_integer("Generator", "seed", seed, low=0), (), 0)

    def __repr__(self) -> str:
        path = "".join(f".{child}" for child in self._path)
        return f"<generator {self._seed}{path}>"

    def _start(self, seed: int, path: tuple[int, ...], children: int) -> None:
        self._seed, self._path, self._children = seed, path, children
        sequence = numpy.random.SeedSequence(seed, spawn_key=path)
        self._numbers = numpy.random.Generator(numpy.random.Philox(sequence))

    def _source(self) -> Generator:
        """Return what numbers come from: this, or what it was, in `repeating_draws` of this thread."""
        return _repeating.get().get(self, self)

    def _drawn(self) -> numpy.random.Generator:
        """Return the source of numbers, and tell whoever is noting draws."""
        for noted in _noting.get():
            if self not in noted:
                noted[self] = self.get_state()
        return self._source()._numbers

    def split(self, count: int = 2) -> tuple[Generator, ...]:
        """Return ``count`` generators whose numbers are independent of this one's and each other's.

        Parameters
        ----------
        count : int
            How many.

        Returns
        -------
        tuple of Generator
            The new ones. This one remembers how many it has given.

        Raises
        ------
        ArgumentError
            If ``count`` is not an integer from 0 on.
        """
        count = check_integer("split", "count", count, low=0)
        self._drawn()
        source = self._source()
        with lock:  # no two threads get one child
            first = source._children
            source._children += count
        made = []
        for number in range(first, first + count):
            child = Generator.__new__(Generator)
            child._start(source._seed, (*source._path, number), 0)
            if source in _unseeded:
                _unseeded.add(child)
            made.append(child)
        return tuple(made)

    def get_state(self) -> dict[str, Any]:
        """Return the state as plain data (integers, strings, lists).

        Returns
        -------
        dict
            What `set_state` takes, and JSON keeps.
        """
        source = self._source()
        inner = source._numbers.bit_generator.state
        state = inner["state"]
        return {
            "seed": source._seed,
            "path": list(source._path),
            "children": source._children,
            "counter": [int(n) for n in state["counter"]],
            "key": [int(n) for n in state["key"]],
            "buffer": [int(n) for n in inner["buffer"]],
            "buffer_pos": int(inner["buffer_pos"]),
            "has_uint32": int(inner["has_uint32"]),
            "uinteger": int(inner["uinteger"]),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on exactly where ``get_state`` was called.

        Parameters
        ----------
        state : dict
            What `get_state` returned.

        Raises
        ------
        ArgumentError
            If ``state`` is not what ``get_state`` returns. Nothing has changed then.
        """
        made, source = _generator_at(state), self._source()
        self._drawn()
        vars(source).update(vars(made))
        _unseeded.discard(source)

    def uniform(
        self,
        shape: Shape = (),
        low: float = 0.0,
        high: float = 1.0,
        *,
        dtype: Any = None,
        device: str | None = None,
    ) -> Tensor:
        """Return numbers evenly distributed between ``low`` (included) and ``high`` (excluded).

        Parameters
        ----------
        shape : int or sequence of int
            The sizes of the axes.
        low : float
            The smallest number.
        high : float
            The end, which is left out.
        dtype : dtype or str, optional
            By default the default dtype, float32.
        device : str, optional
            "cpu" or "cuda:N"; by default where `use_backend` says.

        Returns
        -------
        Tensor
            Of this shape.

        Raises
        ------
        ArgumentError
            If ``low`` or ``high`` is no number.
        DtypeError
            If ``dtype`` is not a floating-point one.
        ShapeError
            If ``shape`` holds something other than integers from 0 on.
        """
        kind = _floating("uniform", dtype)
        low, high = check_number("uniform", "low", low), check_number("uniform", "high", high)
        values = (self._drawn().random(sizes_of(shape)) * (high - low) + low).astype(kind)
        top = kind.type(high)
        values = numpy.where(values < top, values, numpy.nextafter(top, kind.type(low)))
        return _made(values, kind, device)

    def normal(
        self,
        shape: Shape = (),
        mean: float = 0.0,
        std: float = 1.0,
        *,
        dtype: Any = None,
        device: str | None = None,
    ) -> Tensor:
        """Return normally distributed numbers.

        Parameters
        ----------
        shape : int or sequence of int
            The sizes of the axes.
        mean : float
            The mean.
        std : float
            The standard deviation.
        dtype : dtype or str, optional
            By default the default dtype, float32.
        device : str, optional
            "cpu" or "cuda:N"; by default where `use_backend` says.

        Returns
        -------
        Tensor
            Of this shape.

        Raises
        ------
        ArgumentError
            If ``mean`` or ``std`` is no number, or ``std`` is negative.
        DtypeError
            If ``dtype`` is not a floating-point one.
        ShapeError
            If ``shape`` holds something other than integers from 0 on.
        """
        mean = check_number("normal", "mean", mean)
        std = check_number("normal", "std", std, low=0)
        dtype = _floating("normal", dtype)
        return _made(self._drawn().standard_normal(sizes_of(shape)) * std + mean, dtype, device)

    def integers(
        self, low: int, high: int, shape: Shape = (), *, device: str | None = None
    ) -> Tensor:
        """Return int64 numbers between ``low`` (included) and ``high`` (excluded).

        Parameters
        ----------
        low : int
            The smallest number.
        high : int
            The end, which is left out.
        shape : int or sequence of int
            The sizes of the axes.
        device : str, optional
            "cpu" or "cuda:N"; by default where `use_backend` says.

        Returns
        -------
        Tensor
            Of this shape, int64.

        Raises
        ------
        ArgumentError
            If they are no integers, or there is no number between them.
        ShapeError
            If ``shape`` holds something other than integers from 0 on.
        """
        low, high = (check_integer("integers", *end) for end in (("low", low), ("high", high)))
        if high <= low:
            raise ArgumentError(f"integers(): high ({high}) must be larger than low ({low})")
        return _made(self._drawn().integers(low, high, size=sizes_of(shape)), dtypes.int64, device)

    def bernoulli(
        self, probability: float, shape: Shape = (), *, device: str | None = None
    ) -> Tensor:
        """Return bool values that are true with ``probability``.

        Parameters
        ----------
        probability : float
            How likely True is, from 0 to 1.
        shape : int or sequence of int
            The sizes of the axes.
        device : str, optional
            "cpu" or "cuda:N"; by default where `use_backend` says.

        Returns
        -------
        Tensor of bool
            Of this shape.

        Raises
        ------
        ArgumentError
            If ``probability`` does not lie between 0 and 1.
        ShapeError
            If ``shape`` holds something other than integers from 0 on.
        """
        probability = check_number("bernoulli", "probability", probability, 0, 1)
        return _made(self._drawn().random(sizes_of(shape)) < probability, dtypes.bool_, device)

    def permutation(self, n: int, *, device: str | None = None) -> Tensor:
        """Return the integers below ``n`` in random order.

        Parameters
        ----------
        n : int
            How many integers.
        device : str, optional
            "cpu" or "cuda:N"; by default where `use_backend` says.

        Returns
        -------
        Tensor
            Shape (n,), int64.

        Raises
        ------
        ArgumentError
            If ``n`` is not an integer from 0 on.
        """
        n = check_integer("permutation", "n", n, low=0)
        return _made(self._drawn().permutation(n), dtypes.int64, device)

    def categorical(
        self, probabilities: Tensor, shape: Shape = (), *, device: str | None = None
    ) -> Tensor:
        """Return int64 positions along the last axis, drawn with these probabilities.

        Parameters
        ----------
        probabilities : Tensor
            Shape (..., size); rows need not add up to 1.
        shape : int or sequence of int
            How often to draw: the axes before those of ``probabilities``.
        device : str, optional
            By default that of ``probabilities``.

        Returns
        -------
        Tensor
            Shape (*shape, ...).

        Raises
        ------
        ArgumentError
            If a row is negative, infinite, NaN or all zero.
        ShapeError
            If ``probabilities`` have no axis, or ``shape`` holds something other than integers from 0 on.
        """
        sizes = sizes_of(shape)
        weights = numpy.asarray(probabilities.detach().cpu().numpy(), dtype=numpy.float64)
        if not weights.ndim:
            raise ShapeError("categorical(): probabilities need an axis to draw along")
        largest = weights.max(-1, keepdims=True, initial=0.0)
        if not (weights >= 0).all() or not ((largest > 0) & (largest < numpy.inf)).all():
            raise ArgumentError(
                "categorical(): probabilities must be non-negative and finite and not all zero; "
                "pass them through softmax first"
            )
        # by a power of two, which is exact: sums neither overflow nor round up to the next edge
        edges = numpy.cumsum(numpy.ldexp(weights, -numpy.frexp(largest)[1]), axis=-1)
        drawn = self._drawn().random((*sizes, *weights.shape[:-1], 1)) * edges[..., -1:]
        return _made((edges <= drawn).sum(-1), dtypes.int64, device or probabilities.device)


def _generator_at(state: Any) -> Generator:
    """Return a new generator in a state.

    Raises
    ------
    ArgumentError
        If ``state`` is not what `Generator.get_state` returns.
    """
    made = Generator.__new__(Generator)
    try:
        children = check_integer("set_state", "children", state["children"], low=0)
        made._start(state["seed"], tuple(state["path"]), children)
        made._numbers.bit_generator.state = {
            "bit_generator": "Philox",
            "state": {
                "counter": numpy.array(state["counter"], dtype=numpy.uint64),
                "key": numpy.array(state["key"], dtype=numpy.uint64),
            },
            "buffer": numpy.array(state["buffer"], dtype=numpy.uint64),
            "buffer_pos": state["buffer_pos"],
            "has_uint32": state["has_uint32"],
            "uinteger": state["uinteger"],
        }
        if made.get_state() != state:  # NumPy takes what it can use, and leaves the rest
            raise ValueError("it has other entries")
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(
            f"this is not the state of a generator ({error!r}); pass what get_state() returned"
        ) from None
    return made


def _floating(of: str, dtype: Any) -> Any:
    """Return a floating-point dtype, by default the default one.

    Raises
    ------
    DtypeError
        If it is another one.
    """
    kind = dtypes.as_dtype(dtype or dtypes.get_default_dtype())
    if not dtypes.is_floating(kind):
        raise DtypeError(f"{of}() draws floating-point numbers, not {kind}; use integers()")
    return kind


def _made(values: Any, dtype: Any, device: str | None) -> Tensor:
    return new_tensor("Generator", values, dtype or dtypes.get_default_dtype(), device)


def _seed_of_the_system() -> int:
    return int.from_bytes(os.urandom(8))


# Generators that nobody gave a seed: a fork must not draw what its parent draws.
_unseeded: weakref.WeakSet[Generator] = weakref.WeakSet()


def _differ_from_the_parent() -> None:
    for generator in _unseeded:
        generator._start(_seed_of_the_system(), (), 0)


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_differ_from_the_parent)

default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the global generator again from ``seed``, and return it.

    Until then its seed is one of the operating system.

    Parameters
    ----------
    seed : int
        Any integer from 0 on.

    Returns
    -------
    Generator
        The global generator.

    Raises
    ------
    ArgumentError
        If the seed is no integer or negative.

    Examples
    --------
    >>> generator = mg.manual_seed(0)
    >>> x = mg.rand(3)
    >>> generator = mg.manual_seed(0)
    >>> bool(mg.all(mg.rand(3) == x))
    True
    """
    default_generator.set_state(Generator(seed).get_state())
    return default_generator


def get_state() -> dict[str, Any]:
    """Return the state of the global generator.

    Returns
    -------
    dict
        Plain data: integers, strings, lists.

    Examples
    --------
    >>> state = mg.random.get_state()
    >>> x = mg.rand(3)
    >>> mg.random.set_state(state)
    >>> bool(mg.all(mg.rand(3) == x))
    True
    """
    return default_generator.get_state()


def set_state(state: dict[str, Any]) -> None:
    """Set the state of the global generator.

    Parameters
    ----------
    state : dict
        What `get_state` returned.

    Raises
    ------
    ArgumentError
        If it is not. Nothing has changed then.

    Examples
    --------
    >>> state = mg.random.get_state()
    >>> x = mg.rand(3)
    >>> mg.random.set_state(state)
    >>> bool(mg.all(mg.rand(3) == x))
    True
    """
    default_generator.set_state(state)
