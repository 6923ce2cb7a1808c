"""Tasks: what they are called with, what comes back, what they carry with them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass

import numpy as np
import pytest

import raylite

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


# ---- arguments ----


def takes_everything(a, /, b, c=3, *rest, d, e=5, **more):
    return a, b, c, rest, d, e, more


@pytest.mark.parametrize(
    "args, kwargs",
    [
        ((1, 2), {"d": 4}),
        ((1,), {"b": 2, "d": 4}),
        ((1, 2, 30, 40, 50), {"d": 4, "e": 50, "f": 60}),
        ((None, None, None), {"d": None, "a": "a name that is positional only"}),
    ],
)
def test_a_task_gets_its_arguments_as_a_call_does(args, kwargs):
    remote = raylite.remote(takes_everything)
    assert raylite.get(remote.remote(*args, **kwargs)) == takes_everything(*args, **kwargs)


def test_defaults_are_those_of_the_function():
    @raylite.remote
    def f(a, b=[1, 2], *, c={"x": None}):  # noqa: B006
        return a, b, c

    assert raylite.get(f.remote(0)) == (0, [1, 2], {"x": None})


def test_a_task_runs_in_another_process():
    @raylite.remote
    def pid():
        return os.getpid()

    assert raylite.get(pid.remote()) != os.getpid()


VALUES = {
    "None": None,
    "False": False,
    "zero": 0,
    "big int": 1 << 1000,
    "float": -0.5,
    "complex": 1 + 2j,
    "empty text": "",
    "text": "naïve \U0001f600 \x00 text",
    "bytes": bytes(range(256)),
    "empty list": [],
    "nested": [1, (2, {"three": {4, 5}}), frozenset([6])],
    "type": int,
    "function": len,
    "ellipsis": ...,
    "range": range(3, 30, 4),
    "exception": KeyError,
}


@pytest.mark.parametrize("name", VALUES)
def test_values_go_there_and_back(name):
    @raylite.remote
    def same(positional, keyword):
        return positional, keyword

    value = VALUES[name]
    there_and_back = raylite.get(same.remote(value, keyword=value))
    assert there_and_back == (value, value)
    assert type(there_and_back[0]) is type(value)


def test_what_a_task_does_to_an_argument_stays_there():
    @raylite.remote
    def append(items):
        items.append(0)
        return items

    items = [1]
    kept = raylite.put(items)
    assert raylite.get([append.remote(items), append.remote(kept), append.remote(kept)]) == [[1, 0]] * 3
    assert items == [1]
    assert raylite.get(kept) == [1]


@pytest.mark.parametrize("size_bytes", [99_000, 102_400, 103_000, 1 << 20, 20 << 20])
def test_large_arguments(size_bytes, all_freed):
    @raylite.remote
    def ends(data, *, array):
        return len(data), data[:3], data[-3:], array.nbytes, int(array[0]), int(array[-1])

    data = b"abc" + bytes(size_bytes - 6) + b"xyz"
    array = np.frombuffer(data, np.uint8)
    result = raylite.get(ends.remote(data, array=array))
    assert result == (size_bytes, b"abc", b"xyz", size_bytes, ord("a"), ord("z"))
    del data, array
    all_freed()


def test_many_arguments():
    @raylite.remote
    def total(*numbers, **named):
        return sum(numbers) + sum(named.values())

    ones = {f"name_{i}": 1 for i in range(1000)}
    assert raylite.get(total.remote(*range(5000), **ones)) == sum(range(5000)) + 1000


# ---- references as arguments ----


def test_references_at_the_top_level_become_values():
    @raylite.remote
    def describe(*args, **kwargs):
        return args, kwargs

    one, two = raylite.put(1), describe.remote("two")
    args, kwargs = raylite.get(describe.remote(one, None, two, one, 5, key=one, other=6, last=two))
    assert args == (1, None, (("two",), {}), 1, 5)
    assert kwargs == {"key": 1, "other": 6, "last": (("two",), {})}


@dataclass
class Holder:
    held: object


CONTAINERS = {
    "list": (lambda ref: [ref], lambda box: box[0]),
    "tuple": (lambda ref: (0, ref), lambda box: box[1]),
    "dict value": (lambda ref: {"key": ref}, lambda box: box["key"]),
    "dict key": (lambda ref: {ref: 1}, lambda box: next(iter(box))),
    "set": (lambda ref: {ref}, lambda box: next(iter(box))),
    "deep": (lambda ref: [[{"a": ([ref],)}]], lambda box: box[0][0]["a"][0][0]),
    "object": (Holder, lambda box: box.held),
    "closure": (lambda ref: lambda: ref, lambda box: box()),
    "default": (lambda ref: lambda held=ref: held, lambda box: box()),
    "partial": (lambda ref: functools.partial(max, ref), lambda box: box.args[0]),
    "object array": (lambda ref: np.array([ref, None], dtype=object), lambda box: box[0]),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_references_inside_containers_stay_references(kind, all_freed):
    @raylite.remote
    def is_reference(box, take):
        inner = take(box)
        return isinstance(inner, raylite.ObjectRef), raylite.get(inner)

    wrap, take = CONTAINERS[kind]
    assert raylite.get(is_reference.remote(wrap(raylite.put("inside")), take)) == (True, "inside")
    assert raylite.get(is_reference.remote(raylite.put(wrap(raylite.put("inside"))), take)) == (True, "inside")
    all_freed()


def test_references_in_the_function_itself(all_freed):
    def make(ref):
        @raylite.remote
        def closure():
            return raylite.get(ref)

        @raylite.remote
        def default(held=[ref]):  # noqa: B006
            return raylite.get(held[0])

        return closure, default, raylite.remote(lambda: raylite.get(ref) + "!")

    functions = make(raylite.put("captured"))
    assert raylite.get([f.remote() for f in functions]) == ["captured", "captured", "captured!"]
    assert raylite.get([f.remote() for f in functions]) == ["captured", "captured", "captured!"]
    del functions
    all_freed()


def test_a_reference_as_a_default_argument_stays_a_reference():
    ref = raylite.put("value")

    @raylite.remote
    def f(held=ref):
        return raylite.get(held)

    assert raylite.get(f.remote()) == "value"


def test_a_task_waits_for_its_arguments(gate):
    @raylite.remote
    def first():
        gate.pass_through()
        return 1

    @raylite.remote
    def add(a, b):
        return a + b

    slow = first.remote()
    later = add.remote(slow, add.remote(slow, 10))
    assert raylite.wait([later], timeout=0) == ([], [later])
    gate.open()
    assert raylite.get(later) == 12


def test_a_chain_of_tasks_and_one_of_many_arguments(all_freed):
    @raylite.remote
    def add(*numbers):
        return sum(numbers)

    ref = raylite.put(0)
    for _ in range(1000):
        ref = add.remote(ref, 1)
    assert raylite.get(ref) == 1000
    assert raylite.get(add.remote(*[add.remote(i) for i in range(500)])) == sum(range(500))
    del ref
    all_freed()


# ---- returns ----


def test_no_returns(tally, wait_until, all_freed):
    @raylite.remote(num_returns=0)
    def effect(result):
        tally.add()
        return result

    assert effect.remote(None) is None
    assert effect.remote("thrown away, as in Ray") is None
    wait_until(lambda: len(tally) == 2)
    all_freed()


@pytest.mark.parametrize("count", [2, 3, 1000])
def test_many_returns(count):
    @raylite.remote(num_returns=count)
    def several():
        return tuple(range(count))

    refs = several.remote()
    assert isinstance(refs, list)
    assert len(set(refs)) == count
    assert raylite.get(refs) == list(range(count))
    assert raylite.get(refs[-1]) == count - 1


@pytest.mark.parametrize(
    "result", [[1, 2], {1: "a", 2: "b"}, "12", range(1, 3), np.arange(1, 3)], ids=lambda r: type(r).__name__
)
def test_anything_of_the_right_length_can_be_several_returns(result):
    @raylite.remote(num_returns=2)
    def f():
        return result

    assert [int(value) for value in raylite.get(f.remote())] == [1, 2]


def test_a_generator_can_make_several_returns():
    @raylite.remote(num_returns=3)
    def several(n):
        yield from range(n)

    assert raylite.get(several.remote(3)) == [0, 1, 2]
    with pytest.raises(ValueError, match=r"num_returns=3.* 2 values"):
        raylite.get(several.remote(2)[0])


@pytest.mark.parametrize(
    "result, said", [((1, 2, 3), "3 values"), ((1,), "1 value"), (None, "NoneType"), (7, "one int")]
)
def test_the_wrong_number_of_returns(result, said):
    @raylite.remote(num_returns=2)
    def wrong():
        return result

    for ref in wrong.remote():
        with pytest.raises((ValueError, TypeError), match=f"wrong.* num_returns=2.*{said}"):
            raylite.get(ref)


def test_options_are_for_one_use():
    @raylite.remote
    def pair():
        return 1, 2

    assert raylite.get(pair.options(num_returns=2).remote()) == [1, 2]
    assert pair.options(num_returns=0).remote() is None
    assert raylite.get(pair.remote()) == (1, 2)


def test_options_go_on_top_of_those_of_the_decorator():
    @raylite.remote(num_returns=2, name="one")
    def names():
        return raylite.get_runtime_context().get_task_name(), None

    assert raylite.get(names.remote()[0]) == "one"
    assert raylite.get(names.options(name="other").remote()[0]) == "other"


RESULT_SIZES = [0, 1, 4095, 4096, 4097, 100 * 1024 - 1, 100 * 1024, 100 * 1024 + 1, 3 << 20, 50 << 20]


@pytest.mark.parametrize("size_bytes", RESULT_SIZES)
def test_results_of_any_size(size_bytes, all_freed):
    @raylite.remote(num_returns=2)
    def make(size_bytes):
        return b"r" * size_bytes, np.full(size_bytes, 7, np.uint8)

    data, array = raylite.get(make.remote(size_bytes))
    assert data == b"r" * size_bytes
    assert array.shape == (size_bytes,)
    assert bool((array == 7).all())
    del data, array
    all_freed()


# ---- what a function carries with it ----


def test_large_closures(all_freed):
    def make():
        array = np.arange(2_000_000)
        text = "t" * 1_000_000

        @raylite.remote
        def f(i):
            return int(array[i]), len(text)

        return f

    f = make()
    assert raylite.get([f.remote(i) for i in (0, 1_999_999)]) == [(0, 1_000_000), (1_999_999, 1_000_000)]
    del f
    all_freed()


def test_functions_redefined_under_one_name():
    """As in a notebook: what was called before the change keeps its meaning."""
    namespace = {"raylite": raylite}

    def cell(source):
        exec(textwrap.dedent(source), namespace)

    cell("@raylite.remote\ndef f(): return 'old'")
    cell("before = f.remote()")
    cell("@raylite.remote\ndef f(): return 'new'")
    cell("after = f.remote()")
    cell("def helper(): return 'old helper'")
    cell("@raylite.remote\ndef g(): return helper()")
    cell("helped_before = g.remote()")
    cell("def helper(): return 'new helper'")
    cell("@raylite.remote\ndef g(): return helper()")
    cell("helped_after = g.remote()")
    refs = [namespace[name] for name in ("before", "after", "helped_before", "helped_after")]
    assert raylite.get(refs) == ["old", "new", "old helper", "new helper"]


def test_many_functions_do_not_pile_up(node_sizes, wait_until):
    before = node_sizes()["functions"]
    for i in range(200):
        assert raylite.get(raylite.remote(lambda i=i: i).remote()) == i
    wait_until(lambda: node_sizes()["functions"] <= before, what="that functions nobody can call are forgotten")


def test_classes_of_main_and_their_instances(tmp_path):
    """Whatever the main program defines exists in no module that a worker could import."""
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent(
            """
            import collections, enum
            import raylite

            class Base:
                count = 0
                def __init__(self, x): self.x = x
                def __eq__(self, other): return type(self) is type(other) and self.x == other.x
                def double(self): return type(self)(self.x * 2)

            class Derived(Base):
                def double(self): return super().double()

            class Color(enum.Enum):
                RED = 1

            Point = collections.namedtuple("Point", "x y")

            class Error(Exception):
                def __init__(self, a, b): super().__init__(f"{a} {b}"); self.a = a

            def helper(x): return Derived(x)

            @raylite.remote
            def double(thing, color, point=Point(1, 2)):
                assert color is Color.RED and isinstance(point, Point)
                return thing.double(), helper(5).double(), color, point

            @raylite.remote
            def fail(): raise Error(1, 2)

            raylite.init(num_cpus=1)
            doubled = raylite.get(double.remote(Derived(3), Color.RED))
            assert doubled == (Derived(6), Derived(10), Color.RED, Point(1, 2))
            thing = raylite.get(raylite.put(Derived(4)))
            assert type(thing) is Derived and thing.x == 4
            try:
                raylite.get(fail.remote())
            except Error as error:
                assert error.a == 1
            print("as expected")
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=30, env=environment)
    assert (done.stdout, done.returncode) == ("as expected\n", 0), done.stderr


# ---- many ----


def test_many_tasks_at_once(all_freed):
    @raylite.remote
    def square(x):
        return x * x

    assert raylite.get([square.remote(i) for i in range(5000)]) == [i * i for i in range(5000)]
    all_freed()


def test_many_threads_at_once(all_freed):
    """Each thread submits, puts, waits and gets on its own; nothing goes to the wrong one."""

    @raylite.remote
    def add(a, b):
        return a + b

    wrong = []

    def work(thread):
        refs, kept = [], raylite.put(thread)
        for i in range(300):
            refs.append(add.remote(kept, i))
            if i % 50 == 49:
                ready, _ = raylite.wait(refs[-50:], num_returns=10)
                wrong.extend(r for r in ready if raylite.get(r) != thread + refs.index(r))
        if raylite.get(refs) != [thread + i for i in range(300)]:
            wrong.append(thread)

    threads = [threading.Thread(target=work, args=(1000 * i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    all_freed()


def test_one_function_called_first_by_many_threads():
    """Sending the function to the node happens once, whoever comes first."""
    barrier = threading.Barrier(8)
    results = []

    @raylite.remote
    def f(x):
        return x

    def work(i):
        barrier.wait()
        results.append(raylite.get(f.remote(i)))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(8))
