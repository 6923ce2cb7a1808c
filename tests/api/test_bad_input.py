"""What bad input gets: an error at the call, of Ray's type, that names the fault. And the runtime goes on."""

from __future__ import annotations

import gc
import pickle
import threading
import warnings

import numpy as np
import pytest

import raylite
from raylite.exceptions import RayError, RaySystemError


@pytest.fixture(scope="module")
def running(raylite_2cpu_module):
    yield


@pytest.fixture
def goes_on(running):
    """After the bad input the runtime works as before."""
    yield
    assert raylite.get(add.remote(raylite.put(1), y=2)) == 3


@raylite.remote
def add(x, y=1):
    return x + y


# ---- calls ----


def test_calling_a_remote_function_directly(goes_on):
    with pytest.raises(TypeError, match=r"cannot be called directly.*'add\(\)'.*'add\.remote\(\)'"):
        add(1)
    with pytest.raises(TypeError):
        add.options(num_cpus=1)(1)


def takes(a, b=2, *, c):
    return a


WRONG_ARGUMENTS = [
    ((), {}),
    ((1,), {}),
    ((1, 2, 3), {"c": 1}),
    ((1,), {"c": 1, "d": 2}),
    ((1,), {"a": 1, "c": 2}),
    ((1,), {"b": 1}),
]


@pytest.mark.parametrize("args, kwargs", WRONG_ARGUMENTS)
def test_arguments_that_do_not_fit(goes_on, args, kwargs, node_sizes):
    with pytest.raises(TypeError) as local:
        takes(*args, **kwargs)
    before = node_sizes()["tasks"]
    with pytest.raises(TypeError) as remote:
        raylite.remote(takes).remote(*args, **kwargs)
    assert str(remote.value) == str(local.value)
    with pytest.raises(TypeError):
        raylite.remote(takes).options(name="x").remote(*args, **kwargs)
    assert node_sizes()["tasks"] == before


NOT_FUNCTIONS = [5, "text", None, [len], object()]


@pytest.mark.parametrize("thing", NOT_FUNCTIONS, ids=lambda thing: type(thing).__name__)
def test_decorating_what_is_no_function(thing):
    with pytest.raises(TypeError, match="must be applied"):
        raylite.remote(thing)
    with pytest.raises(TypeError, match="function"):
        raylite.remote(num_cpus=1)(thing)


def test_decorating_twice():
    with pytest.raises(TypeError, match="function"):
        raylite.remote(add)


def test_decorating_without_options():
    with pytest.raises(TypeError, match="parentheses"):

        @raylite.remote()
        def f():
            pass


def test_decorating_a_coroutine_function():
    with pytest.raises(ValueError, match="async def"):

        @raylite.remote
        async def f():
            pass


# ---- options ----

