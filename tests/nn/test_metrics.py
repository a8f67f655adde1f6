"""Metrics against scikit-learn, sacrebleu and counts by hand; masks, lengths, batches, bad input."""

import math
import sys

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.nn import metrics
from minigrad.nn.data import Padded, pad_sequence

rng = np.random.default_rng(0)


def labelled(classes=4, shape=(7, 5)):
    """Return scores (T, N, classes), classes, true classes, lengths, and where they count."""
    scores = rng.normal(size=(*shape, classes)).astype(np.float32)
    true = rng.integers(0, classes, shape)
    lengths = rng.integers(0, shape[0] + 1, shape[1])
    return scores, scores.argmax(-1), true, lengths, np.arange(shape[0])[:, None] < lengths


# classes


@pytest.mark.parametrize("kind", [np.asarray, mg.tensor, np.ndarray.tolist])
def test_accuracy_is_that_of_scikit_learn(kind):
    scores, found, true, lengths, counts = labelled()
    wanted = sk.accuracy_score(true[counts], found[counts])
    for predictions in (scores, found):
        for options in ({"lengths": kind(lengths)}, {"mask": kind(counts)}):
            ratio = metrics.accuracy(kind(predictions), kind(true), **options)
            assert ratio.value == float(ratio) == wanted
            assert tuple(ratio) == ((found == true)[counts].sum(), counts.sum())
        padded = Padded(mg.tensor(true), mg.tensor(lengths))
        assert metrics.accuracy(kind(predictions), padded).value == wanted
        assert metrics.accuracy(kind(predictions), tuple(padded)).value == wanted
    rows = pad_sequence([row[:n] for row, n in zip(true.T, lengths, strict=True)])
    assert metrics.accuracy(kind(found[: lengths.max()]), rows).value == wanted
    whole = metrics.accuracy(kind(found), kind(true))
    assert whole.value == sk.accuracy_score(true.ravel(), found.ravel())


def test_padding_is_never_read():
    scores, _, true, lengths, counts = labelled()
    wanted = metrics.accuracy(scores, true, lengths=lengths)
    scores[~counts], true[~counts] = np.nan, -100
    assert metrics.accuracy(scores, true, lengths=lengths) == wanted
    assert metrics.accuracy(scores, true, mask=true != -100) == wanted


def test_batches_add_up_to_the_whole():
    _, found, true, lengths, _ = labelled(2)
    for metric in (metrics.accuracy, metrics.precision, metrics.recall, metrics.f1):
        parts = [
            metric(found[:, cut], true[:, cut], lengths=lengths[cut])
            for cut in (slice(0, 2), slice(2, 5))
        ]
        assert tuple(map(sum, zip(*parts, strict=True))) == metric(found, true, lengths=lengths)


NAMES = ["O", "B-a", "I-a", "B-b"]


class Given(nn.Module):
    """Its inputs are its scores."""

    def forward(self, scores):
        return scores


