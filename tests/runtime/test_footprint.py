"""What a runtime costs while it does nothing, and that it grows by nothing: descriptors, memory, processes, CPU."""

from __future__ import annotations

import os
import time

import pytest

from tests.runtime import drivers

pytestmark = pytest.mark.alone

COMMON = """
import numpy as np

@raylite.remote
def square(x):
    return x * x

@raylite.remote
def total(array):
    return float(array.sum())

def squares(n):
    assert raylite.get([square.remote(i) for i in range(n)]) == [i * i for i in range(n)]

def kib(field):
    with open("/proc/self/status") as file:
        return int(dict(line.split(":", 1) for line in file)[field].split()[0])

def descriptors():
    return len(os.listdir("/proc/self/fd"))

"""


def test_cycles_of_init_and_shutdown_leave_nothing(start):
    driver = start(
        COMMON
        + """
def n_threads():
    return len(os.listdir("/proc/self/task"))

def cycle():
    raylite.init(num_cpus=2)
    squares(10)
    kept = raylite.put(np.ones(1 << 17))
    assert raylite.get(total.remote(kept)) == 1 << 17
    raylite.shutdown()
    until = time.monotonic() + 5
    while n_threads() > n_at_first and time.monotonic() < until:
        time.sleep(0.001)  # one that has ended is on its way out of the kernel
    with open("/proc/self/maps") as maps:
        return descriptors(), n_threads(), len(maps.readlines())

n_at_first = n_threads()

for _ in range(5):
    cycle()
before = cycle()
resident_kib = kib("VmRSS")
for _ in range(30):
    after = cycle()
assert after[:2] == before[:2], (before, after)
assert after[2] <= before[2] + 3, (before, after)  # the allocator's own
assert kib("VmRSS") - resident_kib < 4096, (kib("VmRSS"), resident_kib)
"""
    )
    driver.succeed(timeout_s=50)
    driver.assert_nothing_left()


def test_what_a_runtime_held_is_freed_by_shutdown(start):
    """Although functions and references that were used with it are still there."""
    driver = start(
        COMMON
        + """
def cycle():
    raylite.init(num_cpus=1)
    squares(5)
    refs.append([raylite.put(bytes(50_000)) for _ in range(400)])  # 20 MB, inline
    refs.append(raylite.put(np.ones(1 << 20)))
    raylite.shutdown()

refs = []
cycle()
resident_kib = kib("VmRSS")
for _ in range(6):
    cycle()
assert kib("VmRSS") - resident_kib < 40_000, (kib("VmRSS"), resident_kib)
"""
    )
    driver.succeed()


def test_a_thousand_tasks_leave_nothing(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=2)

def work():
    squares(300)
    arrays = [raylite.put(np.full(1 << 15, i)) for i in range(20)]
    assert raylite.get([total.remote(array) for array in arrays]) == [(1 << 15) * i for i in range(20)]
    try:
        raylite.get(square.remote("x"))
    except TypeError:
        pass

work()
say("before", descriptors())
sys.stdin.readline()
for _ in range(3):
    work()
say("after", descriptors())
sys.stdin.readline()
"""
    )
    before = driver.expect("before")
    counts = {pid: len(drivers.descriptors(pid)) for pid in driver.others()}
    driver.tell()
    assert driver.expect("after") == before
    assert {pid: len(drivers.descriptors(pid)) for pid in driver.others()} == counts
    driver.tell()
    driver.succeed()


def test_workers_that_come_and_go_leave_nothing(start):
    driver = start(
        COMMON
        + """
@raylite.remote(max_retries=0)
def dies():
    subprocess.Popen(["sleep", "1009"])
    os._exit(1)

def crash(n):
    for _ in range(n):
        try:
            raylite.get(dies.remote())
        except raylite.exceptions.WorkerCrashedError:
            pass
    squares(10)

raylite.init(num_cpus=1)
crash(3)
say("before", descriptors())
sys.stdin.readline()
crash(20)
say("after", descriptors())
sys.stdin.readline()
"""
    )
    before = int(driver.expect("before"))
    zygote = driver.zygote()
    of_the_zygote = len(drivers.descriptors(zygote))
    driver.tell()
    assert int(driver.expect("after")) <= before + 2  # the output of the last one, until it has been read
    driver.until(lambda: not driver.running("sleep", "1009"), "children of dead workers are gone", drivers.GRACE_S)
    driver.until(lambda: len(drivers.descriptors(zygote)) == of_the_zygote, "the zygote has no more descriptors")
    driver.until(lambda: not zombies_of({driver.pid, zygote}), "every dead process has been collected")
    driver.tell()
    driver.succeed()


def zombies_of(parents):
    """Processes that have ended, and whose parent, one of these, has not asked how."""
    return {
        pid for pid in drivers.all_processes() if drivers.state_of(pid) == "Z" and drivers.parent_of(pid) in parents
    }


def test_orphans_of_tasks_are_collected(start):
    driver = start(
        COMMON
        + """
@raylite.remote
def leaves_orphans():
    for _ in range(10):
        subprocess.Popen(["sh", "-c", "true & exit 0"]).wait()

raylite.init(num_cpus=1)
raylite.get(leaves_orphans.remote())
say("done")
sys.stdin.readline()
"""
    )
    driver.expect("done")
    driver.until(lambda: not zombies_of(driver.tree()), "no zombies")
    driver.tell()
    driver.succeed()


def test_an_idle_runtime_uses_no_cpu(start):
    """Also with references held, futures waited for, and a task that sleeps."""
    driver = start(
        COMMON
        + """
@raylite.remote
def waits():
    while not os.path.exists("end"):
        time.sleep(60)

raylite.init(num_cpus=3)
squares(100)
ref = waits.remote()
future = ref.future()
say("idle")
sys.stdin.readline()
raylite.get(square.remote(2))
say("idle")
raylite.get(ref)
"""
    )
    for what in ("started", "blocked in get"):
        driver.expect("idle")
        processes = driver.tree()
        driver.until(lambda p=processes: all(drivers.state_of(pid) == "S" for pid in p), "all sleep")
        assert spent(processes, 1.0) <= 2, what
        if what == "started":
            driver.tell()


def spent(processes, seconds):
    """The clock ticks that processes use in this time."""
    before = sum(drivers.cpu_ticks(pid) for pid in processes)
    time.sleep(seconds)
    return sum(drivers.cpu_ticks(pid) for pid in processes) - before


def test_idle_cpu_after_the_zygote_was_lost(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=1)
squares(10)
say("ready")
sys.stdin.readline()
squares(10)
say("idle")
sys.stdin.readline()
"""
    )
    driver.expect("ready")
    os.kill(driver.zygote(), 9)
    driver.tell()
    driver.expect("idle")
    processes = driver.tree()
    assert spent(processes, 1.0) <= 2
    driver.tell()
    driver.succeed()
