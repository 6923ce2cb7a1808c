"""Programs that fork, in the driver and in tasks, by os.fork, subprocess and multiprocessing."""

from __future__ import annotations

import pytest

from tests.runtime import drivers

COMMON = """
import multiprocessing
import numpy as np

@raylite.remote
def square(x):
    return x * x

def squares():
    return raylite.get([square.remote(i) for i in range(20)]) == [i * i for i in range(20)]

def child(function):
    \"\"\"The exit status of a forked process that ends as programs do: through exit hooks, or by a traceback.\"\"\"
    pid = os.fork()
    if pid == 0:
        function()
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def in_child(function):
    assert child(function) == 0

"""


def test_a_forked_child_ends_without_hurting_its_parents_runtime(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=2)
assert squares()
refs = [square.remote(3), raylite.put(np.ones(1 << 18))]
pid = os.fork()
if pid == 0:
    del refs
    raylite.shutdown()
    sys.exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
assert squares() and raylite.get(refs[0]) == 9 and raylite.get(refs[1]).sum() == 1 << 18
say("well")
"""
    )
    driver.expect("well")
    driver.succeed()
    driver.assert_nothing_left()


def test_a_forked_child_reads_the_parents_arrays_but_not_its_references(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=1)
array = raylite.get(raylite.put(np.arange(1 << 18)))
ref = square.remote(3)
inside = raylite.put([ref])

def look():
    assert array.sum() == (1 << 18) * ((1 << 18) - 1) // 2
    for use in (lambda: raylite.get(ref), lambda: raylite.wait([ref]), lambda: ref.future(),
                lambda: raylite.cancel(ref)):
        try:
            use()
        except raylite.exceptions.RaySystemError:
            pass
        else:
            raise AssertionError("a reference of the parent's was used")
    assert not raylite.is_initialized()

in_child(look)
part = array[10:20]
del array
assert part.tolist() == list(range(10, 20))
assert raylite.get(ref) == 9 and squares()
"""
    )
    driver.succeed()


def test_a_forked_child_has_a_runtime_of_its_own(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=1)
assert squares()

def own():
    with raylite.init(num_cpus=2):
        assert squares() and raylite.cluster_resources()["CPU"] == 2
        in_child(lambda: squares() or sys.exit(1))  # by itself, one more
    assert squares()  # by itself, once more; the exit ends it

in_child(own)
assert squares() and raylite.cluster_resources()["CPU"] == 1
"""
    )
    driver.succeed()
    driver.assert_nothing_left()


def test_a_forked_child_that_lives_on_keeps_none_of_the_parents_memory_or_processes(start):
    driver = start(
        COMMON
        + """
import signal
raylite.init(num_cpus=1)
ref = raylite.put(np.ones(1 << 20))
assert squares()
child = os.fork()
if child == 0:
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    assert not [link for link in links if "memfd" in link], links
    signal.pause()
say("child", child)
sys.stdin.readline()
os.kill(os.getpid(), 9)
"""
    )
    child = int(driver.expect("child"))
    driver.tell()
    driver.process.wait()
    driver.until(lambda: driver.tree() == {child}, "only the child is left", 2.0)


def test_fork_while_other_threads_call(start):
    """Whatever the locks' state when it happens: the child does not come to wait for them."""
    driver = start(
        COMMON
        + """
import threading
raylite.init(num_cpus=2)
stop = False

def call():
    while not stop:
        assert squares()

threads = [threading.Thread(target=call) for _ in range(3)]
for thread in threads:
    thread.start()
for i in range(40):
    pid = os.fork()
    if pid == 0:
        stop = True
        assert not raylite.is_initialized()
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop = True
for thread in threads:
    thread.join()
assert squares()
"""
    )
    driver.succeed()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_in_the_driver(start, method):
    driver = start(
        COMMON
        + f"""
def double(x):
    return 2 * x

if __name__ == "__main__":
    raylite.init(num_cpus=2)
    assert squares()
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        assert pool.map(double, range(50)) == [2 * i for i in range(50)]
        assert squares()
    assert squares()
"""
    )
    driver.succeed()
    driver.assert_nothing_left()


def test_multiprocessing_pool_made_before_init(start):
    driver = start(
        COMMON
        + """
def double(x):
    return 2 * x

with multiprocessing.get_context("fork").Pool(2) as pool:
    raylite.init(num_cpus=2)
    assert squares()
    assert pool.map(double, range(50)) == [2 * i for i in range(50)]
    raylite.shutdown()
    assert pool.map(double, range(50)) == [2 * i for i in range(50)]
"""
    )
    driver.succeed()
    driver.assert_nothing_left()


def test_subprocess_in_driver_and_tasks(start):
    driver = start(
        COMMON
        + """
@raylite.remote
def shell(command):
    return subprocess.run(command, shell=True, stdout=subprocess.PIPE, text=True, check=True).stdout

@raylite.remote
def python():
    code = "import sys; print(sys.version_info[:2], len(sys.stdin.read()))"
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout

raylite.init(num_cpus=2)
assert subprocess.run(["echo", "hello"], stdout=subprocess.PIPE).stdout == b"hello\\n"
assert raylite.get(shell.remote("echo hello; cat")) == "hello\\n"
assert raylite.get(python.remote()) == f"{sys.version_info[:2]} 0\\n"
assert raylite.get([shell.remote(f"echo {i} | tr 0-9 a-j") for i in range(10)]) == [chr(97 + i) + "\\n" for i in range(10)]
assert squares()
"""
    )
    driver.succeed()


def test_a_task_that_forks(start):
    """Children that return, raise, exit or call raylite: the task is its parent's, and they end where they return."""
    driver = start(
        COMMON
        + """
@raylite.remote
def forks(how):
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert not raylite.is_initialized()
    if how == "raise":
        raise ValueError("of the child")
    if how == "exit":
        sys.exit(5)
    if how == "large":
        return np.ones(1 << 20)
    if how == "raylite":
        with raylite.init(num_cpus=1):
            assert squares()
        os._exit(6)
    return "of the child"

raylite.init(num_cpus=1)
assert raylite.get([forks.remote(how) for how in ("return", "raise", "exit", "large", "raylite")]) == [0, 1, 5, 0, 6]
assert squares()
"""
    )
    driver.succeed()
    assert "ValueError: of the child" in driver.stderr
    driver.assert_nothing_left()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_in_tasks(start, tmp_path, method):
    (tmp_path / "doubling.py").write_text("def double(x):\n    return 2 * x\n")
    driver = start(
        COMMON
        + f"""
sys.path.append({str(tmp_path)!r})

@raylite.remote
def pooled(n):
    from doubling import double
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        return pool.map(double, range(n))

if __name__ == "__main__":
    raylite.init(num_cpus=1)
    assert raylite.get(pooled.remote(20)) == [2 * i for i in range(20)]
    assert raylite.get(pooled.remote(10)) == [2 * i for i in range(10)]
    assert squares()
"""
    )
    driver.succeed()
    driver.until(lambda: not driver.tree(), "no process is left", drivers.GRACE_S)
