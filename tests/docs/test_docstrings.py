"""Every public name says what it takes, returns and raises, and shows it by an example that runs.

Public is what the packages of `PACKAGES` hold under a name without an underscore, and the methods of
public classes, likewise. Four rules exempt a name from sections, and no list of names does:

- An error and a property need a sentence only.
- A method without a docstring does what that of its base says.
- A method whose text begins "See `minigrad.sum`." forwards to that function, which tells the rest.
- A method needs no example of its own: that of its class, or of the function, may show it.

What raises nothing of its own has no section Raises.
"""

import builtins
import doctest
import importlib
import inspect
import pydoc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import minigrad
from minigrad import errors, nn, testing
from minigrad.kernels import CellFunction, cell
from minigrad.op import Op

PACKAGES = (
    "minigrad",
    "minigrad.random",
    "minigrad.dtypes",
    "minigrad.errors",
    "minigrad.nn",
    "minigrad.nn.attention",
    "minigrad.nn.decoder",
    "minigrad.nn.decoding",
    "minigrad.nn.cells",
    "minigrad.nn.data",
    "minigrad.nn.decoding",
    "minigrad.nn.init",
    "minigrad.nn.metrics",
    "minigrad.nn.losses",
    "minigrad.nn.optim",
    "minigrad.nn.optim.lr_scheduler",
    "minigrad.nn.text",
    "minigrad.nn.training",
    "minigrad.kernels",
    "minigrad.kernels.certificate",
    "minigrad.testing",
    "minigrad.testing.steps",
    "minigrad.testing.strategies",
)
UNDERLINE = re.compile(r"^([A-Z]\w+)\n-+$", re.MULTILINE)
SHAPE = re.compile(r"\bshapes?\b|\baxes\b|\bscalar\b|\b[Oo]ne element\b|\([^)]*[,*]", re.IGNORECASE)


def names_of(package: Any) -> list[str]:
    return [n for n in getattr(package, "__all__", dir(package)) if n[0] != "_"]


def is_ours(value: Any, package: Any) -> bool:
    """Say whether a package shows ``value`` to its users; a single module shows only its own."""
    if not (
        inspect.isfunction(value) or inspect.isclass(value) or isinstance(value, (Op, CellFunction))
    ):
        return False
    if package is errors and not inspect.isclass(value):  # these functions serve the engine
        return False
    home = "minigrad" if hasattr(package, "__path__") else package.__name__
    return isinstance(value, (Op, CellFunction)) or value.__module__.startswith(home)


