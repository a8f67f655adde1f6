"""PyTorch reads our tensors and we read its, and neither can write to the other's memory."""

import numpy
import pytest
import torch

import minigrad as mg
import minigrad.nn
from minigrad.errors import GradientError

WAYS_OUT = {
    "from_dlpack": torch.from_dlpack,
    "as_tensor": torch.as_tensor,
    "asarray": torch.asarray,
    "tensor": torch.tensor,
    "from_numpy": lambda t: torch.from_numpy(t.numpy()),
    "as_tensor of an array": lambda t: torch.as_tensor(t.numpy()),
    "from_dlpack of an array": lambda t: torch.from_dlpack(t.numpy()),
}


@pytest.mark.parametrize("name", WAYS_OUT)
def test_pytorch_gets_a_copy(name):
    t = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    for source in (t, t.T, t[0], t[:0]):
        there = WAYS_OUT[name](source)
        numpy.testing.assert_array_equal(there.numpy(), source.numpy())
        assert there.dtype == torch.float32
        there += 100.0
    assert t.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("make", [mg.from_dlpack, mg.tensor, mg.asarray], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float64, torch.int64, torch.bool, torch.float16, torch.bfloat16],
)
def test_we_get_a_copy(make, dtype):
    theirs = torch.tensor([[1, 0], [2, 3]]).to(dtype)
    for source in (theirs, theirs.T, theirs[0]):
        ours = make(source)
        expected = source.tolist()
        assert ours.tolist() == expected
        assert str(dtype) == f"torch.{ours.dtype}"
        source.zero_()
        assert ours.tolist() == expected


def test_a_gradient_is_not_lost_on_the_way():
    x = mg.ones(2, requires_grad=True)
    with pytest.raises(GradientError, match="another library would lose"):
        torch.from_dlpack(x)
    theirs = torch.ones(2, requires_grad=True)
    for make in (mg.tensor, mg.from_dlpack):
        with pytest.raises((RuntimeError, BufferError), match=r"(?i)requires? grad"):
            make(theirs)
    assert mg.tensor(theirs.detach()).tolist() == [1, 1]


def test_bfloat16_goes_to_pytorch_and_back():
    ours = mg.tensor([[1.0, 2.5], [-0.0, float("inf")]], dtype="bfloat16")
    for source in (ours, ours.T, ours[0], ours[:0]):
        there = torch.from_dlpack(source)
        assert (there.dtype, tuple(there.shape)) == (torch.bfloat16, source.shape)
        assert there.tolist() == source.tolist()
        there += 100.0
    assert ours.tolist() == [[1, 2.5], [0, float("inf")]]


def test_a_module_of_bfloat16_takes_and_gives_the_state_of_pytorchs():
    theirs, ours = torch.nn.Linear(3, 2).bfloat16(), mg.nn.Linear(3, 2, dtype="bfloat16")
    ours.load_state_dict(theirs.state_dict())
    assert ours.weight.tolist() == theirs.weight.tolist()
    again = torch.nn.Linear(3, 2).bfloat16()
    again.load_state_dict(ours.state_dict(arrays=torch.from_dlpack))
    assert again.weight.dtype == torch.bfloat16
    assert again.weight.tolist() == theirs.weight.tolist()
