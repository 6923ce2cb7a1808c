"""The way into a running driver from another process of its user: open to that user alone, and no harm to the driver."""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading

import pytest

from raylite import __version__, lifecycle
from raylite.exceptions import RaySystemError
from raylite.runtime import attach
from tests.runtime import drivers
from tests.runtime.test_footprint import spent

CALLERS_MOST = 16  # as in door.pxd
PAGE, RING = 4096, 1 << 20  # as in channel.pxd
MESSAGE = struct.Struct("=BBHIIIIIQQQQIIQ")
RECORD = struct.Struct("=II")
EV_QUERY, QUERY_RESOURCES = 23, 1

BUSY = """
@raylite.remote
def square(x):
    return x * x

raylite.init(num_cpus=1)
assert raylite.get(square.remote(3)) == 9
"""


def found(pid):
    """The driver in a process, as others find it; None if it is not to be found."""
    return next((driver for driver in attach.drivers() if driver.pid == pid), None)


@contextlib.contextmanager
def attached(pid):
    runtime = attach.AttachedRuntime(found(pid), __version__)
    try:
        yield runtime
    finally:
        runtime.stop()


@contextlib.contextmanager
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def ray(raylite_2cpu_module):
    return raylite_2cpu_module


@pytest.fixture
def works(ray):
    """Whether the runtime of this process runs tasks, and has nothing left of a client that has gone."""
    square = ray.remote(lambda x: x * x)
    before = lifecycle.runtime().sizes()["objects"]

    def check():
        assert ray.get([square.remote(i) for i in range(20)]) == [i * i for i in range(20)]
        return lifecycle.runtime().sizes()["objects"] <= before + 1

    return check


# ---- who comes in ----


def test_a_driver_is_found_and_asked(ray):
    [driver] = [driver for driver in attach.drivers() if driver.pid == os.getpid()]
    assert driver.program.split()[0].endswith(sys.executable.rpartition("/")[2])
    assert driver.running_s > 0
    with attached(os.getpid()) as runtime:
        assert runtime.client.node_id() == lifecycle.current_client().node_id()
        assert runtime.client.client_number() != lifecycle.current_client().client_number()
        assert runtime.client.query(QUERY_RESOURCES) == lifecycle.current_client().query(QUERY_RESOURCES)
        assert runtime.client.get([runtime.client.put("x" * 1000)]) == ["x" * 1000]
    with pytest.raises(RaySystemError):
        runtime.client.query(QUERY_RESOURCES)


def test_it_answers_while_its_program_holds_the_gil(start):
    driver = start(
        BUSY
        + """
sys.setswitchinterval(1000)
say("busy")
while not os.path.exists("end"):
    pass
"""
    )
    driver.expect("busy")
    with attached(driver.pid) as runtime:
        assert b"CPU" in runtime.client.query(QUERY_RESOURCES)
    (driver.temporary / "end").touch()
    driver.succeed()


