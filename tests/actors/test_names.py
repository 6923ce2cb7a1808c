"""Named actors, namespaces, get_if_exists, detached ones, resources, limits of pending calls, the runtime context."""

from __future__ import annotations

import os

import pytest

import raylite
from raylite.exceptions import ActorDiedError, PendingCallsLimitExceeded

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote
class Named:
    def __init__(self, value=0):
        self.value = value

    def get(self):
        return self.value

    def name(self):
        return raylite.get_runtime_context().get_actor_name()

    def ids(self):
        context = raylite.get_runtime_context()
        return context.get_actor_id(), context.get_task_name(), context.get_task_function_name(), context.namespace

    def through(self, gate):
        gate.pass_through()


def test_a_name_finds_the_actor_also_from_a_task():
    actor = Named.options(name="finder").remote(3)

    @raylite.remote
    def find():
        return raylite.get(raylite.get_actor("finder").get.remote())

    assert raylite.get_actor("finder") == actor
    assert raylite.get(find.remote()) == 3
    assert raylite.get(actor.name.remote()) == "finder"


def test_a_name_is_given_once_and_free_after_death(wait_until):
    actor = Named.options(name="once").remote(1)
    with pytest.raises(ValueError, match="already exists"):
        Named.options(name="once").remote(2)
    raylite.kill(actor)
    again = Named.options(name="once").remote(3)
    assert raylite.get(raylite.get_actor("once").get.remote()) == 3
    del again
    wait_until(lambda: not exists("once"))


def exists(name, namespace=None):
    try:
        raylite.get_actor(name, namespace)
    except ValueError:
        return False
    return True


def test_namespaces_are_apart():
    here = Named.options(name="apart").remote(1)
    there = Named.options(name="apart", namespace="elsewhere").remote(2)
    assert raylite.get(raylite.get_actor("apart").get.remote()) == 1
    assert raylite.get(raylite.get_actor("apart", namespace="elsewhere").get.remote()) == 2
    assert not exists("apart", "nowhere")
    del here, there


def test_get_if_exists():
    options = {"name": "shared", "get_if_exists": True}
    first = Named.options(**options).remote(1)
    assert raylite.get(Named.options(**options).remote(2).get.remote()) == 1

    @raylite.remote
    def get_or_make():
        return raylite.get(
            Named.options(name="raced", get_if_exists=True, lifetime="detached").remote(os.getpid()).get.remote()
        )

    assert len(set(raylite.get([get_or_make.remote() for _ in range(20)]))) == 1
    raylite.kill(raylite.get_actor("raced"))
    del first


def test_a_detached_actor_lives_without_handles():
    Named.options(name="stays", lifetime="detached").remote(4)
    assert raylite.get(raylite.get_actor("stays").get.remote()) == 4
    raylite.kill(raylite.get_actor("stays"))
    assert not exists("stays")


def test_it_takes_a_cpu_to_place_and_none_to_run():
    actors = [Named.remote(i) for i in range(5)]
    assert raylite.get([actor.get.remote() for actor in actors]) == list(range(5))
    assert raylite.available_resources()["CPU"] == 2


def test_resources_that_are_asked_for_are_held_for_life(wait_until):
    actor = Named.options(num_cpus=1).remote()
    raylite.get(actor.get.remote())
    assert raylite.available_resources()["CPU"] == 1
    del actor
    wait_until(lambda: raylite.available_resources().get("CPU") == 2)


def test_an_actor_that_waits_lends_its_cpu():
    @raylite.remote
    def leaf():
        return 1

    @raylite.remote(num_cpus=2)
    class Waits:
        def wait(self):
            return raylite.get([leaf.remote() for _ in range(4)])

    assert raylite.get(Waits.remote().wait.remote()) == [1] * 4


def test_actors_do_not_count_towards_the_workers():
    actors = [Named.remote(i) for i in range(20)]
    assert raylite.get([actor.get.remote() for actor in actors]) == list(range(20))

    @raylite.remote
    def task(i):
        return i

    assert raylite.get([task.remote(i) for i in range(10)]) == list(range(10))


def test_pending_calls_are_limited_by_option(gate):
    actor = Named.options(max_pending_calls=3).remote()
    refs = [actor.through.remote(gate) for _ in range(3)]
    with pytest.raises(PendingCallsLimitExceeded, match="max_pending_calls"):
        actor.get.remote()
    gate.open()
    raylite.get(refs)
    assert raylite.get(actor.get.remote()) == 0


def test_the_runtime_context_of_a_call():
    actor = Named.options(name="context").remote()
    actor_id, task, function, namespace = raylite.get(actor.ids.remote())
    assert actor_id == actor._actor_id.hex()
    assert (task, function) == ("Named.ids", "Named.ids")
    assert namespace == raylite.get_runtime_context().namespace
    assert raylite.get(actor.ids.options(name="other").remote())[1:3] == ("other", "Named.ids")
    assert raylite.get_runtime_context().get_actor_id() is None
    with pytest.raises(RuntimeError, match="only available in an actor"):
        raylite.get_runtime_context().current_actor  # noqa: B018


def test_gpus_are_the_actors_for_life():
    raylite.shutdown()
    raylite.init(num_cpus=2, num_gpus=2)

    @raylite.remote(num_gpus=1)
    class Gpu:
        def ids(self):
            return raylite.get_gpu_ids(), os.environ["CUDA_VISIBLE_DEVICES"]

    a, b = Gpu.remote(), Gpu.remote()
    seen = raylite.get([a.ids.remote(), b.ids.remote(), a.ids.remote()])
    assert seen[0] == seen[2] and {tuple(ids) for ids, _ in seen} == {(0,), (1,)}
    assert "GPU" not in raylite.available_resources()
    c = Gpu.remote()
    waiting = c.ids.remote()
    assert raylite.wait([waiting], timeout=0.2)[0] == []
    raylite.kill(a)
    assert raylite.get(waiting) == seen[0]
    with pytest.raises(ActorDiedError):
        raylite.get(a.ids.remote())
    raylite.shutdown()
    raylite.init(num_cpus=2)
