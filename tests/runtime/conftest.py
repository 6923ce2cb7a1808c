"""Fixtures of the runtime's tests: programs in processes of their own."""

from __future__ import annotations

import pytest

from tests.runtime import drivers


@pytest.fixture
def start(tmp_path):
    """Start code as a driver (drivers.start); what is left of it at the end is ended."""
    yield from starting(drivers.start, tmp_path)


@pytest.fixture
def run(tmp_path):
    """Start a command as a driver (drivers.run); what is left of it at the end is ended."""
    yield from starting(drivers.run, tmp_path)


def starting(make, folder):
    started = []

    def start(what, **options):
        driver = make(what, folder, **options)
        started.append(driver)
        return driver

    try:
        yield start
    finally:
        for driver in started:
            driver.clean_up()
