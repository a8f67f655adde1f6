"""Jacobians and Hessians beside those of torch.func: shapes, nesting and values."""

import numpy as np
import pytest
import torch

import minigrad as mg

rng = np.random.default_rng(0)
A, B = rng.normal(size=(2, 3)), rng.normal(size=(3,))


def same(ours, theirs):
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
        return
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-12, atol=1e-14
    )


FUNCTIONS = {
    "a scalar": lambda m, a, b: m.sum(m.exp(a) * b),
    "a vector": lambda m, a, b: m.tanh(a @ b),
    "a batch": lambda m, a, b: a * m.sin(b) + a * a,
    "several": lambda m, a, b: (m.sum(a * a), a @ b),
    "of one alone": lambda m, a, b: m.exp(b),
    "nothing": lambda m, a, b: a[:0] * b,
}


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("argnums", [0, 1, (0,), (0, 1), (1, 0)])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(mg.jacobian, torch.func.jacrev), (mg.hessian, torch.func.hessian)],
    ids=["jacobian", "hessian"],
)
def test_derivatives_are_those_of_torch(ours, theirs, name, argnums):
    function = FUNCTIONS[name]
    found = ours(lambda a, b: function(mg, a, b), argnums)(mg.tensor(A), mg.tensor(B))
    expected = theirs(lambda a, b: function(torch, a, b), argnums)(torch.tensor(A), torch.tensor(B))
    same(found, expected)
