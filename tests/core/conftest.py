"""Hosts for the tests of the core. When a test ends, every table of its nodes agrees with the others, and nodes leak nothing."""

from __future__ import annotations

import pytest

from raylite._core.envelope import live_blobs
from tests.core.host import Host


@pytest.fixture
def make_host():
    """A function that makes a Host (same arguments)."""
    hosts = []
    n_blobs = live_blobs()  # None in a release build, which does not count them

    def make(*args, **options):
        hosts.append(Host(*args, **options))
        return hosts[-1]

    yield make
    for host in hosts:
        host.node.check_invariants()
        del host.node
    assert live_blobs() == n_blobs


@pytest.fixture
def host(make_host):
    """A host with one CPU."""
    return make_host()
