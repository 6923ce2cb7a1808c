"""More values than the arena holds: through real files, which nobody can see and which go with the driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import raylite

MB = 1 << 20
ARENA_BYTES = 16 * MB


@pytest.fixture
def small_arena(tmp_path):
    """A runtime with an arena of 16 MB that spills to the folder that is returned."""
    folder = tmp_path / "spill"
    raylite.init(num_cpus=2, object_store_memory=ARENA_BYTES, spill_dir=folder)
    yield folder
    raylite.shutdown()
    assert list(folder.iterdir()) == []


@raylite.remote
def double(block):
    return block * 2


@raylite.remote
def total(*blocks):
    return sum(int(block.sum()) for block in blocks)


def block_of(number):
    return np.full(MB // 8, number)


def sizes():
    from raylite import lifecycle

    return lifecycle.runtime().sizes()


def spill_files():
    """The descriptors of this process that are files without a name in a spill folder."""
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if "/spill/" in target and target.endswith("(deleted)"):
            yield int(name)


def test_values_of_four_times_the_arena_pass_through_a_map_reduce(small_arena):
    blocks = [raylite.put(block_of(number)) for number in range(64)]
    doubled = [double.remote(block) for block in blocks]
    sums = [total.remote(*doubled[i : i + 4]) for i in range(0, 64, 4)]
    assert raylite.get(total.remote(*[raylite.put(np.array(each)) for each in raylite.get(sums)])) == sum(
        2 * number * MB // 8 for number in range(64)
    )
    assert sizes()["spilled"] > 0
    assert sizes()["arena_bytes"] <= ARENA_BYTES
    assert list(small_arena.iterdir()) == []  # what is there has no name


def test_each_value_comes_back_as_it_was(small_arena):
    blocks = [raylite.put(block_of(number)) for number in range(48)]
    for number in (0, 47, 5, 0, 20):
        assert (raylite.get(blocks[number]) == number).all()
    for number, block in enumerate(blocks):
        assert (raylite.get(block) == number).all()


def test_all_is_given_back(small_arena):
    blocks = [raylite.put(block_of(number)) for number in range(40)]
    del blocks
    raylite.get(double.remote(np.ones(1)))
    assert sizes()["spilled"] == sizes()["arena_bytes"] == 0
    assert sum(os.fstat(fd).st_blocks for fd in spill_files()) <= 2048  # the last may be on its way


def test_views_of_more_than_the_arena_holds(small_arena):
    blocks = [raylite.put(block_of(number)) for number in range(32)]
    views = raylite.get(blocks)
    assert [view[0] for view in views] == list(range(32))
    assert sizes()["arena_bytes"] <= ARENA_BYTES


def test_results_wait_for_room(small_arena):
    @raylite.remote
    def make(number):
        return block_of(number)

    refs = [make.remote(number) for number in range(40)]
    assert raylite.get([total.remote(ref) for ref in refs]) == [number * MB // 8 for number in range(40)]


def test_a_damaged_file_is_noticed_and_the_value_made_again(small_arena):
    @raylite.remote
    def make(number):
        return block_of(number)

    made, put = make.remote(7), raylite.put(block_of(8))
    raylite.wait([made])
    others = [raylite.put(block_of(number)) for number in range(40)]
    for fd in spill_files():
        writable = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
        os.pwrite(writable, os.urandom(2 * MB), 0)
        os.close(writable)
    assert (raylite.get(made) == 7).all()
    with pytest.raises(raylite.exceptions.ObjectLostError, match="put"):
        raylite.get(put)
    assert (raylite.get(others[39]) == 39).all()


def test_a_disk_that_takes_nothing_is_an_error_and_nothing_is_lost(tmp_path):
    folder = tmp_path / "spill"
    with raylite.init(num_cpus=1, object_store_memory=ARENA_BYTES, spill_dir=folder):
        folder.rmdir()
        blocks = []
        with pytest.raises(raylite.exceptions.OutOfDiskError, match="spill_dir"):
            blocks.extend(raylite.put(block_of(number)) for number in range(20))
        assert 10 < len(blocks) < 17
        assert [int(block[0]) for block in raylite.get(blocks)] == list(range(len(blocks)))


def test_without_a_disk_what_can_be_made_again_is(tmp_path):
    with raylite.init(num_cpus=2, object_store_memory=ARENA_BYTES, spill_dir="off"):

        @raylite.remote
        def make(number):
            return block_of(number)

        refs = [make.remote(number) for number in range(40)]
        raylite.wait(refs, num_returns=40)
        assert [int(raylite.get(ref)[0]) for ref in refs] == list(range(40))


def test_a_full_arena_names_who_fills_it():
    with raylite.init(num_cpus=1, object_store_memory=ARENA_BYTES, spill_dir="off"):
        views = raylite.get([raylite.put(block_of(number)) for number in range(12)])
        with pytest.raises(raylite.exceptions.ObjectStoreFullError, match=rf"process {os.getpid()} \(the driver\)"):
            raylite.put(np.ones(MB))
        assert views[11][0] == 11


@pytest.mark.parametrize("how", ["kill", "exit", "shutdown"])
def test_nothing_is_left_behind_however_the_driver_ends(tmp_path, how):
    folder = tmp_path / "spill"
    program = f"""
        import os, signal, numpy as np, raylite
        raylite.init(num_cpus=1, object_store_memory={ARENA_BYTES}, spill_dir={str(folder)!r})
        blocks = [raylite.put(np.full({MB // 8}, number)) for number in range(40)]
        print("spilled", flush=True)
        if {how!r} == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if {how!r} == "shutdown":
            raylite.shutdown()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("spilled\n", -signal.SIGKILL if how == "kill" else 0), done.stderr
    assert list(folder.iterdir()) == []


def test_a_folder_that_nothing_can_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        raylite.init(spill_dir=tmp_path / "file" / "folder")
    assert not raylite.is_initialized()
