"""nn.data against PyTorch's utilities."""

import numpy as np
import pytest
import torch

from minigrad.nn.data import pad_sequence

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("inner", [(), (3,), (2, 0)])
@pytest.mark.parametrize("lengths", [[3], [0, 2, 5, 1], [0, 0]])
def test_pad_sequence(batch_first, kind, inner, lengths):
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, 9, (length, *inner)).astype(kind) for length in lengths]
    ours = pad_sequence(sequences, batch_first=batch_first, padding_value=1)
    theirs = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(sequence) for sequence in sequences], batch_first, padding_value=1
    )
    np.testing.assert_array_equal(ours.values.numpy(), theirs.numpy(), strict=True)
    assert ours.lengths.tolist() == lengths
