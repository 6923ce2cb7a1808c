"""Cancelling tasks: wherever one is in its life, it ends, and whoever waits for it hears of that."""

from __future__ import annotations

import os
import time

import pytest

import raylite
from raylite.exceptions import TaskCancelledError
from raylite.util.state import list_tasks

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote
def runs(tally):
    tally.add(os.getpid())
    time.sleep(1000)  # until it is interrupted


@raylite.remote
def echo(value):
    return value


@pytest.fixture
def begun(tally, wait_until):
    """A function that submits tasks and returns once they run."""

    def begin(function, *args, **options):
        n_before = len(tally)
        ref = function.options(**options).remote(tally, *args)
        wait_until(lambda: len(tally) > n_before)
        return ref

    return begin


def assert_cancelled(*refs):
    for ref in refs:
        with pytest.raises(TaskCancelledError):
            raylite.get(ref)


def test_one_that_waits_for_arguments(gate):
    @raylite.remote
    def waits():
        gate.pass_through()
        return 5

    first = waits.remote()
    second = echo.remote(first)
    raylite.cancel(second)
    assert_cancelled(second)
    gate.open()
    assert raylite.get(first) == 5


def test_one_that_waits_for_a_place(begun, tally):
    both = [begun(runs), begun(runs)]
    queued = runs.remote(tally)
    raylite.cancel(queued)
    assert_cancelled(queued)
    for ref in both:
        raylite.cancel(ref)
    assert_cancelled(*both)
    assert len(tally) == 2


@pytest.mark.parametrize("force", [False, True])
def test_one_that_runs_and_its_dependents(begun, force):
    ref = begun(runs, max_retries=3)
    dependent = echo.remote(ref)
    raylite.cancel(ref, force=force)
    assert_cancelled(ref, dependent)
    assert raylite.get(echo.remote(1)) == 1


def test_by_force_where_an_exception_does_not_help(begun, tally, wait_until):
    @raylite.remote(max_retries=3)
    def stubborn(tally):
        tally.add(os.getpid())
        while True:
            try:
                time.sleep(1000)
            except KeyboardInterrupt:
                tally.add("will not")

    ref = begun(stubborn)
    raylite.cancel(ref)
    wait_until(lambda: len(tally) == 2)
    assert not raylite.wait([ref], timeout=0)[0]
    raylite.cancel(ref, force=True)
    assert_cancelled(ref)
    assert tally.notes()[1:] == ["will not"]  # and no other attempt


def test_one_that_returns_all_the_same_has_its_value(begun):
    @raylite.remote
    def tidies_up(tally):
        try:
            tally.add()
            time.sleep(1000)
        except KeyboardInterrupt:
            return "tidy"

    ref = begun(tidies_up)
    raylite.cancel(ref)
    assert raylite.get(ref) == "tidy"


@pytest.mark.parametrize("recursive", [True, False])
def test_with_its_children_or_without(begun, tally, gate, wait_until, recursive):
    @raylite.remote(num_cpus=0)
    def child(tally):
        tally.add()
        gate.pass_through()
        tally.add()

    @raylite.remote
    def parent(tally):
        raylite.get([child.remote(tally) for _ in range(2)])

    ref = parent.remote(tally)
    wait_until(lambda: len(tally) == 2)
    raylite.cancel(ref, recursive=recursive)
    assert_cancelled(ref)
    gate.open()
    wait_until(lambda: not [row for row in list_tasks() if row.name == "child" and row.state == "RUNNING"])
    assert len(tally) == (2 if recursive else 4)


def test_a_result_that_is_there_stays():
    ref = echo.remote(7)
    raylite.get(ref)
    raylite.cancel(ref, force=True)
    assert raylite.get(ref) == 7
