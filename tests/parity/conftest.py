"""The comparisons with other libraries. They need the extra `parity`: run `make parity`."""

import importlib.util
import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OPSET, IR_VERSION = 23, 11  # of the models: both older than the pinned onnxruntime

# Before PyTorch is loaded: for arrays this small its threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def reason_to_skip(config):
    """Say why the comparisons do not run, or return None if they do."""
    if config.getoption("--parity") == "skip":
        return 'comparisons with other libraries: run "make parity"'
    if importlib.util.find_spec("torch") is None:  # never so with --parity=require
        return 'PyTorch is not installed: run "make parity"'
    return None


class SkippedModule(pytest.Module):
    """A test file that is reported as skipped without importing it."""

    def collect(self):
        pytest.skip(reason_to_skip(self.config), allow_module_level=True)


def pytest_pycollect_makemodule(module_path, parent):
    if reason_to_skip(parent.config):
        return SkippedModule.from_parent(parent, path=module_path)
    return None


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.parity)
            item.add_marker(pytest.mark.full)


@pytest.fixture(scope="session")
def run_node():
    """Return a function that runs a model of one node in onnxruntime."""
    onnx = pytest.importorskip("onnx")  # --parity=require refuses to start without the two
    onnxruntime = pytest.importorskip("onnxruntime")

    def run(node_type, inputs, outputs, **attributes):
        """Run a model of one node in onnxruntime. An input that is None is left out."""
        given = {f"in{i}": array for i, array in enumerate(inputs) if array is not None}
        names = [f"in{i}" if f"in{i}" in given else "" for i in range(len(inputs))]
        wanted = [f"out{i}" for i in range(outputs)]
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node(node_type, names, wanted, **attributes)],
            node_type,
            [
                onnx.helper.make_tensor_value_info(
                    name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
                )
                for name, array in given.items()
            ],
            [onnx.helper.make_empty_tensor_value_info(name) for name in wanted],
        )
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(wanted, given)

    return run
