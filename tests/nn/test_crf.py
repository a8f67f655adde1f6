"""The linear-chain CRF against sums over all paths, in NumPy."""

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

TAGS, NEVER = 3, -math.inf


def crf_of(rng, forbidden=(), **options):
    crf = nn.CRF(TAGS, dtype="float64", forbidden=forbidden, **options)
    for parameter in crf.parameters():
        parameter.copy_(mg.tensor(rng.normal(size=parameter.shape)))
    return crf


def score(crf, forbidden, scores, path):
    """Return the score of a path through scores of shape (length, TAGS)."""
    ways = list(itertools.pairwise([None, *path, None])) if path else []
    if set(ways) & set(forbidden):
        return -math.inf
    tables = {
        (False, False): lambda i, j: crf.transitions[i, j],
        (True, False): lambda i, j: crf.start_transitions[j],
        (False, True): lambda i, j: crf.end_transitions[i],
    }
    total = sum(scores[t, tag] for t, tag in enumerate(path))
    return float(total + sum(tables[i is None, j is None](i, j).item() for i, j in ways))


@st.composite
def problems(draw):
    lengths = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    steps = max(lengths) + draw(st.integers(0, 2))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    place = st.sampled_from([None, *range(TAGS)])
    pairs = st.tuples(place, place).filter(lambda pair: pair != (None, None))
    forbidden = draw(st.lists(pairs, max_size=3))
    scores = rng.normal(size=(steps, len(lengths), TAGS))
    tags = rng.integers(0, TAGS, (steps, len(lengths)))
    for n, length in enumerate(lengths):
        scores[length:, n] = draw(st.sampled_from([np.nan, np.inf, -np.inf, 7.0]))
        tags[length:, n] = draw(st.sampled_from([-1, 0, 99]))
    return scores, tags, lengths, crf_of(rng, forbidden, reduction="none"), forbidden


@given(problems(), st.booleans())
def test_losses_and_best_paths_are_those_of_all_paths(problem, batch_first):
    scores, tags, lengths, crf, forbidden = problem
    crf.batch_first = batch_first
    x = mg.tensor(scores, requires_grad=True)
    given = (mg.swapaxes(x, 0, 1), mg.tensor(tags.T)) if batch_first else (x, mg.tensor(tags))
    losses = crf(given[0], (given[1], lengths))
    found = crf.viterbi(given[0], lengths)
    best = found.tags.numpy().T if batch_first else found.tags.numpy()
    for n, length in enumerate(lengths):
        paths = list(itertools.product(range(TAGS), repeat=length))
        scored = [score(crf, forbidden, scores[:length, n], path) for path in paths]
        own = score(crf, forbidden, scores[:length, n], tuple(tags[:length, n].tolist()))
        loss = np.logaddexp.reduce(scored) - own if own > -math.inf else math.inf
        assert losses[n].item() == pytest.approx(loss, abs=1e-12)
        assert found.scores[n].item() == pytest.approx(max(scored))
        if max(scored) > -math.inf:
            path = tuple(best[:length, n].tolist())
            assert score(crf, forbidden, scores[:length, n], path) == pytest.approx(max(scored))
        assert not best[length:, n].any()
    mg.sum(losses).backward()
    for tensor in (x, *crf.parameters()):
        assert mg.isfinite(tensor.grad).all()
    for n, length in enumerate(lengths):
        assert not x.grad[length:, n].any()
        assert mg.isfinite(losses[n]) or not x.grad[:, n].any()


def test_gradients_equal_differences_and_padding_has_none():
    rng = np.random.default_rng(0)
    crf = crf_of(rng, forbidden=[(0, 1), (None, 2)])
    tags = mg.tensor([[0, 1, 0], [2, 2, 99], [2, 99, 99], [0, 99, 99]])

    def loss(x, *parameters):
        for name, parameter in zip(("transitions", "start_transitions", "end_transitions"),
                                   parameters, strict=True):  # fmt: skip
            object.__setattr__(crf, name, parameter)
        return crf(x, (tags, [4, 2, 1]))

    values = [rng.normal(size=s) for s in ((4, 3, TAGS), (TAGS, TAGS), (TAGS,), (TAGS,))]
    gradcheck(loss, *map(mg.tensor, values))


