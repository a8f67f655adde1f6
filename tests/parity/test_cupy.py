"""CuPy itself, without a GPU: it takes the library's calls, and its divisions are not NumPy's.

Its wheel can be imported on any machine, and says which arguments and which dtypes its functions take,
and in which words of C++ they compute.
"""

import ctypes
import functools
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minigrad.backends.cupy_ import _namespace

cupy = pytest.importorskip("cupy")  # --parity=require refuses to start without it
_where_ufunc = importlib.import_module("cupy._sorting.search")._where_ufunc

HERE = Path(__file__).parent
STAND_INS = HERE.parent / "engine" / "stand_ins"

# The functions that compute operators, and those of NumPy that the array API calls otherwise.
OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "pow": "power",
    "floordiv": "floor_divide", "mod": "remainder", "matmul": "matmul", "neg": "negative",
    "pos": "positive", "abs": "absolute", "invert": "invert", "and": "bitwise_and",
    "or": "bitwise_or", "xor": "bitwise_xor", "eq": "equal", "ne": "not_equal", "lt": "less",
    "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip


def complaint(name, args, kwargs, result):
    """Say why CuPy would not do what the stand-in did, or return None."""
    function = cupy
    for part in name.split("."):
        function = getattr(function, part, None)
        if function is None:
            return "CuPy has no such name"
    word = name.removeprefix("ndarray.").strip("_")
    if name.startswith("ndarray.__"):
        if word[1:] in OPERATORS and word not in OPERATORS:  # __radd__, __iadd__
            word, args = word[1:], args[::-1] if word[0] == "r" else args
        function = getattr(cupy, OPERATORS[word]) if word in OPERATORS else function
    if isinstance(function, cupy.ufunc):
        return complaint_about_ufunc(function, args, kwargs, result)
    if not callable(function):  # an attribute
        return None
    try:
        signature(function).bind(*args, **kwargs)
    except TypeError as error:
        return f"{error}: {signature(function)}"
    return None


def complaint_about_ufunc(ufunc, args, kwargs, result):
    if len(args) != ufunc.nin:
        return f"it takes {ufunc.nin} arguments"
    if more := kwargs.keys() - {"out", "dtype", "casting"}:
        return f"it has no {', '.join(more)}"
    numbers = {"int": 0, "float": 0.0, "bool": False}
    given = [numbers[a["number"]] if "number" in a else np.dtype(a["array"]) for a in args]
    kinds = [a if isinstance(a, np.dtype) else np.result_type(a, *given) for a in given]
    for types in ufunc.types:
        takes, _, gives = types.partition("->")
        if "E" in types:  # bfloat16, which NumPy does not know
            continue
        if all(np.can_cast(kind, taken) for kind, taken in zip(kinds, takes, strict=True)):
            if "out" in kwargs or np.dtype(gives) == np.dtype(result):
                return None
            return f"its result is {np.dtype(gives)}"
    return f"it has no loop for {kinds}"


def signature(function):
    """Return the signature of a function; Cython writes it into the first line of the docstring."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        line = function.__doc__.partition("\n")[0].partition(" -> ")[0]
        scope = {}
        exec(f"def function{line[line.index('(') :]}: pass", scope)
        return inspect.signature(scope["function"])


@pytest.fixture(scope="module")
def calls():
    """Return what the library calls, each as name, arguments, keywords and dtype of the result."""
    told = subprocess.run(
        [sys.executable, str(HERE / "cupy_calls.py")],
        env={**os.environ, "PYTHONPATH": str(STAND_INS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_cupy_takes_every_call_that_the_library_makes(calls):
    refused = [(call, why) for call in calls if (why := complaint(*call)) is not None]
    assert not refused
    assert len(calls) > 500
    names = {name for name, *_ in calls}
    assert {"matmul", "asarray", "einsum", "ndarray.scatter_add", "ndarray.device"} <= names


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (("unstack", [{"array": "f"}], {}, None), "no such name"),
        (("ndarray.swapped", [{"array": "f"}], {}, "f"), "no such name"),
        (("var", [{"array": "f"}], {"correction": {"number": "int"}}, "f"), "keyword argument"),
        (("argsort", [{"array": "f"}], {"stable": {"number": "bool"}}, "l"), "keyword argument"),
        (("ndarray.astype", [{"array": "f"}], {}, "f"), "missing a required argument: 'dtype'"),
        (("ndarray.copy", [{"array": "f"}], {"deep": {"number": "bool"}}, "f"), "'deep'"),
        (("add", [{"array": "f"}], {}, "f"), "takes 2 arguments"),
        (("add", [{"array": "f"}] * 2, {"where": {"array": "?"}}, "f"), "has no where"),
        (("bitwise_and", [{"array": "f"}] * 2, {}, "f"), "no loop"),
        (("ndarray.__rand__", [{"array": "?"}, {"number": "float"}], {}, "d"), "no loop"),
        (("exp", [{"array": "l"}], {}, "f"), "its result is float64"),
    ],
)
def test_what_cupy_does_not_take_is_noticed(call, why):
    assert why in complaint(*call)


# divisions, computed by CuPy's own words


USED = """
    add subtract true_divide fmod floor copysign equal not_equal less greater bitwise_and
    floor_divide remainder
