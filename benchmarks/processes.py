"""What `/proc` says about trees of processes (CPU time, memory, who is left) and how a tree is ended.

Trees are found by parent: a process whose parent died is adopted by this one (`adopt_orphans`), so nothing that a
library leaves behind escapes `end_children`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent's thread ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Snapshot:
    """The processes of the machine at one moment: parents and CPU time."""

    def __init__(self) -> None:
        self.children: dict[int, list[int]] = defaultdict(list)
        self.cpu_s: dict[int, float] = {}
        for pid in _all_pids():
            with suppress(OSError):
                fields = _stat_fields(pid)
                self.children[int(fields[1])].append(pid)
                # utime, stime, and the same of children that were waited for
                self.cpu_s[pid] = sum(map(int, fields[11:15])) * _TICK_S

    def tree(self, root: int) -> list[int]:
        """`root` and all that descend from it."""
        found, to_visit = [], [root]
        while to_visit:
            pid = to_visit.pop()
            found.append(pid)
            to_visit.extend(self.children.get(pid, ()))
        return found

    def tree_cpu_s(self, root: int) -> float:
        return sum(self.cpu_s.get(pid, 0.0) for pid in self.tree(root))


def descendants(root: int) -> list[int]:
    return Snapshot().tree(root)[1:]


def pss_bytes(pids: Iterable[int]) -> int:
    """Memory of these processes with shared pages split among their users; ended ones count as nothing."""
    return sum(map(_pss_bytes, pids))


def on_cpu_s(pids: Iterable[int]) -> float:
    """CPU time of the live threads of these processes so far, to the nanosecond where the kernel keeps it so."""
    return sum(map(_on_cpu_s, pids))


def end_tree(root: int) -> None:
    """Kill `root`, which must be a child of this process, and all that descends from it; returns when all are gone."""
    doomed = Snapshot().tree(root)
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(root, 0)
    await_gone(doomed, timeout_s=10)


def children() -> list[int]:
    """The processes that this one started or adopted."""
    return Snapshot().children.get(os.getpid(), [])


def end_children(spared: Iterable[int]) -> list[int]:
    """Kill every child of this process but the spared ones, with its tree; returns the pids of those children."""
    doomed = sorted(set(children()) - set(spared))
    for pid in doomed:
        end_tree(pid)
    return doomed


def await_gone(pids: Iterable[int], timeout_s: float) -> bool:
    """Wait until none of these processes runs any more; False if the time ran out."""
    deadline = time.monotonic() + timeout_s
    waiting = list(pids)
    while waiting:
        waiting = [pid for pid in waiting if _runs(pid)]
        if waiting:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
    return True


def _all_pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on: the command before them may contain anything."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def _runs(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    try:
        return _stat_fields(pid)[0] not in "ZX"
    except OSError:
        return False


def _pss_bytes(pid: int) -> int:
    with suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _on_cpu_s(pid: int) -> float:
    total_ns = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total_ns += int(file.read().split()[0])
    except OSError:
        return 0.0
    return total_ns / 1e9
