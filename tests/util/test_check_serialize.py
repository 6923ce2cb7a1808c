"""inspect_serializability: what does not pickle, where it is, and that it is said readably."""

from __future__ import annotations

import io
import threading

import pytest

from raylite.util import inspect_serializability

LOCK = threading.Lock()


def inspected(value, **options):
    out = io.StringIO()
    pickles, failures = inspect_serializability(value, print_file=out, **options)
    return pickles, failures, out.getvalue()


def test_what_pickles():
    assert inspected([1, 2]) == (True, set(), "[1, 2] can be sent to tasks: all of it pickles.\n")
    assert inspected(lambda: 1, name="f")[2].startswith("f can be sent")


def test_a_global_of_a_function():
    def uses_lock():
        return LOCK

    uses_lock.__module__ = "__main__"  # so that it goes by value
    pickles, failures, text = inspected(uses_lock, name="uses_lock")
    assert not pickles
    [failure] = failures
    assert failure.obj is LOCK
    assert failure.path == ("uses_lock", "LOCK")
    assert failure.name == "LOCK"
    assert failure.parent is uses_lock
    assert repr(failure).startswith("FailTuple(LOCK [path=uses_lock -> LOCK, obj=<unlocked _thread.lock object")
    lines = text.splitlines()
    assert lines[0] == "uses_lock cannot be sent to tasks, because of"
    assert lines[1] == "    uses_lock: a builtins.function"
    assert lines[2] == "        LOCK: a _thread.lock (cannot pickle '_thread.lock' object)"


class Holder:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def test_deep_inside_and_more_than_one():
    first, second = threading.Lock(), threading.Lock()
    value = {"a": [1, Holder(lock=first)], "b": Holder(fine=1, other=second)}
    _, failures, _ = inspected(value, name="value", depth=5)
    assert {failure.path: failure.obj for failure in failures} == {
        ("value", "['a']", "[1]", "lock"): first,
        ("value", "['b']", "other"): second,
    }


def test_depth_is_how_far_it_looks():
    value = [[[LOCK]]]
    for depth in range(4):
        [failure] = inspected(value, name="v", depth=depth)[1]
        assert failure.path == ("v", *["[0]"] * depth)


def test_a_part_in_two_places_is_told_once():
    assert len(inspected([LOCK, LOCK, [LOCK]])[1]) == 1


def test_a_circle_ends():
    value = [LOCK]
    value.append(value)
    [failure] = inspected(value, depth=50)[1]
    assert failure.obj is LOCK


def test_among_very_many_parts():
    parts = [0] * 100_000
    parts[77_777] = LOCK
    [failure] = inspected(parts, name="parts")[1]
    assert failure.obj is LOCK


def test_printed_on_stdout_by_default(capsys):
    inspect_serializability(LOCK, name="lock")
    assert capsys.readouterr().out.startswith("lock cannot be sent to tasks")


@pytest.mark.parametrize("depth", [-1, 1.5, True, None])
def test_a_wrong_depth_is_refused(depth):
    with pytest.raises((TypeError, ValueError), match="depth must be a whole number from 0 up"):
        inspect_serializability(1, depth=depth)