@settings(max_examples=max(1, settings().max_examples // 5))
@given(
    st.lists(st.lists(st.tuples(*[st.integers(0, 3)] * 2), max_size=5), min_size=1, max_size=6),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_neither_padding_nor_batches_change_a_score(rows, size, pad):
    found, true = ([np.array([p[i] for p in row], dtype=int) for row in rows] for i in (0, 1))
    scores = [np.eye(4, dtype=np.float32)[row] for row in found]
    functions = {
        "accuracy": metrics.accuracy,
        "f1": lambda x, y: metrics.f1(x, y, classes=[1, 3]),
        "entity_f1": lambda x, y: metrics.entity_f1(x, y, tags=NAMES),
        "mae": lambda x, y: metrics.mae(mg.argmax(x, axis=-1), y),
        "exact_match": metrics.exact_match,
    }
    padded = lambda part: pad_sequence(part, padding_value=pad)
    source = [
        (pad_sequence(scores[i : i + size]).values, padded(true[i : i + size]))
        for i in range(0, len(rows), size)
    ]
    whole = nn.training.evaluate(Given(), source, lambda x, y: (0.0, 1), functions)
    alone = {
        name: [
            function(mg.tensor(x[:, None]), y[:, None]) for x, y in zip(scores, true, strict=True)
        ]
        for name, function in functions.items()
    }
    for name, ratios in alone.items():
        numerator, denominator = (sum(parts) for parts in zip(*ratios, strict=True))
        wanted = numerator / denominator if denominator else math.nan
        np.testing.assert_allclose(whole[name], wanted, rtol=1e-12, err_msg=name)


def test_exact_match_counts_whole_sequences():
    true = np.array([[1, 1, 1], [2, 2, 0]])
    found = np.array([[1, 1, 0], [2, 0, 0]])
    assert metrics.exact_match(found, true) == (1, 3)
    assert metrics.exact_match(found, true, lengths=[2, 1, 0]) == (2, 2)
    assert metrics.exact_match(found, Padded(true, [1, 1, 1])) == (2, 3)


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
@pytest.mark.parametrize("classes", [2, 4, 9])
def test_precision_recall_f1_are_those_of_scikit_learn(classes, average):
    _, found, true, lengths, counts = labelled(classes)
    found[found == 1] = 0  # is never predicted
    counted = metrics.class_counts(found, true, num_classes=classes, lengths=lengths)
    labels = np.unique([found[counts], true[counts]])
    wanted = sk.precision_recall_fscore_support(
        true[counts], found[counts], labels=labels, average=average, zero_division=0
    )
    scores = metrics.precision_recall_f1(counted, average=average)
    if average is None:
        absent = np.setdiff1d(np.arange(classes), labels)
        assert all(np.isnan(x[absent]).all() for x in scores[:3])
        scores = [x[labels] for x in scores]
    else:
        wanted = (*wanted[:3], counts.sum())
    np.testing.assert_allclose(np.array(scores), np.array(wanted, dtype=float), rtol=1e-14)


def test_counts_and_confusion_are_those_of_scikit_learn():
    scores, found, true, _, counts = labelled()
    wanted = sk.confusion_matrix(true[counts], found[counts], labels=range(6))
    matrix = metrics.confusion_matrix(scores, true, num_classes=6, mask=counts)
    np.testing.assert_array_equal(matrix, wanted)
    counted = metrics.class_counts(scores, true, num_classes=6, mask=counts)
    assert counted.labels == tuple(range(6))
    for ours, theirs in zip(
        counted[1:], (wanted.diagonal(), wanted.sum(0), wanted.sum(1)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("classes", [None, 2, (1, 3), [0, 1, 2, 3]])
def test_scores_of_some_classes_are_those_of_scikit_learn(classes):
    _, found, true, _, counts = labelled(2 if classes is None else 4)
    options = (
        {"average": "binary"}
        if classes is None
        else {"labels": np.ravel(classes), "average": "micro"}
    )
    for ours, theirs in (
        (metrics.precision, sk.precision_score),
        (metrics.recall, sk.recall_score),
        (metrics.f1, sk.f1_score),
    ):
        wanted = theirs(true[counts], found[counts], **options)
        assert ours(found, true, classes=classes, mask=counts).value == pytest.approx(
            wanted, rel=1e-14
        )


def test_logits_of_a_yes_or_no_question_and_targets_of_its_loss():
    logits, true = mg.tensor([0.5, -1.0, 2.0], requires_grad=True), mg.tensor([1.0, 0.0, 0.0])
    assert metrics.accuracy(logits > 0, true) == (2, 3)
    assert metrics.f1(logits > 0, true).value == 2 / 3


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
def test_values_of_any_dtype(dtype):
    x = mg.tensor([[0.5, 2.0], [3.0, 1.0]], dtype=dtype)
    assert metrics.accuracy(x, mg.tensor([1, 1])) == (1, 2)
    assert metrics.mae(x, mg.zeros((2, 2))).value == 1.625


def test_of_nothing_the_score_is_nan():
    for shape in ((0,), (0, 3), (4, 0)):
        empty = np.zeros(shape, dtype=np.int64)
        for metric in (metrics.accuracy, metrics.precision, metrics.recall, metrics.f1):
            assert metric(empty, empty) == (0, 0)
            assert math.isnan(metric(empty, empty).value)
        scores = metrics.precision_recall_f1(metrics.class_counts(empty, empty), average="macro")
        assert scores.support == 0
        assert np.isnan(scores[:3]).all()
    assert metrics.accuracy([], []) == (0, 0)
    assert metrics.confusion_matrix([], [], num_classes=2).tolist() == [[0, 0], [0, 0]]
    assert metrics.accuracy(np.zeros((4, 0, 3)), np.zeros((4, 0), dtype=int)) == (0, 0)


ZEROS = np.zeros((3, 2), dtype=int)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((ZEROS, ZEROS[0]), {}, ShapeError, r"predictions of shape \(3, 2\) do not fit targets"),
        ((np.zeros((3, 2)), ZEROS), {}, DtypeError, "float64; of logits .* 'logits > 0'"),
        ((np.zeros((3, 2, 1)), ZEROS), {}, ShapeError, "the scores have 1 classes"),
        ((np.full((3, 2, 4), np.nan), ZEROS), {}, ArgumentError, "the scores hold NaN"),
        ((np.zeros((3, 2, 4)), ZEROS + 4), {}, ArgumentError, "the targets hold 4, .* from 0 to 3"),
        ((ZEROS, ZEROS - 100), {}, ArgumentError, "the targets hold -100, .* lengths or a mask"),
        ((ZEROS - 1, ZEROS), {}, ArgumentError, "the predictions hold -1"),
        ((ZEROS, ZEROS + 0.5), {}, ArgumentError, "the targets hold 0.5"),
        ((ZEROS, ZEROS + np.nan), {}, ArgumentError, "the targets hold nan"),
        (([[1], [1, 2]], [1, 2]), {}, ArgumentError, "predictions must be .* ragged list"),
        ((["a"], [1]), {}, DtypeError, "predictions must be a tensor, an array or a list of numbers"),
        ((ZEROS, None), {}, DtypeError, "targets must be .*, not of dtype object"),
        ((ZEROS, ZEROS), {"mask": [1, 1, 1]}, DtypeError, "the mask must be bool, not int64"),
        ((ZEROS, ZEROS), {"mask": [True, True]}, ShapeError, r"a mask of shape \(2,\) does not fit"),
        ((ZEROS, ZEROS), {"lengths": [3]}, ShapeError, r"lengths of shape \(1,\) do not fit targets"),
        ((ZEROS, ZEROS), {"lengths": [4, 0]}, ShapeError, "between 0 and 3, .* run from 0 to 4"),
        ((ZEROS, ZEROS), {"lengths": [-1, 0]}, ShapeError, "run from -1 to 0"),
        ((ZEROS, ZEROS), {"lengths": [1.0, 2.0]}, DtypeError, "lengths must be integers"),
        ((ZEROS, Padded(ZEROS, [1, 2])), {"lengths": [2, 1]}, ArgumentError, "more than once"),
        ((ZEROS[:, 0], ZEROS[:, 0]), {"lengths": [1, 1, 1]}, ShapeError, "need N lengths"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.f1, metrics.confusion_matrix])
def test_bad_input_is_told(metric, arguments, options, error, text):
    with pytest.raises(error, match=f"^{metric.__name__}: .*{text}"):
        metric(*arguments, **options)


def test_other_mistakes_are_told():
    with pytest.raises(ArgumentError, match="recall: classes are empty"):
        metrics.recall([1], [1], classes=[])
    with pytest.raises(ArgumentError, match=r"f1: class 2 occurs; say which .* classes=\[1, 2\]"):
        metrics.f1([1, 2], [0, 1])
    with pytest.raises(ArgumentError, match="class_counts: class 2 occurs, and with 2 classes"):
        metrics.class_counts([1, 2], [0, 1], num_classes=2)
    with pytest.raises(ArgumentError, match="average must be 'micro', 'macro' or 'weighted'"):
        metrics.precision_recall_f1(metrics.class_counts([1], [1]), average="binary")
    with pytest.raises(ArgumentError, match="pass what class_counts"):
        metrics.precision_recall_f1(np.eye(2), average="micro")
    with pytest.raises(ShapeError, match=r"sequences need \(T, N"):
        metrics.exact_match([1], [1])


# entities

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-PER", "S-LOC", "<pad>", "B"]


@pytest.mark.parametrize(
    ("tags", "wanted"),  # by the rules of the script conlleval
    [
        ("", ""),
        ("O O", ""),
        ("B-PER I-PER O B-LOC", "PER:0-2 LOC:3-4"),
        ("B-PER B-PER I-PER", "PER:0-1 PER:1-3"),
        ("I-PER I-PER O I-LOC", "PER:0-2 LOC:3-4"),
        ("I-PER I-LOC I-LOC", "PER:0-1 LOC:1-3"),
        ("B-PER I-LOC", "PER:0-1 LOC:1-2"),
        ("B-PER E-PER I-PER", "PER:0-2 PER:2-3"),
        ("S-LOC S-LOC E-PER E-PER", "LOC:0-1 LOC:1-2 PER:2-3 PER:3-4"),
        ("S-PER I-PER E-PER", "PER:0-1 PER:1-3"),
        ("B I <pad> B-big-city I-big-city", ":0-2 big-city:3-5"),
    ],
)
def test_entities_are_read_as_conlleval_does(tags, wanted):
    found = metrics.entities(tags.split())
    assert " ".join(f"{kind}:{start}-{stop}" for kind, start, stop in found) == wanted


@pytest.mark.parametrize(
    ("tags", "written"),
    [
        ("I-a I-a B-a O I-b", "B-a I-a B-a O B-b"),
        ("S-a S-a B-b E-b", "B-a B-a B-b I-b"),
        ("B I O S", "B I O B"),
        ("", ""),
    ],
)
def test_tags_are_written_as_iob2(tags, written):
    found = metrics.entities(tags.split())
    assert " ".join(metrics.entity_tags(found, len(tags.split()))) == written


@pytest.mark.parametrize("places", [[(0, 0)], [(2, 4)], [(-1, 1)], [(0, 2), (1, 3)]])
def test_entities_that_do_not_fit_are_not_written(places):
    with pytest.raises(ArgumentError, match="does not fit into 3 tags beside the others"):
        metrics.entity_tags([metrics.Entity("a", *place) for place in places], 3)


def spans(tags):
    """Return the set of entities of one sequence, tag by tag."""
    found, current = set(), None
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, kind = ("O", "", "") if tag == "<pad>" else tag.partition("-")
        if current and (prefix in "OBS" or kind != current[0] or tags[i - 1][0] in "ES"):
            found.add((*current, i))
            current = None
        if prefix != "O" and not current:
            current = (kind, i)
    return found


@given(st.lists(st.lists(st.tuples(*[st.sampled_from(TAGS)] * 2), max_size=7), max_size=5))
def test_entity_scores_are_those_of_sets(rows):
    found, true = ([[pair[side] for pair in row] for row in rows] for side in (0, 1))
    sets = [
        {(n, *span) for n, row in enumerate(side) for span in spans(row)} for side in (found, true)
    ]
    correct, predicted, actual = len(sets[0] & sets[1]), *map(len, sets)
    assert metrics.entity_precision(found, true) == (correct, predicted)
    assert metrics.entity_recall(found, true) == (correct, actual)
    assert metrics.entity_f1(found, true) == (2 * correct, predicted + actual)
    counts = metrics.entity_counts(found, true)
    for i, kind in enumerate(counts.labels):
        ours, theirs = ({span for span in side if span[1] == kind} for side in sets)
        wanted = (len(ours & theirs), len(ours), len(theirs))
        assert tuple(x[i] for x in counts[1:]) == wanted
    lengths = [len(row) for row in rows]
    codes = np.full((2, max(lengths, default=0) + 1, len(rows)), TAGS.index("B-LOC"))
    for side, coded in zip((found, true), codes, strict=True):
        for n, row in enumerate(side):
            coded[: len(row), n] = [TAGS.index(tag) for tag in row]
    padded = Padded(mg.tensor(codes[1]), mg.tensor(lengths, dtype="int64"))
    assert metrics.entity_f1(codes[0], padded, tags=TAGS) == (2 * correct, predicted + actual)
    scores = mg.one_hot(mg.tensor(codes[0]), len(TAGS))
    assert metrics.entity_f1(scores, padded, tags=TAGS) == (2 * correct, predicted + actual)


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        (([["nr"]], [["O"]]), {}, "the tag 'nr' cannot be read"),
        (([["B-a"]], [["O", "O"]]), {}, "differ in the number of sequences or tags"),
        (([["B-a"]], [["O"], ["O"]]), {}, "differ in the number of sequences or tags"),
        ((["B-a"], ["O"]), {}, "pass lists of tags"),
        (([["B-a"]], [["O"]]), {"lengths": [1]}, "lists of tags have their lengths"),
        (([1, 0], [1, 0]), {}, r"pass tags=\[...\]"),
        ((ZEROS, ZEROS), {}, r"pass tags=\[...\]"),
        ((ZEROS[0], ZEROS[0]), {"tags": TAGS}, r"codes must have shape \(T, N\)"),
        ((ZEROS + 9, ZEROS), {"tags": TAGS}, "code 9 has no tag; there are 9 tags"),
    ],
)
def test_bad_tags_are_told(arguments, options, text):
    with pytest.raises(ArgumentError, match=f"^entity_f1: .*{text}"):
        metrics.entity_f1(*arguments, **options)


# language


@pytest.mark.parametrize(
    "loss", [math.log(8), mg.tensor(math.log(8), dtype="float64"), (2 * math.log(8), 2)]
)
def test_perplexity_and_bits_of_a_mean_loss(loss):
    assert metrics.perplexity(loss) == pytest.approx(8, rel=1e-14)
    assert metrics.bits(loss) == pytest.approx(3, rel=1e-14)


def test_extreme_losses():
    assert metrics.perplexity(0) == 1
    assert metrics.perplexity(math.inf) == metrics.perplexity(800.0) == math.inf
    assert metrics.bits(math.inf) == math.inf


@pytest.mark.parametrize(
    "loss", [math.nan, -1.0, "1", (0.0, 0), (1.0, 2, 3), mg.ones(2), (math.nan, 1)]
)
def test_no_perplexity_of_what_is_no_loss(loss):
    with pytest.raises(ArgumentError, match=r"^perplexity: "):
        metrics.perplexity(loss)


# translations

HYPOTHESES = [
    "the cat sat on the mat",
    "a dog barks at night",
    "Save the page",
    "no match here",
] * 5
REFERENCES = [
    "the cat sat on a mat",
    "the dog barks at night",
    "save this page",
    "quite another one",
] * 5


@pytest.mark.parametrize("options", [{}, {"tokenize": "char"}, {"lowercase": True}])
def test_bleu_is_that_of_sacrebleu(options):
    wanted = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], **options).score
    score = metrics.bleu(HYPOTHESES, REFERENCES, **options)
    assert score.value == float(score) == wanted
    assert math.isnan(score.margin)