def public() -> Iterator[tuple[str, Any]]:
    """Yield (name, function or class) of what is public, each thing once."""
    seen = set()
    for path in PACKAGES:
        package = importlib.import_module(path)
        for name in names_of(package):
            value = getattr(package, name)
            if is_ours(value, package) and id(value) not in seen:
                seen.add(id(value))
                yield f"{path}.{name}".removeprefix("minigrad."), value


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield (name, method or property) of what a class, or a base that is not public, defines."""
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("minigrad") and (base is cls or base not in THINGS.values()):
            for name, value in vars(base).items():
                inner = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
                own = inspect.isfunction(inner) and "." in inner.__qualname__  # no alias
                own = own and not (inner.__doc__ is None and hasattr(super(base, cls), name))
                if name[0] != "_" and (own or isinstance(value, property)):
                    yield name, getattr(cls, name) if inner is not value else value


THINGS = dict(public())
MEMBERS = {
    f"{owner}.{name}": value
    for owner, cls in THINGS.items()
    if inspect.isclass(cls)
    for name, value in members(cls)
}
NAMES = THINGS | MEMBERS


def doc_of(value: Any) -> str:
    return inspect.getdoc(value) or ""


def sections(doc: str) -> dict[str, str]:
    """Split a NumPy-style docstring at its underlined titles; "" is the text before them."""
    parts = UNDERLINE.split(inspect.cleandoc(doc))
    return {"": parts[0].strip()} | dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(section: str) -> Iterator[tuple[str, str, str]]:
    """Yield (names, type, text) of each entry of a section."""
    for block in re.split(r"\n(?=\S)", section.strip("\n")):
        if block.strip():
            head, _, text = block.partition("\n")
            names, _, kind = head.partition(" : ")
            yield names.strip(), kind.strip(), " ".join(text.split())


def parameters(value: Any) -> set[str]:
    """Return the names of what a call takes, without what begins with an underscore."""
    if inspect.isclass(value):
        value = value.__init__
        if not getattr(value, "__module__", "").startswith("minigrad"):  # a base that is not ours
            return set()
    taken = inspect.signature(value).parameters.values()
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    names = {stars.get(p.kind, "") + p.name for p in taken if p.name[0] != "_"}
    return names - {"self", "cls"}


def returns_nothing(value: Any) -> bool:
    return inspect.isclass(value) or inspect.signature(value).return_annotation in (None, "None")


def complaints(value: Any, method: bool = False) -> Iterator[str]:
    """Yield what the docstring of a function, class or method lacks."""
    found = sections(doc_of(value))
    sentence = found[""].partition("\n\n")[0]
    if not re.search(r"[.:]$", sentence):
        yield "begin with a sentence"
    if method and (other := re.match(r"See `minigrad\.(\w+)`\.$", sentence)):
        if other[1] not in THINGS:
            yield f"{other[1]} is no function"
        return
    if isinstance(value, property) or (inspect.isclass(value) and issubclass(value, Exception)):
        return
    told: dict[str, str] = {}
    for names, kind, text in entries(found.get("Parameters", "")):
        told |= dict.fromkeys(names.split(", "), text)
        if not kind or not text or kind.startswith("option"):
            yield f"{names}: give a type and a meaning"
        if "Tensor" in kind.split(" of ")[0] and not SHAPE.search(text + kind):
            yield f"{names}: give the shape"
    if told.keys() != parameters(value):
        yield f"parameters differ from the signature: {sorted(told.keys() ^ parameters(value))}"
    results = [*entries(found.get("Returns", "")), *entries(found.get("Yields", ""))]
    if not results and not returns_nothing(value):
        yield "say what it returns"
    for kind, _, text in results:
        if not text:
            yield f"returns {kind}: give the meaning"
        if "Tensor" in kind and not SHAPE.search(text):
            yield "returns: give the shape"
    for kinds, _, text in entries(found.get("Raises", "")):
        for kind in kinds.split(", "):
            places = (errors, builtins, inspect.getmodule(value), testing)
            error = next((vars(m)[kind] for m in places if kind in vars(m)), None)
            if not (inspect.isclass(error) and issubclass(error, BaseException)):
                yield f"{kind} is no error"
        if not text:
            yield f"{kinds}: say when"
    if not method and ">>> " not in found.get("Examples", ""):
        yield "give an example"


def test_the_public_names_are_found() -> None:
    assert {
        "sum",
        "tensor",
        "nn.Linear",
        "nn.cells.gru",
        "kernels.certificate.certify",
    } <= THINGS.keys()
    assert {"Tensor.backward", "nn.Module.to", "Generator.normal"} <= MEMBERS.keys()


def test_no_two_public_classes_have_one_name() -> None:
    names = [value.__name__ for value in THINGS.values() if inspect.isclass(value)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_takes_returns_and_raises(name: str) -> None:
    found = list(complaints(NAMES[name], method=name in MEMBERS))
    assert found == []


def test_help_shows_the_docstrings_of_ops_and_of_own_cells() -> None:
    @cell(state=("h", "c"), params=lambda inputs, hidden: {"w": (2 * hidden, inputs, 3)})
    def own(x: Any, h: Any, c: Any, *, w: Any) -> Any:
        """A cell."""

    for value, texts in {
        minigrad.gelu: [
            "Gaussian",
            'approximate : {"none", "tanh"}, default \'none\'',
            ">>> mg.gelu",
        ],
        own: ["A cell.", "c : Tensor", "shape (2 * hidden_size, input_size, 3)."],
    }.items():
        shown = pydoc.plaintext.document(value, "name")
        assert [text for text in texts if text not in shown] == []


# errors: each one that a docstring names is raised, by a rule or by a call of wrong_calls.txt

WRONG_CALLS = dict(
    re.findall(
        r"^# (\S+: \w+)\n((?:[^#\n].*\n)+)",
        (Path(__file__).parent / "wrong_calls.txt").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
)
PREPARED = """
import math, sys, types, hypothesis, numpy
from pathlib import Path
from minigrad import kernels, testing
from minigrad.kernels import scan
from minigrad.kernels.certificate import report
from minigrad.testing.strategies import arguments
T, lr = mg.tensor, nn.optim.lr_scheduler
x, v, i = mg.ones((2, 2)), T([1.0, 2.0]), T([[0, 1], [1, 0]])
p, d = nn.Parameter([1.0, 2.0]), T([1.0, 2.0], dtype="float64", requires_grad=True)
y = nn.Parameter(x) * 2.0
g, module, optimizer = mg.Generator(0), nn.Linear(2, 2), nn.optim.SGD([p], lr=1.0)
streams = nn.data.Streams(numpy.arange(9), 2, 3)
scaler = types.SimpleNamespace(fit=len, transform=len, inverse_transform=len)
batches = nn.data.batches([[1, 2], [3]], 1, shuffle=mg.Generator(0))
add = lambda x, h: x + h
wrong = mg.define_op("wrong", lambda m, x: x * x, lambda m, g, y, x: 3 * g * x)
dot = nn.DotAttention(2)
memory = dot.prepare(mg.ones((2, 2, 2)))
attending = nn.Decoder(nn.cells.gru, 2, 2, 2, attention=dot)
tokens = nn.Decoder(nn.cells.gru, 2, 2, 2)
class Average(nn.Cell):
    def step(self, x, h, c): return x + h, c
