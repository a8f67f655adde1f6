"""CTC: the loss and the decoders against the sums over all alignments, one by one."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, IndexingError, ShapeError
from minigrad.nn.decoding import ctc_beam, ctc_greedy
from minigrad.testing import gradcheck

REDUCTIONS = ("none", "sum", "mean")


def labellings(frames, blank):
    """Return the log probability of each labelling, (labels) -> score, by listing all alignments."""
    found = {}
    for path in itertools.product(range(frames.shape[1]), repeat=len(frames)):
        labels = tuple(label for label, _ in itertools.groupby(path) if label != blank)
        found.setdefault(labels, []).append(sum(frames[t, c] for t, c in enumerate(path)))
    return {labels: np.logaddexp.reduce(scores) for labels, scores in found.items()}


@st.composite
def problems(draw):
    """Return log probabilities, labels (N, S), both lengths and the blank; rubbish in the padding."""
    count, classes = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    frames = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    labels = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    blank = draw(st.integers(0, classes - 1))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    scores = rng.normal(size=(max(frames) + draw(st.integers(0, 1)), count, classes))
    if draw(st.booleans()):
        scores[rng.random(scores.shape) < 0.2] = -np.inf
    others = [c for c in range(classes) if c != blank]
    targets = rng.choice(others, (count, max(labels) + draw(st.integers(0, 1))))
    for n in range(count):
        scores[frames[n] :, n] = draw(st.sampled_from([np.nan, np.inf, -np.inf, 7.0]))
        targets[n, labels[n] :] = draw(st.sampled_from([-1, blank, 99]))
    return scores, targets, frames, labels, blank


@given(problems(), st.booleans(), st.sampled_from(["padded", "joined", "pairs"]))
def test_the_loss_is_the_sum_over_all_alignments(problem, zero_infinity, form):
    scores, targets, frames, labels, blank = problem
    expected = []
    for n, (t, s) in enumerate(zip(frames, labels, strict=True)):
        found = labellings(scores[:t, n], blank)
        expected.append(-found.get(tuple(targets[n, :s].tolist()), -math.inf))
    losses = np.array(expected)
    counted = np.where(np.isinf(losses) & zero_infinity, 0.0, losses)
    each = counted / np.maximum(labels, 1)
    wanted = {"none": counted, "sum": counted.sum(), "mean": each.mean()}
    for reduction in REDUCTIONS:
        x = mg.tensor(scores, requires_grad=True)
        given = {
            "padded": (x, mg.tensor(targets), frames, labels),
            "joined": (x, mg.tensor(np.concatenate(
                [targets[n, :s] for n, s in enumerate(labels)])), mg.tensor(frames), tuple(labels)),
            "pairs": ((x, mg.tensor(frames)), (mg.tensor(targets.T), labels)),
        }[form]  # fmt: skip
        loss = nn.CTCLoss(blank, reduction, zero_infinity)
        found = loss(*given)
        assert loss.number_of_items(*given[:2]) == len(frames)
        np.testing.assert_allclose(found.detach().numpy(), wanted[reduction], atol=1e-12)
        mg.sum(found).backward()
        assert mg.isfinite(x.grad).all()
        for n, t in enumerate(frames):
            assert not x.grad[t:, n].any()
            assert not (np.isinf(losses[n]) and x.grad[:, n].any())


def test_gradients_equal_differences():
    rng = np.random.default_rng(0)
    targets = mg.tensor([[1, 1, 2], [2, 1, 2], [0, 0, 0], [2, 0, 0]])
    gradcheck(
        lambda x: nn.ctc_loss(x, targets, [6, 5, 4, 1], [3, 3, 0, 1], reduction="none"),
        mg.tensor(rng.normal(size=(6, 4, 3))),
    )


@pytest.mark.parametrize("labels", [[1, 2, 3] * 30, [1, 1, 2, 2] * 20, []])
def test_long_sequences_do_not_underflow(labels):
    """With equal probabilities all alignments are alike, and their number is a binomial coefficient."""
    frames, classes = 600, 5
    repeats = sum(a == b for a, b in itertools.pairwise(labels))
    ways = math.comb(frames + len(labels) - repeats, 2 * len(labels))
    x = mg.log_softmax(mg.zeros((frames, classes)), axis=-1)
    loss = nn.ctc_loss(x, mg.tensor(labels, dtype="int64"), frames, len(labels), reduction="sum")
    assert loss.shape == ()
    assert loss.item() == pytest.approx(frames * math.log(classes) - math.log(ways), rel=1e-5)


@pytest.mark.parametrize("loss", ["ctc", "crf"])
def test_the_recursion_is_one_record_however_long(loss):
    counts = []
    for steps in (3, 30):
        x, labels = mg.randn(steps, 2, 3, requires_grad=True), mg.ones((steps, 2), dtype="int64")
        value = nn.ctc_loss(x, labels[:1].mT) if loss == "ctc" else nn.CRF(3)(x, labels)
        seen, stack = set(), [value._node]
        while stack:
            record = stack.pop()
            if record is not None and id(record) not in seen:
                seen.add(id(record))
                stack += getattr(record, "parents", ())
                stack += [getattr(record, "record", None)]  # of one of several outputs
        counts.append(len(seen))
    assert counts[0] == counts[1] < 40


def test_nothing_has_no_loss():
    x = mg.zeros((0, 2, 3), requires_grad=True)
    found = nn.ctc_loss(x, mg.zeros((2, 2), dtype="int64"), [0, 0], [0, 0], reduction="none")
    assert found.tolist() == [0.0, 0.0]
    assert nn.ctc_loss(x, mg.ones((2, 2), dtype="int64"), reduction="sum").item() == math.inf
    nobody = nn.ctc_loss(mg.zeros((4, 0, 3)), mg.zeros((0, 2), dtype="int64"), reduction="sum")
    assert nobody.item() == 0.0


@given(problems(), st.integers(1, 4))
def test_an_unlimited_beam_finds_all_labellings(problem, n_best):
    scores, _, frames, _, blank = problem
    found = ctc_beam(mg.tensor(scores), frames, beams=1000, n_best=1000, blank=blank)
    some = ctc_beam((mg.tensor(scores), frames), beams=1000, n_best=n_best, blank=blank)
    for n, t in enumerate(frames):
        expected = {k: v for k, v in labellings(scores[:t, n], blank).items() if v > -math.inf}
        assert {tuple(one.labels): one.score for one in found[n]} == pytest.approx(expected)
        in_order = [one.score for one in found[n]]
        assert in_order == sorted(in_order, reverse=True)
        assert some[n] == found[n][:n_best]


@given(problems(), st.integers(1, 3))
def test_a_narrow_beam_never_scores_too_much_and_greedy_is_one_alignment(problem, beams):
    scores, _, frames, _, blank = problem
    narrow = ctc_beam(mg.tensor(scores), frames, beams=beams, blank=blank)
    greedy = ctc_greedy(mg.tensor(scores), frames, blank=blank)
    for n, t in enumerate(frames):
        exact = labellings(scores[:t, n], blank)
        for one in narrow[n]:
            assert one.score <= exact[tuple(one.labels)] + 1e-12
        best = scores[:t, n].max(1).sum()
        path = scores[:t, n].argmax(1).tolist()
        labels = [label for label, _ in itertools.groupby(path) if label != blank]
        assert (greedy[n].labels, greedy[n].score) == (labels, pytest.approx(best))


def test_labels_are_left_out_only_where_they_cannot_be_kept():
    """A beam of prefixes, extended by every label, on probabilities in NumPy."""
    scores = np.log(np.random.default_rng(0).dirichlet(np.ones(9), size=(7, 3)))
    for n, found in enumerate(ctc_beam(mg.tensor(scores), beams=3, n_best=3)):
        kept = {(): (1.0, 0.0)}
        for frame in np.exp(scores[:, n]):
            new = {}
            for prefix, (silent, sounding) in kept.items():
                ways = [(prefix, 0, (silent + sounding) * frame[0])]
                if prefix:
                    ways.append((prefix, 1, sounding * frame[prefix[-1]]))
                for label in range(1, 9):
                    before = silent + sounding * (prefix[-1:] != (label,))
                    ways.append(((*prefix, label), 1, before * frame[label]))
                for key, place, p in ways:
                    new.setdefault(key, [0.0, 0.0])[place] += p
            kept = dict(sorted(new.items(), key=lambda item: -sum(item[1]))[:3])
        assert [tuple(one.labels) for one in found] == list(kept)
        assert [one.score for one in found] == pytest.approx(
            np.log([sum(p) for p in kept.values()])
        )


def loss(x, y, *rest, **options):
    return lambda: nn.ctc_loss(x, y, *rest, **options)


X, Y = mg.zeros((4, 2, 3)), mg.tensor([[1, 2], [2, 0]])


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (ShapeError, r"must be \(T, N, C\)", loss(X[0, 0], Y)),
        (DtypeError, "floating-point", loss(Y, Y)),
        (DtypeError, "labels", loss(X, Y * 1.0)),
        (ArgumentError, "length of row 1 is 5", loss(X, Y, [4, 5], [2, 1])),
        (ArgumentError, "length of row 0 is -1", loss(X, Y, [-1, 4], [2, 1])),
        (ShapeError, "one length for each", loss(X, Y, [4], [2, 1])),
        (DtypeError, "lengths must be integers", loss(X, Y, [4.0, 4.0], [2, 1])),
        (ArgumentError, "target length of sequence 1 is 3", loss(X, Y, [4, 4], [2, 3])),
        (ArgumentError, "target length of sequence 1 is -1", loss(X, Y, [4, 4], [2, -1])),
        (ShapeError, "one for each of the 2", loss(X, Y, [4, 4], [2])),
        (DtypeError, "target_lengths must be integers", loss(X, Y, [4, 4], [2.0, 1.0])),
        (ShapeError, "add up", loss(X, Y[0], [4, 4], [2, 1])),
        (ShapeError, "for 2 sequences", loss(X, Y[:1], [4, 4], [2, 1])),
        (ArgumentError, "label 0 in the targets", loss(X, Y, [4, 4], [2, 2])),
        (IndexingError, "from 2 to 3", loss(X, Y + 1, [4, 4], [2, 1])),
        (IndexingError, "from -1", loss(X, Y - 2, [4, 4], [2, 1])),
        (ArgumentError, "blank is 3", loss(X, Y, [4, 4], [2, 1], blank=3)),
        (ArgumentError, "reduction", loss(X, Y, [4, 4], [2, 1], reduction="token")),
        (ArgumentError, "zero_infinity", loss(X, Y, [4, 4], [2, 1], zero_infinity=2)),
        (ArgumentError, "blank", lambda: nn.CTCLoss(-1)),
        (ArgumentError, "log_softmax", lambda: ctc_greedy(X * np.nan)),
        (ArgumentError, "blank is 3", lambda: ctc_beam(X, blank=3)),
        (ArgumentError, "n_best is 5", lambda: ctc_beam(X, beams=4, n_best=5)),
        (ArgumentError, "beams", lambda: ctc_beam(X, beams=0)),
        (ShapeError, r"\(T, N, C\)", lambda: ctc_greedy(X[0])),
    ],
)  # fmt: skip
def test_mistakes_are_told(error, text, call):
    with pytest.raises(error, match=text):
        call()
