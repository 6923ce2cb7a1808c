"""What wrong use of actors gets: an error at the call, naming the fault and what is valid."""

from __future__ import annotations

import threading

import pytest

import raylite

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote
class Plain:
    attribute = 3

    def __init__(self, a, b=2):
        self.a = a

    def method(self, x, *, y=1):
        return x

    @property
    def shape(self):
        return 1


@pytest.fixture(scope="module")
def plain(raylite_2cpu_module):
    return Plain.remote(1)


def test_an_actor_class_is_not_called():
    with pytest.raises(TypeError, match=r"use 'Plain\.remote\(\)'"):
        Plain(1)


def test_a_method_is_not_called(plain):
    with pytest.raises(TypeError, match=r"object\.method\.remote\(\)"):
        plain.method(1)


@pytest.mark.parametrize("args", [(), (1, 2, 3)])
def test_arguments_of_init(args):
    with pytest.raises(TypeError, match="__init__"):
        Plain.remote(*args)


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2), {}), ((1,), {"z": 1})])
def test_arguments_of_a_method(plain, args, kwargs):
    with pytest.raises(TypeError, match="method"):
        plain.method.remote(*args, **kwargs)


@pytest.mark.parametrize(("name", "says"), [("shape", "property"), ("attribute", "no method"), ("nothing", "method")])
def test_what_is_no_method(plain, name, says):
    with pytest.raises(AttributeError, match=says):
        getattr(plain, name)


def test_a_derived_class_of_an_actor_class():
    with pytest.raises(TypeError, match="derive from the plain class"):

        class Derived(Plain):
            pass


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_foo": 1}, "num_foo"),
        ({"num_returns": 2}, "remote functions"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"max_restarts": -2}, "max_restarts"),
        ({"name": ""}, "empty"),
        ({"get_if_exists": True}, "name must be specified"),
        ({"lifetime": "long"}, "lifetime"),
        ({"concurrency_groups": {"a": 0}}, "concurrency_groups"),
        ({"recovery": "magic"}, "recovery"),
        ({"num_cpus": 0.00001}, "num_cpus"),
    ],
)
def test_options_of_an_actor(options, says):
    with pytest.raises((ValueError, TypeError), match=says):
        raylite.remote(**options)(type("A", (), {}))


def test_options_of_a_method(plain):
    with pytest.raises(ValueError, match="Invalid option keyword foo"):
        plain.method.options(foo=1)
    with pytest.raises(ValueError, match="no concurrency group 'io'"):
        plain.method.options(concurrency_group="io").remote(1)
    with pytest.raises(ValueError, match="generator"):
        plain.method.options(num_returns="streaming")
    with pytest.raises(ValueError, match="Invalid option"):
        raylite.method(foo=1)
    with pytest.raises(TypeError, match="at least one"):
        raylite.method()


def test_a_method_in_a_group_that_the_class_does_not_have():
    @raylite.remote
    class Wrong:
        @raylite.method(concurrency_group="io")
        def f(self):
            pass

    with pytest.raises(ValueError, match="'io'"):
        Wrong.remote()


def test_arguments_that_do_not_pickle(plain):
    with pytest.raises(TypeError, match="lock"):
        plain.method.remote(threading.Lock())
    with pytest.raises(TypeError, match="lock"):
        Plain.remote(threading.Lock())
    assert raylite.get(plain.method.remote(1)) == 1


def test_a_class_that_does_not_pickle():
    lock = threading.Lock()

    @raylite.remote
    class Captures:
        def f(self):
            return lock

    with pytest.raises(TypeError, match="Captures"):
        Captures.remote()


def test_a_result_that_does_not_pickle():
    @raylite.remote
    class Returns:
        def lock(self):
            return threading.Lock()

        def one(self):
            return 1

    actor = Returns.remote()
    with pytest.raises(TypeError, match="lock"):
        raylite.get(actor.lock.remote())
    assert raylite.get(actor.one.remote()) == 1


@pytest.mark.parametrize("wrong", [3, None, "name", Plain])
def test_kill_of_what_is_no_handle(wrong):
    with pytest.raises(ValueError, match="only supported for actors"):
        raylite.kill(wrong)


def test_get_of_a_handle(plain):
    with pytest.raises(ValueError, match="ObjectRef"):
        raylite.get(plain)


@pytest.mark.parametrize(
    ("name", "error"), [("", ValueError), (3, TypeError), ("nobody", ValueError), ("a\nb", ValueError)]
)
def test_get_actor(name, error):
    with pytest.raises(error):
        raylite.get_actor(name)


def test_handles_are_not_made_by_hand():
    with pytest.raises(TypeError, match="handles are made"):
        raylite.actor.ActorHandle()


def test_after_shutdown(plain):
    handle = Plain.remote(1)
    raylite.shutdown()
    try:
        with pytest.raises(raylite.exceptions.RaySystemError):
            handle.method.remote(1)
    finally:
        raylite.init(num_cpus=2)
    with pytest.raises(raylite.exceptions.RaySystemError, match="shut down"):
        handle.method.remote(1)