BAD_OPTIONS = [
    ({"num_cpu": 1}, ValueError, ["num_cpu", "num_cpus", "num_returns", "resources"]),
    ({"max_restarts": 1}, ValueError, ["max_restarts", "actors", "max_retries"]),
    ({"num_cpus": "1"}, TypeError, ["num_cpus", "'1'"]),
    ({"num_cpus": -1}, ValueError, ["num_cpus", "-1", "negative"]),
    ({"num_cpus": 0.00001}, ValueError, ["num_cpus", "0.0001"]),
    ({"num_cpus": float("nan")}, ValueError, ["num_cpus", "nan"]),
    ({"num_gpus": 1.5}, ValueError, ["num_gpus", "1.5", "whole"]),
    ({"num_gpus": -0.5}, ValueError, ["num_gpus", "negative"]),
    ({"memory": -1}, ValueError, ["memory", "negative"]),
    ({"resources": {"CPU": 1}}, ValueError, ["CPU", "num_cpus"]),
    ({"resources": {"a": -1}}, ValueError, ["'a'", "negative"]),
    ({"resources": {"a": "1"}}, TypeError, ["'a'"]),
    ({"resources": [1]}, TypeError, ["resources", "dict"]),
    ({"resources": {"a": 0.33333}}, ValueError, ["'a'", "0.0001"]),
    ({"num_returns": -1}, ValueError, ["num_returns", "-1"]),
    ({"num_returns": "many"}, ValueError, ["num_returns", "streaming"]),
    ({"num_returns": 1.5}, TypeError, ["num_returns"]),
    ({"num_returns": "streaming"}, ValueError, ["num_returns", "generator"]),
    ({"max_retries": -2}, ValueError, ["max_retries"]),
    ({"max_retries": "3"}, TypeError, ["max_retries"]),
    ({"retry_exceptions": ValueError}, TypeError, ["retry_exceptions"]),
    ({"retry_exceptions": ["ValueError"]}, ValueError, ["retry_exceptions", "'ValueError'"]),
    ({"name": 5}, TypeError, ["name"]),
    ({"scheduling_strategy": "FAST"}, ValueError, ["scheduling_strategy", "SPREAD"]),
    ({"runtime_env": {"pip": ["x"]}}, ValueError, ["runtime_env", "pip"]),
]


@pytest.mark.parametrize("options, error, said", BAD_OPTIONS, ids=lambda value: str(value)[:40])
def test_bad_options(goes_on, options, error, said):
    for use in (lambda: raylite.remote(**options)(takes), lambda: raylite.remote(takes).options(**options)):
        with pytest.raises(error) as caught:
            use()
        for words in said:
            assert words in str(caught.value)


# ---- get and put ----

NO_REFERENCES = [5, "ref", None, {"a": 1}, b"x" * 20, object(), len]


@pytest.mark.parametrize("thing", NO_REFERENCES, ids=lambda thing: type(thing).__name__)
def test_get_of_what_is_no_reference(goes_on, thing):
    with pytest.raises(ValueError, match=f"{type(thing).__name__}.*ObjectRef"):
        raylite.get(thing)
    with pytest.raises(TypeError, match="not an ObjectRef"):
        raylite.get([raylite.put(1), thing])


@pytest.mark.parametrize(
    "timeout, error", [("1", TypeError), ([], TypeError), (-1, ValueError), (float("nan"), ValueError)]
)
def test_get_with_a_bad_timeout(goes_on, timeout, error):
    with pytest.raises(error, match="timeout"):
        raylite.get(raylite.put(1), timeout=timeout)


def test_get_of_nested_lists(goes_on):
    with pytest.raises(TypeError, match="not an ObjectRef"):
        raylite.get([[raylite.put(1)]])


def test_put_of_a_reference(goes_on):
    with pytest.raises(TypeError, match=r"put.*ObjectRef.*list"):
        raylite.put(raylite.put(1))
    assert raylite.get(raylite.get(raylite.put([raylite.put(1)]))[0]) == 1


def test_references_cannot_be_made_up():
    with pytest.raises(TypeError, match="put"):
        raylite.ObjectRef(b"x" * 20)


# ---- what does not pickle ----


class Session:
    def __init__(self):
        self.name = "session"
        self.pool = {"connections": [1, 2, threading.Lock()]}


class Slotted:
    __slots__ = ("handle",)

    def __init__(self):
        self.handle = threading.Lock()


class Refuses:
    def __reduce__(self):
        raise RuntimeError("this one does not travel")


def make_generator():
    yield 1


