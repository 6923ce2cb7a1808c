"""A worker or the zygote that is killed is replaced, and what it was doing is done again."""

from __future__ import annotations

import os
import signal

from tests.runtime import drivers

COMMON = """
@raylite.remote
def pid():
    return os.getpid()

@raylite.remote
def first_time_waits(folder):
    marker = os.path.join(folder, "second")
    if not os.path.exists(marker):
        open(marker, "w").close()
        print("waits", os.getpid(), flush=True)
        time.sleep(1000)
    os.unlink(marker)
    return os.getpid()

@raylite.remote
def square(x):
    return x * x
"""


def test_a_worker_killed_at_rest_is_replaced(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=2)
say("pid", raylite.get(pid.remote()))
sys.stdin.readline()
say("pid", raylite.get(pid.remote()))
say("squares", sum(raylite.get([square.remote(i) for i in range(100)])))
sys.stdin.readline()
say("squares", sum(raylite.get([square.remote(i) for i in range(100)])))
"""
    )
    first = int(driver.expect("pid"))
    workers = driver.workers()
    assert first in workers and len(workers) == 2
    os.kill(first, signal.SIGKILL)
    driver.tell()
    second = int(driver.expect("pid"))
    assert second != first
    assert driver.expect("squares") == "328350"
    for worker in driver.workers():
        os.kill(worker, signal.SIGKILL)  # all at once
    driver.tell()
    assert driver.expect("squares") == "328350"
    driver.succeed()


def test_a_task_whose_worker_is_killed_runs_again(start, tmp_path):
    driver = start(
        COMMON
        + f"""
raylite.init(num_cpus=1)
ref = first_time_waits.remote({str(tmp_path)!r})
say("returned", raylite.get(ref))
"""
    )
    first = int(driver.expect("(first_time_waits").split()[-1])
    os.kill(first, signal.SIGKILL)
    second = int(driver.expect("returned"))
    assert second != first
    driver.succeed()


def test_a_task_that_must_not_run_again_fails_and_says_why(start):
    driver = start(
        COMMON
        + """
@raylite.remote(max_retries=0)
def dies():
    sys.stderr.write("last words\\n")
    sys.stderr.flush()
    os.kill(os.getpid(), 9)

raylite.init(num_cpus=1)
try:
    raylite.get(dies.remote())
except raylite.exceptions.WorkerCrashedError as error:
    say("error", str(error).replace("\\n", "|"))
say("squares", sum(raylite.get([square.remote(i) for i in range(100)])))
"""
    )
    error = driver.expect("error")
    assert "dies" in error and "signal 9" in error.lower().replace("sigkill", "signal 9") and "last words" in error
    assert driver.expect("squares") == "328350"
    driver.succeed()


def test_the_last_words_of_a_worker_are_told_after_they_have_been_shown(start):
    """What has been shown is given back, but not the end, from which a crash is explained."""
    driver = start(
        COMMON
        + """
@raylite.remote(max_retries=0)
def dies(path):
    for i in range(2000):
        sys.stderr.write(f"line {i} of many{'.' * 80}\\n")
    sys.stderr.flush()
    while not os.path.exists(path):
        time.sleep(0.001)
    os._exit(3)

raylite.init(num_cpus=1)
ref = dies.remote("end")
sys.stdin.readline()
open("end", "w").close()
try:
    raylite.get(ref)
except raylite.exceptions.WorkerCrashedError as error:
    say("error", str(error).replace("\\n", "|"))
"""
    )
    driver.until(lambda: "line 1999 of many" in driver.stderr, "the output has been shown")
    driver.tell()
    error = driver.expect("error")
    assert all(f"line {i} of many" in error for i in range(1982, 2000)) and "\0" not in error
    driver.succeed()


def test_the_zygote_killed_comes_back_with_its_workers(start, tmp_path):
    go = tmp_path / "go"
    driver = start(
        COMMON
        + f"""
@raylite.remote
def waits():
    print("waits", os.getpid(), flush=True)
    while not os.path.exists({str(go)!r}):
        time.sleep(0.001)
    return os.getpid()

raylite.init(num_cpus=3)
running = waits.remote()
dependent = square.remote(running)
say("squares", sum(raylite.get([square.remote(i) for i in range(100)])))
sys.stdin.readline()
value = raylite.get(running)
assert raylite.get(dependent) == value * value
say("returned", value)
say("squares", sum(raylite.get([square.remote(i) for i in range(100)])))
sys.stdin.readline()
"""
    )
    driver.expect("squares")
    for nth in (1, 2):  # the second one, too
        worker = driver.hear("(waits", nth).split()[-1]
        before = driver.others()
        assert int(worker) in before
        os.kill(driver.zygote(), signal.SIGKILL)
        driver.until(lambda before=before: not before & driver.tree(), "the old processes are gone")
    last = driver.hear("(waits", 3).split()[-1]
    go.touch()
    driver.tell()
    assert driver.expect("returned") == last
    assert driver.expect("squares") == "328350"
    driver.tell()
    driver.succeed()
    driver.assert_nothing_left()


def test_what_tasks_started_goes_with_a_killed_zygote(start):
    driver = start(
        COMMON
        + """
@raylite.remote
def starts_daemon():
    subprocess.Popen(["setsid", "sh", "-c", "(exec sleep 1005) & exit"]).wait()
    subprocess.Popen(["sleep", "1006"])