average = Average(2, 2)
def check(dtype, wrong=0):
    slope = lambda values, cotangents: ((2 + wrong) * values[0] * cotangents[0],)
    point = {"x": numpy.array([1.0, 2.0], dtype)}
    testing.check_adjoint("square", lambda values: (values[0] ** 2,), slope, point)
"""


def raised() -> Iterator[tuple[str, str]]:
    """Yield (name, error) of what docstrings say; what a method inherits once only."""
    seen = set()
    for name, value in NAMES.items():
        doc = doc_of(value)
        if (name.rpartition(".")[2], doc) not in seen:
            seen.add((name.rpartition(".")[2], doc))
            for kinds, _, _ in entries(sections(doc).get("Raises", "")):
                yield from ((name, kind) for kind in kinds.split(", ") if kind != "BackendError")


RAISED = tuple(dict.fromkeys(raised()))


def call_wrongly(value: Any, error: str) -> Any:
    """Break the rule that the docstrings of ops and cells are written by."""
    x = minigrad.ones((3, 2))
    if isinstance(value, CellFunction):
        states = [x] * (len(value.inputs) + len(value.states))
        return value(*states, **dict.fromkeys(value.parameters, minigrad.ones((1, 5))))
    if error == "TypeError":
        needed = {name: 1 for name in value.attributes if name not in value.defaults}
        return value(["words"]) if value.variadic else value(*["words"] * value.arity, **needed)
    if not getattr(value, "elementwise", False):
        return value(x, axis=5)
    if error == "ShapeError":
        return value(*[minigrad.ones(n, dtype="int64") for n in (2, 3, 2)[: value.arity]])
    return [value(*[minigrad.ones(2, dtype=d)] * value.arity) for d in ("bool", "float32")]


@pytest.mark.parametrize(("name", "error"), RAISED)
def test_errors_are_raised(
    name: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minigrad.op.OPS", dict(minigrad.OPS))
    names = {"mg": minigrad, "nn": nn, "monkeypatch": monkeypatch}
    exec(compile(PREPARED, "prepared", "exec"), names)
    monkeypatch.setattr("minigrad.kernels.runtime.switch.switch.is_off", True)
    code = WRONG_CALLS.get(f"{name}: {error}")
    assert code or name in THINGS, "add a call that raises it to wrong_calls.txt"
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        exec(code, names) if code else call_wrongly(THINGS[name], error)
    kinds = type(caught.value).__mro__ if error != "TypeError" else [type(caught.value)]
    assert error in [kind.__name__ for kind in kinds], caught.value


DTYPES = "bool int8 int64 uint8 uint64 float16 float32 float64".split()


BY_RULE = [
    name
    for name, op in THINGS.items()
    if isinstance(op, Op) and (op.elementwise or "keepdims" in op.attributes)
]


def dtypes_told(returns: str, given: str) -> list[str]:
    """Return which dtypes the section Returns says the result has, for arguments of a dtype."""
    for dtype in ("bool", "int64"):
        if f"and {dtype}" in returns:
            return [dtype]
    if "float" not in given:
        if "of integers the default dtype" in returns:
            return ["float32"]
        if "of integers int64 or uint64" in returns:
            return ["int64", "uint64"]
    return [given] if given != "bool" else DTYPES


@pytest.mark.parametrize("name", BY_RULE)
def test_ops_return_and_refuse_what_the_rules_for_docstrings_say(name: str) -> None:
    op, told = THINGS[name], sections(doc_of(THINGS[name]))
    refused = set()
    for dtype in DTYPES:
        arrays = [minigrad.ones(2, dtype=dtype), minigrad.ones((3, 1), dtype=dtype)]
        try:
            y = op(*[arrays[i % 2] for i in range(op.arity)])
        except errors.DtypeError:
            refused.add(dtype)
            continue
        assert y.shape == (() if not op.elementwise else (2,) if op.arity == 1 else (3, 2))
        assert str(y.dtype) in dtypes_told(" ".join(told["Returns"].split()), dtype), dtype
    claims = re.findall(r"^\w+", told.get("Raises", ""), re.MULTILINE)
    assert bool(refused) == ("DtypeError" in claims)
    assert (op.arity > 1 or "axis" in op.attributes) == ("ShapeError" in claims)


def test_wrong_calls_are_of_errors_that_are_told() -> None:
    assert WRONG_CALLS.keys() - {f"{name}: {error}" for name, error in RAISED} == set()


@pytest.mark.parametrize("name", [n for n, value in NAMES.items() if ">>> " in doc_of(value)])
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minigrad.kernels.runtime.switch.switch.is_off", True)
    monkeypatch.setattr("minigrad.op.OPS", dict(minigrad.OPS))
    test = doctest.DocTestParser().get_doctest(
        doc_of(NAMES[name]), {"mg": minigrad, "nn": nn}, name, None, 0
    )
    report: list[str] = []
    doctest.DocTestRunner(
        optionflags=doctest.NORMALIZE_WHITESPACE
        | doctest.ELLIPSIS
        | doctest.IGNORE_EXCEPTION_DETAIL
    ).run(test, out=report.append)
    assert not report, "".join(report)
