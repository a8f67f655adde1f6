"""Sizes and options of layers, optimisers and schedules may be NumPy's scalars; Python's are kept."""

import json

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernels, nn
from minigrad.errors import ArgumentError
from minigrad.nn import optim
from minigrad.nn.optim import lr_scheduler as schedules

INT, FLOAT = np.int64, np.float32


class Even:
    """A model that finds three tokens equally likely."""

    def step(self, tokens, state):
        return mg.ones((len(tokens), 3)), None


def generated(i, f):
    return list(
        nn.decoding.generate(
            Even(), [0], length=i(4), eos=i(2), temperature=f(0.5), top_k=i(2), top_p=f(0.5),
            generator=mg.Generator(i(3)),
        )
    )  # fmt: skip


def scanned(i, f):
    return kernels.scan(
        lambda x, h: x + h,
        mg.ones((4, 1, 2)),
        mg.ones((1, 2)),
        checkpoint_every=i(2),
        compile="never",
    )[0].tolist()


def trained(i, f, make=lambda p, i, f: optim.SGD(p, lr=f(0.5), momentum=f(0.25)), schedule=None):
    p = mg.ones(1, requires_grad=True)
    optimizer = make([p], i, f)
    scheduler = schedule and schedule(optimizer, i, f)
    for _ in range(3):
        optimizer.zero_grad()
        (p * p).sum().backward()
        nn.clip_grad_norm_([p], f(0.5))
        optimizer.step()
        if scheduler:
            scheduler.step(*[1.0] * isinstance(scheduler, schedules.ReduceLROnPlateau))
    state = scheduler.state_dict() if scheduler else optimizer.state_dict()["param_groups"]
    return p.tolist(), json.dumps(state, sort_keys=True)  # JSON takes Python's numbers alone


SCHEDULES = {
    "StepLR": lambda o, i, f: schedules.StepLR(o, i(2), f(0.5)),
    "MultiStepLR": lambda o, i, f: schedules.MultiStepLR(o, [i(1), i(2)], f(0.5)),
    "ExponentialLR": lambda o, i, f: schedules.ExponentialLR(o, f(0.5)),
    "ConstantLR": lambda o, i, f: schedules.ConstantLR(o, f(0.5), i(2)),
    "LinearLR": lambda o, i, f: schedules.LinearLR(o, f(0.5), f(1.0), i(2)),
    "CosineAnnealingLR": lambda o, i, f: schedules.CosineAnnealingLR(o, i(4), f(0.25)),
    "CosineAnnealingWarmRestarts": lambda o, i, f: schedules.CosineAnnealingWarmRestarts(o, i(2), i(2)),
    "OneCycleLR": lambda o, i, f: schedules.OneCycleLR(o, f(0.5), epochs=i(2), steps_per_epoch=i(2)),
    "ReduceLROnPlateau": lambda o, i, f: schedules.ReduceLROnPlateau(o, patience=i(1), min_lr=f(0.5)),
    "SequentialLR": lambda o, i, f: schedules.SequentialLR(
        o, [schedules.StepLR(o, i(2)), schedules.ExponentialLR(o, f(0.5))], [i(2)]
    ),
}  # fmt: skip


def scheduled(schedule):
    return lambda i, f: trained(i, f, schedule=schedule)


CALLS = {
    "Linear": lambda i, f: repr(nn.Linear(i(2), i(3))),
    "Embedding": lambda i, f: repr(nn.Embedding(i(5), i(2), padding_idx=i(-1))),
    "Dropout": lambda i, f: repr(nn.Dropout(f(0.25))),
    "LayerNorm": lambda i, f: repr(nn.LayerNorm((i(2), i(3)), eps=f(0.5))),
    "PReLU": lambda i, f: repr(nn.PReLU(i(2))),
    "Conv1d": lambda i, f: repr(nn.Conv1d(i(2), i(4), i(3), stride=i(2), groups=i(2))),
    "MaxPool2d": lambda i, f: nn.MaxPool2d((i(2), i(1)))(mg.ones((1, 4, 4))).tolist(),
    "Unflatten": lambda i, f: nn.Unflatten(i(1), (i(2), i(-1)))(mg.ones((1, 4))).tolist(),
    "LSTM": lambda i, f: repr(nn.LSTM(i(2), i(3), i(2), proj_size=i(2), dropout=f(0.25))),
    "GRU": lambda i, f: nn.GRU(i(2), i(3))(mg.ones((2, 1, 2)))[0].tolist(),
    "GRUCell": lambda i, f: repr(nn.GRUCell(i(2), i(3))),
    "generate": generated,
    "beam_search": lambda i, f: nn.decoding.beam_search(
        Even(), [0], beams=i(3), length=i(2), eos=i(1), n_best=i(2), length_penalty=f(0.5)
    ),
    "Decoder": lambda i, f: nn.Decoder(nn.cells.gru, i(2), i(3), i(4), sampling=f(0.5)).sampling,
    "scan": scanned,
    "Streams": lambda i, f: nn.data.Streams(np.arange(9), i(2), i(3)).inputs.tolist(),
    "SGD": trained,
    "Adam": lambda i, f: trained(
        i, f, lambda p, i, f: optim.Adam(p, lr=f(0.5), betas=(f(0.5), f(0.75)), amsgrad=np.bool_(i(1)))
    ),
    **{name: scheduled(schedule) for name, schedule in SCHEDULES.items()},
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_numpys_scalars_do_as_pythons(name):
    found = []
    for i, f in [(int, float), (INT, FLOAT), (np.array, np.array)]:
        mg.manual_seed(0)
        found.append(CALLS[name](i, f))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Linear(True, 2), "Linear: in_features must be a positive integer, not True"),
        (lambda: nn.Linear(2, 1.5), "out_features must be a positive integer, not 1.5"),
        (lambda: nn.Dropout("0.5"), "must lie between 0 and 1, not '0.5'"),
        (lambda: nn.Dropout(True), "must lie between 0 and 1, not True"),
        (lambda: nn.LayerNorm(2, eps=-1), "LayerNorm: eps must be a number, 0 or more, not -1"),
        (lambda: nn.LSTM(2, 3, proj_size=1.0), "proj_size must be a non-negative integer, not 1.0"),
        (lambda: nn.Embedding(2, 2, padding_idx=True), "padding_idx is True, but there are 2 rows"),
        (lambda: nn.clip_grad_norm_([], "1"), "max_norm must be a number, 0 or more, not '1'"),
        (lambda: nn.Linear(1, 1).train("x"), "train: mode must be True or False, not 'x'"),
        (lambda: kernels.certify(nn.cells.gru, cases=1.5), "cases must be a non-negative integer"),
        (lambda: nn.decoding.generate(Even(), [0], length=4.0), "generate: length must be a non-neg"),
        (lambda: scanned(float, float), "checkpoint_every must be a positive integer, not 2.0"),
    ],
)  # fmt: skip
def test_what_is_neither_is_refused(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