raylite.init(num_cpus=1)
raylite.get(starts_daemon.remote())
say("ready")
sys.stdin.readline()
"""
    )
    driver.expect("ready")
    both = [("sleep", "1005"), ("sleep", "1006")]
    driver.until(lambda: all(driver.running(*each) for each in both), "the children run")
    os.kill(driver.zygote(), signal.SIGKILL)
    driver.until(lambda: not any(driver.running(*each) for each in both), "the children are gone", drivers.GRACE_S)
    driver.tell()
    driver.succeed()


def test_the_zygote_killed_while_the_driver_ends(start):
    """Then nobody adopts the daemons; they are found by their mark."""
    driver = start(
        COMMON
        + """
@raylite.remote
def starts_daemon():
    subprocess.Popen(["setsid", "sh", "-c", "(exec sleep 1007) & exit"]).wait()

raylite.init(num_cpus=1)
raylite.get(starts_daemon.remote())
say("ready")
sys.stdin.readline()
"""
    )
    driver.expect("ready")
    driver.until(lambda: driver.running("sleep", "1007"), "the daemon runs")
    zygote = driver.zygote()
    os.kill(zygote, signal.SIGSTOP)
    driver.tell()
    driver.until(lambda: driver.process.stdin.close() is None, "its input is at its end")
    os.kill(zygote, signal.SIGKILL)
    driver.succeed()
    driver.assert_nothing_left()


def test_a_stopped_zygote_does_not_keep_the_driver_from_ending(start):
    driver = start(
        COMMON
        + """
@raylite.remote
def starts_daemon():
    subprocess.Popen(["setsid", "sh", "-c", "(exec sleep 1008) & exit"]).wait()

raylite.init(num_cpus=1)
raylite.get(starts_daemon.remote())
say("ready")
sys.stdin.readline()
raylite.shutdown()
say("down")
"""
    )
    driver.expect("ready")
    os.kill(driver.zygote(), signal.SIGSTOP)
    driver.tell()
    driver.expect("down")
    driver.assert_nothing_left()
    driver.succeed()


def test_stopped_workers_do_not_keep_the_driver_from_ending(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=2)
raylite.get([square.remote(i) for i in range(10)])
say("ready")
sys.stdin.readline()
raylite.shutdown()
say("down")
sys.stdin.readline()
"""
    )
    driver.expect("ready")
    for worker in driver.workers():
        os.kill(worker, signal.SIGSTOP)
    driver.tell()
    driver.expect("down", drivers.GRACE_S)
    driver.assert_nothing_left(alive=True)
    driver.tell()
    driver.succeed()


def test_signals_that_can_be_ignored_do_not_end_the_zygote(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=1)
say("ready")
sys.stdin.readline()
say("squares", sum(raylite.get([square.remote(i) for i in range(100)])))
sys.stdin.readline()
"""
    )
    driver.expect("ready")
    zygote = driver.zygote()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        os.kill(zygote, number)
    driver.tell()
    assert driver.expect("squares") == "328350"
    assert driver.zygote() == zygote
    driver.tell()
    driver.succeed()


def test_without_a_zygote_tasks_fail_and_say_so(start):
    """No interpreter to start it from any more: the runtime does not hang, and what is there can be had."""
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=1)
ref = raylite.put(5)
assert raylite.get(square.remote(3)) == 9
sys.executable = "/nowhere/python"
say("ready")
sys.stdin.readline()
try:
    raylite.get(square.remote(4))
except raylite.exceptions.RaySystemError as error:
    say("error", error)
assert raylite.get(ref) == 5
"""
    )
    driver.expect("ready")
    zygote = driver.zygote()
    os.kill(zygote, signal.SIGKILL)
    driver.until(lambda: not driver.others(), "nothing is left of it")
    driver.tell()
    assert "process" in driver.expect("error")
    driver.succeed()
    assert "/nowhere/python" in driver.stderr


def test_a_worker_that_overwrites_its_channel_is_replaced(start):
    """A wild write in a task: the node trusts no word of it, kills the worker and runs the task elsewhere."""
    driver = start(
        COMMON
        + """
@raylite.remote(max_retries=0)
def wild():
    import mmap
    links = {fd: os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    [fd] = [fd for fd, link in links.items() if "raylite-channel" in link]
    channel = mmap.mmap(int(fd), 1 << 20)
    channel[4096:4104] = (1 << 40).to_bytes(8, "little")
    time.sleep(1000)

raylite.init(num_cpus=1)
try:
    ref = wild.remote()
    while not raylite.wait([ref], timeout=0.05)[0]:
        pass
    raylite.get(ref)
except raylite.exceptions.WorkerCrashedError:
    say("crashed")
say("squares", sum(raylite.get([square.remote(i) for i in range(100)])))
"""
    )
    driver.expect("crashed")
    assert driver.expect("squares") == "328350"
    driver.succeed()


def test_a_zygote_that_comes_back_is_as_the_first(start):
    """Workers have the environment and folder that were there at init, whatever the driver has made of them since."""
    driver = start(
        COMMON
        + """
@raylite.remote
def surroundings():
    return os.environ.get("SET"), os.getcwd()

os.environ["SET"] = "at init"
raylite.init(num_cpus=1)
first = raylite.get(surroundings.remote())
os.environ["SET"] = "later"
os.chdir("/")
say("ready")
sys.stdin.readline()
again = raylite.get(surroundings.remote())
assert again == first == ("at init", os.environ["TMPDIR"]), (again, first)
"""
    )
    driver.expect("ready")
    before = driver.workers()
    os.kill(driver.zygote(), signal.SIGKILL)
    driver.until(lambda: not before & driver.tree(), "the old workers are gone")
    driver.tell()
    driver.succeed()
