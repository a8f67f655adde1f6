"""What is stored under an integer dtype fits it, or is refused; and lists keep the dtypes of arrays."""

import warnings

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn
from minigrad import conversion
from minigrad.errors import DtypeError

INF, NAN = float("inf"), float("nan")
T = mg.tensor


def bytes_(*values):
    return T(list(values), dtype="uint8")


def leaf():
    return T(2.7, requires_grad=True)


def write(x, value, key=0):
    x[key] = value


# what is tried, and the value (and the place) that the message names
REFUSED = {
    "list": (lambda: bytes_(1, 300), "300 at position 1 does not fit uint8, which holds .* 0 to 255"),
    "negative": (lambda: bytes_(-1), "-1 at position 0 "),
    "int32": (lambda: T([[1], [2**40]], dtype="int32"), "1099511627776 at position 1, 0 "),
    "nan": (lambda: T([1.0, NAN], dtype="int64"), "nan at position 1 does not fit int64"),
    "inf": (lambda: T(-INF, dtype="int8"), "-inf does not fit int8"),
    "2**63": (lambda: T(2.0**63, dtype="int64"), "9.223372036854776e.18 does not fit int64"),
    "float16": (lambda: T(np.float16([300]), dtype="int8"), "300.0 at position 0 "),
    "bfloat16": (lambda: T(T([300.0], dtype="bfloat16"), dtype="int8"), "300.0 at position 0 "),
    "uint64": (lambda: T(np.uint64([2**63]), dtype="int64"), "9223372036854775808 at position 0 "),
    "2**70": (lambda: T([1, 2**70]), "1180591620717411303424 does not .* use dtype=.float64"),
    "full": (lambda: mg.full(2, NAN, dtype="int32"), "full: nan does not fit int32"),
    "full_like": (lambda: mg.full_like(bytes_(1), 256), "full: 256 does not fit uint8"),
    "arange": (lambda: mg.arange(300, dtype="uint8"), "arange: 256 at position 256 "),
    "linspace": (lambda: mg.linspace(0, 1000, 3, dtype="int8"), "linspace: 500.0 at position 1 "),
    "asarray": (lambda: mg.asarray(np.array([300]), dtype="uint8"), "300 at position 0 "),
    "asarray of a tensor": (lambda: mg.asarray(T([300]), dtype="uint8"), "asarray: 300 at position 0 "),
    "pad": (lambda: mg.pad(T([1, 2]), ((1, 1),), value=-INF), "value: -inf does not fit int64"),
    "pad a fraction": (lambda: mg.pad(T([1]), ((1, 1),), value=1.5), "value: 1.5 does not fit int64"),
    "where": (lambda: mg.where(T(True), bytes_(1), 300), "300 does not fit uint8"),
    "where not": (lambda: mg.where(T(False), -1, bytes_(1)), "-1 does not fit uint8"),
    "clip": (lambda: mg.clip(bytes_(1), 0, 300), "300 out of bounds for uint8; .* wider"),
    "add": (lambda: bytes_(1) + 300, "300 out of bounds for uint8; .* wider"),
    "copy_": (lambda: bytes_(1).copy_(T([300])), "copy_: 300 at position 0 does not fit uint8"),
    "copy_ number": (lambda: bytes_(1).copy_(-1), "copy_: -1 does not fit uint8"),
    "copy_ floats": (lambda: T([1]).copy_(T([1.0])), "copy_: values of float32 .* tensor of int64"),
    "data": (lambda: setattr(T([1]), "data", T([1.5])), r'with .astype\("float32"\), or the values'),
    "x[i] = 300": (lambda: write(bytes_(1), 300), r"x\[i\] = v: 300 does not fit uint8"),
    "x[i] = 2.7": (lambda: write(T([1]), 2.7), r"x\[i\] = v: 2.7 does not fit int64"),
    "x[i] = float32": (lambda: write(T([1]), np.float32(2.5)), r"x\[i\] = v: 2.5 does not fit int64"),
    "x[i] = nan": (lambda: write(T([1]), NAN), r"x\[i\] = v: nan does not fit int64"),
    "x[i] = floats": (lambda: write(T([1]), T([1.0]), ...), r"values of float32 do not fit"),
    "x[mask] = 2": (lambda: write(T([1, 2]) > 1, 2, T([0])), "2 does not fit bool"),
    "at.set": (lambda: T([0, 0]).at[0].set(leaf()), r'float32 .* would lose .* \.astype\("float32"\)'),
    "at.set number": (lambda: T([0, 0]).at[0].set(2.7), "2.7 does not fit int64"),
    "at.set int": (lambda: bytes_(1, 2).at[T([0, 1])].set(T([1, 256])), "256 at position 1 "),
    "at.add": (lambda: T([0, 0]).at[T([0, 0])].add(leaf()), "values of float32 do not fit"),
    "at.add int": (lambda: bytes_(1).at[0].add(300), "300 does not fit uint8"),
    "normal": (lambda: mg.Generator(0).normal(2, dtype="int8"), "draws floating-point numbers, not int8"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(DtypeError, match=message):
        call()


def written(x, value, key=0):
    write(x, value, key)
    return x


ACCEPTED = {
    "bounds": (lambda: T([-128, 127], dtype="int8"), [-128, 127]),
    "fractions are cut off": (lambda: T([2.7, -2.7, 127.9], dtype="int8"), [2, -2, 127]),
    "towards zero": (lambda: T([-0.5, 255.9], dtype="uint8"), [0, 255]),
    "largest": (lambda: T([2**64 - 1], dtype="uint64"), [2**64 - 1]),
    "largest float": (lambda: T([np.nextafter(2.0**63, 0)], dtype="int64"), [2**63 - 1024]),
    "to bool": (lambda: T([0, 2, NAN], dtype="bool"), [False, True, True]),
    "empty": (lambda: T(np.zeros(0), dtype="uint8"), []),
    "large to float": (lambda: T([1e300, -(2**70)], dtype="float16"), [INF, -INF]),
    "large integers to float": (lambda: T([1, 2**70], dtype="float64"), [1, 2.0**70]),
    "float64 to float32": (lambda: written(mg.zeros(1), T([1e300], dtype="float64"), ...), [INF]),
    "a whole number": (lambda: written(T([1, 2]), 5.0), [5, 2]),
    "bool to int": (lambda: written(bytes_(1, 2), T([True, False]), ...), [1, 0]),
    "int to bool": (lambda: written(T([True, True]), T([0, 1]), ...), [False, True]),
    "int to float": (lambda: mg.zeros(2).at[0].set(T(3)), [3, 0]),
    "narrower": (lambda: bytes_(1, 2).copy_(T([255, 0])), [255, 0]),
    "arange": (lambda: mg.arange(0, 2, 0.5, dtype="int64"), [0, 0, 1, 1]),
    "pad": (lambda: mg.pad(T([7]), ((1, 0),)), [0, 7]),
    "astype is C's": (lambda: T([300, -1, 2.9]).astype("int16").astype("uint8"), [44, 255, 2]),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_fits_is_stored_and_nothing_warns(name):
    call, expected = ACCEPTED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call().tolist() == expected


def test_a_refused_write_changes_nothing():
    x = T([1, 2])
    for value in (2.7, T([1.0, 2.0])):
        with pytest.raises(DtypeError):
            x.copy_(value)
    assert x.tolist() == [1, 2]


@pytest.mark.parametrize(
    "dtype", [f"{kind}{n}" for kind in ("int", "uint") for n in (8, 16, 32, 64)]
)
def test_the_range_is_that_of_pythons_integers(dtype):
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    for value in (low - 1, low, 0, high, high + 1):
        for given in (value, float(value)):
            if low <= int(given) <= high:
                conversion.check_fits("", given, np.dtype(dtype))
            else:
                with pytest.raises(DtypeError, match="does not fit"):
                    conversion.check_fits("", given, np.dtype(dtype))


F32, F64 = np.float32(1), np.float64(1)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([1.0, 2.0], "float32"),
        ([1, 2.0], "float32"),
        ([], "float32"),
        (F64, "float64"),
        ([F64], "float64"),
        ([1.0, F64], "float64"),
        ([[F64], (2,)], "float64"),
        ([np.ones(2)], "float64"),
        ([np.ones(2), [1.0, 2.0]], "float64"),
        ([T([1.0], dtype="float64")], "float64"),
        ([F32, 2.0], "float32"),
        ([F32, 2], "float32"),
        ([F32, F64], "float64"),
        ([np.float16(1), 2], "float16"),
        ([np.int8(1), 2.0], "float32"),
        ([np.int8(1), np.int8(2)], "int8"),
        ([np.int64(1), F32], "float32"),
        ([True, False], "bool"),
    ],
    ids=repr,
)
def test_lists_keep_the_dtypes_of_the_arrays_in_them(data, dtype):
    assert mg.tensor(data).dtype == dtype
    assert mg.asarray(data).dtype == dtype
    assert mg.nn.Parameter(data).dtype == dtype if "float" in dtype else True