def test_without_a_path_there_is_no_likelihood():
    crf = nn.CRF(TAGS, forbidden=[(None, tag) for tag in range(TAGS)], reduction="sum")
    loss = crf(mg.zeros((2, 1, TAGS)), mg.zeros((2, 1), dtype="int64"))
    loss.backward()
    assert loss.item() == math.inf
    assert not crf.transitions.grad.any()
    assert crf.viterbi(mg.zeros((2, 1, TAGS))).scores.tolist() == [NEVER]


def test_paths_far_below_the_best_are_not_lost():
    crf = nn.CRF(2, forbidden=[(0, 1)])
    scores = mg.tensor([[[500.0, 0.0]], [[0.0, 500.0]]])
    loss = crf(scores, mg.tensor([[1], [1]]))
    assert loss.item() == pytest.approx(math.log(2), abs=0.3)  # 0-0 and 1-1 are alike
    assert crf(scores, mg.tensor([[0], [1]])).item() == math.inf


def test_reductions():
    crf, x, tags = (
        crf_of(np.random.default_rng(0)),
        mg.randn(4, 3, TAGS),
        mg.zeros((4, 3), dtype="int8"),
    )
    values = {}
    for reduction in ("none", "sum", "mean"):
        crf.reduction = reduction
        values[reduction] = crf(x, tags)
    each = values["none"].detach().numpy()
    assert values["sum"].item() == pytest.approx(each.sum(), rel=1e-6)
    assert values["mean"].item() == pytest.approx(each.mean(), rel=1e-6)
    assert crf.number_of_items(x, tags) == 3


@pytest.mark.parametrize("shape", [(0, 3, TAGS), (3, 0, TAGS)])
def test_nothing_has_no_loss(shape):
    crf, x, tags = (
        nn.CRF(TAGS, reduction="sum"),
        mg.zeros(shape),
        mg.zeros(shape[:2], dtype="int64"),
    )
    crf(x, tags).backward()
    assert not crf.transitions.grad.any()
    assert crf.viterbi(x).tags.shape == shape[:2]


def test_names_of_entities_forbid_transitions():
    names = ["O", "B-a", "I-a", "I-b"]
    allowed = {(None, "O"), (None, "B-a"), ("O", None), ("B-a", "I-a"), ("I-a", "I-a")}
    allowed |= {(x, y) for x in names for y in ("O", "B-a", None)}
    allowed |= {("I-b", "I-b")}
    code = {None: None, **{name: i for i, name in enumerate(names)}}
    everything = set(itertools.product(code, code)) - {(None, None)}
    expected = {(code[x], code[y]) for x, y in everything - allowed}
    assert set(nn.losses.bio_forbidden(names)) == expected
    closed = nn.losses.bio_forbidden(["O", "B-a", "E-a", "S-a"])
    assert set(closed) == {(None, 2), (0, 2), (1, 0), (1, 1), (1, 3), (1, None), (2, 2), (3, 2)}


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (ArgumentError, "num_tags", lambda x, y: nn.CRF(0)),
        (ArgumentError, "forbidden holds 3", lambda x, y: nn.CRF(3, forbidden=[3])),
        (ArgumentError, r"forbidden holds \(0, 3\)", lambda x, y: nn.CRF(3, forbidden=[(0, 3)])),
        (ArgumentError, r"\(None, None\)", lambda x, y: nn.CRF(3, forbidden=[(None, None)])),
        (ArgumentError, "reduction", lambda x, y: nn.CRF(3, reduction="token")),
        (ShapeError, "num_tags=4", lambda x, y: nn.CRF(4)(x, y * 1)),
        (ShapeError, r"must have shape \(4, 2\)", lambda x, y: nn.CRF(3)(x, y[:2])),
        (ArgumentError, "length of row 1 is 5", lambda x, y: nn.CRF(3)(x, (y, [4, 5]))),
        (ArgumentError, "length of row 1 is 5", lambda x, y: nn.CRF(3).viterbi(x, [4, 5])),
        (DtypeError, "integers", lambda x, y: nn.CRF(3)(x, y * 1.0)),
        (IndexingError, "run from 3 to 3", lambda x, y: nn.CRF(3)(x, y + 3)),
        (IndexingError, "run from -1", lambda x, y: nn.CRF(3)(x, y - 1)),
    ],
)  # fmt: skip
def test_mistakes_are_told(error, text, call):
    with pytest.raises(error, match=text):
        call(mg.zeros((4, 2, 3)), mg.zeros((4, 2), dtype="int64"))
