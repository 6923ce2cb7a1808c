"""What a node reports of itself: running means, and bytes that are read as they were written."""

from __future__ import annotations

import pytest

from raylite._core.scheduler.loads import Meter, rewritten
from tests.core.placing import FUNCTION, FUNCTIONS_KNOWN, FUNCTIONS_REPORTED, NODES, SECOND_NS, Load, amounts


def function(n):
    return n.to_bytes(20, "big")


def report(meter, functions=None, **means):
    return Load(NODES[0], {}, functions=functions or {}, **means).pack() == without_counts(meter.report(NODES[0], 1, 1))


def without_counts(data):
    """A report in which every function ran once."""
    head, rest = data[:72], data[72:]
    rows = [rest[at : at + 32] + (1).to_bytes(8, "little") for at in range(0, len(rest), 40)]
    return head + b"".join(rows)


def functions_of(meter):
    """Of a report with functions only, their ids and how often each ran."""
    rest = meter.report(NODES[0], 1, 1)[72:]
    return {rest[at : at + 20]: int.from_bytes(rest[at + 32 : at + 40], "little") for at in range(0, len(rest), 40)}


def test_before_anything_ran_nothing_is_known():
    assert report(Meter())


def test_a_new_sample_counts_an_eighth():
    meter = Meter()
    meter.task(FUNCTION, 800)
    assert report(meter, {FUNCTION: 800}, task_ns=800)
    meter.task(FUNCTION, 1600)
    assert report(meter, {FUNCTION: 900}, task_ns=900)
    meter.task(bytes(20), 100)
    assert functions_of(meter) == {FUNCTION: 2, bytes(20): 1}
    assert report(meter, {FUNCTION: 900, bytes(20): 100}, task_ns=800)


def test_a_task_that_took_no_time_took_some():
    meter = Meter()
    meter.task(FUNCTION, 0)
    assert report(meter, {FUNCTION: 1}, task_ns=1)


def test_bandwidth_is_bytes_by_time():
    meter = Meter()
    meter.transfer(500, SECOND_NS // 2)
    assert report(meter, bandwidth=1000)
    meter.transfer(0, 5)  # says nothing
    meter.transfer(5, 0)
    assert report(meter, bandwidth=1000)
    meter.transfer(2**63, 1)  # more than can be said
    assert report(meter, bandwidth=1000 + (2**64 - 1 - 1000) // 8)


def test_the_functions_that_ran_most_are_reported():
    meter = Meter()
    for n in range(FUNCTIONS_REPORTED + 8):
        for _ in range(1 + (n >= 20)):
            meter.task(function(n), 10)
    most, others = range(20, 40), range(12)  # of equal ones those with the lower ids
    assert list(functions_of(meter)) == [*map(function, most), *map(function, others)]


def test_a_new_function_takes_the_place_of_the_rarest():
    meter = Meter()
    for n in range(FUNCTIONS_KNOWN):
        for _ in range(1 if n == 7 else 8):
            meter.task(function(n), 10)
    for _ in range(5):
        meter.task(function(9999), 10)
    assert list(functions_of(meter).items())[:2] == [(function(9999), 5), (function(0), 4)]
    meter.task(function(7), 10)  # is new again; what ran counts half of what it did
    assert functions_of(meter)[function(9999)] == 2


FULL_LOAD = Load(
    NODES[0],
    amounts(CPU=4, GPU=0.5, memory=10**6),
    amounts(CPU=5),
    {"zone": "west", "empty": ""},
    *range(5, 9),
    {FUNCTION: 77, bytes(20): 3},
)


def test_a_report_is_read_as_it_was_written():
    data = Load(NODES[1], {}).pack() + FULL_LOAD.pack()
    assert rewritten(data) == data


@pytest.mark.parametrize("size", [1, 71, 73, len(FULL_LOAD.pack()) - 1])
def test_malformed_reports_are_refused(size):
    with pytest.raises(ValueError, match="malformed reports"):
        rewritten(FULL_LOAD.pack()[:size])
