"""What tests of loops share."""

import pytest


@pytest.fixture
def interpreted(monkeypatch):
    """Run every loop with compile="auto" by the interpreter of graphs: the reference."""
    monkeypatch.setattr("minigrad.kernels.runtime.switch.switch.is_off", True)
