"""Files that PyTorch reads and writes."""

import numpy as np
import pytest
import safetensors.torch
import torch

import minigrad as mg
from minigrad.errors import FileFormatError

DTYPES = [
    *"bool float16 bfloat16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def of_torch(dtype):
    """Return tensors of PyTorch of one dtype: a matrix, a number, and none."""
    raw = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 32), np.uint8))
    matrix = raw > 127 if dtype == "bool" else raw.view(getattr(torch, dtype))
    return {"matrix": matrix, "number": matrix[0, 0].clone(), "none": matrix[:0].clone()}


def bytes_of(t):
    return t.reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_pytorch_writes_is_read(dtype, path):
    tensors = of_torch(dtype)
    safetensors.torch.save_file(tensors, path, {"format": "pt"})
    found = mg.load(path)
    assert found.keys() == tensors.keys()
    for name, t in tensors.items():
        assert (found[name].dtype.name, found[name].shape) == (dtype, tuple(t.shape))
        assert found[name].numpy().tobytes() == bytes_of(t)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_written_pytorch_reads(dtype, path):
    safetensors.torch.save_file(of_torch(dtype), path)
    state = mg.load(path)
    state["transposed"] = state["matrix"].mT
    mg.save(path, state)
    found = safetensors.torch.load_file(path)
    expected = of_torch(dtype)
    expected["transposed"] = expected["matrix"].T.contiguous()
    assert found.keys() == expected.keys()
    for name, t in expected.items():
        assert (found[name].dtype, found[name].shape) == (t.dtype, t.shape)
        assert bytes_of(found[name]) == bytes_of(t)


def test_state_dicts_of_lstms_go_both_ways(path):
    torch.manual_seed(0)
    model = torch.nn.LSTM(3, 5, num_layers=2, bidirectional=True)
    safetensors.torch.save_file(model.state_dict(), path)
    mg.save(path, mg.load(path))
    other = torch.nn.LSTM(3, 5, num_layers=2, bidirectional=True)
    other.load_state_dict(safetensors.torch.load_file(path))
    for name, parameter in model.state_dict().items():
        assert torch.equal(parameter, other.state_dict()[name])


def test_a_file_of_torch_save_is_refused(path):
    torch.save({"w": torch.ones(2)}, path)
    with pytest.raises(FileFormatError, match=r"it looks like a zip archive, as torch\.save"):
        mg.load(path)
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(FileFormatError, match="it looks like a pickle"):
        mg.load(path)
