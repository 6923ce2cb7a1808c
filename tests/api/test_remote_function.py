"""What `@raylite.remote` makes of a function, and how the function gets to the workers as it is here."""

from __future__ import annotations

import collections.abc
import concurrent.futures
import copy
import functools
import gc
import inspect
import operator
import os.path as paths
import sys
import textwrap
import xml.etree.ElementTree
from types import ModuleType

import numpy as np
import pytest

import raylite

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")

PLAIN_GLOBAL = {"numbers": [1, 2, 3]}
FUNCTION_GLOBAL = operator.itemgetter(1)


def module_function(x: int, y: int = 2) -> int:
    """Adds."""
    return x + y


@pytest.fixture
def no_functions(node_sizes, wait_until):
    """A function that returns once the node knows no function. There is none at first."""
    raylite.shutdown()  # remote functions that call each other stay
    raylite.init(num_cpus=2)

    def wait():
        gc.collect()
        wait_until(lambda: node_sizes()["functions"] == 0, what="that functions nobody has are forgotten")

    return wait


# ---- the object ----


def test_it_looks_like_the_function():
    remote = raylite.remote(module_function)
    assert (remote.__name__, remote.__doc__, remote.__module__) == ("module_function", "Adds.", __name__)
    assert remote.__wrapped__ is module_function
    assert inspect.signature(remote) == inspect.signature(module_function)
    assert "module_function" in repr(remote)


DECORATED = {
    "bare": lambda f: raylite.remote(f),
    "options": lambda f: raylite.remote(num_cpus=1, max_retries=0)(f),
    "copied": lambda f: copy.deepcopy(raylite.remote(f)),
}


@pytest.mark.parametrize("how", DECORATED)
def test_ways_to_decorate(how):
    remote = DECORATED[how](module_function)
    assert raylite.get(remote.remote(1)) == 3
    assert raylite.get(remote.options(name="other").remote(1, y=5)) == 6


def make_bound_method():
    class Adder:
        def __init__(self, by):
            self.by = by

        def add(self, x):
            return x + self.by

    return Adder(10).add


def make_callable_object():
    class Adder:
        def __call__(self, x):
            return x + 10

    return Adder()


def make_wrapped():
    def decorator(f):
        @functools.wraps(f)
        def wrapper(*args, **kwargs):
            return f(*args, **kwargs) + 10

        return wrapper

    @decorator
    def same(x):
        return x

    return same


def make_static_method():
    class Holder:
        @staticmethod
        def add(x):
            return x + 10

    return Holder.add


CALLABLES = {
    "lambda": lambda: lambda x: x + 10,
    "partial": lambda: functools.partial(operator.add, 10),
    "partial of python": lambda: functools.partial(module_function, y=10),
    "built in": lambda: (10).__add__,
    "bound method": make_bound_method,
    "callable object": make_callable_object,
    "wrapped": make_wrapped,
    "static method": make_static_method,
    "ufunc": lambda: functools.partial(np.add, 10),
}


@pytest.mark.parametrize("kind", CALLABLES)
def test_anything_that_can_be_called(kind):
    assert raylite.get(raylite.remote(CALLABLES[kind]()).remote(1)) == 11


def test_what_it_captures_is_what_was_there_at_the_first_call():
    factor = 2

    @raylite.remote
    def times(x):
        return factor * x

    assert raylite.get(times.remote(5)) == 10
    factor = 3
    assert raylite.get(times.remote(5)) == 10


# ---- sent to tasks ----


def test_remote_functions_as_arguments_and_results():
    @raylite.remote
    def double(x):
        return 2 * x

    @raylite.remote
    def apply(function, x):
        return raylite.get(function.remote(x))

    @raylite.remote
    def make(y):
        @raylite.remote
        def add(x):
            return x + y

        return add

    assert raylite.get(apply.remote(double, 4)) == 8
    assert raylite.get(apply.remote(double.options(name="named", num_cpus=0), 5)) == 10
    assert raylite.get(raylite.get(make.remote(10)).remote(1)) == 11
    assert raylite.get(apply.remote(make.remote(20), 1)) == 21
    assert raylite.get(apply.remote(raylite.get(raylite.put(double)), 6)) == 12


def test_a_function_that_refers_to_itself_has_its_defaults_in_the_worker():
    @raylite.remote(name="countdown")
    def count_down(n, step=1, *, seen=()):
        """Counts."""
        if n <= 0:
            return seen, count_down.__name__, count_down.__doc__
        return raylite.get(count_down.remote(n - step, seen=(*seen, n)))

    assert raylite.get(count_down.remote(3)) == ((3, 2, 1), "count_down", "Counts.")


def test_functions_that_refer_to_each_other():
    @raylite.remote
    def is_even(n, known=True):
        return known if n == 0 else raylite.get(is_odd.remote(n - 1))

    @raylite.remote
    def is_odd(n, known=False):
        return known if n == 0 else raylite.get(is_even.remote(n - 1))

    assert raylite.get([is_even.remote(5), is_odd.remote(5)]) == [False, True]


def test_one_function_is_sent_once(node_sizes, no_functions):
    no_functions()

    @raylite.remote
    def f(x):
        return x

    assert raylite.get([f.remote(i) for i in range(100)]) == list(range(100))
    assert raylite.get([f.options(num_returns=1).remote(i) for i in range(5)]) == list(range(5))
    assert node_sizes()["functions"] == 1
    del f
    no_functions()