@pytest.mark.parametrize("order", [0, 2])
def test_chrf_is_that_of_sacrebleu(order):
    wanted = sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES], word_order=order).score
    assert metrics.chrf(HYPOTHESES, REFERENCES, word_order=order).value == wanted


def test_several_references_of_each_sentence():
    rows = [
        [a, b] if i % 2 else [a]
        for i, (a, b) in enumerate(zip(REFERENCES, HYPOTHESES, strict=True))
    ]
    streams = [REFERENCES, [b if i % 2 else None for i, b in enumerate(HYPOTHESES)]]
    for ours, theirs in (
        (metrics.bleu, sacrebleu.corpus_bleu),
        (metrics.chrf, sacrebleu.corpus_chrf),
    ):
        assert ours(HYPOTHESES, rows).value == theirs(HYPOTHESES, streams).score


@pytest.mark.parametrize("metric", [metrics.bleu, metrics.chrf])
def test_the_bootstrap_surrounds_the_score_and_is_repeated(metric):
    score = metric(HYPOTHESES, REFERENCES, bootstrap=200)
    assert score == metric(HYPOTHESES, REFERENCES, bootstrap=200)
    assert abs(score.mean - score.value) < score.margin < 30
    same = metric(REFERENCES, REFERENCES, bootstrap=10)
    assert (round(same.mean, 4), round(same.margin, 4)) == (100, 0)


