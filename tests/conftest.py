"""What every test gets: Hypothesis profiles, the choice of backend, and a check for leaks."""

import importlib.util
import os
import sys
from pathlib import Path

import hypothesis
import pytest

import minigrad

HERE = Path(__file__).parent
STAND_INS = HERE / "engine" / "stand_ins"

# dev is quick. ci draws the same cases every time, so that a failure belongs to the change.
# nightly looks for new ones: make nightly
hypothesis.settings.register_profile("dev", max_examples=25, deadline=None, print_blob=True)
hypothesis.settings.register_profile(
    "ci", max_examples=50, deadline=None, print_blob=True, derandomize=True
)
hypothesis.settings.register_profile("nightly", max_examples=1000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser):
    group = parser.getgroup("minigrad")
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


def pytest_collection_modifyitems(config, items):
    if config.getoption("--backend") == "numpy":
        return
    left_out = []
    for item in list(items):
        name = f"{item.path.relative_to(HERE).as_posix()}::{item.name}"
        if name.startswith(COMPILED_ONLY):
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
