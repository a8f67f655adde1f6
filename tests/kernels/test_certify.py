"""What certify finds: nothing in our own cells, and what is planted in others, made small."""

import subprocess
import sys

import hypothesis
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, TraceError
from minigrad.kernels import Case, CertificateError, cell, certify, scan
from minigrad.kernels.certificate import run
from minigrad.kernels.certificate.compare import Violation, compare
from minigrad.kernels.runtime.switch import switch
from minigrad.nn.cells import CELLS
from minigrad.op import OPS, Domain, Op

TENSORS, GRADIENTS, COMPLEX, CAUSAL, CHUNKS, ROWS, SINGLE = range(7)
CASES = max(2, hypothesis.settings().max_examples // 5)


@pytest.mark.full(but=["mingru"])
@pytest.mark.parametrize("name", CELLS)
def test_our_cells(name):
    # the sizes of tests/nn/test_cell_table.py, so that programs are compiled once
    certificate = certify(CELLS[name], 6, 3, cases=CASES)
    certificate.check()
    assert not certificate.subject.refusal
    assert {f.skipped for f in certificate.findings if not f.cases} <= {
        "not analytic: relu", "not analytic: softplus",
    }  # fmt: skip


# a cell that is not compiled, which saves time: its running sum depends on the state


def shapes(input_size, hidden_size):
    return {"w": (input_size, hidden_size), "u": (hidden_size,)}


@cell(state="h", params=shapes)
def running(x, h, *, w, u):
    return mg.tanh(mg.cumulative_sum(x @ w + u * h, axis=-1))


def failing(certificate):
    """Return the numbers of the properties that fail."""
    return {i for i, found in enumerate(certificate.findings) if found.failure}


def test_the_report():
    certificate = certify(running, cases=8)
    assert certificate
    certificate.check()
    lines = str(certificate).splitlines()
    assert lines[0] == (
        "certify(running, input_size=3, hidden_size=19): interpreted, because cumulative_sum has no "
        f"place in a compiled loop, at test_certify.py:{running.step.__code__.co_firstlineno + 2}: "
        "return mg.tanh(mg.cumulative_sum(x @ w + u * h, axis=-1))"
    )
    assert len(lines) == 8
    assert lines[1 + TENSORS].split("  ")[1] == "the loop is the step, run on tensors"
    assert lines[1 + CAUSAL].endswith(" cases   exact")
    for finding in certificate.findings:
        assert 5 <= finding.cases <= 8
        assert finding.largest < 1e-6
    assert certificate.findings[SINGLE].largest > 1e-9


def test_a_layer_is_certified_by_its_cell():
    layer = nn.Recurrent(running, 2, 4)
    text = str(certify(layer, cases=1))
    assert text.startswith("certify(running, input_size=2, hidden_size=4): interpreted")


def cubic(slope):
    return Op(
        "cubic", lambda m, x: x * x * x, (lambda m, g, y, x: g * slope * x * x,),
        domain=Domain(sharp="complex"), elementwise=True,
    )  # fmt: skip


@pytest.mark.parametrize(("slope", "broken"), [(3, set()), (3.001, {GRADIENTS, COMPLEX})])
def test_a_wrong_adjoint_is_found_in_the_smallest_loop(monkeypatch, slope, broken):
    op = cubic(slope)
    monkeypatch.setitem(OPS, "cubic", op)

    @cell(state=("h", "c"), params=shapes)
    def planted(x, h, c, *, w, u):
        return mg.tanh(mg.cumulative_sum(x @ w + h, axis=-1)) + c, op(c) * u

    certificate = certify(planted, cases=6)
    assert failing(certificate) == broken
    if broken:
        failure = certificate.findings[COMPLEX].failure
        assert failure.subject.sizes == (1, 1)
        assert failure.case == Case(1, 1)
        assert "argument c, element (0, 0): the rule gives" in failure.text
        # the line that the report ends with shows it again
        line = str(failure).splitlines()[-1].strip()
        assert (
            line == "certify(planted, input_size=1, hidden_size=1, cases=[Case(steps=1, rows=1)])"
        )
        again = eval(line, {"certify": certify, "Case": Case, "planted": planted})
        assert failing(again) == broken
        assert failure.text.splitlines()[0] in str(again)
        with pytest.raises(CertificateError) as raised:
            certificate.check()
        assert str(raised.value) == str(certificate)


# a loop that is wrong: scan is replaced by one that changes something


def doubled(call, outputs, final):
    return (outputs, final) if call["compile"] == "never" else (outputs * 1.0001, final)


def worse_without_gradients(call, outputs, final):
    return (outputs, final) if outputs.requires_grad else (outputs + 0.01, final)


def from_the_future(call, outputs, final):
    ahead = mg.flip(call["xs"][0][..., :1], axis=0)
    return outputs + 0.1 * ahead, final


def gradient_to_the_future(call, outputs, final):
    ahead = mg.flip(call["xs"][0][..., :1], axis=0)
    return outputs + 0.1 * (ahead - ahead.detach()), final


def counted(call, outputs, final):
    return outputs + 0.001 * len(outputs), final


def counted_in_gradients(call, outputs, final):
    total = mg.sum(call["params"]["u"])
    return outputs + 0.001 * len(outputs) * (total - total.detach()), final


def rows_counted(call, outputs, final):
    return outputs + 0.001 * outputs.shape[1], final


def mixed(call, outputs, final):
    return outputs + mg.mean(call["xs"][0][..., :1], axis=1, keepdims=True), final


def leaking(call, outputs, final):
    return outputs + 0.0 * call["xs"][0][..., :1], final


def rough(call, outputs, final):
    return (outputs + 1e-4, final) if outputs.dtype == "float32" else (outputs, final)


def widened(call, outputs, final):
    return outputs.astype("float64"), final


def forgetful(call, outputs, final):
    """Give initial states too much of a gradient where there are resets."""
    (h,) = call["state"]
    known = call["compile"] != "never" and "reset" in call and call["reset"].any()
    return outputs, ((final[0] + h - h.detach(),) if known else final)


ALWAYS = {"steps": 1, "rows": 1}
WRONG = {
    doubled: ({TENSORS}, TENSORS, ALWAYS, "in the loop, .* on tensors"),
    worse_without_gradients: ({TENSORS}, TENSORS, ALWAYS, "in the loop without gradients, "),
    from_the_future: ({GRADIENTS, COMPLEX, CAUSAL, CHUNKS}, CAUSAL, {"steps": 2, "rows": 1},
                      "outputs, element .* after a change of later inputs"),
    gradient_to_the_future: ({GRADIENTS, COMPLEX, CAUSAL, CHUNKS}, CAUSAL, {"steps": 2, "rows": 1},
                             "gradient of x, element .* at a later step"),
    counted: ({CHUNKS}, CHUNKS, {"steps": 2, "rows": 1}, "in chunks, .* at once"),
    counted_in_gradients: ({GRADIENTS, COMPLEX, CHUNKS}, CHUNKS, {"steps": 2, "rows": 1},
                           "gradient of u, element .* in chunks"),
    rows_counted: ({ROWS}, ROWS, {"steps": 1, "rows": 2}, "outputs, .* alone, .* in the batch"),
    mixed: ({GRADIENTS, COMPLEX, ROWS}, ROWS, {"steps": 1, "rows": 2}, "a change of other rows"),
    leaking: ({ROWS}, ROWS, None, "outputs, element .*: nan with NaN in the padding"),
    rough: ({SINGLE}, SINGLE, ALWAYS, "in float32, .* in float64"),
    widened: ({SINGLE}, SINGLE, {"steps": 0, "rows": 0}, "outputs is of dtype float64 in a loop of"),
    forgetful: ({TENSORS}, TENSORS, {"steps": 1, "rows": 1, "reset": True},
                "gradient of h, element"),
}  # fmt: skip


@pytest.mark.full(but=["doubled", "worse_without_gradients", "leaking"])
@pytest.mark.parametrize("change", WRONG, ids=lambda change: change.__name__)
def test_a_wrong_loop_is_found(monkeypatch, change):
    def changed_scan(step, xs, state, params, **options):
        outputs, final = scan(step, xs, state, params, **options)
        return change({"xs": xs, "state": state, "params": params, **options}, outputs, final)

    monkeypatch.setattr(run, "scan", changed_scan)
    broken, sharpest, smallest, text = WRONG[change]
    certificate = certify(running, cases=12)
    assert broken <= failing(certificate)
    failure = certificate.findings[sharpest].failure
    assert failure.subject.sizes == (1, 1)
    if smallest is not None:
        assert failure.case == Case(**smallest, seed=failure.case.seed)
    with pytest.raises(CertificateError, match=f"FAILS\n    .*{text}"):
        certificate.check()
    # the rules of operations are not blamed for a loop that is not the step
    blamed = [certificate.findings[i] for i in (GRADIENTS, COMPLEX)]
    unchecked = all(f.skipped == "the loop is not the step" and not f.cases for f in blamed)
    assert unchecked == (TENSORS in failing(certificate))


def test_where_gradients_end_differences_say_nothing(interpreted):
    @cell(state="h", params=shapes)
    def cut(x, h, *, w, u):
        return mg.tanh(x @ w + u * h.detach())

    certificate = certify(cut, 3, 4, cases=4)
    certificate.check()
    blamed = [certificate.findings[i].skipped for i in (GRADIENTS, COMPLEX)]
    assert blamed == ["gradients end at detach()"] * 2


@pytest.mark.parametrize(
    ("found", "expected", "same"),
    [
        ([1.0, 1e-7], [1.0, 1.5e-7], False),  # small beside large ones
        ([3e-10], [2e-10], False),  # small by itself
        ([3e-15], [0.0], True),  # what numbers of size 1 leave when they cancel out
        ([np.nan], [1.0], False),
        ([1.0], [np.nan], False),
        ([np.inf], [-np.inf], False),
        ([1.0, 2.0], [np.inf, 2.0], False),
        ([np.nan, np.inf], [np.nan, np.inf], True),
        ([1.0, np.inf], [1.0 + 1e-12, np.inf], True),
    ],
)
def test_results_are_compared_each_on_its_own_scale(found, expected, same):
    results = {"one": np.array(found)}, {"one": np.array(expected), "other": np.ones(2)}
    if same:
        compare(*results, 1e-9, "here", "there", 1e-14)
    else:
        with pytest.raises(Violation, match="one, element"):
            compare(*results, 1e-9, "here", "there", 1e-14)


def test_with_the_compiler_off_the_interpreted_loop_is_judged(monkeypatch):
    monkeypatch.setattr(switch, "is_off", True)
    monkeypatch.setattr(switch, "reason", "MINIGRAD_COMPILE=0")
    certificate = certify(nn.cells.gru, 3, 4, cases=2)
    assert certificate
    line = str(certificate).splitlines()[0]
    assert line.endswith("interpreted, because the compiler is switched off (MINIGRAD_COMPILE=0)")


# what is not checked, and what may be given


def test_kinks_everywhere_are_told():
    @cell(state="h", params=shapes)
    def jagged(x, h, *, w, u):
        return mg.abs(mg.sin(1e9 * h)) * u + 0.1 * running(x, h, w=w, u=u)

    findings = certify(jagged, cases=3).findings
    assert findings[GRADIENTS].skipped == "all values lie on kinks"
    assert str(findings[COMPLEX]).endswith("not checked (not analytic: abs)")
    assert findings[GRADIENTS].failure is None


def test_a_cell_that_needs_an_even_size_is_made_small_in_even_steps(monkeypatch):
    def even(input_size, hidden_size):
        if hidden_size % 2:
            raise ArgumentError("even: hidden_size must be even")
        return shapes(input_size, hidden_size)

    op = cubic(2)
    monkeypatch.setitem(OPS, "cubic", op)

    @cell(state="h", params=even)
    def halves(x, h, *, w, u):
        a, b = mg.split(running(x, h, w=w, u=u), 2)
        return mg.concat([op(b), a], axis=-1)

    failure = certify(halves, 3, 8, cases=2).findings[GRADIENTS].failure
    assert failure.subject.sizes == (1, 2)
    with pytest.raises(ArgumentError, match="must be even"):
        certify(halves)


def test_a_step_is_certified_by_examples_of_its_arguments():
    def words(word, weight, h, seen, *, table, gain):
        row = mg.embedding(word, table) * weight
        return mg.tanh(mg.cumulative_sum(row + mg.log(gain) * h, axis=-1)), seen + (word > 1)[
            :, None
        ]

    given = {
        "xs": (mg.tensor([[0, 1], [4, 2]]), mg.ones((2, 2, 1))),
        "state": (mg.zeros((2, 3)), mg.zeros((2, 1))),
        "params": {"table": mg.rand(5, 3), "gain": mg.tensor([0.5, 2.0, 3.0])},
    }
    certificate = certify(words, **given, cases=8)
    certificate.check()
    assert certificate.findings[COMPLEX].largest < 1e-12
    assert str(certificate).startswith("certify(words, xs=xs, state=state, params=params): ")
    sources = {**certificate.subject.inputs, **certificate.subject.parameters}
    assert sorted(np.unique(sources["word"].choices)) == [0, 1, 2, 4]
    assert (sources["gain"].low, sources["gain"].high) == (0.5, 3.0)
    assert (sources["weight"].low, sources["weight"].high) == (0.0, 2.0)


def test_the_first_values_that_a_cell_gives_say_where_its_parameters_lie():
    def params(input_size, hidden_size):
        return {**shapes(input_size, hidden_size), "u": mg.linspace(0.5, 0.9, hidden_size)}

    @cell(state="h", params=params)
    def rooted(x, h, *, w, u):
        return running(x, h, w=w, u=mg.log(u))  # is not a number for negative ones

    certificate = certify(rooted, cases=3)
    certificate.check()
    assert certificate.findings[GRADIENTS].cases == 3


def test_the_same_seed_gives_the_same_cases():
    for count in (1, 7):  # the first ones are always of the same sizes
        texts = [str(certify(running, cases=count, seed=seed)) for seed in (1, 1, 2)]
        assert texts[0] == texts[1] != texts[2]
    one = certify(running, cases=[Case(2, 2, mask=True)])
    assert all(finding.cases == 1 for finding in one.findings)


def test_a_case_reads_as_it_is_written():
    case = Case(3, 1, lengths=True, reverse=True, seed=4)
    assert repr(case) == "Case(steps=3, rows=1, lengths=True, reverse=True, seed=4)"
    assert eval(repr(case), {"Case": Case}) == case
    assert repr(Case(0, 0)) == "Case(steps=0, rows=0)"


def test_a_step_that_mixes_rows_is_refused():
    with pytest.raises(TraceError, match="it mixes rows of the batch"):
        certify(lambda x, h: h + mg.sum(x, axis=0), xs=mg.ones((1, 2, 3)), state=mg.ones((2, 3)))


X, H = mg.ones((2, 2, 3)), mg.ones((2, 3))
MISTAKES = {
    "a Linear is neither a cell nor a recurrent layer": lambda: certify(nn.Linear(2, 3)),
    "make a cell with @cell": lambda: certify(lambda x, h: h),
    "a Recurrent brings its sizes": lambda: certify(nn.Recurrent(running, 2, 3), 4),
    "given twice, by sizes or options and": lambda: certify(running, 4, xs=X, state=H),
    "a int is no step": lambda: certify(3, xs=X, state=H),
    "xs must be given as for scan, .* found shape": lambda: certify(running, xs=mg.ones(3), state=H),
    "state must be given as for scan, .* found NoneType": lambda: certify(running, xs=X),
    "cases must be a number or a list of": lambda: certify(running, cases=[3]),
    "does not say what its parameters look like": lambda: certify(cell(state="h")(lambda x, h: h)),
}  # fmt: skip


@pytest.mark.parametrize("text", MISTAKES)
def test_wrong_arguments(text):
    with pytest.raises(ArgumentError, match=text):
        MISTAKES[text]()


def test_it_is_loaded_when_it_is_asked_for():
    code = """
import sys
import minigrad.nn
late = ("minigrad.kernels.certificate", "minigrad.testing")
assert not any(name.startswith(late) for name in sys.modules)
from minigrad.kernels import certify
assert certify is minigrad.kernels.certify
assert "hypothesis" not in sys.modules
try:
    minigrad.kernels.certifi
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "module 'minigrad.kernels' has no attribute 'certifi'"
