"""A driver in another process, attached to the node through rings: the same calls, and its death frees what it held."""

from __future__ import annotations

import os
import signal
import socket
import sys
import uuid

import numpy as np
import pytest

from tests.runtime import drivers

ATTACHED = """
import os, socket, sys, time
import numpy as np
import raylite
from raylite.runtime.client import set_current_client
from raylite.runtime.ring_client import RingClient

data, fds, _, _ = socket.recv_fds(socket.socket(fileno=int(sys.argv[1])), 100, 16)
client = RingClient(int(data), fds, 1, os.urandom(16), False)
set_current_client(client)

def say(*words):
    print(*words, flush=True)

@raylite.remote
def square(x):
    return x * x

@raylite.remote
def total(array):
    return float(array.sum())

say("attached")
"""


@pytest.fixture
def attach(raylite_2cpu, run):
    """Start code in a process of its own that is a second driver of this process's runtime."""
    from raylite import lifecycle

    def start(code):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            command = [sys.executable, "-c", ATTACHED + code, str(theirs.fileno())]
            driver = run(command, pass_fds=[theirs.fileno()])
            number, fds = lifecycle.runtime().host.attach(driver.pid)
            socket.send_fds(ours, [str(number).encode()], fds)
        for fd in fds:
            os.close(fd)
        driver.expect("attached")
        return driver

    return start


@pytest.fixture
def sizes(raylite_2cpu):
    """The sizes of the node's tables."""
    from raylite import lifecycle

    return lambda: lifecycle.runtime().sizes()


def test_calls(attach):
    driver = attach("""
assert raylite.get([square.remote(i) for i in range(500)]) == [i * i for i in range(500)]
assert raylite.get(raylite.put({"a": [1, 2]})) == {"a": [1, 2]}
nested = raylite.put([raylite.put(5), square.remote(3)])
assert raylite.get(raylite.get(nested)) == [5, 9]
refs = [square.remote(i) for i in range(10)]
done, rest = raylite.wait(refs, num_returns=10)
assert done == refs and not rest
try:
    raylite.get(square.remote("x"))
except TypeError as error:
    assert "can't multiply" in str(error)
else:
    raise AssertionError("no error")
try:
    raylite.get(raylite.remote(lambda: time.sleep(1)).remote(), timeout=0.01)
except raylite.exceptions.GetTimeoutError:
    pass
assert raylite.cluster_resources()["CPU"] == 2
""")
    driver.succeed()


def test_large_arrays_go_through_segments(attach):
    driver = attach("""
for size in (1 << 10, 1 << 14, 1 << 17, 1 << 22):
    array = np.arange(size, dtype=float)
    ref = raylite.put(array)
    back = raylite.get(ref)
    assert (back == array).all() and not back.flags.writeable
    assert raylite.get(total.remote(ref)) == array.sum()
    assert raylite.get(total.remote(array)) == array.sum()
maps = [line for line in open("/proc/self/maps") if "raylite-arena" in line]
assert {line.split()[1] for line in maps} == {"r--s", "rw-s"}, maps
""")
    driver.succeed()


def test_messages_of_every_size_pass_both_ways(attach):
    """What is inline passes through the ring itself: exactly the room that a record leaves, and one more, and many."""
    driver = attach("""
RECORD = (1 << 20) // 4
sizes = [0, 1, 7, 8, 9, 4095, 4096, 65535, 99_000, 102_000]
refs = [raylite.put(bytes(size)) for size in sizes]
assert [len(value) for value in raylite.get(refs)] == sizes

@raylite.remote
def fail(size):
    raise ValueError("x" * size)

for size in (RECORD - 3000, RECORD, 4 * RECORD - 2000, 4 * RECORD + 1, 3_000_000):
    try:
        raylite.get(fail.remote(size))
    except ValueError as error:
        assert str(error.args[0]).count("x") >= size or str(error).count("x") >= size
    else:
        raise AssertionError("no error")
for size in range(RECORD - 700, RECORD + 100, 170):  # as a list of references, 20 or 24 bytes each
    some = refs * (size // 240)
    assert len(raylite.get(some)) == len(some)
""")
    driver.succeed()


@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(1)", "os.kill(os.getpid(), 9)"])
def test_its_end_frees_what_it_held(attach, sizes, wait_until, end):
    driver = attach(f"""
held = [raylite.put(bytes(1000)) for _ in range(50)] + [raylite.put(np.ones(1 << 18)) for _ in range(3)]
views = [raylite.get(ref) for ref in held[-3:]]
results = [square.remote(i) for i in range(20)]
raylite.get(results)
say("holds")
sys.stdin.readline()
{end}
""")
    driver.expect("holds")
    full = sizes()
    assert full["objects"] >= 73 and full["arena_bytes"] >= 3 * 8 << 18
    driver.tell()
    driver.process.wait()
    wait_until(lambda: sizes()["objects"] == 0 and sizes()["arena_bytes"] == 0, what="everything is freed")


def test_what_it_shared_outlives_it(attach, raylite_2cpu):
    """Its objects inside of another's, its task that still runs: they are not its own any more."""
    from raylite import lifecycle
    from raylite.runtime.client import current_client

    assert lifecycle.runtime().client is current_client()
    array = raylite_2cpu.put(np.ones(1 << 17))
    driver = attach("say('ready')\nsys.stdin.readline()\n")
    driver.expect("ready")
    driver.process.kill()
    driver.process.wait()
    assert raylite_2cpu.get(array).sum() == 1 << 17


