"""The comparisons with other libraries. They need the extra `parity`: run `make parity`."""

import importlib.util
import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent

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
