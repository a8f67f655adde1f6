"""Where a window of a maximum holds nothing but -inf, its border takes no share of the gradient."""

import itertools
import math

import numpy
import pytest

import minigrad as mg

CASES = [
    ((6,), {"kernel_size": 3, "padding": 1}),
    ((6,), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((7,), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ((8,), {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True}),
    ((7,), {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": 3}),
    ((2,), {"kernel_size": 2, "padding": 1, "dilation": 3}),
    ((6,), {"kernel_size": 2}),
    ((5, 4), {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1}),
    ((5, 4), {"kernel_size": (4, 2), "stride": 3, "padding": (2, 0), "ceil_mode": True}),
    ((5, 7), {"kernel_size": 2, "stride": 2, "padding": 1, "dilation": (1, 2)}),
]


def shared(x, counts, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Give each window's gradient of one to its largest elements inside of ``x``, in equal shares."""
    kernel, steps, widths, apart = (
        option if isinstance(option, tuple) else (option,) * x.ndim
        for option in (kernel_size, stride or kernel_size, padding, dilation)
    )
    gradient = numpy.zeros_like(x)
    for window in numpy.ndindex(*counts):
        places = [
            [n for n in range(w * s - p, w * s - p + d * k, d) if 0 <= n < size]
            for w, s, p, d, k, size in zip(
                window, steps, widths, apart, kernel, x.shape, strict=True
            )
        ]
        inside = list(itertools.product(*places))
        top = max((x[place] for place in inside), default=0)
        reached = [place for place in inside if x[place] == top]
        for place in reached:
            gradient[place] += 1 / len(reached)
    return gradient


@pytest.mark.parametrize(("size", "options"), CASES, ids=str)
def test_the_border_takes_no_share(size, options):
    rng = numpy.random.default_rng(0)
    for lowest in (1.0, 0.7, 0.0):  # how many elements are -inf
        values = numpy.where(rng.random(size) < lowest, -math.inf, rng.integers(0, 2, size))
        x = mg.tensor(values[None, None], dtype="float64", requires_grad=True)
        y = (mg.max_pool1d if len(size) == 1 else mg.max_pool2d)(x, **options)
        assert (y.detach().numpy() == -math.inf).any() or lowest < 1
        for create_graph in (False, True):
            found = mg.grad(y.sum(), x, create_graph=create_graph, retain_graph=True)[0]
            expected = shared(values, y.shape[2:], **options)
            numpy.testing.assert_allclose(found.detach().numpy()[0, 0], expected, rtol=1e-14)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("function", [mg.max, mg.min])
def test_extremes_share_also_where_they_are_no_numbers(function, value):
    x = mg.tensor([value, 1.0, value], requires_grad=True)
    alone = (function is mg.max and value == -math.inf) or (
        function is mg.min and value == math.inf
    )
    (found,) = mg.grad(function(x), x)
    assert found.tolist() == ([0, 1, 0] if alone else [0.5, 0, 0.5])
    (found,) = mg.grad(function(mg.stack([x, x]), axis=0).sum(), x)
    assert found.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "bool"])
def test_the_border_of_integers_is_never_the_largest(dtype):
    lowest = 0 if dtype == "bool" else int(numpy.iinfo(dtype).min)
    x = mg.tensor([[[lowest, lowest, 1, lowest, lowest]]], dtype=dtype)
    for ceil_mode in (False, True):
        y = mg.max_pool1d(x, 2, padding=1, ceil_mode=ceil_mode)
        assert y.dtype == dtype
        assert y.tolist() == [[[lowest, 1, lowest]]]
