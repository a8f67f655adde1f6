"""Run on the stand-in for CuPy what the library has; print each kind of call that was made, as JSON.

A call is [name, arguments, keywords, dtype of the result], and an argument is {"array": dtype},
{"number": type} or {"other": type}, of which a sequence of arrays is {"arrays": dtypes}.
"""

import functools
import json
import os
import tempfile
import types
import warnings

import cupy
import hypothesis
import numpy

made, inside = set(), []


def dtype_of(value):
    content = value._a if isinstance(value, cupy.ndarray) else value
    return getattr(getattr(content, "dtype", None), "char", None)


def described(value):
    if isinstance(value, cupy.ndarray | numpy.generic):
        return {"array": dtype_of(value)}
    if isinstance(value, bool | int | float):
        return {"number": type(value).__name__}
    if isinstance(value, list | tuple) and value and all(map(dtype_of, value)):
        return {"arrays": "".join(map(dtype_of, value))}
    return {"other": type(value).__name__}


def recorded(name, function):
    @functools.wraps(function)
    def run(*args, **kwargs):
        inside.append(name)
        try:
            result = function(*args, **kwargs)
        finally:
            inside.pop()
        if not inside:  # calls of the stand-in itself are not the library's
            given = [described(a) for a in args], {k: described(v) for k, v in kwargs.items()}
            made.add(json.dumps([name, *given, dtype_of(result)], sort_keys=True))
        return result

    return run


def looked_up(name, by=cupy.__getattr__):
    found = by(name)
    return recorded(name, found) if isinstance(found, types.FunctionType) else found


for name, found in list(vars(cupy).items()):
    if isinstance(found, types.FunctionType) and not name.startswith("_"):
        setattr(cupy, name, recorded(name, found))
cupy.__getattr__ = looked_up
for name, found in list(vars(cupy.ndarray).items()):
    if name.startswith("_") and not name.startswith("__"):
        continue
    if isinstance(found, types.FunctionType) and name not in ("__init__", "__array__"):
        setattr(cupy.ndarray, name, recorded(f"ndarray.{name}", found))
    elif isinstance(found, property):
        setattr(cupy.ndarray, name, property(recorded(f"ndarray.{name}", found.fget)))

import minigrad as mg  # noqa: E402
from minigrad import nn  # noqa: E402
from minigrad.testing.routes import call, listed  # noqa: E402
from minigrad.testing.strategies import arguments  # noqa: E402

