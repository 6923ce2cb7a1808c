"""What a simulation has used is free again when it ends, without the garbage collector."""

from __future__ import annotations

import gc
import resource
import weakref

import pytest

import raylite
from raylite import sim
from raylite.sim import session as sessions

N_BLOCKS = 20
BLOCK_BYTES = 200_000


@raylite.remote
def block():
    return bytes(BLOCK_BYTES)


def run_once(nodes):
    """A simulation in which large values are made and read; what is left of it."""
    with sim.cluster(1, nodes) as c:
        assert sum(map(len, raylite.get([block.remote() for _ in range(N_BLOCKS)]))) == N_BLOCKS * BLOCK_BYTES
        return weakref.ref(c.session)


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("nodes", [1, 3], ids=["one node", "several"])
def test_the_session_goes_at_once(nodes, no_collector):
    assert run_once(nodes)() is None


@pytest.mark.parametrize("nodes", [1, 3], ids=["one node", "several"])
def test_the_next_one_has_its_memory(nodes, no_collector):
    run_once(nodes)
    run_once(nodes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        run_once(nodes)
    n_touched = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert n_touched * resource.getpagesize() < 5 * N_BLOCKS * BLOCK_BYTES / 2


def n_kernels():
    """How many simulations' kernels there are, ended ones too."""
    return sum(type(each).__name__ == "Kernel" for each in gc.get_objects())


def test_what_is_left_in_cycles_goes_after_a_while(monkeypatch):
    monkeypatch.setattr(sessions, "LEFT_MOST", 2)
    before = n_kernels()
    for seed in range(8):
        with sim.cluster(seed):
            pass
    assert n_kernels() - before <= 4
