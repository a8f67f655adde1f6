"""What every test gets: a tier, Hypothesis profiles, the choice of backend, and a check for leaks."""

import importlib.util
import os
import sys
from pathlib import Path

import hypothesis
import pytest

import minigrad

HERE = Path(__file__).parent
STAND_INS = HERE / "engine" / "stand_ins"

# How many cases Hypothesis draws for a property in each tier of the suite. They are the same ones each
# time, so that a failure belongs to the change; without a tier, and in nightly, they are new ones.
TIERS = {"quick": 2, "test": 5, "full": 50, "nightly": 1000}
for tier, number in {**TIERS, "none": 25}.items():
    hypothesis.settings.register_profile(
        tier,
        max_examples=number,
        deadline=None,
        print_blob=True,
        derandomize=tier in {"quick", "test", "full"},
    )


def pytest_addoption(parser):
    group = parser.getgroup("minigrad")
    group.addoption(
        "--tier",
        choices=TIERS,
        help="quick: what is marked so; test: all but what is marked full; full: what test leaves out, "
        "and with more cases what draws its cases; nightly, or no tier: everything",
    )
    group.addoption(
        "--backend",
        choices=("numpy", "stand-in", "cupy"),
        default="numpy",
        help="where tensors are made: on the CPU, on a stand-in for a GPU, or on a GPU",
    )
    group.addoption(
        "--parity",
        choices=("auto", "skip", "require"),
        default="auto",
        help="tests/parity: run it if the peers are installed, never, or fail without them",
    )


def pytest_configure(config):
    minigrad.manual_seed(0)  # for what test files draw when they are imported
    hypothesis.settings.load_profile(config.getoption("--tier") or "none")
    if config.getoption("--backend") == "stand-in":
        os.environ["PYTHONPATH"] = str(STAND_INS)  # for processes that tests start
        sys.path.insert(0, str(STAND_INS))
    elif config.getoption("--backend") == "cupy" and not is_installed("cupy"):
        raise pytest.UsageError(
            "--backend cupy: CuPy is not installed; pip install -e '.[cuda12]' or '.[cuda13]'"
        )
    if config.getoption("--parity") == "require":
        peers = ["torch", "onnx", "onnxruntime", "PyInstaller"]
        peers += ["cupy"] if sys.platform == "linux" else []
        missing = [peer for peer in peers if not is_installed(peer)]
        if missing:
            raise pytest.UsageError(
                f"--parity require: not installed: {', '.join(missing)}; "
                "pip install -e '.[parity]' (make parity does)"
            )


# Away from the CPU loops are interpreted. Node ids from the folder of the tests, and what differs.
_COMPILED = "it asks for a compiled loop"
DIFFERS_ON_A_GPU = {
    "nn/test_cell_table.py::test_compiled_layers_equal_a_loop_of_tensors": _COMPILED,
    "nn/test_cell_table.py::test_the_gates_of_minlstm_may_both_be_closed[require]": _COMPILED,
    "nn/test_containers.py::test_text": "the text names the device",
    "nn/test_functional_call.py::test_a_recurrent_layer_stays_on_its_fast_path": _COMPILED,
    "nn/test_module.py::test_a_move_to_a_missing_gpu": "there is one",
    "nn/test_module.py::test_to_what_it_is_changes_nothing": "it moves the module to the CPU",
    "nn/test_recurrent_errors.py::test_a_layer_that_has_run_before_refuses": "its states are on the CPU",
    "nn/test_streaming.py::test_any_order_of_axes_and_a_mask_are_fast_too": _COMPILED,
    "nn/test_streaming.py::test_many_lengths_in_turn_leave_the_recent_ones_fast": _COMPILED,
    "nn/test_streaming.py::test_what_is_packed_of_old_weights_is_let_go": _COMPILED,
}
COMPILED_ONLY = ("nn/test_recorded_layer.py",)  # what a layer keeps beside its compiled loop


def marked(item, name):
    """Say whether a case has the mark of a tier: all cases, all ``but`` some, or ``only`` some."""
    mark = item.get_closest_marker(name)
    if mark is None:
        return False
    case = item.name.partition("[")[2][:-1]
    return case not in mark.kwargs.get("but", ()) and case in mark.kwargs.get("only", [case])