def test_a_function_forgotten_and_made_again(no_functions):
    """The same function comes back under the same id; workers that were told to forget it get it anew."""

    def make():
        return raylite.remote(lambda x: x * 3)

    no_functions()
    for i in range(50):
        assert raylite.get(make().remote(i)) == i * 3


def test_a_function_with_a_circle_in_it_is_forgotten(no_functions, all_freed):
    """Here and in the workers, with what it captures."""

    def run():
        captured = raylite.put("captured")

        def count_down(n):
            return raylite.get(captured) if n == 0 else count_down(n - 1)

        assert raylite.get([raylite.remote(count_down).remote(2) for _ in range(10)]) == ["captured"] * 10

    no_functions()
    run()
    no_functions()
    all_freed()


# ---- the world that the function sees ----


def test_globals():
    def plain():
        return sum(PLAIN_GLOBAL["numbers"])

    def function():
        return FUNCTION_GLOBAL("abc"), module_function(1)

    def nested():
        return [lambda: PLAIN_GLOBAL][0]()["numbers"][0], [FUNCTION_GLOBAL(p) for p in ("xy",)]

    def missing():
        return no_such_name  # noqa: F821

    def assigns():
        global PLAIN_GLOBAL
        PLAIN_GLOBAL = {"numbers": [7]}
        return PLAIN_GLOBAL["numbers"]

    get = raylite.get
    assert get(raylite.remote(plain).remote()) == 6
    assert get(raylite.remote(function).remote()) == ("b", 3)
    assert get(raylite.remote(nested).remote()) == (1, ["y"])
    assert get(raylite.remote(assigns).remote()) == [7]
    assert PLAIN_GLOBAL["numbers"] == [1, 2, 3]
    with pytest.raises(NameError, match="no_such_name"):
        get(raylite.remote(missing).remote())


def test_a_function_knows_its_module():
    def where():
        return __name__, paths.basename(__file__)

    assert raylite.get(raylite.remote(where).remote()) == (__name__, paths.basename(__file__))


def test_modules_and_their_submodules():
    def dotted():
        return xml.etree.ElementTree.fromstring("<a/>").tag

    def of_three():
        return concurrent.futures.Future().done(), issubclass(list, collections.abc.Sequence), paths.join("a", "b")

    def package():
        return float(np.linalg.norm(np.ones(4)))

    assert raylite.get(raylite.remote(dotted).remote()) == "a"
    assert raylite.get(raylite.remote(of_three).remote()) == (False, True, "a/b")
    assert raylite.get(raylite.remote(package).remote()) == 2.0


MODULES = {
    "package_of_test/__init__.py": "LEVEL = 1\ndef of_package(): return LEVEL\n",
    "package_of_test/helper.py": "def help(x): return x * 100\n",
    "package_of_test/tasks.py": """
        import raylite
        from . import helper
        from .helper import help as helping

        class Thing:
            def __init__(self, x): self.x = x

        @raylite.remote
        def absolute(x): return helper.help(x) + helping(1)

        @raylite.remote
        def relative(x):
            from .helper import help
            from . import of_package
            return help(x) + of_package()

        @raylite.remote
        def thing(t, x): return Thing(t.x + x)
        """,
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that was not yet on sys.path when the workers started."""
    for name, source in MODULES.items():
        path = tmp_path / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path / "lib")
    from importlib import import_module

    yield import_module("package_of_test.tasks")
    for name in [name for name in sys.modules if name.startswith("package_of_test")]:
        del sys.modules[name]


def test_functions_of_a_package_found_after_the_start(package):
    assert raylite.get(package.absolute.remote(2)) == 300
    assert raylite.get(package.relative.remote(2)) == 201
    assert raylite.get(package.thing.remote(package.Thing(1), 2)).x == 3


unimportable = ModuleType("unimportable")


def test_modules_that_are_to_be_sent_by_value(monkeypatch):
    """For a module that workers cannot import: cloudpickle's own switch is heeded."""
    import cloudpickle

    def uses():
        return unimportable.level + 1

    monkeypatch.setitem(sys.modules, "unimportable", unimportable)
    unimportable.level = 6
    with pytest.raises(RuntimeError, match="unimportable"):
        raylite.get(raylite.remote(uses).remote())
    cloudpickle.register_pickle_by_value(unimportable)
    try:
        assert raylite.get(raylite.remote(uses).remote()) == 7
    finally:
        cloudpickle.unregister_pickle_by_value(unimportable)


def test_a_function_that_cannot_be_loaded_says_so_each_time():
    class Opaque:
        def __reduce__(self):
            return int, ("no number",)

    opaque = Opaque()

    @raylite.remote(max_retries=1, retry_exceptions=True)
    def holds_opaque():
        return opaque

    for _ in range(4):
        with pytest.raises(RuntimeError, match=r"holds_opaque could not be loaded.*ValueError.*no number"):
            raylite.get(holds_opaque.remote())


def test_a_module_that_workers_cannot_import(monkeypatch):
    module = ModuleType("only_in_the_driver")
    monkeypatch.setitem(sys.modules, "only_in_the_driver", module)

    @raylite.remote(max_retries=0)
    def uses():
        return module

    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"uses could not be loaded.*only_in_the_driver"):
            raylite.get(uses.remote())


def test_a_remote_function_outlives_its_runtime():
    """The same decorated function works in the next session."""
    done = []

    @raylite.remote
    def f(x):
        return x + 1

    done.append(raylite.get(f.remote(1)))
    raylite.shutdown()
    raylite.init(num_cpus=2)
    done.append(raylite.get(f.remote(2)))
    assert done == [2, 3]
