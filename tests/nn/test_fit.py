"""The training loop: what it computes, by NumPy and loops by hand, and that it goes on bit for bit."""

import csv
import math
import random
import signal
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, FileFormatError, GradientError
from minigrad.nn.data import Padded, Streams, batches, pad_sequence
from minigrad.nn.optim.lr_scheduler import LinearLR, ReduceLROnPlateau, StepLR
from minigrad.nn.training import Callback, CSVLog, TensorBoard, evaluate, evaluating, fit

pytestmark = pytest.mark.usefixtures("both_loops")

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((23, 3)), RNG.standard_normal((23, 2))


@pytest.fixture(autouse=True)
def usual_handler():
    """Start from Python's own handler of Ctrl-C, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def line(seed=0):
    """Return a linear model in float64."""
    mg.manual_seed(seed)
    return nn.Linear(3, 2, dtype="float64")


def cut(*sizes):
    """Return batches of X and Y of these sizes."""
    ends = np.cumsum(sizes)
    return [
        (mg.tensor(X[e - n : e]), mg.tensor(Y[e - n : e])) for e, n in zip(ends, sizes, strict=True)
    ]


def sgd(model, lr=0.1):
    return nn.optim.SGD(model.parameters(), lr=lr)


def quietly(*arguments, **options):
    return fit(*arguments, **{"epochs": 1, "progress": False, **options})


class Calling(Callback):
    """Calls a function after each update, or after each epoch."""

    def __init__(self, update=None, epoch=None):
        self.update, self.epoch = update, epoch

    def on_update(self, run):
        if self.update:
            self.update(run)

    def on_epoch(self, run):
        if self.epoch:
            self.epoch(run)


# what it computes


def weights_by_numpy(model, groups, epochs, lr=0.1, clip=math.inf):
    """Return the weights after descent on the mean of each group of rows, and the losses, by NumPy."""
    w, b = model.weight.detach().numpy().copy(), model.bias.detach().numpy().copy()
    losses = []
    for _ in range(epochs):
        for rows in groups:
            error = X[rows] @ w.T + b - Y[rows]
            losses.append((error**2).mean())
            slope = 2 * error / error.size
            gradients = slope.T @ X[rows], slope.sum(0)
            norm = math.sqrt(sum((g**2).sum() for g in gradients))
            factor = min(1.0, clip / (norm + 1e-6))
            w, b = (p - lr * factor * g for p, g in zip((w, b), gradients, strict=True))
    return w, b, losses


@pytest.mark.parametrize("clip", [None, 0.3])
def test_the_weights_and_losses_are_those_of_numpy(clip):
    model, losses = line(), []
    groups = [slice(0, 8), slice(8, 16), slice(16, 23)]
    w, b, expected = weights_by_numpy(model, groups, 4, clip=clip or math.inf)
    noting = Calling(update=lambda run: losses.append(run.loss))
    run = quietly(
        model, cut(8, 8, 7), nn.MSELoss(), sgd(model), epochs=4, clip_norm=clip, callbacks=[noting]
    )
    np.testing.assert_allclose(model.weight.detach().numpy(), w, rtol=1e-12)
    np.testing.assert_allclose(model.bias.detach().numpy(), b, rtol=1e-12)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    means = np.reshape(expected, (4, 3)) @ [8 / 23, 8 / 23, 7 / 23]
    np.testing.assert_allclose([row["train_loss"] for row in run.history], means, rtol=1e-12)


def squares(outputs, target):
    """Return a pair of the sum and the number of elements."""
    return ((outputs - target) ** 2).sum(), target.size


@pytest.mark.parametrize("loss", [nn.MSELoss(), squares])
@pytest.mark.parametrize("sizes", [(8, 8, 7), (1, 13, 2, 7), (23,)])
def test_accumulated_batches_are_one_large_one(loss, sizes):
    model = line()
    w, b, losses = weights_by_numpy(model, [slice(0, 23)], 3)
    run = quietly(model, cut(*sizes), loss, sgd(model), epochs=3, accumulate=len(sizes))
    np.testing.assert_allclose(model.weight.detach().numpy(), w, rtol=1e-12)
    np.testing.assert_allclose(model.bias.detach().numpy(), b, rtol=1e-12)
    np.testing.assert_allclose([row["train_loss"] for row in run.history], losses, rtol=1e-12)
    assert run.updates == 3


def test_the_last_update_of_an_epoch_may_have_fewer_batches():
    model = line()
    w, b, _ = weights_by_numpy(model, [slice(0, 12), slice(12, 23)], 2)
    quietly(model, cut(5, 7, 11), squares, sgd(model), epochs=2, accumulate=2)
    np.testing.assert_allclose(model.weight.detach().numpy(), w, rtol=1e-12)
    np.testing.assert_allclose(model.bias.detach().numpy(), b, rtol=1e-12)


class Tagger(nn.Module):
    """Padded words in, scores for each out; in float64."""

    def __init__(self):
        self.embedding = nn.Embedding(7, 4, dtype="float64")
        self.recurrent = nn.GRU(4, 5, dtype="float64")
        self.readout = nn.Linear(5, 3, dtype="float64")

    def forward(self, text):
        words, lengths = text
        return self.readout(self.recurrent(self.embedding(words), lengths=lengths)[0])


def test_padding_and_batches_of_ragged_sequences_change_no_gradient():
    """One update on three batches is that of each sequence by itself, without padding."""
    lengths = [5, 1, 3, 9, 2, 4, 7]
    words = [RNG.integers(0, 7, n) for n in lengths]
    tags = [RNG.integers(0, 3, n) for n in lengths]
    mg.manual_seed(0)
    model, alone = Tagger(), Tagger()
    alone.load_state_dict(model.state_dict())
    loss = nn.SequenceLoss()
    source = batches((words, tags), 3)
    run = quietly(model, source, loss, sgd(model), accumulate=3)
    total = 0.0
    for w, t in zip(words, tags, strict=True):
        scores = alone(Padded(mg.tensor(w)[:, None], mg.tensor([len(w)])))[:, 0]
        part = mg.cross_entropy(scores, mg.tensor(t), reduction="sum") / sum(lengths)
        part.backward()
        total += part.item()
    sgd(alone).step()
    assert run.scores["train_loss"] == pytest.approx(total, rel=1e-12)
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value.numpy(), alone.state_dict()[name].numpy(), rtol=1e-10)


def test_a_batch_without_items_changes_nothing_beside_others():
    model, twin = line(), line()
    none = (mg.tensor(X[:2]), Padded(mg.tensor(Y[:2]), mg.tensor([0, 0])))

    def loss(outputs, target):
        if isinstance(target, Padded):
            return (outputs * 0.0).sum(), 0
        return squares(outputs, target)

    quietly(model, [none, *cut(8, 15)], loss, sgd(model), accumulate=3)
    quietly(twin, cut(23), loss, sgd(twin))
    np.testing.assert_allclose(
        model.weight.detach().numpy(), twin.weight.detach().numpy(), rtol=1e-12
    )
    with pytest.raises(ArgumentError, match="the loss counted no items at epoch 1, update 1"):
        quietly(model, [none], loss, sgd(model))


class Language(nn.Module):
    """A small language model in float64."""

    def __init__(self, dropout=0.0):
        self.embedding = nn.Embedding(7, 4, dtype="float64")
        self.dropout = nn.Dropout(dropout)
        self.recurrent = nn.LSTM(4, 5, dtype="float64")
        self.readout = nn.Linear(5, 7, dtype="float64")

    def forward(self, codes, state=None):
        outputs, state = self.recurrent(self.dropout(self.embedding(codes)), state)
        return self.readout(outputs), state


def nats(scores, targets):
    return mg.cross_entropy(scores.reshape(-1, scores.shape[-1]), targets.reshape(-1))


TEXT = RNG.integers(0, 7, 61)


def test_the_state_is_carried_without_gradients_and_begins_anew_with_an_epoch():
    mg.manual_seed(0)
    model, twin = Language(), Language()
    twin.load_state_dict(model.state_dict())
    given, forward = [], model.forward

    def watched(codes, state=None):
        given.append(state)
        return forward(codes, state)

    model.forward = watched
    quietly(model, Streams(TEXT, 3, 8), nats, sgd(model, 1.0), epochs=2, carry_state=True)
    optimizer = sgd(twin, 1.0)
    for _ in range(2):
        state = None
        for codes, targets in Streams(TEXT, 3, 8):
            scores, state = twin(codes, state)
            state = tuple(part.detach() for part in state)
            optimizer.zero_grad()
            nats(scores, targets).backward()
            optimizer.step()
    assert [state is None for state in given] == [True, False, False] * 2
    assert not any(part.requires_grad for state in given if state for part in state)
    for name, value in model.state_dict().items():
        assert value.tolist() == twin.state_dict()[name].tolist()


def test_schedules_step_after_each_update():
    model = line()
    optimizer, rates = sgd(model, 1.0), []
    schedule = StepLR(optimizer, 2, 0.5)
    noting = Calling(update=lambda run: rates.append(optimizer.param_groups[0]["lr"]))
    run = quietly(model, cut(8, 8, 7), squares, optimizer, epochs=2, scheduler=schedule, accumulate=1,
                  callbacks=[noting])  # fmt: skip
    assert rates == [1.0, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert [row["lr"] for row in run.history] == [0.5, 0.125]


# scores


@pytest.mark.parametrize("sizes", [(23,), (8, 8, 7), (1, 20, 2)])
def test_scores_are_means_over_all_items(sizes):
    model = line()
    error = X @ model.weight.detach().numpy().T + model.bias.detach().numpy() - Y
    hits = int((error[:, 0] > 0).sum())
    metrics = {
        "mae": nn.L1Loss(),
        "hits": lambda outputs, target: ((outputs > target)[:, 0].sum(), len(target)),
        "one": lambda outputs, target: 1.0,
        "f": lambda outputs, target: (2 * len(target), 5 * len(target)),
        "none": lambda outputs, target: (0.0, 0),
    }
    scores = evaluate(model, cut(*sizes), squares, metrics)
    expected = {"loss": (error**2).mean(), "mae": abs(error).mean(), "hits": hits / 23, "one": 1.0}
    assert {name: scores[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert scores["f"] == 0.4
    assert math.isnan(scores["none"])
    assert evaluate(model, cut(*sizes), nn.MSELoss())["loss"] == pytest.approx(
        scores["loss"], rel=1e-12
    )


@pytest.mark.parametrize("length", [1, 4, 5, 14, 100])
def test_a_text_is_scored_with_its_state(length):
    """By NumPy, from one run over the whole text."""
    mg.manual_seed(0)
    model, streams = Language(dropout=0.5), Streams(TEXT, 3, length)
    with evaluating(model):
        scores = model(mg.tensor(streams.inputs))[0].numpy()
    scores = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    expected = -np.take_along_axis(scores, streams.targets[..., None], -1).mean()
    assert evaluate(model, streams, nats, carry_state=True)["loss"] == pytest.approx(
        expected, rel=1e-12
    )


def test_the_mean_of_a_padded_target_is_over_what_is_no_padding():
    target = pad_sequence([[1.0, 2.0, 3.0], [4.0]])
    other = pad_sequence([[5.0, 1.0]])

    def loss(outputs, padded):
        real = np.arange(len(padded.values))[:, None] < padded.lengths.numpy()
        return mg.tensor(padded.values.numpy()[real].mean())

    scores = evaluate(nn.Identity(), [(mg.ones(1), target), (mg.ones(1), other)], loss)
    assert scores["loss"] == pytest.approx((1 + 2 + 3 + 4 + 5 + 1) / 6)


CLASSES = np.array([1.0, 5.0, 0.1])
LABELS = [[0, 1, -1], [2], [-1, -1], [1, 1, 2, 0, -1, 0], [0]]
LOGITS = [np.random.default_rng(len(labels)).normal(size=(len(labels), 3)) for labels in LABELS]


def losses_by_numpy(weight):
    """Return the summed loss of each sequence, and how much of it counts; -1 counts for nothing."""
    found = []
    for labels, scores in zip(LABELS, LOGITS, strict=True):
        logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
        terms = [
            (-weight[y] * row[y], weight[y]) for y, row in zip(labels, logs, strict=True) if y >= 0
        ]
        found.append(np.array(terms).reshape(-1, 2).sum(0))
    return np.array(found)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("per", ["class", "log", "token", "sequence"])
@pytest.mark.parametrize("weight", [np.ones(3), CLASSES])
def test_means_of_what_counts_do_not_depend_on_the_sizes_of_batches(per, weight, size):
    totals = losses_by_numpy(weight)
    expected = totals[:, 0].sum() / (len(LABELS) if per == "sequence" else totals[:, 1].sum())
    options = {"weight": None if weight[0] == weight[1] else mg.tensor(weight), "ignore_index": -1}
    fields = LOGITS, LABELS
    if per in ("class", "log"):
        fields = np.concatenate(LOGITS), np.concatenate(LABELS)
        loss = {"class": nn.CrossEntropyLoss, "log": nn.NLLLoss}[per](**options)
    else:
        loss = nn.SequenceLoss(per=per, **options)
    model = nn.LogSoftmax(-1) if per == "log" else Values()
    assert evaluate(model, batches(fields, size), loss)["loss"] == pytest.approx(
        expected, rel=1e-12
    )


def test_no_gradient_depends_on_how_often_what_counts_is_cut():
    x, y = np.concatenate(LOGITS), np.concatenate(LABELS)
    found = []
    for size in (1, 3, len(y)):
        model = nn.Linear(3, 3, dtype="float64")
        nn.init.constant_(model.weight, 0.1)
        nn.init.constant_(model.bias, 0.0)
        loss = nn.CrossEntropyLoss(mg.tensor(CLASSES), ignore_index=-1)
        source = batches((x, y), size)
        quietly(model, source, loss, sgd(model), epochs=2, accumulate=len(source))
        found.append(model.weight.detach().numpy())
    np.testing.assert_allclose(found[0], found[2], rtol=1e-12)
    np.testing.assert_allclose(found[1], found[2], rtol=1e-12)


class Values(nn.Module):
    def forward(self, x):
        return x[0] if isinstance(x, Padded) else x


class LogSoftmax(nn.Module):
    def forward(self, x):
        return mg.log_softmax(x[0], axis=-1), x[1]


@pytest.mark.parametrize(("model", "loss"), [(Values, lambda: nn.CRF(3)), (LogSoftmax, nn.CTCLoss)])
def test_losses_of_whole_sequences_are_means_over_sequences(model, loss):
    model, loss = model(), loss()
    labels = [[0, 1, 2], [2], [0, 1], [1, 1, 2, 0, 0, 0], [0]]
    if isinstance(loss, nn.CTCLoss):  # as many frames as before, and fewer labels
        labels = [[1, 2], [2], [1], [1, 2, 1], [2]]
    fields = LOGITS, labels
    alone = [evaluate(model, [batch], loss)["loss"] for batch in batches(fields, 1)]
    for size in (1, 2, 5):
        assert evaluate(model, batches(fields, size), loss)["loss"] == pytest.approx(np.mean(alone))


def test_a_loss_that_is_a_sum_is_refused():
    with pytest.raises(ArgumentError, match="reduction='sum', which would depend on the sizes"):
        evaluate(line(), cut(23), nn.MSELoss(reduction="sum"))


def test_scoring_leaves_no_trace():
    mg.manual_seed(0)
    model, streams = Language(dropout=0.5), Streams(TEXT, 3, 4)
    model.recurrent.eval()  # one module does not train already
    modes = [module.training for module in model.modules()]
    state = mg.random.get_state()
    evaluate(model, streams, nats, carry_state=True)
    assert streams.position == 0
    assert [module.training for module in model.modules()] == modes
    assert mg.random.get_state() == state
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(ArgumentError, match="evaluate: 'loss' returned a str"):
        evaluate(model, streams, lambda scores, targets: "much", carry_state=True)
    assert [module.training for module in model.modules()] == modes


def test_training_is_in_training_mode_and_validation_is_not():
    model, seen = nn.Sequential(line(), nn.Dropout(0.0), nn.Dropout(0.0)), []
    model.append(Watching(seen))
    model.eval()
    quietly(model, cut(23), nn.MSELoss(), sgd(model), epochs=2, validation=cut(23))
    assert seen == [True, False] * 2
    assert model.training
    model[1].eval()  # frozen by its user
    quietly(model, cut(23), nn.MSELoss(), sgd(model), epochs=1, validation=cut(23))
    assert not model[1].training
    assert model[2].training


class Watching(nn.Module):
    def __init__(self, seen):
        self.seen = seen

    def forward(self, x):
        self.seen.append(self.training)
        return x


# the best epoch


def scored(scores, **options):
    """Run for as many epochs as there are scores, which are set by hand; return the run and the model."""
    model, given = line(), iter(scores)
    weights = []

    def score(run):
        run.scores["score"] = next(given)
        weights.append(model.bias.tolist())

    options = {
        "epochs": len(scores),
        "monitor": "score",
        "callbacks": [Calling(epoch=score)],
        **options,
    }
    optimizer = options.pop("optimizer", sgd)(model)
    if "scheduler" in options:
        options["scheduler"] = options["scheduler"](optimizer)
    return quietly(model, cut(23), nn.MSELoss(), optimizer, **options), model, weights


@pytest.mark.parametrize(
    ("scores", "monitor", "patience", "epochs", "best"),
    [
        ([5, 4, 3, 2], "score", 2, 4, 4),
        ([5, 4, 4, 4, 1], "score", 2, 4, 2),  # as good as the best is no better
        ([5, 4, 6, 3, 7, 7, 1], "score", 2, 6, 4),
        ([5, 6, 1], "score", 1, 2, 1),
        ([5, 6, 7, 8], "score", None, 4, 1),
        ([0.1, 0.5, 0.3, 0.4, 0.9], "-score", 2, 4, 2),
        ([math.inf, 2, 3], "score", 5, 3, 2),
        ([-math.inf, -2, -3], "-score", 1, 3, 2),
    ],
)
def test_the_run_ends_and_the_best_weights_are_back(scores, monitor, patience, epochs, best):
    run, model, weights = scored(scores, monitor=monitor, patience=patience)
    assert run.epoch == len(run.history) == epochs
    assert run.best == run.history[best - 1]
    assert model.bias.tolist() == weights[best - 1]
    assert len({str(bias) for bias in weights}) == epochs  # so that this says something


def test_without_a_score_to_go_by_the_last_weights_stay():
    model, biases = line(), []
    noting = Calling(epoch=lambda run: biases.append(model.bias.tolist()))
    options = {"epochs": 3, "callbacks": [noting]}
    run = quietly(model, cut(23), nn.MSELoss(), sgd(model, 5.0), **options)  # too large a step
    assert run.best["epoch"] == 1
    assert model.bias.tolist() == biases[-1] != biases[0]


def test_a_schedule_that_waits_for_scores_gets_them():
    make = lambda optimizer: ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    run, _, _ = scored([5, 4, 4, 3, 6], scheduler=make)
    assert [row["lr"] for row in run.history] == [0.1, 0.1, 0.1, 0.05, 0.05]
    assert run.optimizer.param_groups[0]["lr"] == 0.025
    with pytest.raises(
        ArgumentError, match="'-score' is a score that is to rise, and the scheduler has"
    ):
        scored([5], scheduler=make, monitor="-score")


def test_the_loss_of_validation_is_monitored_by_default():
    model = line()
    run = quietly(
        model, cut(12), nn.MSELoss(), sgd(model), epochs=40, validation=cut(12, 11)[1:], patience=3
    )
    losses = [row["loss"] for row in run.history]
    assert run.best["loss"] == min(losses)
    assert evaluate(model, cut(12, 11)[1:], nn.MSELoss())["loss"] == min(losses)


# callbacks


def test_callbacks_see_the_run_in_order():
    model, seen = line(), []

    class Telling(Callback):
        def __init__(self, name):
            self.name = name

        def on_start(self, run):
            seen.append((self.name, "start", run.epoch, run.updates, dict(run.scores)))

        def on_update(self, run):
            seen.append((self.name, "update", run.epoch, run.updates, run.batches))

        def on_epoch(self, run):
            seen.append((self.name, "epoch", run.epoch, run.updates, [*run.scores]))

        def on_end(self, run):
            seen.append((self.name, "end", run.epoch, run.updates, run.interrupted))

    quietly(model, cut(8, 8, 7), squares, sgd(model), epochs=2, accumulate=2, validation=cut(23),
            metrics={"mae": nn.L1Loss()}, callbacks=[Telling("a"), Telling("b")])  # fmt: skip
    names = ["epoch", "updates", "lr", "train_loss", "loss", "mae"]
    expected = [
        ("start", 0, 0, {}), ("update", 0, 1, 2), ("update", 0, 2, 3), ("epoch", 1, 2, names),
        ("update", 1, 3, 2), ("update", 1, 4, 3), ("epoch", 2, 4, names), ("end", 2, 4, False),
    ]  # fmt: skip
    assert seen == [(name, *event) for event in expected for name in "ab"]


@pytest.mark.parametrize("at", ["update", "epoch"])
def test_a_callback_may_end_the_run(at, tmp_path):
    model = line()

    def stop(run):
        run.stop = run.updates >= 3

    options = {"epochs": 9, "checkpoint": tmp_path / "a", "callbacks": [Calling(**{at: stop})]}
    run = quietly(model, cut(8, 15), squares, sgd(model), **options)
    assert (run.updates, run.epoch, run.interrupted) == (
        (3, 1, False) if at == "update" else (4, 2, False)
    )
    again = quietly(model, cut(8, 15), squares, sgd(model), resume=True, **options)
    assert (again.updates, again.stop) == (run.updates, True)


def test_callbacks_are_told_of_the_end_after_an_error():
    model, ended = line(), []

    class Ending(Callback):
        def on_update(self, run):
            raise ZeroDivisionError

        def on_end(self, run):
            ended.append(run.updates)

    with pytest.raises(ZeroDivisionError):
        quietly(model, cut(23), squares, sgd(model), callbacks=[Ending()])
    assert ended == [1]


def test_a_table_of_scores(tmp_path):
    model, path = line(), tmp_path / "log.csv"
    late = Calling(epoch=lambda run: run.scores.update({"late": 0.1} if run.epoch > 1 else {}))
    options = {
        "validation": cut(23),
        "callbacks": [late, CSVLog(path)],
        "checkpoint": tmp_path / "a",
    }
    quietly(model, cut(8, 15), squares, sgd(model), epochs=3, **options)
    run = quietly(model, cut(8, 15), squares, sgd(model), epochs=5, resume=True, **options)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "updates", "lr", "train_loss", "loss", "late"]
    assert [{k: float(v) for k, v in row.items() if v} for row in rows] == run.history
    assert len(rows) == 5
    with pytest.raises(FileNotFoundError):
        quietly(
            model, cut(23), squares, sgd(model), callbacks=[CSVLog(tmp_path / "no" / "log.csv")]
        )


def test_tensorboard_gets_the_numbers(monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def flush(self):
            pass

        def close(self):
            written.append("closed")

    model = line()
    log = TensorBoard("here")
    monkeypatch.setattr(log, "_make", Writer)
    run = quietly(model, cut(8, 15), squares, sgd(model), callbacks=[log])
    assert written[0] == ("here", None)
    assert [entry[0] for entry in written[1:-1]] == ["update/loss", "update/lr"] * 2 + [
        "epoch/train_loss"
    ]
    assert written[-2:] == [("epoch/train_loss", run.scores["train_loss"], 2), "closed"]


def test_tensorboard_files_are_written(tmp_path):
    model = line()
    quietly(model, cut(8, 15), squares, sgd(model), callbacks=[TensorBoard(tmp_path / "log")])
    (file,) = (tmp_path / "log").iterdir()
    assert b"epoch/train_loss" in file.read_bytes()


@pytest.mark.parametrize("installed", [True, False])
def test_a_line_for_each_epoch(installed, monkeypatch, capsys):
    if not installed:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    model = line()
    fit(
        model,
        cut(23),
        squares,
        sgd(model),
        epochs=2,
        validation=cut(23),
        metrics={"mae": nn.L1Loss()},
    )
    out, err = capsys.readouterr()
    assert err == ""
    for number, shown in enumerate(out.splitlines(), 1):
        assert shown.startswith(f"epoch {number}/2: train_loss ")
        assert ", loss " in shown
        assert ", mae " in shown


# it goes on bit for bit


class Training:
    """A run with everything in it that has a state, built in the same way each time."""

    def __init__(self):
        mg.manual_seed(0)
        self.model = Language(dropout=0.3)
        self.optimizer = nn.optim.Adam(self.model.parameters(), lr=0.02)
        self.scheduler = LinearLR(self.optimizer, 1.0, 0.0, 40)
        codes = RNG_TEXT[:220].reshape(20, 11).T
        self.generator = mg.Generator(3)
        self.rows = batches(list(codes.T), 3, shuffle=mg.Generator(5), bucket=2)
        self.held_out = Streams(RNG_TEXT, 2, 7)

    def go(self, path, stop=None, kind="shuffled", **options):
        """Train for three epochs, pressing Ctrl-C after an update, inside an update, or in scoring."""
        drawn = Calling(
            epoch=lambda run: run.scores.update(drawn=self.generator.uniform(()).item())
        )
        source, carried = (
            (self.rows, False) if kind == "shuffled" else (Streams(RNG_TEXT, 4, 5), True)
        )

        def loss(outputs, target):
            self.seen += 1
            if self.seen == stop:
                signal.raise_signal(signal.SIGINT)
            if kind == "shuffled":
                return nn.SequenceLoss(reduction="sum")(outputs, target), target.lengths.sum()
            return nats(outputs, target)

        self.seen = 0
        model = Shifted(self.model) if kind == "shuffled" else self.model
        return quietly(
            model, source if kind != "shuffled" else Pairs(source), loss, self.optimizer, epochs=3,
            scheduler=self.scheduler, clip_norm=1.0, accumulate=2, carry_state=carried,
            validation=self.held_out if carried else None, callbacks=[drawn], checkpoint=path,
            parts={"generator": self.generator}, patience=9, **options,
        )  # fmt: skip


RNG_TEXT = np.random.default_rng(1).integers(0, 7, 230)


class Shifted(nn.Module):
    """The language model on padded sequences."""

    def __init__(self, model):
        self.inner = model

    def forward(self, text):
        return self.inner(text[0])[0]


class Pairs:
    """Batches of sequences as pairs: the sequence, and itself as the target."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    @property
    def position(self):
        return self.source.position

    def __iter__(self):
        return ((batch, batch) for batch in self.source)

    def state_dict(self):
        return self.source.state_dict()

    def load_state_dict(self, state):
        self.source.load_state_dict(state)