def is_in(tier, item):
    """Say whether a case is in a tier. What `test` leaves out is in `full`: nothing is lost."""
    if tier == "quick":
        return marked(item, "quick")
    if tier == "test":
        return not marked(item, "full")
    if tier == "full":
        return marked(item, "full") or item.get_closest_marker("hypothesis") is not None
    return True


def pytest_ignore_collect(collection_path, config):
    """Leave out what is not in the quick tier before it is imported: that takes longer than the tier."""
    if config.getoption("--tier") == "quick" and collection_path.suffix == ".py":
        return "mark.quick" not in collection_path.read_text(encoding="utf-8") or None
    return None


def check_marks(config, items):
    """Refuse a mark that names a case which is not there, if all cases are."""
    if config.option.keyword or config.option.markexpr or any("::" in arg for arg in config.args):
        return
    names = {item.nodeid for item in items}
    for item in items:
        for mark in (*item.iter_markers("quick"), *item.iter_markers("full")):
            test = item.nodeid.partition("[")[0]
            for word, cases in mark.kwargs.items():
                unknown = [case for case in cases if f"{test}[{case}]" not in names]
                if unknown:
                    raise pytest.UsageError(
                        f"{test} is marked {mark.name}({word}={unknown}), and has no such case"
                    )


@pytest.hookimpl(trylast=True)  # when all marks are there, also that of Hypothesis
def pytest_collection_modifyitems(config, items):
    check_marks(config, items)
    tier = config.getoption("--tier")
    others = [item for item in items if not is_in(tier, item)]
    items[:] = [item for item in items if is_in(tier, item)]
    config.hook.pytest_deselected(items=others)
    if config.getoption("--backend") != "numpy":
        for_a_gpu(config, items)


def for_a_gpu(config, items):
    """Leave out what only compiled loops have, and mark what differs away from the CPU."""
    left_out = []
    for item in list(items):
        name = f"{item.path.relative_to(HERE).as_posix()}::{item.name}"
        loops = item.callspec.params.get("both_loops") if hasattr(item, "callspec") else None
        if name.startswith(COMPILED_ONLY) or loops == "compiled":
            items.remove(item)
            left_out.append(item)
        for start, reason in DIFFERS_ON_A_GPU.items():
            if name.startswith(start):
                item.add_marker(pytest.mark.xfail(reason=reason))
        ignored = "ignore:.*its arrays are not on the CPU; it is interpreted instead"
        item.add_marker(pytest.mark.filterwarnings(ignored))
    config.hook.pytest_deselected(items=left_out)


def is_installed(module):
    return importlib.util.find_spec(module) is not None


@pytest.fixture(scope="session")
def backend_name(request):
    """Name the backend that was chosen: "numpy" (the default), "stand-in" or "cupy"."""
    return request.config.getoption("--backend")


@pytest.fixture(params=["interpreted", pytest.param("compiled", marks=pytest.mark.full)])
def both_loops(request, monkeypatch):
    """Run loops with compile="auto" by the interpreter of graphs; in `make full`, compiled too."""
    if request.param == "interpreted":
        monkeypatch.setattr("minigrad.kernels.runtime.switch.switch.is_off", True)
    return request.param


@pytest.fixture(autouse=True)
def chosen_backend(backend_name, monkeypatch):
    """Make tensors on the chosen backend, and read them from there."""
    if backend_name == "numpy":
        yield
        return
    monkeypatch.setattr(
        minigrad.Tensor, "numpy", lambda tensor, by=minigrad.Tensor.numpy: by(tensor.cpu())
    )
    with minigrad.use_backend("cupy"):
        yield


def global_state():
    """Return what a test may change but has to put back, by name."""
    return {
        "interpreter": minigrad.dispatch.current(),
        "grad mode": minigrad.is_grad_enabled(),
        "default backend": minigrad.get_default_backend(),
        "default dtype": minigrad.get_default_dtype(),
    }


@pytest.fixture(autouse=True)
def nothing_leaks():
    """Start each test from the same random numbers; fail it if it leaves global state changed.

    Drawing random numbers advances the global generator and is no leak: its state is put back.
    """
    random_state = minigrad.random.get_state()
    minigrad.manual_seed(0)
    before = global_state()
    yield
    after = global_state()
    minigrad.random.set_state(random_state)
    leaked = [
        f"{name}: {before[name]!r} became {after[name]!r}"
        for name in before
        if after[name] is not before[name] and after[name] != before[name]
    ]
    if leaked:
        pytest.fail("the test leaks global state: " + "; ".join(leaked), pytrace=False)
