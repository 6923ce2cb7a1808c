"""What a test may not leave behind: processes, threads, file descriptors, shared memory, temporary files.

Compare two `Footprint`s of this process: `leaks_since` names all that is there now and was not before. A session of
pytest has a temporary folder and an environment variable of its own (`isolate`), inherited by all that it starts, so
what others do on the same machine at the same time is never taken for a leak, and orphans are found.
"""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

GRACE_S = 2.0  # within which everything is gone after a shutdown or a crash
SESSION_VARIABLE = "PYTEST_SESSION_MARK"
Found = TypeVar("Found")


def isolate() -> None:
    """Give this session its own temporary folder and mark, and drop settings of raylite that the caller's shell has."""
    mark = f"{os.getpid()}-{time.time_ns()}"
    os.environ[SESSION_VARIABLE] = mark
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # a shell ignores it in what it starts in the background
    for name in [name for name in os.environ if name.startswith("RAYLITE_") and name != "RAYLITE_BUILD"]:
        del os.environ[name]
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # where `tmp_path` stays, to be looked into
    folder = tempfile.mkdtemp(prefix="rl-")  # short, as paths of Unix sockets must be
    os.environ["TMPDIR"] = folder
    tempfile.tempdir = None
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))


@dataclass(frozen=True)
class Footprint:
    """What this process holds at one moment, and what has been left lying on the machine."""

    descriptors: dict[int, str]
    children: frozenset[int]
    native_threads: int
    blobs: int
    shared_memory: frozenset[str]
    temporary: frozenset[str]

    @classmethod
    def now(cls) -> Footprint:
        return cls(
            descriptors=_descriptors(),
            children=frozenset(descendants()),
            native_threads=_native_threads(),
            blobs=_live_blobs(),
            shared_memory=_names_in("/dev/shm"),
            temporary=_names_in(tempfile.gettempdir()),
        )

    def leaks_since(self, before: Footprint) -> list[str]:
        """One line for each thing that is here and was not there `before`."""
        found = []
        if len(self.descriptors) > len(before.descriptors):
            count = len(self.descriptors) - len(before.descriptors)
            new = dict(self.descriptors.items() - before.descriptors.items())
            found.append(f"{count} more file descriptors, among {', '.join(f'{fd} ({new[fd]})' for fd in sorted(new))}")
        found += [f"process {describe(pid)}" for pid in sorted(self.children - before.children)]
        if self.native_threads > before.native_threads:
            found.append(f"{self.native_threads - before.native_threads} more native threads of raylite")
        if self.blobs > before.blobs:
            found.append(f"{self.blobs - before.blobs} more buffers of values or messages (counted in a debug build)")
        ours = self.shared_memory - before.shared_memory
        found += [f"shared memory {path}" for path in sorted(ours and ours - _in_use_by_others())]
        found += [f"temporary file {path}" for path in sorted(self.temporary - before.temporary)]
        return found


def leaks_after(before: Footprint, grace_s: float = GRACE_S) -> list[str]:
    """What is left of all that came since `before`, once what is on its way out has had time to go."""

    def look() -> list[str]:
        return Footprint.now().leaks_since(before)

    def collect_and_look() -> list[str]:  # again and again: what a finalizer brings back goes with a later collection
        gc.collect()
        return look()

    return look() and _once_settled(collect_and_look, grace_s)


def kill_all(pids) -> None:
    """End these processes, so that the next test does not meet them."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def descendants() -> set[int]:
    """The children of this process and theirs, dead ones not yet reaped included; without multiprocessing's tracker."""
    found: set[int] = set()
    to_visit = [os.getpid()]
    while to_visit:
        for pid in _children_of(to_visit.pop()):
            if pid not in found and pid != _resource_tracker("_pid"):
                found.add(pid)
                to_visit.append(pid)
    return found


def orphans(grace_s: float = GRACE_S) -> set[int]:
    """Live processes that this session started and that are no descendants of it any more."""
    mark = f"{SESSION_VARIABLE}={os.environ[SESSION_VARIABLE]}".encode()

    def look() -> set[int]:
        found = {pid for pid in _all_processes() if mark in _contents(pid, "environ").split(b"\0")}
        return found - descendants() - {os.getpid(), _resource_tracker("_pid")}

    return _once_settled(look, grace_s)


def describe(pid: int) -> str:
    """Number, state and command of a process, for a message."""
    stat = _contents(pid, "stat").decode(errors="replace")
    if not stat:
        return f"{pid}, gone meanwhile"
    name, rest = stat[stat.index("(") + 1 :].rsplit(")", 1)
    command = _contents(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
    return f"{pid} in state {rest.split()[0]}: {command[:200] or name}"


def _once_settled(look: Callable[[], Found], grace_s: float) -> Found:
    """What `look` finds when it finds nothing, or once the time is up."""
    deadline = time.monotonic() + grace_s
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def _children_of(pid: int) -> list[int]:
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += [int(child) for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
    except OSError:  # it ended meanwhile
        pass
    return found


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the one that listed the folder
            pass
    found.pop(_resource_tracker("_fd"), None)
    return found


def _native_threads() -> int:
    """How many threads of this process bear raylite's name."""
    count = 0
    for thread in os.listdir("/proc/self/task"):
        try:
            count += Path(f"/proc/self/task/{thread}/comm").read_text().startswith("raylite")
        except OSError:
            pass
    return count


def _names_in(folder: str) -> frozenset[str]:
    """The paths of what this user has in a folder."""
    found = set()
    for entry in os.scandir(folder):
        try:
            if entry.stat(follow_symlinks=False).st_uid == os.getuid():
                found.add(entry.path)
        except OSError:
            pass
    return frozenset(found)


def _in_use_by_others() -> set[str]:
    """What processes that this session did not start have mapped of /dev/shm."""
    others = _all_processes() - descendants() - orphans(grace_s=0) - {os.getpid()}
    lines = b"".join(_contents(pid, "maps") for pid in others).splitlines()
    return {os.fsdecode(line[line.index(b"/dev/shm/") :]) for line in lines if b"/dev/shm/" in line}


def _all_processes() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdecimal()}


def _contents(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # gone, or not ours to read
        return b""


def _resource_tracker(attribute: str):
    """multiprocessing's tracker, once started, stays until exit: that is no leak."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    return getattr(module._resource_tracker, attribute, None) if module else None


def _live_blobs() -> int:
    """Buffers that the core has in this process; 0 in a release build, which does not count them."""
    envelope = sys.modules.get("raylite._core.envelope")
    return (envelope.live_blobs() or 0) if envelope else 0