@pytest.mark.parametrize("metric", [metrics.bleu, metrics.chrf])
@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        (([], []), {}, "hypotheses must be a list of sentences, not an empty list"),
        (("a b", "a b"), {}, "hypotheses must be a list of sentences, not a str"),
        ((["a"], "a"), {}, "references must be"),
        ((["a"], ["a", "b"]), {}, "1 hypotheses and 2 references"),
        ((["a"], [[]]), {}, "at least one reference"),
        (([["a"]], ["a"]), {}, r"sentences must be text, not \['a'\]"),
        ((["a"], ["a"]), {"bootstrap": 1}, "more than bootstrap=1"),
        ((["a"], ["a"]), {"bootstrap": -1}, "bootstrap must be a non-negative integer"),
    ],
)
def test_bad_sentences_are_told(metric, arguments, options, text):
    with pytest.raises(ArgumentError, match=f"^{metric.__name__}: .*{text}"):
        metric(*arguments, **options)


def test_without_sacrebleu_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(ImportError, match=r"^bleu needs .* 'pip install minigrad\[metrics\]'"):
        metrics.bleu(["a"], ["a"])


# forecasts


@pytest.mark.parametrize("shape", [(6,), (6, 3), (6, 3, 2)])
def test_errors_are_those_of_scikit_learn(shape):
    found, true = rng.normal(size=(2, *shape))
    for ours, theirs in (
        (metrics.mae, sk.mean_absolute_error),
        (metrics.mse, sk.mean_squared_error),
        (metrics.rmse, sk.root_mean_squared_error),
    ):
        wanted = theirs(true.ravel(), found.ravel())
        assert float(ours(mg.tensor(found), true)) == pytest.approx(wanted, rel=1e-14)
        if len(shape) > 1:
            lengths = np.array([6, 0, 2])
            counts = np.arange(6)[:, None] < lengths
            padded = Padded(
                np.where(counts.reshape(6, 3, *[1] * (len(shape) - 2)), true, np.nan), lengths
            )
            wanted = theirs(true[counts].ravel(), found[counts].ravel())
            assert float(ours(found, padded)) == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("period", [1, 4])
