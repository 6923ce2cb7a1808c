"""Ctrl-C: at once, and the runtime goes on; a second one ends everything.

A terminal sends SIGINT to its whole foreground process group, so these tests do the same to the driver's.
"""

from __future__ import annotations

import os
import pty
import signal
import sys
import termios

import pytest

from tests.runtime import drivers

PROMISED_S = 2.0  # far more than "at once" takes, and far less than any wait here would

INTERRUPTED_IN = {
    "get": "raylite.get(forever.remote())",
    "get of many": "raylite.get([forever.remote() for _ in range(50)])",
    "get with a timeout": "raylite.get(forever.remote(), timeout=1000)",
    "wait": "raylite.wait([forever.remote()])",
    "next item": "next(stream.remote())",
    "get of what nobody can run": "raylite.get(forever.options(resources={'unicorn': 1}).remote())",
    "await": "asyncio.run(waiting())",
    "future": "forever.remote().future().result()",
    "get while others wait": "threading.Thread(target=lambda: raylite.get(forever.remote(), timeout=1000), "
    "daemon=True).start(); raylite.get(forever.remote())",
    "sleep": "time.sleep(1000)",
}
CODE = """
import asyncio, threading

@raylite.remote
def forever():
    time.sleep(1000)

@raylite.remote
def stream():
    time.sleep(1000)
    yield 1

@raylite.remote
def square(x):
    return x * x

async def waiting():
    await forever.remote()

raylite.init(num_cpus=2, resources={"square": 1})
raylite.get(square.remote(1))
try:
    say("waits")
    WHAT
except KeyboardInterrupt:
    say("interrupted")
say(raylite.get([square.options(num_cpus=0).remote(i) for i in range(4)]))
say("again")
WHAT
"""


def interrupt(driver):
    """SIGINT to the driver's process group, once it sleeps."""
    driver.until(lambda: drivers.state_of(driver.pid) == "S", "the driver sleeps")
    os.killpg(driver.pid, signal.SIGINT)


@pytest.mark.parametrize("what", INTERRUPTED_IN)
def test_interrupt_returns_at_once_and_a_second_one_ends_everything(start, what):
    driver = start(CODE.replace("WHAT", INTERRUPTED_IN[what]))
    driver.expect("waits")
    interrupt(driver)
    driver.expect("interrupted", PROMISED_S)
    assert driver.expect("[") == "0, 1, 4, 9]"
    driver.expect("again")
    interrupt(driver)
    assert driver.process.wait(PROMISED_S) == -signal.SIGINT, driver.story()
    assert "KeyboardInterrupt" in driver.stderr and "Traceback" in driver.stderr
    driver.assert_nothing_left()


def test_a_task_does_not_hear_of_the_drivers_interrupt(start, tmp_path):
    end = tmp_path / "end"
    driver = start(
        """
@raylite.remote
def task():
    say("runs")
    while not os.path.exists("END"):
        pass
    return "finished"

raylite.init(num_cpus=1)
ref = task.remote()
try:
    raylite.get(ref)
except KeyboardInterrupt:
    say("interrupted")
say(raylite.get(ref))
""".replace("END", str(end))
    )
    driver.expect("(task")
    interrupt(driver)
    driver.expect("interrupted", PROMISED_S)
    end.touch()
    driver.expect("finished")
    driver.succeed()


def test_interrupts_at_any_moment_are_heard(start):
    """Also one that comes just before the wait begins, when there is nothing yet that it could end."""
    driver = start("""
import threading

@raylite.remote
def forever():
    time.sleep(1000)

raylite.init(num_cpus=1)
ref = forever.remote()

def interrupt(delay_s):
    until = time.perf_counter() + delay_s
    while time.perf_counter() < until:
        pass
    os.kill(os.getpid(), signal.SIGINT)

for i in range(60):
    thread = threading.Thread(target=interrupt, args=(i * 2e-6,))
    try:
        thread.start()
        raylite.get(ref)
    except KeyboardInterrupt:
        pass
    thread.join()
say("all heard")
""")
    driver.expect("all heard", 60)
    driver.succeed()


def test_interrupt_during_shutdown_leaves_nothing(start):
    driver = start("""
import threading

@raylite.remote
def forever():
    signal.pause()

raylite.init(num_cpus=2)
refs = [forever.remote() for _ in range(2)]
try:
    threading.Timer(0.001, os.kill, (os.getpid(), signal.SIGINT)).start()
    raylite.shutdown()
    signal.pause()
except KeyboardInterrupt:
    say("interrupted")
raylite.shutdown()  # a slow machine may not have come to it
assert not raylite.is_initialized()
with raylite.init(num_cpus=1):
    assert raylite.get(raylite.put(5)) == 5
say("again")
""")
    driver.expect("interrupted")
    driver.expect("again")
    driver.succeed()
    driver.assert_nothing_left()


def test_interrupt_by_the_key_of_a_terminal(run, tmp_path):
    """The real thing: an interpreter in the foreground of a terminal, and the key."""
    script = tmp_path / "script.py"
    script.write_text(drivers.PREAMBLE + CODE.replace("WHAT", INTERRUPTED_IN["get"]))
    ours, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    try:
        command = ["setsid", "--ctty", "--wait", sys.executable, str(script)]
        driver = run(command, stdin=theirs, start_new_session=False)
        os.close(theirs)
        driver.expect("waits")
        [python] = [pid for pid in driver.tree() if drivers.parent_of(pid) == driver.pid]
        driver.until(lambda: drivers.state_of(python) == "S", "the driver sleeps")
        os.write(ours, b"\x03")
        driver.expect("interrupted", PROMISED_S)
        assert driver.expect("[") == "0, 1, 4, 9]"
        driver.expect("again")
        driver.until(lambda: drivers.state_of(python) == "S", "the driver sleeps")
        os.write(ours, b"\x03")
        driver.finish()
        driver.assert_nothing_left()
    finally:
        os.close(ours)
