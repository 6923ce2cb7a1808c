"""Fixtures of the simulator's tests."""

from __future__ import annotations

import pytest

from tests.sim import shared


@pytest.fixture
def log():
    """A list that the driver and all tasks see (`shared.log`), empty."""
    shared.log.clear()
    yield shared.log
    shared.log.clear()
