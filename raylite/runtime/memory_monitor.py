"""Watches the memory that this process and its workers may use: the machine's, and that of each of their cgroups.

It reads /proc and /sys and decides nothing. When more is in use than the threshold allows, the node is told how much,
and what each worker has of it that no other process shares (its arrays in the object store are not its own).
"""

import os
from _struct import Struct
from time import monotonic_ns

from raylite.config import cgroup_folders, read_text

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
NS_PER_MS = 1_000_000
HEADER, USE = Struct("=QQQ"), Struct("=IIQ")  # MemoryHeader and MemoryUse of message.pxd
V2 = ("memory.current", "memory.max", "inactive_file")
V1 = ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file")


class MemoryMonitor:
    """Args: host: the EmbeddedHost; threshold: the part of the memory that may be in use; period_ms: how often that is
    looked at, 0 for never; root: where /proc and /sys are looked for."""

    def __init__(self, host, threshold, period_ms, root=""):
        self.host = host
        self.threshold = threshold
        self.period_ns = period_ms * NS_PER_MS
        self.root = root
        self.due_ns = 0

    def check(self):
        """Look, if it is time to, and tell the node if memory is short."""
        now_ns = monotonic_ns()
        if not self.period_ns or now_ns < self.due_ns:
            return
        self.due_ns = now_ns + self.period_ns
        for used, total, reclaimable in memories(self.root):
            if used > self.threshold * total and used - reclaimable() > self.threshold * total:
                self.host.memory_short(self.report(used - reclaimable(), total))
                return

    def report(self, used, total):
        """What the node is told: how short memory is, and what each worker has for itself alone."""
        workers = [each for each in self.host.workers() if each["pid"]]
        uses = [USE.pack(each["client"], 0, private_bytes(each["pid"], self.root)) for each in workers]
        return b"".join([HEADER.pack(used, total, int(self.threshold * total)), *uses])


def memories(root=""):
    """Of the machine and of each cgroup with a limit: bytes in use, bytes in all, and a function that says how much of
    the former the kernel could take back at once (it is asked only when it matters, as that takes longer to read)."""
    known = dict(line.split(":", 1) for line in read_text(f"{root}/proc/meminfo").splitlines() if ":" in line)
    total, available = (int(known.get(name, "0").split()[0]) << 10 for name in ("MemTotal", "MemAvailable"))
    if total and "MemAvailable" in known:
        yield total - available, total, int
    for folder in cgroup_folders(root, "memory"):
        for usage, limit, inactive in (V2, V1):
            used, most = read_text(f"{folder}/{usage}"), read_text(f"{folder}/{limit}")
            if used.isdigit() and most.isdigit() and int(most) < (total or int(most) + 1):
                yield int(used), int(most), lambda folder=folder, name=inactive: from_stat(folder, name)


def from_stat(folder, name):
    """One number of a cgroup's memory.stat, 0 if it is not there."""
    for line in read_text(f"{folder}/memory.stat").splitlines():
        key, _, number = line.partition(" ")
        if key == name and number.isdigit():
            return int(number)
    return 0


def private_bytes(pid, root=""):
    """The resident memory of a process that is of no file and not shared with others; 0 if it is gone."""
    fields = read_text(f"{root}/proc/{pid}/statm").split()
    return (int(fields[1]) - int(fields[2])) * PAGE_BYTES if len(fields) > 2 else 0
