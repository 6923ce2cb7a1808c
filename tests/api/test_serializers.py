"""`register_serializer`: objects of a class are pickled with the program's functions, wherever they lie."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import raylite
from raylite.util import deregister_serializer, register_serializer


class Counter:
    """Does not pickle by itself."""

    def __init__(self, n):
        self.n = n
        self.lock = threading.Lock()


class Special(Counter):
    pass


def to_number(counter):
    return counter.n


def from_number(n):
    made = Counter(n)
    made.was_made = True
    return made


@pytest.fixture
def registered(raylite_2cpu):
    register_serializer(Counter, serializer=to_number, deserializer=from_number)
    yield
    deregister_serializer(Counter)


def there_and_back(value):
    return raylite.get(raylite.put(value))


def test_put(registered):
    back = there_and_back(Counter(3))
    assert (type(back), back.n, back.was_made) == (Counter, 3, True)


def test_deep_inside_a_value(registered):
    one = Counter(1)
    back = there_and_back({"list": [one, (Counter(2), {"deep": Counter(3)})], "again": one, "array": np.arange(9)})
    first, (second, third) = back["list"]
    assert [first.n, second.n, third["deep"].n] == [1, 2, 3]
    assert back["again"] is first
    assert back["array"].tolist() == list(range(9))


def test_arguments_and_what_functions_capture(registered):
    captured = Counter(10)

    @raylite.remote
    def total(counter, *, others):
        return counter.n + sum(each.n for each in others) + captured.n, counter.was_made and captured.was_made

    assert raylite.get(total.remote(Counter(1), others=[Counter(2), Counter(3)])) == (16, True)


def test_results_of_tasks_that_register(registered):
    """A registration holds in its process, as in Ray."""

    @raylite.remote
    def result(register):
        if register:
            register_serializer(Counter, serializer=lambda counter: counter.n + 1, deserializer=from_number)
        return Counter(1)

    with pytest.raises(TypeError, match="lock"):
        raylite.get(result.remote(False))
    assert raylite.get(result.remote(True)).n == 2


def test_exceptions(registered):
    @raylite.remote
    def fails():
        register_serializer(Counter, serializer=to_number, deserializer=from_number)
        raise LookupError(Counter(5))

    with pytest.raises(LookupError) as failed:
        raylite.get(fails.remote())
    assert failed.value.args[0].n == 5


def test_references_and_arrays_that_a_serializer_returns(raylite_2cpu):
    class Table:
        def __init__(self, array, ref):
            self.array, self.ref = array, ref

    register_serializer(Table, serializer=lambda t: (t.array, t.ref), deserializer=lambda parts: Table(*parts))
    try:
        back = there_and_back(Table(np.ones(100_000), raylite.put("inner")))
    finally:
        deregister_serializer(Table)
    assert not back.array.flags.writeable, "large arrays stay where they are"
    assert raylite.get(back.ref) == "inner"


def test_classes_that_pickle_by_themselves(raylite_2cpu):
    """Arrays too, which otherwise need no cloudpickle."""
    register_serializer(np.ndarray, serializer=lambda array: array.tolist(), deserializer=lambda items: items)
    try:
        assert there_and_back([np.arange(3)]) == [[0, 1, 2]]
    finally:
        deregister_serializer(np.ndarray)
    assert there_and_back([np.arange(3)])[0].sum() == 3


def test_subclasses_are_other_classes(registered):
    with pytest.raises(TypeError, match="lock"):
        raylite.put(Special(1))


def test_the_last_registration_counts(registered):
    register_serializer(Counter, serializer=lambda counter: -counter.n, deserializer=from_number)
    assert there_and_back(Counter(4)).n == -4


def test_without_it_again(registered):
    deregister_serializer(Counter)
    deregister_serializer(Counter)
    with pytest.raises(TypeError, match="lock"):
        raylite.put(Counter(1))


def test_what_a_serializer_raises_is_raised_where_it_is_pickled(registered):
    def refuses(counter):
        raise LookupError("not this one")

    register_serializer(Counter, serializer=refuses, deserializer=from_number)
    with pytest.raises(TypeError, match=r"its part \['a'\] is a .*Counter, which cannot be pickled \(not this one\)"):
        raylite.put({"a": Counter(1)})
    assert there_and_back(1) == 1


BAD = [
    ((3,), {"serializer": to_number, "deserializer": from_number}, TypeError, "for classes, and 3 is none"),
    ((Counter,), {"serializer": 1, "deserializer": from_number}, TypeError, "the serializer is 1: it takes a function"),
    ((Counter,), {"serializer": to_number, "deserializer": None}, TypeError, "the deserializer is None: it takes"),
    ((dict,), {"serializer": to_number, "deserializer": from_number}, ValueError, "pickle asks nobody .* a dict"),
]


@pytest.mark.parametrize("args, kwargs, error, words", BAD)
def test_bad_input(args, kwargs, error, words):
    with pytest.raises(error, match=words):
        register_serializer(*args, **kwargs)


def test_bad_input_to_deregister():
    with pytest.raises(TypeError, match="for classes, and 'x' is none"):
        deregister_serializer("x")