AS_ANOTHER = """
import os, socket, sys
os.setresuid(4242, 4242, 4242)
door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_told_nothing(works):
    code = AS_ANOTHER + "door.connect(chr(0) + sys.argv[1]); print(socket.recv_fds(door, 99, 8)[:2])"
    name = found(os.getpid()).name
    done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True)
    assert done.stdout == "(b'', [])\n"
    assert works()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_not_believed(run):
    """Who may bind a name of somebody else's, or one that says it is somebody else's, is not talked to."""
    code = "door.bind(f'\\0raylite/0/{os.getpid()}/0'); door.listen(); print('listens', flush=True); door.accept()"
    other = run([sys.executable, "-c", AS_ANOTHER + code])
    other.expect("listens")
    assert found(other.pid) is None
    claimed = attach.Driver(other.pid, f"raylite/0/{other.pid}/0")
    with pytest.raises(ConnectionError, match="is not that process"):
        attach.AttachedRuntime(claimed, __version__)


def test_another_version_is_refused(works):
    with pytest.raises(ConnectionError, match=f"runs raylite {__version__}, and this is raylite 0.0.0"):
        attach.AttachedRuntime(found(os.getpid()), "0.0.0")
    assert works()


def test_a_driver_that_does_not_answer_is_said_to_be_stopped(start, monkeypatch):
    monkeypatch.setattr(attach, "PATIENCE_S", 1)
    driver = start(BUSY + "say('ready')\nsys.stdin.readline()\n")
    driver.expect("ready")
    os.kill(driver.pid, signal.SIGSTOP)
    driver.until(lambda: drivers.state_of(driver.pid) == "T", "it is stopped")
    with pytest.raises(ConnectionError, match="is it stopped"):
        attach.AttachedRuntime(found(driver.pid), __version__)
    os.kill(driver.pid, signal.SIGCONT)
    driver.tell()
    driver.succeed()


# ---- whose the door is ----


def inode_of_door(pid):
    [line] = [line for line in drivers.read(pid, "net/unix").decode().splitlines() if f"/{pid}/" in line]
    return f"socket:[{line.split()[6]}]"


def test_the_door_is_the_driver_s_alone_and_goes_with_it(start):
    """No worker, no program that a task or the driver starts, no fork of the driver holds it open."""
    driver = start(
        BUSY
        + """
subprocess.Popen(["sleep", "1011"], close_fds=False)
if os.fork() == 0:
    say("forked")
    signal.pause()
say("ready")
signal.pause()
"""
    )
    driver.expect("ready")
    driver.hear("forked")
    door = inode_of_door(driver.pid)
    others = driver.others()
    assert len(others) >= 4
    driver.until(lambda: driver.running("sleep", "1011"), "it has been started")
    assert [pid for pid in driver.tree() if door in drivers.descriptors(pid).values()] == [driver.pid]
    driver.process.kill()
    driver.process.wait()
    assert f"raylite/{os.geteuid()}/{driver.pid}/" not in "\n".join(attach.listed_sockets())
    assert found(driver.pid) is None


def test_a_runtime_can_do_without_a_door(start):
    driver = start(
        "raylite.init(num_cpus=1, attachable=False)\nsay('ready')\nsys.stdin.readline()\n"
        "raylite.shutdown()\nraylite.init(num_cpus=1)\nsay('ready')\nsys.stdin.readline()\n",
        env={"RAYLITE_ATTACHABLE": "1"},
    )
    driver.expect("ready")
    assert found(driver.pid) is None
    driver.tell()
    driver.expect("ready")
    assert found(driver.pid) is not None
    driver.tell()
    driver.succeed()


def test_a_driver_ends_although_somebody_is_attached(start):
    driver = start(BUSY + "say('ready')\nsys.stdin.readline()\n")
    driver.expect("ready")
    with attached(driver.pid) as runtime:
        driver.tell()
        driver.succeed()
        driver.assert_nothing_left()
        with pytest.raises(RaySystemError):
            runtime.client.query(QUERY_RESOURCES)
            runtime.client.query(QUERY_RESOURCES)  # the news of the end may come behind the first answer


def test_a_door_is_shut_although_another_process_has_it(start, run):
    """One that was forked behind Python's back."""
    driver = start(
        BUSY
        + """
import ctypes
pid = ctypes.CDLL(None).fork()
if pid == 0:
    signal.pause()
say("ready")
sys.stdin.readline()
raylite.shutdown()
say("over")
sys.stdin.readline()
os.kill(pid, 9)
"""
    )
    driver.expect("ready")
    there = found(driver.pid)
    driver.tell()
    driver.expect("over")
    with pytest.raises(ConnectionError, match="has ended, or has shut its runtime down"):
        attach.AttachedRuntime(there, __version__)
    driver.tell()
    driver.succeed()


