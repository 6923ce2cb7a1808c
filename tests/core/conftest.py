"""Hosts for the tests of the core; when a test ends, every table of its nodes agrees with the others."""

from __future__ import annotations

import pytest

from tests.core.host import Host


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
