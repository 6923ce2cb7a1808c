"""Nobody else on the machine or the network can reach a runtime: no port, no file, nothing readable, and one name.

The name is that of the door (tests/runtime/test_attach.py), at which other users are told nothing.
"""

from __future__ import annotations

import os
import re
import stat

import pytest

from tests.runtime import drivers

BUSY = """
import numpy as np

@raylite.remote
def task(array):
    print("some output", file=sys.stderr)
    return array * 2

raylite.init(num_cpus=2)
refs = [task.remote(np.ones(1 << 18)) for _ in range(4)]
raylite.get(refs)
say("ready")
sys.stdin.readline()
"""


def sockets_of(pids):
    """The inodes of all sockets that these processes hold."""
    links = [link for pid in pids for link in drivers.descriptors(pid).values()]
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


@pytest.mark.parametrize("doors", [1, 0])
def test_no_port_and_no_name_of_a_socket_but_the_door_s(start, doors):
    driver = start(BUSY, env={"RAYLITE_ATTACHABLE": f"{doors}"})
    driver.expect("ready")
    sockets = sockets_of(driver.tree())
    assert len(sockets) >= 4  # to the zygote and to two workers, and their ends
    for protocol in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "netlink"):
        assert not sockets & set(drivers.read(driver.pid, f"net/{protocol}").decode().split()), protocol
    known, names = 0, []
    for line in drivers.read(driver.pid, "net/unix").decode().splitlines()[1:]:
        fields = line.split()
        if fields[6] in sockets:
            known += 1
            names += fields[7:]  # a path, or "@" and an abstract name
    assert known == len(sockets)
    assert len(names) == doors
    assert all(re.fullmatch(rf"@raylite/{os.geteuid()}/{driver.pid}/[0-9a-f]{{12}}", name) for name in names)
    driver.tell()
    driver.succeed()


def test_no_file_anywhere(start):
    driver = start(BUSY)
    driver.expect("ready")
    assert os.listdir(driver.temporary) == []
    for pid in driver.tree():
        for fd, link in drivers.descriptors(pid).items():
            private = link.startswith(("pipe:", "socket:", "anon_inode:", "/memfd:", "/dev/null", "/proc/"))
            assert private or link == str(driver.stderr_path), (pid, fd, link)
    driver.tell()
    driver.succeed()


def test_memory_is_its_owners_alone(start):
    driver = start(BUSY)
    driver.expect("ready")
    seen = set()
    for pid in driver.tree():
        for fd, link in drivers.descriptors(pid).items():
            if link.startswith("/memfd:"):
                status = os.stat(f"/proc/{pid}/fd/{fd}")
                assert stat.S_IMODE(status.st_mode) & 0o077 == 0, (link, oct(status.st_mode))
                assert status.st_uid == os.getuid()
                seen.add(link.split()[0])
    assert {"/memfd:raylite-channel", "/memfd:raylite-arena", "/memfd:raylite-stdout", "/memfd:raylite-bell"} <= seen
    driver.tell()
    driver.succeed()


def test_a_worker_cannot_write_what_is_not_its_own(start):
    """The node's half of its channel, the bell, other workers' arena segments: mapped read-only."""
    driver = start(BUSY)
    driver.expect("ready")
    for worker in driver.workers():
        writable = {}
        for line in drivers.read(worker, "maps").decode().splitlines():
            if "memfd:raylite" in line:
                fields = line.split()
                name = fields[5].removeprefix("/memfd:raylite-")
                writable.setdefault(name, []).append((fields[1], fields[2]))
        assert all(mode == "r--s" for mode, _ in writable["bell"])
        assert {offset for mode, offset in writable["channel"] if "w" in mode}.isdisjoint(
            {offset for mode, offset in writable["channel"] if "w" not in mode}
        )
        assert any("w" not in mode for mode, _ in writable["channel"])
    driver.tell()
    driver.succeed()