def test_callers_while_it_starts_and_shuts_down(start):
    """Each is let in, or told why not, and none hangs."""
    driver = start("""
for _ in range(6):
    raylite.init(num_cpus=1)
    raylite.shutdown()
say("descriptors", len(os.listdir("/proc/self/fd")))
raylite.init(num_cpus=1)
say("done")
sys.stdin.readline()
raylite.shutdown()
say("descriptors", len(os.listdir("/proc/self/fd")))
""")
    counts = {"asked": 0, "refused": 0}
    ended = threading.Event()

    def keep_asking():
        while not ended.is_set():
            if (there := found(driver.pid)) is None:
                continue
            try:
                runtime = attach.AttachedRuntime(there, __version__)
            except ConnectionError:
                counts["refused"] += 1
                continue
            try:
                runtime.client.query(QUERY_RESOURCES)
                counts["asked"] += 1
            except RaySystemError:
                counts["refused"] += 1
            finally:
                runtime.stop()

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        driver.expect("done", timeout_s=40)
        driver.until(lambda: counts["asked"], "it has been asked")
    finally:
        ended.set()
        asking.join()
    driver.tell()
    driver.succeed()
    before, after = driver.hear("descriptors"), driver.hear("descriptors", 2)
    assert before == after


# ---- what a client may do to its driver ----


def test_one_that_is_killed_while_it_waits_leaves_nothing(works, run, wait_until, tmp_path):
    go = tmp_path / "go"
    code = f"""
import os, time, raylite
from raylite import lifecycle
from raylite.runtime import attach
[driver] = [driver for driver in attach.drivers() if driver.pid == {os.getpid()}]
lifecycle.attach(driver)
held = [raylite.put(bytes(1000)) for _ in range(50)]


@raylite.remote
def waits():
    while not os.path.exists({str(go)!r}):
        time.sleep(0.005)

print("asks", flush=True)
raylite.get(waits.remote())
"""
    client = run([sys.executable, "-c", code])
    client.expect("asks")
    wait_until(lambda: lifecycle.runtime().sizes()["requests"] > 0, what="it waits")
    assert lifecycle.runtime().sizes()["objects"] >= 50
    client.process.kill()
    client.process.wait()
    go.touch()
    wait_until(works, what="everything it held is freed")


class Raw:
    """A client by hand: it can say what no RingClient would, and not listen."""

    def __init__(self, pid):
        _, _, self.fds = attach.knock(found(pid))
        self.memory = mmap.mmap(self.fds[0], 2 * PAGE + 2 * RING)
        self.words = memoryview(self.memory).cast("Q")  # stores at once; struct.pack_into stores 0 first, which is read
        self.socket = socket.socket(fileno=self.fds.pop())
        self.written = 0

    def word(self, at):
        return self.words[at // 8]

    def set_word(self, at, value):
        self.words[at // 8] = value

    def say(self, record):
        """Put bytes into the ring to the node; False if there is no room for them."""
        if self.written + len(record) - self.word(64) > RING:
            return False
        at = self.written % RING
        first = record[: RING - at]
        ring = 2 * PAGE + RING
        self.memory[ring + at : ring + at + len(first)] = first
        self.memory[ring : ring + len(record) - len(first)] = record[len(first) :]
        self.written += len(record)
        self.set_word(PAGE, self.written)
        os.write(self.fds[2], (1).to_bytes(8, "little"))
        return True

    def all_heard(self):
        return self.word(64) == self.written

    def hear_all(self):
        self.set_word(PAGE + 64, self.word(0))
        os.write(self.fds[2], (1).to_bytes(8, "little"))

    def close(self):
        self.words.release()
        self.memory.close()
        self.socket.close()
        attach.close_all(self.fds)


@pytest.fixture
def raw(ray):
    with contextlib.closing(Raw(os.getpid())) as client:
        yield client


def query(number):
    message = MESSAGE.pack(1, EV_QUERY, 0, 0, 0, 1, 0, 0, 0, number, 0, 0, QUERY_RESOURCES, 0, 0)
    return RECORD.pack(len(message), 0) + message


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 4096, RECORD.pack(1 << 30, 0), RECORD.pack(16, 0) + bytes(16)], ids=["ones", "huge", "short"]
)
def test_one_that_talks_nonsense_is_hung_up_on(raw, works, garbage, wait_until):
    raw.socket.send(garbage[:100])  # which nobody reads
    assert raw.say(query(1))
    wait_until(raw.all_heard, what="what makes sense is heard")
    assert raw.say(garbage)
    raw.socket.settimeout(drivers.PATIENCE_S)
    with contextlib.suppress(ConnectionResetError):  # it has not read what came through there
        assert raw.socket.recv(100) == b""
    assert works()


