"""`list_named_actors`: the names in use, in this job's namespace or in all."""

from __future__ import annotations

import pytest

import raylite
from raylite.util import list_named_actors


@pytest.fixture
def running(leaves_nothing):
    with raylite.init(num_cpus=2, namespace="home"):
        yield


@raylite.remote
class Named:
    def names(self):
        return list_named_actors(), list_named_actors(all_namespaces=True)


HOME = [{"name": "b", "namespace": "home"}, {"name": "c", "namespace": "home"}]
AWAY = {"name": "a", "namespace": "away"}


def test_names_of_this_namespace_and_of_all(running):
    assert list_named_actors() == list_named_actors(True) == []
    actors = [Named.options(name=name).remote() for name in ("c", "b")]
    actors.append(Named.options(name="a", namespace="away").remote())
    actors.append(Named.remote())
    expected = ["b", "c"], [AWAY, *HOME]
    assert (list_named_actors(), list_named_actors(all_namespaces=True)) == expected
    assert raylite.get(actors[-1].names.remote()) == expected


def test_a_dead_actor_has_no_name(running, wait_until):
    actor = Named.options(name="a").remote()
    assert list_named_actors() == ["a"]
    raylite.kill(actor)
    wait_until(lambda: list_named_actors() == [])


def test_it_starts_the_runtime(leaves_nothing):
    assert list_named_actors() == []
    assert raylite.is_initialized()


def test_bad_input(running):
    with pytest.raises(TypeError, match="all_namespaces is True or False, not 'home'"):
        list_named_actors("home")
