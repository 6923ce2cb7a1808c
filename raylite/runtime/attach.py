"""The way into a driver from another process of the same user on this machine: found, attached to, asked.

A driver listens at an abstract Unix socket, the door (door.pxd), whose name says the user, the process and a number of
its own. The kernel lists such names (/proc/net/unix) for the network namespace that this process is in: a container is
looked into from inside. Each side trusts nobody but its own effective user, by what the kernel says of the other, not
by the name, which anybody may use: root has to become the user first. Who connects says nothing; it is told its number
and the card, and gets the descriptors of a channel, with which it is a client like any other (ring_client).
"""

from __future__ import annotations

import os
import socket
import sys
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from raylite.runtime.ring_client import RingClient

PATIENCE_S = 10  # the answer takes no GIL: a driver that is busy gives it at once, one that is stopped never does
ANSWER_BYTES_MOST = 1 << 16
CMSG_CLOEXEC = 0x40000000  # MSG_CMSG_CLOEXEC
N_FDS = 8  # as in peers.PeerFd, up to FD_SOCKET
CREDENTIALS = Struct("=iII")  # process, user, group
TIME = Struct("@ll")  # seconds, microseconds
LISTENS = 1 << 16  # __SO_ACCEPTCON, among the flags in /proc/net/unix


class Driver:
    """A process in which a runtime is.

    Attributes: pid: its number; name: of its socket; program: its command line, a line of text; running_s: for how long
    the process has run, in seconds.
    """

    __slots__ = ("name", "pid", "program", "running_s")

    def __init__(self, pid: int, name: str) -> None:
        self.pid = pid
        self.name = name
        self.program = program_of(pid)
        self.running_s = running_s_of(pid)


def drivers() -> list[Driver]:
    """The processes of this user in which a runtime is that can be attached to, by their numbers."""
    start = f"@raylite/{os.geteuid()}/"
    found = {}
    for line in listed_sockets():
        fields = line.split(maxsplit=7)
        if len(fields) < 8 or not fields[7].startswith(start) or not int(fields[3], 16) & LISTENS:
            continue
        pid = fields[7][len(start) :].partition("/")[0]
        if pid.isdigit() and owner_of(int(pid)) == os.geteuid():
            found[int(pid)] = fields[7][1:]
    return [Driver(pid, found[pid]) for pid in sorted(found)]


class AttachedRuntime:
    """A runtime of another process, as this one sees it: the same to `lifecycle` as one of its own.

    Attributes: driver: the process; client: one more client of it; config: what is known of its configuration.

    Args: driver: see drivers(); version: of raylite, which both sides must have.

    Raises ConnectionError, saying why: it has ended, refuses, does not answer, or is of another version.
    """

    def __init__(self, driver: Driver, version: str) -> None:
        card, number, fds = knock(driver)
        theirs, job, node_id, namespace = card.split("\n", 3)
        if theirs != version:
            close_all(fds)
            raise ConnectionError(
                f"process {driver.pid} runs raylite {theirs}, and this is raylite {version}: use the one that it uses"
            )
        self.driver = driver
        self.config = AttachedConfig(namespace)
        self.client = connect(driver, number, fds, int(job))
        self.client.node = bytes.fromhex(node_id)

    def stop(self) -> None:
        """Leave it: what this process held there is released, and it goes on."""
        self.client.close()

    def leave_to_parent(self) -> None:
        """In a forked child: nothing here would be answered for the parent."""


class AttachedConfig:
    """What a process that is attached to a runtime knows of its configuration."""

    mode = "attached"
    labels: dict[str, str] = {}

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace


def connect(driver: Driver, number: int, fds: list[int], job: int) -> RingClient:
    """The client at the end of the channel that a driver has given to this process. Raises ConnectionError."""
    from raylite.runtime.ring_client import RingClient

    try:
        return RingClient(number, fds, job, os.urandom(16), False)
    except OSError as error:
        close_all(fds)
        raise ConnectionError(f"process {driver.pid} cannot be attached to: {error}") from None


def knock(driver: Driver) -> tuple[str, int, list[int]]:
    """What the driver answers: its card, this client's number, the descriptors. Raises ConnectionError."""
    try:
        with reach(driver.name) as door:
            theirs = door.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
            pid, user, _ = CREDENTIALS.unpack(theirs)
            if user != os.geteuid() or pid != driver.pid:
                raise ConnectionError(f"what listens in the name of process {driver.pid} is not that process")
            answer, fds, _, _ = socket.recv_fds(door, ANSWER_BYTES_MOST, N_FDS, CMSG_CLOEXEC)
    except BlockingIOError:
        raise ConnectionError(f"process {driver.pid} does not answer: is it stopped?") from None
    except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError):
        raise ConnectionError(f"process {driver.pid} has ended, or has shut its runtime down") from None
    number = int.from_bytes(answer[:4], sys.byteorder)
    text = answer[4:].decode("utf-8", "replace")
    if number and len(fds) == N_FDS:
        return text, number, fds
    close_all(fds)
    if not answer:
        text = "it has hung up"
    elif number:
        text = "this process has no file descriptors left"
    raise ConnectionError(f"process {driver.pid} cannot be attached to: {text}")


def reach(name: str) -> socket.socket:
    """A connection to the door of this name. Raises OSError; as BlockingIOError what takes too long."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        for limit in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):  # with settimeout() a crowd there is an error at once
            door.setsockopt(socket.SOL_SOCKET, limit, TIME.pack(PATIENCE_S, 0))
        door.connect(f"\0{name}")
    except BaseException:
        door.close()
        raise
    return door


def close_all(fds: list[int]) -> None:
    """Close descriptors that came and are not wanted."""
    for fd in fds:
        os.close(fd)


# ---- what the system knows ----


def listed_sockets() -> list[str]:
    """The lines about Unix sockets; none where the system has no such list."""
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()[1:]
    except OSError:
        return []


def owner_of(pid: int) -> int:
    """The effective user of a process; -1 if there is none."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


def program_of(pid: int) -> str:
    """The command line of a process as one line; empty if it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            arguments = file.read().decode("utf-8", "replace").rstrip("\0").split("\0")
    except OSError:
        return ""
    return " ".join(" ".join(argument.split()) for argument in arguments)


def running_s_of(pid: int) -> float:
    """For how long a process has run, in seconds; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat, open("/proc/uptime") as uptime:
            ticks = int(stat.read().rpartition(b")")[2].split()[19])
            return max(float(uptime.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK"), 0.0)
    except (OSError, ValueError, IndexError):
        return 0.0