@pytest.mark.parametrize("series", [(), (3,)])
def test_scaled_errors_are_the_formula(period, series):
    past, found, true = (rng.normal(size=(n, *series)) for n in (12, 5, 5))
    scale = sum(abs(past[t] - past[t - period]) for t in range(period, 12)) / (12 - period)
    wanted = np.mean([abs(found[t] - true[t]) / scale for t in range(5)])
    assert metrics.mase(found, true, past, period=period).value == pytest.approx(wanted, rel=1e-14)


def test_the_naive_forecast_of_the_history_itself_has_one():
    past = rng.normal(size=40)
    assert metrics.mase(past[:-7], past[7:], past, period=7).value == pytest.approx(1, rel=1e-14)


ONES = np.ones((4, 2))


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((ONES, ONES[0], ONES), {}, "must be equal"),
        ((ONES, ONES * np.nan, ONES), {}, "the targets hold NaN"),
        ((ONES, ONES, ONES), {}, "never changes"),
        ((ONES, ONES, ONES[:, 0]), {}, "does not fit targets"),
        ((ONES, ONES, ONES), {"period": 4}, "no longer than period=4"),
        ((ONES, ONES, ONES), {"period": 0}, "period must be a positive integer"),
        ((ONES, ONES, ONES * np.nan), {}, "holds NaN"),
    ],
)
def test_bad_forecasts_are_told(arguments, options, text):
    with pytest.raises(ArgumentError, match=f"^mase: .*{text}"):
        metrics.mase(*arguments, **options)


