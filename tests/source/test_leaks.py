"""The leak check sees what it is there to see, and nothing that others did."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

import pytest

from tests import leaks
from tests.leaks import Footprint, leaks_after
from tests.source.tree import ROOT

LEAKY_TESTS = """
import os, subprocess, sys, tempfile
import raylite

kept = []

def test_that_leaves_a_child_and_a_file():
    kept.append(tempfile.TemporaryFile())
    kept.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))

def test_that_leaves_the_runtime_on():
    raylite.init(num_cpus=1)

def test_that_finds_it_off():
    assert not raylite.is_initialized()

def test_that_leaves_an_orphan():
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])"
    subprocess.run([sys.executable, "-c", code], check=True)
"""


@pytest.fixture
def before():
    return Footprint.now()


def test_nothing_new_is_no_leak(before):
    assert leaks_after(before, grace_s=0) == []


def test_an_open_file_is_a_leak(before):
    with open(__file__) as file:
        [found] = leaks_after(before, grace_s=0)
        assert found == f"1 more file descriptors, among {file.fileno()} ({__file__})"


def test_a_child_is_a_leak_until_it_has_been_waited_for(before):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert any(f"process {child.pid} " in each for each in leaks_after(before, grace_s=0))
        child.communicate(b"\n")
    assert leaks_after(before, grace_s=0) == []


def test_a_grandchild_whose_parent_died_is_found_and_killed(wait_until):
    code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'input()'], stdout=2).pid)"
    read_end, write_end = os.pipe()  # its input, so that it ends with this process at the latest
    try:
        done = subprocess.run([sys.executable, "-c", code], stdin=read_end, stdout=subprocess.PIPE, check=True)
        grandchild = int(done.stdout)
        assert leaks.orphans(grace_s=0) == {grandchild}
        assert "input()" in leaks.describe(grandchild)
        leaks.kill_all({grandchild})
        wait_until(lambda: not leaks.orphans(grace_s=0))
    finally:
        os.close(read_end)
        os.close(write_end)


@pytest.mark.alone
def test_shared_memory_is_a_leak_unless_another_has_it_mapped(before):
    """The other: a process that this session's mark was taken from, and that is no child of it."""
    path = f"/dev/shm/leak-{os.getpid()}"
    code = f"import mmap; file = open({path!r}, 'r+b'); m = mmap.mmap(file.fileno(), 0); print(flush=True); input()"
    environment = {name: value for name, value in os.environ.items() if name != leaks.SESSION_VARIABLE}
    try:
        with open(path, "wb") as file:
            file.write(b"x")
        assert leaks_after(before, grace_s=0) == [f"shared memory {path}"]
        with subprocess.Popen(
            ["setsid", "--fork", sys.executable, "-c", code],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as launcher:
            launcher.stdout.readline()
            launcher.wait()
            assert f"shared memory {path}" not in leaks_after(before, grace_s=0)
            launcher.communicate(b"\n")
    finally:
        os.unlink(path)


def test_a_temporary_file_is_a_leak(before):
    with tempfile.NamedTemporaryFile() as file:
        assert f"temporary file {file.name}" in leaks_after(before, grace_s=0)


def test_what_is_on_its_way_out_is_given_time(before):
    descriptor, path = tempfile.mkstemp()
    os.close(descriptor)
    threading.Timer(0.1, os.unlink, [path]).start()
    assert leaks_after(before) == []


def test_a_test_that_leaves_something_behind_fails(tmp_path):
    for name in ("conftest.py", "pyproject.toml", "tests/__init__.py", "tests/leaks.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tests/test_leaky.py").write_text(LEAKY_TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    reports = re.findall(r"ERROR at teardown of (\w+) _+\nleft behind: (.*)", done.stdout)
    assert [name for name, _ in reports] == ["test_that_leaves_a_child_and_a_file", "test_that_leaves_an_orphan"]
    (_, of_the_first), (_, of_the_last) = reports
    assert "2 more file descriptors" in of_the_first and "-c input()" in of_the_first
    assert re.fullmatch(r"process \d+ in state \w: \S+ -c import signal; [^;]+ its parent gone", of_the_last)
    assert "4 passed, 2 errors" in done.stdout
