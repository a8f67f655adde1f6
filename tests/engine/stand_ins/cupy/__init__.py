"""A stand-in for CuPy that computes with NumPy, as strict as CuPy is where the two differ.

Arrays know their device; an op on arrays of two devices, or away from the current device, or on a NumPy
array, fails. Results of shape () are arrays, there is no read-only flag, indices out of bounds wrap, of
several writes to one place any may win (here the first), and what CuPy 14 lacks is not there.
"""

import contextlib
import os
from types import SimpleNamespace

import numpy

MISSING = {"vecdot", "unstack", "errstate", "linalg", "testing", "lib", "char", "rec", "memmap"}
_COUNT = int(os.environ.get("STAND_IN_GPUS", "2"))
_WITHOUT = os.environ.get("STAND_IN_WITHOUT", "").split()  # functions that fail
_current = [0]


class Device:
    """The current device inside a ``with`` block."""

    def __init__(self, id):
        self.id = id

    def __enter__(self):
        _current.append(self.id)

    def __exit__(self, *_):
        _current.pop()


def _device_count():
    if not _COUNT:
        raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    return _COUNT


cuda = SimpleNamespace(Device=Device, runtime=SimpleNamespace(getDeviceCount=_device_count))


def _arrays(value):
    if isinstance(value, ndarray):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _arrays(item)
    elif isinstance(value, numpy.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")


def _raw(value):
    if isinstance(value, ndarray):
        return value._a
    if isinstance(value, (list, tuple)):
        return type(value)(_raw(item) for item in value)
    return value


def _call(function, *args, **kwargs):
    """Run a NumPy function on the content of arrays that are all on the current device."""
    if function.__name__ in _WITHOUT:
        raise ImportError(f"lib{function.__name__}.so.12: cannot open shared object file")
    given = [*_arrays(args), *_arrays(tuple(kwargs.values()))]
    for array in given:
        if array.device.id != _current[-1]:
            raise ValueError(
                f"array on device {array.device.id} used while device {_current[-1]} is current"
            )
    with contextlib.ExitStack() as stack:
        stack.enter_context(numpy.errstate(all="ignore"))
        out = function(*_raw(args), **{key: _raw(value) for key, value in kwargs.items()})
    return _wrapped(out, given)


def _wrapped(out, given=()):
    if isinstance(out, (tuple, list)):
        make = getattr(out, "_make", type(out))  # of a named tuple
        return make(_wrapped(item, given) for item in out)
    if not isinstance(out, (numpy.ndarray, numpy.generic)):
        return out
    base = next((a for a in given if numpy.may_share_memory(out, a._a)), None)
    if base is not None and base.base is not None:
        base = base.base
    return ndarray(numpy.asarray(out), base)


def _inside(key, shape):
    """Wrap the index arrays of ``key``, as CuPy does."""
    key = key if isinstance(key, tuple) else (key,)
    used = sum(part is not None and part is not Ellipsis for part in key)
    axis, parts = 0, []
    for part in key:
        if isinstance(part, ndarray) and part.dtype != bool:
            part = ndarray(part._a % shape[axis] if part.size else part._a)
        parts.append(part)
        axis += len(shape) - used if part is Ellipsis else part is not None
    return tuple(parts)


class ndarray:
    """An array on a device."""

    __array_ufunc__ = None

    def __init__(self, content, base=None):
        self._a = content
        self.base = base
        self.device = Device(_current[-1])
        self.flags = SimpleNamespace(c_contiguous=content.flags.c_contiguous, owndata=base is None)

    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    size = property(lambda self: self._a.size)
    ndim = property(lambda self: self._a.ndim)
    strides = property(lambda self: self._a.strides)
    itemsize = property(lambda self: self._a.itemsize)
    T = property(lambda self: _call(numpy.transpose, self))
    mT = property(lambda self: _call(numpy.matrix_transpose, self))
    __hash__ = object.__hash__

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed; use .get()")

    def get(self):
        return self._a.copy()

    def __bool__(self):
        return bool(self._a)

    def __int__(self):
        return int(self._a)

    __index__ = __int__

    def __getitem__(self, key):
        return _call(lambda a, k: a[k], self, _inside(key, self.shape))

    def __setitem__(self, key, value):
        key = _inside(key, self.shape)
        if any(isinstance(part, ndarray) for part in key):  # the first write wins, not the last
            place = self._a[_raw(key)].shape
            flat = numpy.arange(self.size).reshape(self.shape)[_raw(key)].ravel()
            content = numpy.broadcast_to(_raw(value), place).ravel()
            self._a.reshape(-1)[flat[::-1]] = content[::-1]
        else:
            _call(lambda a, k, v: a.__setitem__(k, v), self, key, value)

    def _scatter(self, ufunc, key, value, allowed):
        if self.dtype.name not in allowed:
            raise TypeError(f"scatter only supports {allowed}")
        _call(ufunc.at, self, _inside(key, self.shape), value)

    def scatter_add(self, key, value):
        allowed = ("int32", "float16", "float32", "float64", "uint32", "uint64")
        self._scatter(numpy.add, key, value, allowed)

    def scatter_max(self, key, value):
        self._scatter(
            numpy.maximum, key, value, ("int32", "float32", "float64", "uint32", "uint64")
        )

    def __dlpack_device__(self):
        return (2, self.device.id)

    def __dlpack__(self, **_):
        return self


def _method(name):
    return lambda self, *args, **kwargs: _call(getattr(numpy.ndarray, name), self, *args, **kwargs)


_REFLECTED = (
    "add",
    "sub",
    "mul",
    "truediv",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
)
_OTHERS = ("neg", "pos", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge")
for _name in (*_REFLECTED, *(f"r{_name}" for _name in _REFLECTED), *_OTHERS):
    setattr(ndarray, f"__{_name}__", _method(f"__{_name}__"))
for _name in ("copy", "astype", "reshape", "ravel", "any", "all", "min", "max", "view"):
    setattr(ndarray, _name, _method(_name))


def _in_place(name):
    def method(self, other):
        _call(getattr(numpy.ndarray, name), self, other)
        return self

    return method


for _name in ("__iadd__", "__isub__", "__imul__"):
    setattr(ndarray, _name, _in_place(_name))


def array(data, dtype=None, order="K"):
    """Return a new array on the current device; the data may be on another."""
    return ndarray(numpy.array(_raw(data), dtype=dtype, order=order))


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    """Return ``a`` itself if it is an array already, and no copy is asked for."""
    if not copy and isinstance(a, ndarray) and dtype in (None, a.dtype):
        return a
    if copy is False:
        raise ValueError("unable to avoid a copy")
    return array(a, dtype, order or "K")


def asnumpy(x):
    """Return the content, from any device."""
    return x.get()


def from_dlpack(source):
    """Return the array that ``source`` hands over."""
    return source.__dlpack__()


def argsort(a, axis=-1, kind=None):
    """Sort in a stable way; there is no ``stable=``."""
    return _call(numpy.argsort, a, axis=axis, kind="stable")


def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    """There is no ``correction=``."""
    return _call(numpy.var, a, axis=axis, ddof=ddof, keepdims=keepdims)


def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    """There is no ``correction=``."""
    return _call(numpy.std, a, axis=axis, ddof=ddof, keepdims=keepdims)


def floor_divide(x1, x2):
    """CuPy's formula: 10 for 1 // 0.1, where NumPy has 9."""

    def formula(a, b):
        return numpy.floor_divide(a, b) if _whole(a, b) else numpy.floor(a / b)

    return _call(formula, x1, x2)


def remainder(x1, x2):
    """CuPy's formula: NaN for 1 % inf, where NumPy has 1."""

    def formula(a, b):
        return numpy.remainder(a, b) if _whole(a, b) else a - numpy.floor(a / b) * b

    return _call(formula, x1, x2)


def _whole(a, b):
    return numpy.result_type(a, b).kind != "f"


for _name, _function in (("floordiv", floor_divide), ("mod", remainder)):
    setattr(ndarray, f"__{_name}__", _function)
    setattr(ndarray, f"__r{_name}__", lambda self, other, f=_function: f(other, self))


def clip(a, a_min, a_max, out=None):
    """There are no ``min=`` and ``max=``."""
    return _call(numpy.clip, a, a_min, a_max)


_PLAIN = {"isdtype", "result_type", "promote_types", "broadcast_shapes"}


def __getattr__(name):
    if name not in numpy.__all__ or name in MISSING:
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    found = getattr(numpy, name)
    if isinstance(found, type) or not callable(found) or name in _PLAIN:
        return found
    return lambda *args, **kwargs: _call(found, *args, **kwargs)


def __dir__():
    return sorted({*globals(), *numpy.__all__} - MISSING)