def test_errors_of_nothing_are_nan():
    assert math.isnan(metrics.rmse([], []))
    assert metrics.mae(ONES, ONES * np.nan, mask=np.zeros((4, 2), dtype=bool)) == (0.0, 0)


# regions


def test_boxes_meet_as_their_pixels_do():
    boxes = np.sort(rng.integers(0, 9, (2, 6, 2, 2)), axis=2).reshape(2, 6, 4)
    boxes[0, 0] = boxes[1, 0] = [2, 2, 2, 5]  # without area
    pixels = np.zeros((2, 6, 9, 9), dtype=bool)
    for side, n in np.ndindex(2, 6):
        x1, y1, x2, y2 = boxes[side, n]
        pixels[side, n, x1:x2, y1:y2] = True
    wanted = [
        [sk.jaccard_score(a.ravel(), b.ravel()) if (a | b).any() else np.nan for b in pixels[1]]
        for a in pixels[0]
    ]
    np.testing.assert_allclose(metrics.box_iou(*boxes), wanted, rtol=1e-14)
    np.testing.assert_allclose(metrics.box_iou(mg.tensor(boxes[0]), boxes[1]), wanted, rtol=1e-14)
    for a, b in zip(*pixels, strict=True):
        ratio = metrics.mask_iou(mg.tensor(a), b)
        assert ratio == ((a & b).sum(), (a | b).sum())
        part = metrics.mask_iou(a, b, mask=a)
        assert part == ((a & b).sum(), a.sum())
    assert metrics.box_iou(np.zeros((0, 4)), boxes[0]).shape == (0, 6)


@pytest.mark.parametrize(
    "boxes", [[[1, 0, 0, 1]], [[0, 0, np.inf, 1]], [[0, 0, np.nan, 1]], [0, 0, 1, 1]]
)
def test_bad_boxes_are_told(boxes):
    with pytest.raises(ArgumentError, match=r"^box_iou: "):
        metrics.box_iou([[0, 0, 1, 1]], boxes)


def test_bad_masks_are_told():
    with pytest.raises(DtypeError, match="the predictions must be bool, not float64"):
        metrics.mask_iou([0.5], [True])
    with pytest.raises(ShapeError, match="they must be equal"):
        metrics.mask_iou([True], [[True]])
