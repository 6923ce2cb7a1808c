"""Fixtures for every test: nothing is left behind, a runtime to use, and waiting without guessing how long.

Each test, and each module as a whole, must leave this process and the machine as they were (`tests/leaks.py`). A
runtime that a test starts is shut down for it. One that a fixture of wider scope holds is looked at when the module
ends.
"""

from __future__ import annotations

import sys
import time

import pytest

from tests import leaks

leaks.isolate()


@pytest.fixture(autouse=True, scope="module")
def module_leaves_nothing():
    baseline = [leaks.Footprint.now()]  # a test that has failed for what it left puts a new one
    yield baseline
    shut_down()
    found = leaks.leaks_after(baseline[0])
    orphans = leaks.orphans()
    found += [f"process {leaks.describe(pid)}, started by a test of this module and its parent gone" for pid in orphans]
    leaks.kill_all(orphans)
    fail_for(found, baseline[0])


@pytest.fixture(autouse=True)
def leaves_nothing(request, module_leaves_nothing):
    if is_initialized():
        yield  # the runtime of a wider fixture may grow while the test uses it
        return
    before = leaks.Footprint.now()
    yield
    shut_down()
    (request.node.funcargs or {}).clear()  # what fixtures gave the test is not left behind, and may hold much
    if found := leaks.leaks_after(before):
        module_leaves_nothing[0] = leaks.Footprint.now()
        fail_for(found, before)


@pytest.fixture
def raylite_2cpu(leaves_nothing):
    """raylite, initialised with two CPUs for this test."""
    yield from initialised(num_cpus=2)


@pytest.fixture(scope="module")
def raylite_2cpu_module(module_leaves_nothing):
    """raylite, initialised with two CPUs for all tests of the module."""
    yield from initialised(num_cpus=2)


@pytest.fixture(scope="session")
def wait_until():
    """A function that returns once `condition()` is true, and fails the test after `timeout_s` seconds."""

    def wait(condition, timeout_s=10.0, what="the condition"):
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"{what} did not hold within {timeout_s} s", pytrace=False)
            time.sleep(0.005)
        return value

    return wait


def initialised(**options):
    import raylite

    raylite.init(**options)
    yield raylite
    raylite.shutdown()


def is_initialized():
    return getattr(sys.modules.get("raylite.lifecycle"), "is_initialized", bool)()  # asking the package would import it


def shut_down():
    if is_initialized():
        sys.modules["raylite"].shutdown()


def fail_for(found, before):
    if found:
        leaks.kill_all(leaks.descendants() - before.children)
        pytest.fail("left behind: " + "; ".join(found), pytrace=False)
