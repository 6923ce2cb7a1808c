"""as_completed and map_unordered: what is ready comes first, however many there are, and no more run than allowed."""

from __future__ import annotations

import threading

import pytest

import raylite
from raylite.util import as_completed, map_unordered

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote(num_cpus=0)
def pass_gate(gate, value=None):
    gate.pass_through()
    return value


@raylite.remote
def square(x):
    return x * x


@raylite.remote
def inverse(x):
    return 1 / x


def test_what_is_ready_comes_first(new_gate):
    gates = [new_gate() for _ in range(4)]
    refs = [pass_gate.remote(gate, i) for i, gate in enumerate(gates)]
    order = [2, 0, 3, 1]
    gates[order[0]].open()
    seen = []
    for i, value in enumerate(as_completed(refs, chunk_size=1)):
        seen.append(value)
        if i < 3:
            gates[order[i + 1]].open()
    assert seen == order


def test_it_waits_for_a_chunk(new_gate):
    gates = [new_gate() for _ in range(3)]
    refs = [pass_gate.remote(gate, i) for i, gate in enumerate(gates)]
    gates[1].open()
    raylite.get(refs[1])
    values = as_completed(refs, chunk_size=2, timeout=0.05)
    gates[2].open()
    assert [next(values), next(values)] == [1, 2]
    gates[0].open()
    assert list(values) == [0]


def test_references_instead_of_values():
    refs = [square.remote(i) for i in range(25)]
    assert set(as_completed(refs, yield_obj_refs=True)) == set(refs)


def test_ten_thousand_of_which_each_comes_once():
    refs = [raylite.put(i) for i in range(10_000)]
    assert sorted(as_completed(refs)) == list(range(10_000))


def test_all_that_is_ready_is_taken_at_once(monkeypatch):
    """Else a wait over all that is left, for each chunk: quadratic."""
    refs = [raylite.put(i) for i in range(1000)]
    waits = []
    wait = raylite.api.wait
    monkeypatch.setattr("raylite.api.wait", lambda refs, **options: waits.append(len(refs)) or wait(refs, **options))
    assert len(list(as_completed(refs, chunk_size=1))) == 1000
    assert len(waits) < 10


def test_nothing():
    assert list(as_completed([])) == []
    assert list(map_unordered(square, [])) == []


def test_the_error_of_a_task_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(as_completed([inverse.remote(1), inverse.remote(0)]))
    with pytest.raises(ZeroDivisionError):
        list(map_unordered(inverse, [1, 0]))


def test_map():
    assert sorted(map_unordered(square, range(300))) == [i * i for i in range(300)]
    assert sorted(map_unordered(square.options(num_cpus=0.5), iter([1, 2]), backpressure_size=None)) == [1, 4]


def test_map_gives_references():
    refs = list(map_unordered(square, range(3), yield_obj_refs=True))
    assert sorted(raylite.get(refs)) == [0, 1, 4]


@pytest.mark.parametrize("chunk_size", [1, 10])
def test_no_more_tasks_than_allowed_and_no_item_taken_before_its_turn(gate, chunk_size):
    taken = []

    def items():
        for i in range(20):
            taken.append(i)
            yield i

    values = map_unordered(square, items(), backpressure_size=4, chunk_size=chunk_size)
    assert taken == []
    first = next(values)
    assert first in (0, 1, 4, 9)
    assert len(taken) == 4
    assert sorted([first, *values]) == [i * i for i in range(20)]


def test_a_wait_that_times_out_lets_no_more_tasks_run(gate, monkeypatch, wait_until):
    taken, waits, results = [], [], []
    wait = raylite.api.wait
    monkeypatch.setattr("raylite.api.wait", lambda *args, **options: waits.append(1) or wait(*args, **options))

    def items():
        for i in range(3):
            taken.append(i)
            yield gate

    values = map_unordered(pass_gate, items(), backpressure_size=2, chunk_size=1, timeout=0.001)
    thread = threading.Thread(target=lambda: results.extend(values))
    thread.start()
    wait_until(lambda: len(waits) > 10, what="waiting again and again")
    n_taken = len(taken)
    gate.open()
    thread.join()
    assert n_taken == 2
    assert results == [None] * 3


def test_values_are_let_go(all_freed):
    for _ in as_completed([square.remote(i) for i in range(100)]):
        pass
    for _ in map_unordered(square, range(100)):
        pass
    all_freed()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: as_completed([1]), TypeError, "ObjectRef"),
        (lambda: as_completed(iter(())), TypeError, "a list or a tuple"),
        (lambda: as_completed([], chunk_size=0), ValueError, "chunk_size must be a whole number from 1 up, not 0"),
        (lambda: as_completed([], chunk_size=1.5), TypeError, "chunk_size must be a whole number"),
        (lambda: as_completed([], num_returns=1), ValueError, "chunk_size"),
        (lambda: as_completed([], timeout=-1), ValueError, "timeout must be 0 or more"),
        (lambda: as_completed([], patience=1), TypeError, "there are timeout and fetch_local"),
        (lambda: map_unordered(len, []), TypeError, "must be a remote function"),
        (lambda: map_unordered(square, 5), TypeError, "not iterable"),
        (lambda: map_unordered(square, [], backpressure_size=0), ValueError, "from 1 up or None, not 0"),
        (lambda: map_unordered(square, [], backpressure_size="2"), TypeError, "from 1 up or None, not '2'"),
        (lambda: map_unordered(square, [], chunk_size=0), ValueError, "chunk_size"),
        (lambda: map_unordered(square, [], num_returns=2), ValueError, "chunk_size"),
    ],
)
def test_bad_input_is_refused_at_the_call(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_same_reference_twice_is_refused_at_the_call():
    ref = raylite.put(1)
    with pytest.raises(ValueError, match="unique"):
        as_completed([ref, ref])