@pytest.fixture(scope="module")
def finished():
    """Return what whole runs left behind, by kind; a cache."""
    return {}


@pytest.fixture
def whole(finished, tmp_path):
    """Return a function that gives the checkpoint of a whole run, and how often it calls the loss."""

    def run(kind):
        if kind not in finished:
            path, training = tmp_path / "whole", Training()
            training.go(path, kind=kind)
            finished[kind] = path.read_bytes(), training.seen
        return finished[kind]

    return run


STOPS = [
    (kind, place)
    for kind in ("shuffled", "streams")
    for place in random.Random(9).sample(range(1000), 5)
]


@pytest.mark.parametrize(("kind", "place"), [*STOPS, ("streams", 0), ("shuffled", 999)])
def test_a_run_that_was_stopped_anywhere_goes_on_bit_for_bit(kind, place, whole, tmp_path):
    expected, calls = whole(kind)
    path, stop = tmp_path / "a", 1 + place * calls // 1000
    stopped = Training().go(path, stop, kind)
    assert stopped.interrupted
    run = Training().go(path, None, kind, resume=True)
    assert not run.interrupted
    assert path.read_bytes() == expected


@pytest.mark.parametrize("kind", ["shuffled", "streams"])
def test_a_run_that_is_stopped_after_each_update_goes_on_bit_for_bit(kind, whole, tmp_path):
    path, runs = tmp_path / "a", 0
    while runs < 30 and Training().go(path, 1, kind, resume=runs > 0).interrupted:
        runs += 1
    assert 12 <= runs < 30
    assert path.read_bytes() == whole(kind)[0]


