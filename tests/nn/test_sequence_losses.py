"""Losses of padded sequences: the formulas in NumPy; padding changes neither a loss nor a gradient."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, IndexingError, ShapeError
from minigrad.testing import gradcheck

CLASSES = 4
WEIGHT = np.array([0.5, 1.0, 2.0, 0.25])
IGNORED = 2
OPTIONS = list(
    itertools.product(("token", "sequence"), (None, WEIGHT), (-100, IGNORED), (0.0, 0.2))
)


@st.composite
def batches(draw):
    """Return scores, labels and lengths, with rubbish in the padding."""
    lengths = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    steps = max(lengths) + draw(st.integers(0, 2))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    scores = rng.normal(size=(steps, len(lengths), CLASSES))
    labels = rng.integers(0, CLASSES, (steps, len(lengths)))
    for n, length in enumerate(lengths):
        scores[length:, n] = draw(st.sampled_from([np.nan, np.inf, -np.inf, 7.0]))
        labels[length:, n] = draw(st.sampled_from([-1, 0, 99]))
    return scores, labels, lengths


def losses_of(scores, labels, weight, skip, smoothing):
    """Return the loss and the weight of each token of one sequence."""
    logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    factors = np.ones(CLASSES) if weight is None else weight
    kept = (labels != skip) * 1.0
    hard = -factors[labels] * np.take_along_axis(logs, labels[:, None], 1)[:, 0]
    even = -(factors * logs).mean(1)
    return kept * ((1 - smoothing) * hard + smoothing * even), kept * factors[labels]


@given(batches(), st.sampled_from(OPTIONS))
def test_is_the_formula_of_each_sequence_alone(batch, options):
    (scores, labels, lengths), (per, weight, skip, smoothing) = batch, options
    alone = [
        losses_of(scores[:length, n], labels[:length, n], weight, skip, smoothing)
        for n, length in enumerate(lengths)
    ]
    sums = np.array([losses.sum() for losses, _ in alone])
    items = len(lengths) if per == "sequence" else sum(weights.sum() for _, weights in alone)

    def found(reduction, batch_first=False):
        layer = nn.SequenceLoss(
            None if weight is None else mg.tensor(weight), per=per, reduction=reduction,
            ignore_index=skip, label_smoothing=smoothing, batch_first=batch_first,
        )  # fmt: skip
        x, y = mg.tensor(scores, requires_grad=True), mg.tensor(labels)
        given = (mg.swapaxes(x, 0, 1), (y.mT, lengths)) if batch_first else (x, (y, lengths))
        assert layer.number_of_items(*given) == pytest.approx(items)
        return layer(*given), x

    for batch_first in (False, True):
        total, x = found("sum", batch_first)
        assert total.item() == pytest.approx(sums.sum())
        total.backward()
        for n, length in enumerate(lengths):
            assert not x.grad[length:, n].any()
        assert mg.isfinite(x.grad).all()
        each = found("none", batch_first)[0].detach().numpy()
        if per == "sequence":
            np.testing.assert_allclose(each, sums, atol=1e-12)
        else:
            each = each.T if batch_first else each
            for n, length in enumerate(lengths):
                np.testing.assert_allclose(each[:length, n], alone[n][0], atol=1e-12)
                assert not each[length:, n].any()
    mean = found("mean")[0].item()
    assert math.isnan(mean) if items == 0 else mean == pytest.approx(sums.sum() / items)


def test_gradients_equal_differences():
    rng = np.random.default_rng(0)
    labels = mg.tensor(rng.integers(0, CLASSES, (3, 2)))
    layer = nn.SequenceLoss(mg.tensor(WEIGHT), label_smoothing=0.1)
    gradcheck(lambda x: layer(x, (labels, [3, 1])), mg.tensor(rng.normal(size=(3, 2, CLASSES))))


class Tagger(nn.Module):
    """Scores for each step of padded sequences; what stands in the padding is scored, too."""

    def __init__(self):
        self.head = nn.Linear(2, CLASSES, dtype="float64")

    def forward(self, text):
        return mg.log_softmax(self.head(text.values), axis=-1)


class Frames(Tagger):
    def forward(self, text):
        return super().forward(text), text.lengths


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (Tagger, nn.SequenceLoss()),
        (Tagger, nn.SequenceLoss(per="sequence", label_smoothing=0.1)),
        (Tagger, nn.CRF(CLASSES, dtype="float64")),
        (Frames, nn.CTCLoss(blank=3)),
    ],
)
def test_batches_of_any_size_have_the_same_loss_and_gradient(model, loss):
    rng, model = np.random.default_rng(0), model().to(mg.zeros(()).device)
    loss.to(mg.zeros(()).device)
    lengths = rng.integers(1, 6, 11)
    texts = [rng.normal(size=(n, 2)) for n in lengths]
    tags = [np.arange(n // 2 + 1 if isinstance(loss, nn.CTCLoss) else n) % 3 for n in lengths]
    found = []
    for size, bucket in ((1, None), (3, None), (4, 2), (11, None)):
        model.zero_grad()
        total = 0.0
        batches = nn.data.batches((texts, tags), size, bucket=bucket, shuffle=mg.Generator(0))
        for text, labels in batches:
            scores = model(text)
            part = loss(scores, labels) * loss.number_of_items(scores, labels)
            part.backward()
            total += part.item()
        score = nn.training.evaluate(model, batches, loss)["loss"]
        found.append([total, score, *model.head.weight.grad.reshape(-1).tolist()])
    np.testing.assert_allclose(found[1:], [found[0]] * 3, rtol=1e-10, atol=1e-13)


def test_without_lengths_there_is_no_padding():
    scores, labels = mg.randn(3, 2, CLASSES), mg.zeros((3, 2), dtype="uint8")
    expected = mg.cross_entropy(scores.reshape(-1, CLASSES), labels.reshape(-1))
    assert nn.SequenceLoss()(scores, labels).item() == pytest.approx(expected.item())
    assert math.isnan(nn.SequenceLoss()(scores[:0], labels[:0]).item())


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (ArgumentError, "per", lambda x, y: nn.SequenceLoss(per="batch")),
        (ArgumentError, "reduction", lambda x, y: nn.SequenceLoss(reduction="token")),
        (ShapeError, r"must be \(T, N, C\)", lambda x, y: nn.SequenceLoss()(x[0], y)),
        (ShapeError, r"must have shape \(3, 2\)", lambda x, y: nn.SequenceLoss()(x, y[:2])),
        (ShapeError, "one length for each", lambda x, y: nn.SequenceLoss()(x, (y, [3]))),
        (ArgumentError, "length of row 1 is 4", lambda x, y: nn.SequenceLoss()(x, (y, [3, 4]))),
        (DtypeError, "integers", lambda x, y: nn.SequenceLoss()(x, y * 1.0)),
        (DtypeError, "floating-point", lambda x, y: nn.SequenceLoss()(x.astype("int64"), y)),
        (IndexingError, "4 classes", lambda x, y: nn.SequenceLoss()(x, y + 4)),
        (ShapeError, "weight", lambda x, y: nn.SequenceLoss(mg.ones(3))(x, y * 1)),
        (TypeError, "must be a tensor", lambda x, y: nn.SequenceLoss()(x, [[0, 1]])),
    ],
)  # fmt: skip
def test_mistakes_are_told(error, text, call):
    with pytest.raises(error, match=text):
        call(mg.zeros((3, 2, 4)), mg.zeros((3, 2), dtype="int64"))