""".split()


def functions_in_cpp():
    """Return C++ of the functions that divisions call, for each kind of arguments, and the names."""
    header = (Path(cupy.__file__).parent / "_core/include/cupy/carray.cuh").read_text()
    whole = re.findall(r"__device__ [\w ]+ _floor_divide\([^{]*\{.*?^\}", header, re.M | re.S)
    text = ["#include <cmath>", "using namespace std;", "#define __device__", *whole]
    made = {}
    ufuncs = {name: getattr(cupy, name) for name in USED} | {"where": _where_ufunc}
    for name, ufunc in ufuncs.items():
        for op in ufunc._ops.ops:
            kinds, (result,) = [t.name for t in op.in_types], [t.name for t in op.out_types]
            if {*kinds, result} <= WORDS.keys() and op.routine:
                made[name, *kinds] = (f"{name}_{len(made)}", result)
                given = [f"const {WORDS[kind]} *p{i}" for i, kind in enumerate(kinds)]
                read = [f"const {WORDS[kind]} in{i} = p{i}[i];" for i, kind in enumerate(kinds)]
                text.append(
                    f'extern "C" void {made[name, *kinds][0]}'
                    f"(long n, {WORDS[result]} *out, {', '.join(given)}) {{\n"
                    f"using out0_type = {WORDS[result]};\nfor (long i = 0; i < n; ++i) {{\n"
                    f"{' '.join(read)} out0_type out0; {op.routine}; out[i] = out0; }} }}"
                )
    return "\n".join(text), made


WORDS = {"bool": "bool", "float32": "float", "float64": "double"}


class Array:
    """An array that is computed with by functions of CuPy in C++."""

    functions: Callable[..., np.ndarray]

    def __init__(self, content):
        self.content = np.asarray(content)
        self.dtype = self.content.dtype

    @classmethod
    def call(cls, name, *args):
        common = np.result_type(*(a.dtype for a in args if isinstance(a, Array)))
        given = [a.content if isinstance(a, Array) else common.type(a) for a in args]
        return cls(cls.functions(name, *np.broadcast_arrays(*given)))

    def astype(self, dtype, copy=True):
        return Array(self.content.astype(dtype))


for _sign in ("add", "sub", "truediv", "and", "eq", "ne", "lt", "gt"):
    setattr(Array, f"__{_sign}__", functools.partialmethod(
        lambda self, other, name: Array.call(name, self, other), name=OPERATORS[_sign]
    ))  # fmt: skip


@pytest.fixture(scope="module")
def cupy_in_cpp(tmp_path_factory):
    """Return a module with the functions of CuPy that division needs, compiled by g++."""
    assert shutil.which("g++"), "g++ compiles the text of CuPy"
    text, names = functions_in_cpp()
    source = tmp_path_factory.mktemp("cupy") / "functions.cpp"
    source.write_text(text)
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-ffp-contract=off"]
    command = ["g++", *flags, "-o", source.with_suffix(".so"), source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(source.with_suffix(".so")))

    def run(name, *arrays):
        function, result = names[name, *(a.dtype.name for a in arrays)]
        out, arrays = np.empty(arrays[0].shape, result), [np.ascontiguousarray(a) for a in arrays]
        addresses = [ctypes.c_void_p(a.ctypes.data) for a in (out, *arrays)]
        getattr(library, function)(ctypes.c_long(out.size), *addresses)
        return out

    Array.functions = staticmethod(run)
    functions = {name: functools.partial(Array.call, name) for name in (*USED, "where")}
    return SimpleNamespace(
        ndarray=Array,
        asarray=lambda a, dtype: Array(getattr(a, "content", a)).astype(dtype),
        **functions,
    )


EDGES = [
    0.0, -0.0, 0.1, -0.1, 0.3, 1.0, -1.0, 2.5, 7.0, -7.0, 1e30, -1e-30, 5e-324,
    np.inf, -np.inf, np.nan,
]  # fmt: skip


def pairs(dtype):
    drawn = np.random.default_rng(0).normal(size=(2, 2000)) * [[10.0], [1.0]]
    edges = np.array(np.meshgrid(EDGES, EDGES)).reshape(2, -1)
    with np.errstate(all="ignore"):
        return np.concatenate([edges, drawn, drawn.round(1)], axis=1).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_divisions_on_cupy_are_those_of_numpy(cupy_in_cpp, name, dtype):
    a, b = pairs(dtype)
    with np.errstate(all="ignore"):
        found = getattr(_namespace(cupy_in_cpp), name)(Array(a), Array(b))
        right = getattr(np, name)(a, b)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.content, right)
    numbers = ~np.isnan(right)
    assert (np.signbit(found.content) == np.signbit(right))[numbers].all()


def test_cupy_by_itself_divides_otherwise(cupy_in_cpp):
    one = Array(np.ones(1))
    assert cupy_in_cpp.floor_divide(one, 0.1).content == 10.0  # NumPy and Python: 9
    assert np.isnan(cupy_in_cpp.remainder(one, np.inf).content)  # NumPy and Python: 1