def test_a_fresh_process_goes_on_bit_for_bit(tmp_path):
    code = (
        "import importlib.util, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "spec = importlib.util.spec_from_file_location('test_fit', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['test_fit'] = module\n"
        "spec.loader.exec_module(module)\n"
    )
    first = (
        "for path, stop in (('whole', None), ('a', 17)):\n    module.Training().go(path, stop)\n"
    )
    again = "module.Training().go('a', resume=True)\n"
    for rest in (first, again):
        subprocess.run([sys.executable, "-c", code + rest, __file__], check=True, cwd=tmp_path)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_second_interrupt_is_raised_and_leaves_the_last_checkpoint(tmp_path):
    training, path = Training(), tmp_path / "a"

    def press(run):
        if run.updates == 17:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    model = training.model
    with pytest.raises(KeyboardInterrupt):
        quietly(model, Streams(RNG_TEXT, 4, 5), nats, training.optimizer, epochs=3, carry_state=True,
                checkpoint=path, callbacks=[Calling(update=press)])  # fmt: skip
    kept = nn.Checkpoint(path).parts["run"]
    assert kept["updates"] == 12
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_finished_run_is_not_trained_again(tmp_path):
    path, model = tmp_path / "a", line()
    options = {"epochs": 5, "checkpoint": path, "validation": cut(23)}
    first = quietly(model, cut(8, 15), nn.MSELoss(), sgd(model), **options)
    written = path.stat().st_mtime_ns
    other = line(seed=1)
    again = quietly(other, cut(8, 15), nn.MSELoss(), sgd(other), resume=True, **options)
    assert (again.history, again.best, again.updates) == (first.history, first.best, first.updates)
    assert other.bias.tolist() == model.bias.tolist()
    assert path.stat().st_mtime_ns == written
    more = quietly(
        other, cut(8, 15), nn.MSELoss(), sgd(other), resume=path, **options | {"epochs": 7}
    )
    assert [row["epoch"] for row in more.history] == [1, 2, 3, 4, 5, 6, 7]


def test_a_run_may_go_on_in_another_file(tmp_path):
    first, second, model = tmp_path / "a", tmp_path / "b", line()
    quietly(model, cut(23), squares, sgd(model), checkpoint=first)
    before = first.read_bytes()
    quietly(model, cut(23), squares, sgd(model), epochs=2, checkpoint=second, resume=first)
    assert first.read_bytes() == before
    assert nn.Checkpoint(second).parts["run"]["epoch"] == 2


# mistakes


def whole_batch():
    return mg.tensor(X), mg.tensor(Y)


def padded():
    return pad_sequence([[1.0, 2.0], [3.0]])


MISTAKES = {
    ArgumentError: [
        ('model="words"', "fit: model is a str"),
        ("optimizer=line()", "fit: optimizer is a minigrad.nn.linear.Linear; give"),
        (
            "scheduler=StepLR(sgd(line()), 3)",
            "the scheduler belongs to another optimizer; make it with this one",
        ),
        ("scheduler=3", "fit: scheduler is a int"),
        ("loss=3", "fit: 'loss' is a int; give a function"),
        ("epochs=0", "fit: epochs must be a positive integer, not 0"),
        ("epochs=2.5", "fit: epochs must be a positive integer, not 2.5"),
        ("accumulate=0", "fit: accumulate must be a positive integer, not 0"),
        ("patience=0", "fit: patience must be a positive integer, not 0"),
        ("clip_norm=0", "fit: clip_norm must be above 0, not 0"),
        ('clip_norm="1"', "fit: clip_norm"),
        ("carry_state=1", "fit: carry_state must be True or False"),
        ("progress=None", "fit: progress must be True or False"),
        ('monitor="accuracy"', "there is no score 'accuracy'; the scores are train_"),
        ('monitor="los"', "there is no score 'los'"),
        ('monitor=""', "monitor must be the name of a score, not ''"),
        ("monitor=3", "monitor must be the name of a score, not 3"),
        ('monitor="no", callbacks=[Calling()]', "there is no score 'no'"),
        ('metrics={"mae": nn.L1Loss()}', "fit: metrics are computed on the valid"),
        ("metrics=[nn.L1Loss()]", "fit: metrics must be a dict"),
        ('metrics={"loss": nn.L1Loss()}', "a metric cannot be called 'loss'"),
        ('metrics={"-f": nn.L1Loss()}', "a metric cannot be called '-f'"),
        ('metrics={"mae": 3}', "'mae' is a int; give a function of outputs and"),
        ("callbacks=[print]", "a callback is a builtin_function_or_method; give"),
        ("callbacks=print", "a callback is a builtin_function_or_method; give"),
        ("callbacks=[Calling]", "a callback is a type; give an object"),
        ("train=[]", "fit: train has no batches; give one or more"),
        ("train=iter([batch])", "train is a list_iterator, which can be read only"),
        ("train=3", "train is a int, which are no batches with a length"),
        ("train=[mg.tensor(X)]", "a batch is a minigrad.tensor.Tensor; it must be"),
        ("train=batch", "a batch is a minigrad.tensor.Tensor; it must be a tuple"),
        ("train=[list(batch)]", "a batch is a list; it must be a tuple"),
        ("train=[batch[:1]]", "a batch is a tuple of 1; it must be a tuple"),
        ("train=[padded()]", "a batch is a single field; it must be a tuple"),
        ("validation=[]", "fit: validation has no batches"),
        ("validation=[mg.tensor(X)]", "evaluate: a batch is a minigrad.tensor.Tensor"),
        ("loss=lambda y, t: (y - t) ** 2", r"returned a tensor of shape \(23, 2\)"),
        ("loss=lambda y, t: None", "the loss returned a NoneType; return a number"),
        ("loss=lambda y, t: (y.sum(), -1)", "the loss returned the pair"),
        ("loss=lambda y, t: (y.sum(), y)", "the loss returned the pair"),
        (
            'train=[(batch[0], "words")], loss=lambda y, t: y.sum()',
            "of how many items it is the mean cannot be told from a target of type str",
        ),
        ("resume=True", "resume=True goes on from a checkpoint; give checkpoint="),
        ('checkpoint="a", parts={"model": line()}', "a part is called 'model', as"),
        ('checkpoint="a", parts={"x": 3}', "a checkpoint cannot hold x, of type"),
        ('resume="other"', "restoring 'other': missing here: mine; not in the file"),
        ('resume="run", parts={"mine": line()}', "not in the file: mine"),
        ('resume="run", train=[batch, batch]', "train: this is not the data that"),
        ('resume="run", train=[(batch[0] + 1, batch[1])]', "train: this is not the"),
        ('resume="run", validation=[batch]', "not in the file: validation; give the parts"),
        ('resume="run", patience=3', "chosen with keep_best=False, and here it is"),
        ('resume="run", monitor="-train_loss"', "chosen with monitor='train_loss'"),
        ('resume="run", model=nn.Linear(3, 4)', "restoring 'run': model: "),
    ],
    GradientError: [
        ("loss=lambda y, t: y.sum().item()", "no gradient flows from the loss at"),
        ("optimizer=sgd(line())", "no gradient has reached any parameter of the optimizer at"),
        ("loss=lambda y, t: y.sum().detach()", "no gradient flows from the loss at"),
    ],
    FileNotFoundError: [
        ('resume="missing"', "No such file"),
        ('checkpoint="missing/a"', "No such file"),
    ],
    FileFormatError: [
        ('resume="words"', "cannot be read"),
        ('resume="weights"', "is no checkpoint of a training run"),
    ],
}


@pytest.mark.parametrize(
    ("error", "changes", "message"),
    [(error, *row) for error, rows in MISTAKES.items() for row in rows],
)
def test_mistakes_are_refused(error, changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words").write_text("words")
    mg.save("weights", line().state_dict())
    nn.save_checkpoint("other", mine=line())
    usual = {"model": line(), "train": [whole_batch()], "loss": nn.MSELoss()}
    quietly(**usual, optimizer=sgd(usual["model"]), checkpoint="run")
    given = (
        usual
        | {"optimizer": sgd(usual["model"])}
        | eval(f"dict({changes})", globals(), {"batch": whole_batch()})
    )
    with pytest.raises(error, match=message):
        quietly(**given)


def test_with_carry_state_the_model_has_to_return_a_state():
    model = Alone()
    with pytest.raises(ArgumentError, match="must return a pair, its outputs and its state, and"):
        quietly(model, cut(23), nn.MSELoss(), sgd(model.inner), carry_state=True)


class Alone(nn.Module):
    def __init__(self):
        self.inner = line()

    def forward(self, x, state=None):
        return self.inner(x)


def test_a_new_run_begins_with_a_whole_epoch():
    streams, model = Streams(TEXT, 3, 4), Language()
    next(iter(streams))
    run = quietly(model, streams, nats, sgd(model), carry_state=True)
    assert run.updates == len(streams) == 5


class Named(NamedTuple):
    h: mg.Tensor


class WithNamedState(Alone):
    def forward(self, x, state=None):
        return self.inner(x), Named(x if state is None else state.h)


def test_a_shuffled_validation_set_is_gone_on_with(tmp_path):
    """Its order changes the last digits of a score."""

    def go(path, stop=None, **options):
        model = line()
        held_out = batches((X, Y), 4, shuffle=mg.Generator(2))

        def press(run):
            if run.updates == stop:
                signal.raise_signal(signal.SIGINT)

        options |= {"epochs": 5, "validation": held_out, "checkpoint": path}
        pressing = Calling(update=press)
        return quietly(model, cut(8, 15), squares, sgd(model), callbacks=[pressing], **options)

    whole = go(tmp_path / "whole")
    go(tmp_path / "a", 5)
    assert go(tmp_path / "a", resume=True).history == whole.history
    assert (tmp_path / "a").read_bytes() == (tmp_path / "whole").read_bytes()
    model, other = line(), cut(7, 16)
    with pytest.raises(ArgumentError, match="validation: this is not the data that the position"):
        quietly(model, cut(8, 15), squares, sgd(model), validation=other, resume=tmp_path / "a")


def test_a_state_that_a_checkpoint_cannot_hold_is_refused_at_once(tmp_path):
    model = WithNamedState()
    options = {"carry_state": True, "epochs": 2}
    assert quietly(model, cut(8, 8), nn.MSELoss(), sgd(model), **options).updates == 4
    with pytest.raises(ArgumentError, match="cannot save a Named; use tensors"):
        quietly(model, cut(8, 8), nn.MSELoss(), sgd(model), checkpoint=tmp_path / "a", **options)
    assert nn.Checkpoint(tmp_path / "a").parts["run"]["updates"] == 0


@pytest.mark.parametrize("score", [np.float32(2.5), 3, True, "words", None, mg.tensor(1.0)])
def test_scores_that_callbacks_add_are_numbers(score):
    model = line()
    adding = Calling(epoch=lambda run: run.scores.update(mine=score))
    options = {"callbacks": [adding], "progress": True}
    if isinstance(score, (np.float32, int)) and score is not True:
        assert quietly(model, cut(23), squares, sgd(model), **options).scores["mine"] == score
        return
    with pytest.raises(ArgumentError, match="the score 'mine' that a callback added is a "):
        quietly(model, cut(23), squares, sgd(model), **options)


def test_batches_in_the_middle_of_an_epoch_are_not_scored():
    streams = Streams(TEXT, 3, 4)
    next(iter(streams))
    with pytest.raises(ArgumentError, match="in the middle of an epoch, at position 1"):
        evaluate(Language(), streams, nats, carry_state=True)


@pytest.mark.parametrize(
    ("clip", "what", "last"),
    [
        (None, "the loss is nan", lambda y: y.sum() * math.nan),
        (None, "the loss is inf", lambda y: mg.abs(y.sum()) * math.inf),
        (1.0, "the norm of the gradients is nan", lambda y: mg.sqrt(mg.abs(y * 0).sum())),
    ],
)
def test_a_run_that_diverges_says_when(clip, what, last):
    model, before, values = line(), [], []

    def loss(outputs, target):
        values.append(None)
        return last(outputs) if len(values) == 3 else nn.MSELoss()(outputs, target)

    noting = Calling(update=lambda run: before.append(model.bias.tolist()))
    options = {"epochs": 2, "clip_norm": clip, "callbacks": [noting]}
    with pytest.raises(GradientError, match=f"fit: {what} at epoch 2, update 3; lower the learn"):
        quietly(model, cut(8, 15), loss, sgd(model), **options)
    assert model.bias.tolist() == before[-1]  # what is not finite never reached the weights


def test_a_score_that_is_nan_cannot_be_monitored():
    with pytest.raises(ArgumentError, match="the monitored score 'score' is nan after epoch 2"):
        scored([1.0, math.nan])
