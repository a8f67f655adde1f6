"""Initialisers equal PyTorch's: signatures, gains, fans, fixed values, distributions."""

import inspect

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.nn import init

NAMES = (
    "uniform_ normal_ trunc_normal_ constant_ zeros_ ones_ eye_ xavier_uniform_ xavier_normal_ "
    "kaiming_uniform_ kaiming_normal_ orthogonal_ calculate_gain"
).split()
SHAPES = [(3, 4), (4, 3), (2, 3, 5), (6, 2, 3, 4), (0, 3), (3, 0)]


@pytest.mark.parametrize("name", NAMES)
def test_functions_take_the_arguments_of_pytorch(name):
    ours = inspect.signature(getattr(init, name)).parameters
    theirs = inspect.signature(getattr(torch.nn.init, name)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


@pytest.mark.parametrize(
    ("name", "param"),
    [
        *((f"conv{n}d", None) for n in (1, 2, 3)),
        *((f"conv_transpose{n}d", None) for n in (1, 2, 3)),
        *((name, None) for name in ("linear", "sigmoid", "tanh", "relu", "selu", "leaky_relu")),
        *(("leaky_relu", slope) for slope in (0, 0.2, 1, 5**0.5)),
    ],
)
def test_gains(name, param):
    expected = torch.nn.init.calculate_gain(name, param)
    assert init.calculate_gain(name, param) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("shape", SHAPES)
def test_fans(shape):
    expected = torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(shape))
    assert init.fans(mg.zeros(shape)) == expected


@pytest.mark.parametrize("name", ["zeros_", "ones_", "eye_"])
@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (0, 3)])
def test_fixed_values(name, shape):
    found, expected = mg.full(shape, 7.0), torch.full(shape, 7.0)
    assert getattr(init, name)(found) is found
    np.testing.assert_array_equal(found.numpy(), getattr(torch.nn.init, name)(expected).numpy())
    init.constant_(found, 0.3)
    np.testing.assert_array_equal(
        found.numpy(), torch.nn.init.constant_(expected, 0.3).numpy(), strict=True
    )


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("uniform_", (200, 150), {}),
        ("uniform_", (200, 150), {"a": -3.0, "b": -1.0}),
        ("normal_", (200, 150), {}),
        ("normal_", (200, 150), {"mean": 3.0, "std": 0.1}),
        ("trunc_normal_", (200, 150), {}),
        ("trunc_normal_", (200, 150), {"mean": 1.0, "std": 2.0, "a": -0.5, "b": 4.0}),
        ("trunc_normal_", (200, 150), {"mean": -1.0, "std": 1.0, "a": 0.5, "b": 4.0}),
        ("xavier_uniform_", (200, 30, 5), {}),
        ("xavier_uniform_", (200, 150), {"gain": 3.0}),
        ("xavier_normal_", (30, 200, 5), {}),
        ("xavier_normal_", (200, 150), {"gain": 3.0}),
        ("kaiming_uniform_", (200, 30, 5), {}),
        ("kaiming_uniform_", (200, 30, 5), {"a": 5**0.5, "mode": "fan_out"}),
        ("kaiming_uniform_", (200, 150), {"nonlinearity": "tanh"}),
        ("kaiming_normal_", (200, 30, 5), {"mode": "fan_out"}),
        ("kaiming_normal_", (200, 150), {"nonlinearity": "relu"}),
        ("orthogonal_", (200, 150), {"gain": 2.0}),
        ("orthogonal_", (150, 40, 5), {}),
    ],
)
def test_distributions(name, shape, options):
    generator = mg.Generator(5)
    torch.manual_seed(5)
    found = getattr(init, name)(mg.zeros(shape), **options, generator=generator).numpy().ravel()
    expected = getattr(torch.nn.init, name)(torch.zeros(shape), **options).numpy().ravel()
    # Kolmogorov and Smirnov: the largest difference of the shares below any number
    points = np.concatenate([found, expected])
    shares = [
        np.searchsorted(np.sort(values), points, "right") / points.size * 2
        for values in (found, expected)
    ]
    assert np.abs(shares[0] - shares[1]).max() < 1.95 * np.sqrt(2 / found.size)  # once in 1 000