def test_it_hears_of_the_nodes_shutdown(attach, raylite_2cpu):
    driver = attach("""
forever = raylite.remote(lambda: time.sleep(1000)).remote()
say("waits")
try:
    raylite.get(forever)
except raylite.exceptions.RaySystemError:
    say("heard")
try:
    raylite.put(1)
except raylite.exceptions.RaySystemError:
    say("again")
""")
    driver.expect("waits")
    driver.until(lambda: drivers.state_of(driver.pid) == "S", "it waits")
    raylite_2cpu.shutdown()
    driver.expect("heard")
    driver.expect("again")
    driver.succeed()


def test_it_hears_of_the_death_of_the_nodes_process(start, run, tmp_path):
    """Although a fork of that process lives on, and with it the other ends of all it had open."""
    name = str(tmp_path / uuid.uuid4().hex[:8])
    code = ATTACHED.replace("socket.socket(fileno=int(sys.argv[1]))", "listening.accept()[0]").replace(
        "data, fds",
        "listening = socket.socket(socket.AF_UNIX); listening.bind(sys.argv[1]); listening.listen(); "
        "print('listens', flush=True)\ndata, fds",
    )
    second = run(
        [
            sys.executable,
            "-c",
            code
            + """
try:
    raylite.get(raylite.remote(lambda: time.sleep(1000)).remote())
except raylite.exceptions.RaySystemError:
    say("heard")
""",
            name,
        ]
    )
    second.expect("listens")
    first = start(f"""
import socket
raylite.init(num_cpus=1)
from raylite import lifecycle
number, fds = lifecycle.runtime().host.attach({second.pid})
way = socket.socket(socket.AF_UNIX)
way.connect({name!r})
socket.send_fds(way, [str(number).encode()], fds)
if os.fork() == 0:
    signal.pause()
say("ready")
signal.pause()
""")
    first.expect("ready")
    second.expect("attached")
    second.until(lambda: drivers.state_of(second.pid) == "S", "it waits")
    first.process.kill()
    second.expect("heard")
    second.succeed()


def test_one_that_does_not_read_blocks_nobody(attach, raylite_2cpu, tmp_path):
    """What does not fit into its ring waits for it; all others are served meanwhile."""
    go = tmp_path / "go"
    driver = attach(f"""
import select

@raylite.remote
def large(i):
    while not os.path.exists({str(go)!r}):
        time.sleep(0.005)
    return bytes(90_000)

refs = [large.remote(i) for i in range(40)]
client.watch(refs, None)
say("watches")
select.select([client.notice_event()], [], [])
[(_, values, error)] = client.collect_arrived()
assert error is None and [len(value) for value in values] == [90_000] * 40
""")
    driver.expect("watches")
    os.kill(driver.pid, signal.SIGSTOP)
    driver.until(lambda: drivers.state_of(driver.pid) == "T", "it is stopped")
    go.touch()
    square = raylite_2cpu.remote(lambda x: x * x)
    for _ in range(5):
        assert raylite_2cpu.get([square.remote(i) for i in range(100)]) == [i * i for i in range(100)]
    os.kill(driver.pid, signal.SIGCONT)
    driver.succeed()


def test_many_drivers_at_once(attach, sizes, wait_until):
    drivers_ = [
        attach(f"""
say("ready")
sys.stdin.readline()
for i in range(200):
    assert raylite.get(square.remote(i)) == i * i
array = np.full(1 << 16, {k})
assert raylite.get(total.remote(raylite.put(array))) == {k} * (1 << 16)
""")
        for k in range(4)
    ]
    for driver in drivers_:
        driver.expect("ready")
    for driver in drivers_:
        driver.tell()
    for driver in drivers_:
        driver.succeed()
    wait_until(lambda: sizes()["objects"] == 0, what="everything is freed")


def test_attaching_a_process_that_is_gone_is_refused(raylite_2cpu, run):
    from raylite import lifecycle

    driver = run([sys.executable, "-c", ""])
    driver.process.wait()
    with pytest.raises(OSError):
        lifecycle.runtime().host.attach(driver.pid)
    assert raylite_2cpu.get(raylite_2cpu.put(1)) == 1


def test_one_that_writes_nonsense_is_heard_no_more(attach, raylite_2cpu, sizes, wait_until):
    """Its words break its own channel: it hears so, what it held is freed, and all else goes on."""
    driver = attach("""
import mmap, threading
held = [raylite.put(bytes(1000)) for _ in range(10)]
raylite.get(held)
say("holds")
sys.stdin.readline()

def forge():
    while not heard.wait(0.01):
        own[4096:4104] = (1 << 40).to_bytes(8, "little")  # how far it has written
        for event in fds[2:4]:
            os.write(event, (1).to_bytes(8, "little"))

own = mmap.mmap(fds[0], 8192)
heard = threading.Event()
forever = raylite.remote(lambda: time.sleep(1000)).options(num_cpus=0).remote()
threading.Thread(target=forge).start()
try:
    raylite.get(forever)
except raylite.exceptions.RaySystemError:
    heard.set()
say("heard")
""")
    driver.expect("holds")
    assert sizes()["objects"] >= 10
    driver.tell()
    driver.expect("heard")
    driver.succeed()
    wait_until(lambda: sizes()["objects"] <= 2, what="all but the running task's is freed")
    assert raylite_2cpu.get(raylite_2cpu.put(1)) == 1