UNPICKLABLE = {
    "itself": (threading.Lock, ["it is a _thread.lock"]),
    "an attribute": (Session, ["its part .pool['connections'][2] is a _thread.lock"]),
    "a slot": (Slotted, ["its part .handle is a _thread.lock"]),
    "in a list": (lambda: [0, [Session()]], ["its part [1][0].pool['connections'][2]"]),
    "in a dict": (lambda: {"a": {"b": threading.Lock()}}, ["its part ['a']['b']"]),
    "in a set": (lambda: {threading.Lock()}, ["element"]),
    "a generator": (make_generator, ["it is a builtins.generator"]),
    "a refusal": (Refuses, ["Refuses", "this one does not travel"]),
    "a lambda that captures": (lambda: (lambda lock: lambda: lock)(threading.Lock()), ["closure variable 'lock'"]),
    "one of very many": (lambda: [*range(100_000), threading.Lock()], ["[100000]"]),
    "an object array": (lambda: np.array([1, threading.Lock()], dtype=object), ["_thread.lock"]),
}


@pytest.mark.parametrize("kind", UNPICKLABLE)
def test_a_value_that_does_not_pickle(goes_on, kind, node_sizes):
    make, said = UNPICKLABLE[kind]
    value = make()
    before = node_sizes()["tasks"]
    for call, where in [
        (lambda: raylite.put(value), "the put value"),
        (lambda: add.remote(1, value), "the argument 1 of add"),
        (lambda: add.remote(raylite.put(0), y=value), "the argument 'y' of add"),
    ]:
        with pytest.raises(TypeError) as caught:
            call()
        text = str(caught.value)
        assert text.startswith(f"Could not serialize {where}: "), text
        for words in said:
            assert words in text
    assert node_sizes()["tasks"] == before


def test_a_function_that_captures_what_does_not_pickle(goes_on):
    lock = threading.Lock()

    @raylite.remote
    def closes_over():
        return lock

    @raylite.remote
    def default(held=lock):
        return held

    def helper():
        return lock

    @raylite.remote
    def through_another():
        return helper()

    for function, said in [
        (closes_over, "closure variable 'lock'"),
        (default, "default argument"),
        (through_another, "closure variable 'helper' closure variable 'lock'"),
    ]:
        for _ in range(2):
            with pytest.raises(TypeError, match="Could not serialize the function") as caught:
                function.remote()
            assert said in str(caught.value) and function.__name__ in str(caught.value)


def test_a_value_too_deep_to_pickle(goes_on):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError, match=r"Could not serialize the put value.*recursion"):
        raylite.put(deep)
    with pytest.raises(TypeError, match=r"Could not serialize the argument 0 of add.*recursion"):
        add.remote(deep)
    while deep:  # or its end would be a recursion, too
        deep = deep.pop()


def test_a_value_that_does_not_fit():
    raylite.shutdown()
    raylite.init(num_cpus=1, object_store_memory=1 << 24)
    try:
        with pytest.raises(raylite.exceptions.ObjectStoreFullError, match="object_store_memory"):
            raylite.put(np.ones(1 << 22))
        with pytest.raises(raylite.exceptions.ObjectStoreFullError):
            add.remote(np.ones(1 << 22))

        @raylite.remote
        def make():
            return np.ones(1 << 22)

        with pytest.raises(raylite.exceptions.ObjectStoreFullError):
            raylite.get(make.remote())
        assert raylite.get(raylite.put(np.ones(1 << 18))).sum() == 1 << 18
        assert raylite.get(add.remote(1)) == 2
    finally:
        raylite.shutdown()
        raylite.init(num_cpus=2)


# ---- references pickled by the user's own pickle ----


def test_a_reference_in_the_user_s_own_pickle(goes_on, n_objects, all_freed):
    raylite.shutdown()
    raylite.init(num_cpus=2)
    ref = raylite.put("kept")
    with pytest.warns(UserWarning, match="pickled outside raylite.*until the job ends"):
        data = pickle.dumps({"ref": ref})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pickle.dumps(raylite.put("also kept"))  # once is enough
    del ref
    gc.collect()
    assert raylite.get(raylite.put("something else")) == "something else"
    assert n_objects() >= 2
    loaded = pickle.loads(data)["ref"]
    assert raylite.get(loaded) == "kept"
    assert raylite.get(add.remote(loaded, y="!")) == "kept!"
    del loaded
    assert raylite.get(pickle.loads(data)["ref"]) == "kept"
    raylite.shutdown()
    with pytest.raises(RuntimeError, match="raylite"):
        pickle.loads(data)
    raylite.init(num_cpus=2)
    with pytest.raises(raylite.exceptions.ObjectLostError):
        raylite.get(pickle.loads(data)["ref"])