def test_one_that_asks_and_does_not_listen_is_not_heard(raw, works, wait_until):
    """What it was told and has not read takes memory, and no more than that is told."""
    asked = 0

    def is_stuck():
        """The ring is full and its answers wait, or a hundred times what its ring holds was asked."""
        nonlocal asked
        head = raw.word(64)
        while raw.say(query(asked)):
            asked += 1
        return raw.word(64) == head or raw.written > 100 * RING

    wait_until(lambda: is_stuck() and works() and is_stuck(), what="nothing more is heard", timeout_s=30)
    assert raw.written < 10 * RING
    assert works()

    def is_heard():
        raw.hear_all()
        return raw.all_heard()

    wait_until(is_heard, what="once it listens, all it asked is heard")
    assert works()


def test_one_cannot_take_away_what_others_have_mapped(raw, works):
    """A process that reads beyond the end of a mapped file dies of it."""
    for fd in raw.fds[:2]:
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)
    with pytest.raises(PermissionError):
        mmap.mmap(raw.fds[1], PAGE)  # the node's bell, to be written
    assert works()


def test_a_thousand_callers(works, wait_until):
    name = found(os.getpid()).name
    with many_descriptors(), contextlib.ExitStack() as stack:
        callers = [stack.enter_context(attach.reach(name)) for _ in range(1000)]
        answers = [socket.recv_fds(caller, 1000, attach.N_FDS)[:2] for caller in callers]
        with contextlib.suppress(OSError):
            assert works()
        number_of = [int.from_bytes(answer[:4], sys.byteorder) for answer, _ in answers]
        assert sum(map(bool, number_of)) == CALLERS_MOST
        assert {answer[4:] for answer, fds in answers if not fds} == {b"too many others are attached to it"}
        with pytest.raises(ConnectionError, match="too many others are attached to it"):
            attach.AttachedRuntime(found(os.getpid()), __version__)
        for _, fds in answers:
            attach.close_all(fds)

    def has_room():
        try:
            with attached(os.getpid()):
                return True
        except ConnectionError:
            return False

    wait_until(has_room, what="others are let in once those have gone")
    assert works()


def test_callers_who_do_not_take_their_answer_are_forgotten(works, wait_until):
    name = found(os.getpid()).name
    for _ in range(100):
        attach.reach(name).close()
    wait_until(works)
    with attached(os.getpid()) as runtime:
        assert runtime.client.query(QUERY_RESOURCES)


def test_a_driver_without_descriptors_opens_its_door_again(start):
    driver = start(
        BUSY
        + """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
files = []
try:
    while True:
        files.append(open("/dev/null"))
except OSError:
    say("full")
sys.stdin.readline()
for file in files:
    file.close()
say("free")
sys.stdin.readline()
assert raylite.get(square.remote(4)) == 16
"""
    )
    driver.expect("full")
    with attach.reach(found(driver.pid).name) as caller:
        assert spent([driver.pid], 0.5) <= 5
        driver.tell()
        driver.expect("free")
        answer, fds, _, _ = socket.recv_fds(caller, 1000, attach.N_FDS)
        attach.close_all(fds)
        assert answer
    driver.tell()
    driver.succeed()
