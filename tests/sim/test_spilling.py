"""More values than a virtual node's arena holds: they go to its disk, which takes time, fills up, and comes back."""

from __future__ import annotations

import numpy as np
import pytest

import raylite
from raylite import sim
from raylite.sim import Faults

ARENA_BYTES = 4 << 20
SMALL = sim.Node(num_cpus=2, object_store_memory=ARENA_BYTES)
FULL_DISK = sim.Node(num_cpus=2, object_store_memory=ARENA_BYTES, disk=1000)


@raylite.remote(max_retries=-1)
def block(number):
    return np.full(100_000, number)  # 800 kB


@raylite.remote(max_retries=-1)
def total(*blocks):
    return sum(int(each[0]) for each in blocks)


def map_reduce():
    """Values of eight times the arena; what comes of them."""
    made = [block.remote(number) for number in range(20)]
    put = [raylite.put(np.full(100_000, number)) for number in range(20)]
    sums = [total.remote(*made[i : i + 2], *put[i : i + 2]) for i in range(0, 20, 2)]
    return raylite.get(sums), [int(raylite.get(each)[7]) for each in put]


EXPECTED = ([2 * (i + i + 1) for i in range(0, 20, 2)], list(range(20)))


@pytest.mark.parametrize("seed", range(5))
def test_a_map_reduce_over_more_than_the_arena(seed):
    assert sim.run(map_reduce, seed=seed, nodes=[SMALL], check=True).value == EXPECTED


@pytest.mark.parametrize("seed", range(3))
def test_the_same_on_two_nodes(seed):
    assert sim.run(map_reduce, seed=seed, nodes=[SMALL, SMALL], check=True).value == EXPECTED


@pytest.mark.parametrize("seed", range(3))
def test_and_where_workers_die_and_bytes_get_lost(seed):
    faults = Faults(worker_crash=0.01, eviction=0.01)
    assert sim.run(map_reduce, seed=seed, nodes=[SMALL], faults=faults, check=True).value == EXPECTED


def test_it_is_the_same_run_each_time():
    first, second = (sim.run(map_reduce, seed=3, nodes=[SMALL]) for _ in range(2))
    assert (first.trace_hash, first.virtual_s) == (second.trace_hash, second.virtual_s)


def test_the_disk_takes_its_time_and_is_empty_in_the_end():
    def program():
        begin_s = sim.current().now_s()
        refs = [raylite.put(np.full(100_000, number)) for number in range(15)]
        took_s = sim.current().now_s() - begin_s
        spilled = sim.current().sizes()["spilled"]
        del refs
        sim.current().settle()
        return took_s, spilled, sim.current().sizes()["spilled"]

    took_s, spilled, in_the_end = sim.run(program, nodes=[SMALL]).value
    assert took_s > 10 * 0.8e6 / 1e9  # at a gigabyte a second
    assert spilled >= 10
    assert in_the_end == 0


def test_a_disk_that_is_full_is_an_error_and_nothing_is_lost():
    def program():
        refs = [raylite.put(np.full(100_000, number)) for number in range(4)]
        with pytest.raises(raylite.exceptions.OutOfDiskError):
            refs.extend(raylite.put(np.full(100_000, number)) for number in range(4, 9))
        return [int(raylite.get(ref)[0]) for ref in refs]

    assert sim.run(program, nodes=[FULL_DISK]).value == list(range(5))


def test_with_a_full_disk_what_can_be_made_again_makes_way():
    def program():
        refs = [block.remote(number) for number in range(9)]
        return [int(raylite.get(ref)[0]) for ref in refs]

    assert sim.run(program, nodes=[FULL_DISK]).value == list(range(9))
