"""Trees of processes: who is in them, what they use, and their end."""

import os
import subprocess
import sys
import textwrap

import pytest

from benchmarks import processes


@pytest.fixture
def family():
    """A process with a child of its own, both waiting; the pids of both."""
    program = """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1)
        child.stdout.readline()
        print(child.pid, flush=True)
        sys.stdin.readline()
        while True:
            pass
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        try:
            yield parent, child
        finally:
            processes.end_tree(parent.pid)


def test_a_tree_is_found_weighed_and_ended(family):
    parent, child = family
    assert processes.descendants(parent.pid) == [child]
    both = processes.pss_bytes([parent.pid, child])
    assert both > processes.pss_bytes([child]) > 0
    processes.end_tree(parent.pid)
    assert processes.await_gone([parent.pid, child], timeout_s=0)


def test_shared_memory_is_counted_once():
    program = """
        import mmap, os, sys
        shared = mmap.mmap(-1, 32_000_000)
        shared.write(bytes(32_000_000))
        os.fork()
        if not any(shared[::4096]):  # both have touched every page
            print(flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        parent.stdout.readline()
        parent.stdout.readline()
        weight = processes.pss_bytes([parent.pid, *processes.descendants(parent.pid)])
        parent.stdin.close()
    assert 32_000_000 < weight < 64_000_000


def test_a_process_at_work_gathers_cpu_time_and_a_waiting_one_does_not(family):
    parent, child = family
    at_work_s, waiting_s = processes.on_cpu_s([parent.pid]), processes.on_cpu_s([child])
    parent.stdin.write("\n")
    parent.stdin.flush()
    while (gathered_s := processes.on_cpu_s([parent.pid]) - at_work_s) < 0.2:
        pass
    assert processes.on_cpu_s([child]) - waiting_s < gathered_s / 4
    assert processes.Snapshot().tree_cpu_s(parent.pid) > gathered_s / 2  # that one counts in ticks


def test_waiting_for_a_process_that_stays_gives_up(family):
    parent, _child = family
    assert not processes.await_gone([parent.pid], timeout_s=0)


def test_processes_that_are_gone_count_as_nothing():
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        pass
    assert processes.pss_bytes([ended.pid]) == 0
    assert processes.on_cpu_s([ended.pid]) == 0
    assert processes.await_gone([ended.pid], timeout_s=0)


def test_a_command_name_full_of_parentheses_is_no_trouble(tmp_path):
    odd = tmp_path / "a) b (c"
    odd.symlink_to(sys.executable)
    with subprocess.Popen([odd, "-c", "input()"], stdin=subprocess.PIPE, env={"PYTHONHOME": sys.base_prefix}) as child:
        snapshot = processes.Snapshot()
        child.communicate(b"\n")
    assert child.pid in snapshot.cpu_s
    assert child.pid in snapshot.tree(os.getpid())


def test_only_new_children_are_ended(family):
    old = processes.children()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as new:
        assert processes.end_children(spared=old) == [new.pid]
    assert family[0].poll() is None
