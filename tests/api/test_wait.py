"""wait: which references are ready, in Ray's order; and what it takes."""

from __future__ import annotations

import threading
import time

import pytest

import raylite

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote(num_cpus=0)
def pass_gate(gate, value=None):
    gate.pass_through()
    return value


def test_all_ready():
    refs = [raylite.put(i) for i in range(5)]
    assert raylite.wait(refs, num_returns=5) == (refs, [])


def test_no_more_are_ready_than_asked_for():
    refs = [raylite.put(i) for i in range(5)]
    assert raylite.wait(refs) == (refs[:1], refs[1:])
    assert raylite.wait(refs, num_returns=3) == (refs[:3], refs[3:])


def test_both_lists_are_in_the_order_given(new_gate):
    gates = [new_gate() for _ in range(4)]
    refs = [pass_gate.remote(gate) for gate in gates]
    for i in (3, 1):  # the later one finishes first
        gates[i].open()
        raylite.get(refs[i])
    assert raylite.wait(refs, num_returns=2) == ([refs[1], refs[3]], [refs[0], refs[2]])
    assert raylite.wait(refs[::-1], num_returns=2) == ([refs[3], refs[1]], [refs[2], refs[0]])
    assert raylite.wait(refs, num_returns=1) == ([refs[1]], [refs[0], refs[2], refs[3]])
    for gate in gates:
        gate.open()
    assert raylite.wait(refs, num_returns=4) == (refs, [])


def test_fewer_when_time_is_up(gate):
    slow, there = pass_gate.remote(gate), raylite.put(0)
    for timeout in (0, 0.0, 0.02):
        assert raylite.wait([slow, there], num_returns=2, timeout=timeout) == ([there], [slow])
        assert raylite.wait([slow], timeout=timeout) == ([], [slow])
    started = time.monotonic()
    assert raylite.wait([slow], timeout=0.05) == ([], [slow])
    assert time.monotonic() - started >= 0.05


def test_it_returns_as_soon_as_there_are_enough(new_gate):
    gates = [new_gate() for _ in range(3)]
    refs = [pass_gate.remote(gate) for gate in gates]
    answer = []
    thread = threading.Thread(target=lambda: answer.append(raylite.wait(refs, num_returns=2)))
    thread.start()
    gates[0].open()
    raylite.get(refs[0])
    assert not answer
    gates[2].open()
    thread.join()
    assert answer == [([refs[0], refs[2]], [refs[1]])]


def test_an_error_is_ready(gate):
    @raylite.remote
    def fail():
        raise ValueError

    slow, failed = pass_gate.remote(gate), fail.remote()
    assert raylite.wait([slow, failed]) == ([failed], [slow])


def test_until_all_are_done(new_gate):
    """The usual loop: each is handed out once, as it comes."""
    gates = [new_gate() for _ in range(3)]
    refs = [pass_gate.remote(gate, i) for i, gate in enumerate(gates)]
    seen, left = [], refs
    for i in (2, 0, 1):
        gates[i].open()
        (ready,), left = raylite.wait(left)
        seen.append(raylite.get(ready))
    assert (seen, left) == ([2, 0, 1], [])


def test_in_a_task_the_cpu_is_lent():
    @raylite.remote(num_cpus=2)
    def child(x):
        return x

    @raylite.remote(num_cpus=2)
    def parent():
        refs = [child.remote(i) for i in range(3)]
        ready, left = raylite.wait(refs, num_returns=3)
        return raylite.get(ready), left

    assert raylite.get(parent.remote()) == ([0, 1, 2], [])


def test_wait_of_many():
    refs = [raylite.put(i) for i in range(5000)]
    ready, left = raylite.wait(refs, num_returns=4000)
    assert (ready, left) == (refs[:4000], refs[4000:])


def test_waiting_holds_nothing(node_sizes, gate):
    """A wait that is over leaves no trace, whether it had what it wanted or not."""
    slow = pass_gate.remote(gate)
    for _ in range(50):
        raylite.wait([slow], timeout=0.0001)
        raylite.wait([slow, raylite.put(0)], num_returns=1)
    assert node_sizes()["requests"] == 0


def test_an_empty_list():
    assert raylite.wait([]) == ([], [])
    assert raylite.wait([], num_returns=3) == ([], [])


BAD = {
    "a reference": (lambda ref: ref, {}, TypeError, "expected a list .* a single"),
    "a tuple": (lambda ref: (ref,), {}, TypeError, "expected a list .*tuple"),
    "a set": (lambda ref: {ref}, {}, TypeError, "expected a list .*set"),
    "None": (lambda ref: None, {}, TypeError, "expected a list .*None"),
    "a number in it": (lambda ref: [ref, 5], {}, TypeError, "list containing .*int"),
    "a list in it": (lambda ref: [[ref]], {}, TypeError, "list containing .*list"),
    "duplicates": (lambda ref: [ref, ref], {}, ValueError, "unique"),
    "none wanted": (lambda ref: [ref], {"num_returns": 0}, ValueError, "0"),
    "fewer than none wanted": (lambda ref: [ref], {"num_returns": -1}, ValueError, "-1"),
    "more than given": (lambda ref: [ref], {"num_returns": 2}, ValueError, "greater than"),
    "half of one wanted": (lambda ref: [ref], {"num_returns": 0.5}, TypeError, "num_returns"),
    "text wanted": (lambda ref: [ref], {"num_returns": "1"}, TypeError, "num_returns"),
    "negative timeout": (lambda ref: [ref], {"timeout": -1}, ValueError, "timeout"),
    "no number for a timeout": (lambda ref: [ref], {"timeout": "1"}, TypeError, "timeout"),
    "not a number of seconds": (lambda ref: [ref], {"timeout": float("nan")}, ValueError, "timeout"),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_it_refuses(fault):
    refs, options, error, said = BAD[fault]
    with pytest.raises(error, match=said):
        raylite.wait(refs(raylite.put(0)), **options)


def test_only_keywords_after_the_references():
    with pytest.raises(TypeError):
        raylite.wait([raylite.put(0)], 1)


def test_infinite_timeout():
    ref = raylite.put(0)
    assert raylite.wait([ref], timeout=float("inf")) == ([ref], [])
    assert raylite.get(ref, timeout=float("inf")) == 0
