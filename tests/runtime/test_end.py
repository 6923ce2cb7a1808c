"""However a driver ends, within two seconds nothing of it is left: no process, memory, socket or file.

Each driver here has started the most tenacious family that a task can: a child, a daemon (a double fork and a session
of its own), one that ignores every signal it can, one that is stopped; and a task that is still running.
"""

from __future__ import annotations

import os
import signal

import pytest

from tests.runtime import drivers

FAMILY = """
import numpy as np

IGNORES_ALL = "import signal\\nfor s in signal.valid_signals() - {9, 19}: signal.signal(s, signal.SIG_IGN)\\n" \\
    "while True: signal.pause()"

@raylite.remote
def found_family():
    subprocess.Popen(["sleep", "1001"])
    subprocess.Popen(["setsid", "sh", "-c", "(exec sleep 1002) & exit"]).wait()
    subprocess.Popen([sys.executable, "-c", IGNORES_ALL])
    os.kill(subprocess.Popen(["sleep", "1003"], start_new_session=True).pid, signal.SIGSTOP)
    return os.getpid()

@raylite.remote
def forever():
    subprocess.Popen(["sleep", "1004"])
    while True:
        time.sleep(1000)

raylite.init(num_cpus=3)
kept = [raylite.put(np.ones(1 << 20)), found_family.remote(), forever.remote()]
arrays = raylite.get(kept[0])
raylite.get(kept[1])
"""
SLEEPERS = [("sleep", "1001"), ("sleep", "1002"), ("sleep", "1003"), ("sleep", "1004")]

WAYS = {
    "falls off the end": ("", None, 0),
    "sys.exit": ("sys.exit(7)", None, 7),
    "os._exit": ("os._exit(8)", None, 8),
    "unhandled exception": ("1 / 0", None, 1),
    "abort": ("os.abort()", None, -signal.SIGABRT),
    "SIGTERM": ("time.sleep(1000)", signal.SIGTERM, -signal.SIGTERM),
    "SIGHUP": ("time.sleep(1000)", signal.SIGHUP, -signal.SIGHUP),
    "SIGKILL": ("time.sleep(1000)", signal.SIGKILL, -signal.SIGKILL),
    "SIGINT": ("time.sleep(1000)", signal.SIGINT, -signal.SIGINT),
    "SIGKILL in get": ("raylite.get(kept)", signal.SIGKILL, -signal.SIGKILL),
    "SIGTERM in get": ("raylite.get(kept)", signal.SIGTERM, -signal.SIGTERM),
    "exec": ('os.execvp("sleep", ["sleep", "0.3"])', None, 0),
}


def start_family(start, rest):
    driver = start(f"{FAMILY}\nsay('ready')\nsys.stdin.readline()\n{rest}\n")
    driver.expect("ready")
    for command in SLEEPERS:
        driver.until(lambda command=command: driver.running(*command), f"{command} runs")
    return driver


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left_of_a_driver(start, way):
    rest, number, status = WAYS[way]
    driver = start_family(start, rest)
    assert len(driver.tree()) >= 9  # driver, zygote, three workers, and the family
    driver.tell()
    if number:
        driver.until(lambda: drivers.state_of(driver.pid) == "S", "the driver sleeps")
        os.kill(driver.pid, number)
    driver.process.stdin.close()
    assert driver.process.wait(drivers.PATIENCE_S) == status, driver.story()
    driver.assert_nothing_left()


def test_nothing_is_left_after_shutdown(start):
    """The driver itself goes on, as if it had never used raylite."""
    code = """
import numpy  # starts threads of its own

def ours():
    fds = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            fds.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass  # the one that listed the folder
    maps = [line for line in open("/proc/self/maps") if "memfd" in line]
    children = open(f"/proc/self/task/{os.getpid()}/children").read()
    return sorted(fds), maps, children, len(os.listdir("/proc/self/task"))

before = ours()
FAMILY
del kept, arrays
say("ready")
sys.stdin.readline()
raylite.shutdown()
say("down")
sys.stdin.readline()
after = ours()
assert after == before, (before, after)
""".replace("FAMILY", FAMILY)
    driver = start(code)
    driver.expect("ready")
    for command in SLEEPERS:
        driver.until(lambda command=command: driver.running(*command), f"{command} runs")
    driver.tell()
    driver.expect("down", drivers.GRACE_S)
    driver.assert_nothing_left(alive=True)
    driver.tell()
    driver.succeed()


def test_arrays_outlive_the_runtime_and_their_memory_does_not_outlive_them(start):
    code = """
import numpy as np

def arenas():
    return [line for line in open("/proc/self/maps") if "raylite-arena" in line]

raylite.init(num_cpus=1)
array = raylite.get(raylite.put(np.arange(1 << 20)))
raylite.shutdown()
assert array.sum() == (1 << 20) * ((1 << 20) - 1) // 2 and arenas()
part = array[5:10]
del array
assert part.tolist() == [5, 6, 7, 8, 9] and arenas()
del part
assert not arenas()
"""
    start(code).succeed()


def test_a_driver_that_is_killed_leaves_no_words(start):
    """No process of ours complains of its sudden end on the terminal that they share."""
    driver = start("""
@raylite.remote
def pid():
    return os.getpid()

raylite.init(num_cpus=4)
refs = [pid.remote() for _ in range(1000)]
os.kill(os.getpid(), signal.SIGKILL)
""")
    driver.process.wait()
    driver.assert_nothing_left()
    assert driver.stderr == ""
