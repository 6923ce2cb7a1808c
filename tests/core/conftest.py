"""Hosts for the tests of the core; when a test ends, every table of its nodes agrees with the others."""

from __future__ import annotations

import pytest

from tests.core.host import Host
from tests.core.store_shards import Shards


@pytest.fixture
def make_host():
    """A function that makes a Host (same arguments)."""
    hosts = []

    def make(*args, **options):
        hosts.append(Host(*args, **options))
        return hosts[-1]

    yield make
    for host in hosts:
        host.node.check_invariants()


@pytest.fixture
def host(make_host):
    """A host with one CPU."""
    return make_host()


@pytest.fixture
def wide(make_host):
    """A host with eight CPUs."""
    return make_host({"CPU": 8})


@pytest.fixture
def alive(wide):
    """The same, with an actor "A" on worker 2."""
    return wide.make("A")


@pytest.fixture
def make_shards():
    """A function that makes Shards (same arguments); in the end they agree with themselves, and survive a snapshot."""
    made = []

    def make(*args, **options):
        made.append(Shards(*args, **options))
        return made[-1]

    yield make
    for shards in made:
        for shard in shards.shards:
            shard.check_invariants()
            snapshot = shard.snapshot()
            shard.restore(snapshot)
            assert shard.snapshot() == snapshot
            shard.check_invariants()


@pytest.fixture
def shard(make_shards):
    """One shard that has everything."""
    return make_shards()