def test_a_task_that_pickles_a_reference_itself(goes_on):
    @raylite.remote
    def pickles(box):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            return pickle.dumps(box[0]), [str(w.message) for w in seen]

    data, seen = raylite.get(pickles.remote([raylite.put("from a task")]))
    assert len(seen) == 1 and "until the job ends" in seen[0]
    gc.collect()
    assert raylite.get(pickle.loads(data)) == "from a task"


def test_pickles_inside_values_are_counted_as_usual(goes_on, all_freed):
    """A class that pickles what it holds by itself, while raylite pickles it: no reference gets away."""
    raylite.shutdown()
    raylite.init(num_cpus=2)

    class Box:
        def __init__(self, ref):
            self.ref = ref

        def __reduce__(self):
            return pickle.loads, (pickle.dumps([self.ref]),)

    outer = raylite.put(Box(raylite.put("inner")))
    gc.collect()
    assert raylite.get(raylite.get(outer)[0]) == "inner"
    del outer
    all_freed()


# ---- init, twice and elsewhere ----


def test_init_twice(goes_on):
    with pytest.raises(RuntimeError, match="ignore_reinit_error"):
        raylite.init()
    context = raylite.init(ignore_reinit_error=True)
    assert context["node_id"] == raylite.get_runtime_context().get_node_id()


def test_init_and_shutdown_in_a_worker(goes_on):
    @raylite.remote
    def start():
        raylite.init()

    @raylite.remote
    def stop():
        raylite.shutdown()
        return raylite.is_initialized(), raylite.get(add.remote(1))

    with pytest.raises(RuntimeError, match="inside a worker"):
        raylite.get(start.remote())
    assert raylite.get(stop.remote()) == (True, 2)


BAD_INITS = [
    ({"num_cpus": -1}, ValueError, "num_cpus"),
    ({"num_cpus": 1.5}, TypeError, "num_cpus"),
    ({"num_cpu": 1}, TypeError, "num_cpu.*num_cpus"),
    ({"resources": {"CPU": 1}}, ValueError, "num_cpus"),
    ({"resources": {"a": 0.00001}}, ValueError, "0.0001"),
    ({"object_store_memory": 5}, ValueError, "object_store_memory"),
    ({"namespace": ""}, ValueError, "namespace"),
    ({"mode": "fast"}, ValueError, "embedded.*sim"),
    ({"address": "10.0.0.1:6379"}, ValueError, "address"),
    ({"address": "auto"}, ConnectionError, "no running cluster"),
    ({"local_mode": True}, ValueError, "mode='sim'"),
]


@pytest.mark.parametrize("options, error, said", BAD_INITS, ids=lambda value: str(value)[:40])
def test_bad_arguments_of_init(options, error, said):
    raylite.shutdown()
    try:
        with pytest.raises(error, match=said):
            raylite.init(**options)
        assert not raylite.is_initialized()
    finally:
        raylite.init(num_cpus=2)


# ---- after shutdown ----


@pytest.fixture
def after_shutdown(running):
    """Things from a session that has ended, by name."""
    raylite.shutdown()
    raylite.init(num_cpus=2)

    @raylite.remote
    def items():
        yield 1
        yield 2

    things = {
        "ref": raylite.put("old"),
        "pending": add.options(num_cpus=2).remote(1),
        "large": raylite.put(np.arange(1 << 18)),
        "stream": items.remote(),
        "array": raylite.get(raylite.put(np.arange(1 << 18))),
        "small array": raylite.get(raylite.put(np.arange(1000))),
    }
    raylite.shutdown()
    yield things
    raylite.shutdown()
    things.clear()
    raylite.init(num_cpus=2)


