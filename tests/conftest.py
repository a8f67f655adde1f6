"""What every test gets: Hypothesis profiles, the choice of backend, and a check for leaks."""

import importlib.util
import os

import hypothesis
import pytest

import minigrad

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
        choices=("numpy", "cupy"),
        default="numpy",
        help="where the op tables are compared with NumPy: on a stand-in for CuPy, or on a GPU",
    )
    group.addoption(
        "--parity",
        choices=("auto", "skip", "require"),
        default="auto",
        help="tests/parity: run it if the peers are installed, never, or fail without them",
    )


def pytest_configure(config):
    if config.getoption("--backend") == "cupy" and not is_installed("cupy"):
        raise pytest.UsageError(
            "--backend cupy: CuPy is not installed; pip install -e '.[cuda12]' or '.[cuda13]'"
        )
    if config.getoption("--parity") == "require":
        missing = [peer for peer in ("torch", "onnx", "onnxruntime") if not is_installed(peer)]
        if missing:
            raise pytest.UsageError(
                f"--parity require: not installed: {', '.join(missing)}; "
                "pip install -e '.[parity]' (make parity does)"
            )


def is_installed(module):
    return importlib.util.find_spec(module) is not None


@pytest.fixture(scope="session")
def backend_name(request):
    """Name the backend that was chosen: "numpy" (the default) or "cupy"."""
    return request.config.getoption("--backend")


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
