"""What a simulation has used is free again when it ends, and not when the garbage collector comes."""

from __future__ import annotations

import gc
import weakref

import pytest

import raylite
from raylite import sim
from raylite.sim import session as sessions


@raylite.remote
def block():
    return bytes(200_000)


def ended_session(nodes):
    """What is left of a simulation in which values were made and read."""
    with sim.cluster(1, nodes) as c:
        assert sum(map(len, raylite.get([block.remote() for _ in range(4)]))) == 800_000
        session = c.session
        what = {
            "session": session,
            "client": session.client,
            "memories": session.host.memory,
        }
        return {name: weakref.ref(each) for name, each in what.items() if hasattr(each, "__weakref__")}


@pytest.mark.parametrize("nodes", [1, 3], ids=["one node", "several"])
def test_the_session_goes_at_once(nodes):
    ended_session(nodes)
    gc.collect()
    gc.disable()
    try:
        left = ended_session(nodes)
        assert [name for name, each in left.items() if each() is not None] == []
    finally:
        gc.enable()


def test_what_is_left_in_cycles_goes_after_a_while(monkeypatch):
    monkeypatch.setattr(sessions, "LEFT_MOST", 2)
    with sim.cluster(1) as c:
        kernel_of = [type(each) for each in (c.session.kernel,)]
    kernel = kernel_of[0]
    gc.collect()
    for seed in range(6):
        with sim.cluster(seed):
            pass
    assert sum(type(each) is kernel for each in gc.get_objects()) <= 4