settings = hypothesis.settings(
    max_examples=4, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip


def ops():
    """Run every op, forwards and backwards, in all precisions."""
    for row in (*mg.OPS.values(), *mg.COMPOSITES.values()):
        if row.name != "transfer":  # it names a device itself
            settings(hypothesis.given(arguments(row))(differentiates(row)))()


def differentiates(row):
    return lambda case: differentiated(row, *case)


def differentiated(row, args, attrs):
    for dtype in ("float64", "float32", "float16"):

        def place(a, dtype=dtype):
            if isinstance(a, list | tuple) and any(isinstance(i, numpy.ndarray) for i in a):
                return [place(i) for i in a]
            if not isinstance(a, numpy.ndarray):
                return a
            floats = a.dtype.kind == "f"
            return mg.tensor(a.astype(dtype) if floats else a, requires_grad=floats)

        given = [place(a) for a in args]
        outs = [o for o in listed(call(row, given, attrs)) if o.requires_grad]
        leaves = [t for a in given for t in (a if isinstance(a, list) else [a])]
        leaves = [t for t in leaves if getattr(t, "requires_grad", False)]
        if outs:
            mg.grad(outs, leaves, [mg.ones_like(o) for o in outs], allow_unused=True)


def trained(layer, x, **options):
    x = x.detach().requires_grad_()
    outputs, _ = layer(x, **options)
    mg.sum(outputs * outputs).backward()
    with mg.no_grad():
        layer(x, **options)


def recurrent_layers():
    flags = numpy.arange(21).reshape(7, 3) % 3 > 0
    for dtype in ("float16", "float32", "float64"):
        x = mg.randn(7, 3, 6, dtype=dtype)
        for make in (nn.LSTM, nn.GRU, nn.RNN):
            trained(make(6, 5, dtype=dtype), x)
            trained(make(6, 5, dtype=dtype, num_layers=2, bidirectional=True, dropout=0.5), x)
            trained(make(6, 5, dtype=dtype, batch_first=True), x)
            layer = make(6, 5, dtype=dtype)
            trained(layer, x, lengths=[7, 0, 4])
            trained(layer, x, mask=flags, reset=~flags)
            trained(layer, x, checkpoint_every=3)
            layer.step(x[0])
        for cell in nn.cells.CELLS.values():
            trained(nn.Recurrent(cell, 6, 5, dtype=dtype), x, lengths=[2, 7, 3])
    cell = nn.GRUCell(6, 5)
    mg.sum(cell(mg.randn(3, 6), cell(mg.randn(3, 6)))).backward()


def training():
    codes = mg.tensor([[1, 2, 1], [0, 3, 4]])
    for optimiser in (
        nn.optim.SGD,
        nn.optim.Adam,
        nn.optim.AdamW,
        nn.optim.RMSprop,
        nn.optim.Adagrad,
    ):
        for dtype in ("float16", "float32"):
            model = nn.Sequential(
                nn.Embedding(5, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.PReLU(), nn.GELU(),
                nn.Dropout(0.5), nn.Linear(8, 5), nn.Flatten(0, 1),
            ).to(dtype)  # fmt: skip
            options = {"momentum": 0.9} if optimiser in (nn.optim.SGD, nn.optim.RMSprop) else {}
            update = optimiser(model.parameters(), lr=0.1, weight_decay=0.01, **options)
            for _ in range(2):
                update.zero_grad()
                nn.CrossEntropyLoss(label_smoothing=0.1)(model(codes), codes.reshape(-1)).backward()
                nn.clip_grad_norm_(model.parameters(), 1.0)
                nn.clip_grad_value_(model.parameters(), 0.5)
                update.step()
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "state.safetensors")
                mg.save(path, {"model": model.state_dict(), "update": update.state_dict()})
                kept = mg.load(path, "cuda")
            model.load_state_dict(kept["model"])
            update.load_state_dict(kept["update"])
    x, y = mg.randn(4, 3, requires_grad=True), mg.rand(4, 3)
    for loss in (nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss, nn.BCEWithLogitsLoss):
        loss()(x, y).backward()
    for loss in (nn.BCELoss(), nn.KLDivLoss(), nn.CosineSimilarity()):
        mg.sum(loss(mg.sigmoid(x), y)).backward()
    image = mg.randn(2, 3, 8, 8, requires_grad=True)
    for layer in (
        nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2, padding=1), nn.AvgPool2d(2),
        nn.ConvTranspose2d(3, 4, 3, 2, 1), nn.AdaptiveAvgPool2d(3), nn.GroupNorm(1, 3),
        nn.BatchNorm2d(3), nn.BatchNorm2d(3, momentum=None), nn.BatchNorm2d(3).eval(),
    ):  # fmt: skip
        mg.sum(layer(image)).backward()
    (first,) = mg.grad(mg.sum(mg.tanh(x) ** 3), [x], create_graph=True)
    mg.sum(first * first).backward()
    mg.checkpoint(lambda x: mg.sum(mg.exp(x)), x).backward()
    with mg.anomaly():
        mg.sum(x * x).backward()
    x.data[0] = 1.0
    x.data[mg.tensor([1, 2])] = mg.zeros((2, 3))
    mg.hvp(lambda x: mg.sum(x**3), (x.detach(),), (mg.ones_like(x),))
    repr(x), x.tolist(), mg.from_dlpack(x.detach()), x.detach().to("cuda:1").cuda(0).cpu()


with warnings.catch_warnings(), mg.use_backend("cupy"):
    warnings.simplefilter("ignore")
    for part in (ops, recurrent_layers, training):
        part()
attributes = [name for name in vars(cupy.array([1.0])) if not name.startswith("_")]
made |= {json.dumps([f"ndarray.{name}", [], {}, None]) for name in attributes}
print(*sorted(made), sep="\n")