CALLS_ON_OLD_REFERENCES = {
    "get": lambda old: raylite.get(old["ref"]),
    "get with a timeout": lambda old: raylite.get(old["ref"], timeout=1),
    "get of a list": lambda old: raylite.get([old["large"], old["pending"]]),
    "wait": lambda old: raylite.wait([old["ref"]]),
    "next": lambda old: next(old["stream"]),
    "wait on a stream": lambda old: raylite.wait([old["stream"]]),
    "argument": lambda old: raylite.get(add.remote(old["ref"])),
    "inner argument": lambda old: raylite.get(read.remote([old["ref"]])),
    "inside put": lambda old: raylite.get(raylite.get(raylite.put([old["ref"]]))[0]),
    "future": lambda old: old["ref"].future().result(20),
    "cancel": lambda old: raylite.cancel(old["ref"]),
    "pickle": lambda old: pickle.dumps(old["ref"]),
}


@raylite.remote
def read(box):
    return raylite.get(box[0])


@pytest.mark.parametrize("started_anew", [False, True], ids=["none runs", "another runs"])
@pytest.mark.parametrize("call", CALLS_ON_OLD_REFERENCES)
def test_references_of_a_runtime_that_is_gone(after_shutdown, call, started_anew):
    if started_anew:
        raylite.init(num_cpus=1)
    with pytest.raises(RayError, match="shut down"):
        CALLS_ON_OLD_REFERENCES[call](after_shutdown)


def test_what_can_be_done_after_shutdown(after_shutdown):
    old = after_shutdown
    assert old["array"].sum() == (1 << 18) * ((1 << 18) - 1) // 2
    assert old["small array"][-1] == 999
    assert len(old["ref"].hex()) == 40 and old["ref"] == old["ref"] and hash(old["ref"])
    for ask in (raylite.nodes, raylite.cluster_resources, raylite.available_resources, raylite.timeline):
        with pytest.raises(RaySystemError, match="init"):
            ask()
    assert raylite.get_gpu_ids() == []
    assert not raylite.is_initialized()
    assert raylite.get(raylite.put("starts another")) == "starts another"
    assert raylite.is_initialized()
    assert raylite.get(add.remote(1)) == 2
    assert old["array"][5] == 5
    old.clear()
    gc.collect()
    assert raylite.get(add.remote(2)) == 3


def test_waiting_threads_when_the_runtime_ends(running, gate):
    """Nobody waits for ever: each of them is told."""

    @raylite.remote
    def wait():
        gate.pass_through()

    ref, seen = wait.remote(), []
    future = ref.future()
    barrier = threading.Barrier(4)

    def waits(call):
        barrier.wait()
        try:
            seen.append(call())
        except RaySystemError as error:
            seen.append(str(error))

    calls = [lambda: raylite.get(ref), lambda: raylite.wait([ref]), lambda: raylite.get([ref, ref], timeout=60)]
    threads = [threading.Thread(target=waits, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    barrier.wait()
    raylite.shutdown()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert len(seen) == 3 and all("shut down" in text or "not running" in text for text in seen)
    with pytest.raises(RaySystemError, match="shut down"):
        future.result(20)
    raylite.init(num_cpus=2)


def test_a_context_of_a_runtime_that_is_gone(after_shutdown):
    context = raylite.get_runtime_context()
    with pytest.raises(RaySystemError, match="init"):
        context.get_job_id()


# ---- many at once ----


def test_bad_input_from_many_threads(goes_on):
    errors = []

    def work():
        for _ in range(100):
            for call in (lambda: add.remote(), lambda: raylite.get(5), lambda: raylite.put(threading.Lock())):
                try:
                    call()
                except (TypeError, ValueError):
                    continue
                errors.append(call)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
