"""Programs run as drivers in processes of their own, and what can be seen of them from outside.

A driver and all that comes of it carry a mark in their environment, by which they are found in /proc whatever they
did to their parents, groups and sessions. A driver has a temporary folder of its own and talks to its test by lines.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.leaks import GRACE_S, describe

ROOT = Path(__file__).resolve().parents[2]
MARK = "PYTEST_DRIVER_MARK"
PATIENCE_S = 20.0  # for what has no promised time: a loaded machine is slow
PREAMBLE = """
import os, signal, subprocess, sys, time
import raylite

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")  # one write: other threads write there, too
    sys.stdout.flush()

"""


class Driver:
    """Args: command: of the program; temporary: an empty folder, which is its own and where it starts; stderr_path:
    where its standard error goes; mark: a string nobody else has; options: for Popen."""

    def __init__(self, command, temporary: Path, stderr_path: Path, mark: str, *, env=None, **options):
        self.mark = mark
        self.temporary = temporary
        self.stderr_path = stderr_path
        self.lines: list[str] = []
        self._rest = b""
        environment = {**os.environ, MARK: mark, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), **(env or {})}
        if "PYTHONUNBUFFERED" not in (env or {}):
            environment.pop("PYTHONUNBUFFERED", None)
        self.shared_memory = set(os.listdir("/dev/shm"))
        options = {"stdin": subprocess.PIPE, "start_new_session": True, "cwd": temporary, **options}
        with open(self.stderr_path, "wb") as errors:
            self.process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=options.pop("stderr", errors), **options
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    # ---- talking ----

    def hear(self, start: str, nth: int = 1) -> str:
        """What follows `start` on the nth line that begins so, of all of its output."""
        while sum(line.startswith(start) for line in self.lines) < nth:
            self.expect(start)
        return [line for line in self.lines if line.startswith(start)][nth - 1][len(start) :].strip()

    def expect(self, start: str, timeout_s: float = PATIENCE_S) -> str:
        """What follows `start` on the next line of its output that begins so; other lines are kept in `lines`."""
        deadline = time.monotonic() + timeout_s
        while True:
            line = self._read_line(deadline)
            if line is None:
                pytest.fail(f"the driver did not say {start!r}; {self.story()}", pytrace=False)
            self.lines.append(line)
            if line.startswith(start):
                return line[len(start) :].strip()

    def _read_line(self, deadline: float) -> str | None:
        fd = self.process.stdout.fileno()
        while b"\n" not in self._rest:
            ready, _, _ = select.select([fd], [], [], max(deadline - time.monotonic(), 0))
            data = os.read(fd, 1 << 16) if ready else b""
            if not data:
                return None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")

    def tell(self, line: str = "") -> None:
        """Write a line to its input."""
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def finish(self, timeout_s: float = PATIENCE_S) -> int:
        """Its exit status, once it has ended; all it still wrote is in `lines`."""
        deadline = time.monotonic() + timeout_s
        while (line := self._read_line(deadline)) is not None:
            self.lines.append(line)
        if self._rest:
            self.lines.append(self._rest.decode(errors="replace"))
        try:
            return self.process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            pytest.fail(f"the driver did not end; {self.story()}", pytrace=False)

    def succeed(self, timeout_s: float = PATIENCE_S) -> list[str]:
        """The lines of its output, once it has ended well."""
        status = self.finish(timeout_s)
        assert status == 0, self.story()
        return self.lines

    def story(self) -> str:
        """What is known about it, for a message."""
        processes = "; ".join(describe(pid) for pid in sorted(self.tree())) or "none"
        said = "\n".join(line[:200] for line in self.lines[-20:])
        return f"status {self.process.poll()}, processes: {processes}\nstdout: {said}\nstderr: {self.stderr[-4000:]}"

    # ---- its processes ----

    def tree(self) -> set[int]:
        """The processes that bear its mark: itself and all that came of it, zombies left out."""
        mark = f"{MARK}={self.mark}".encode()
        return {pid for pid in all_processes() if mark in read(pid, "environ").split(b"\0")}

    def others(self) -> set[int]:
        return self.tree() - {self.pid}

    def zygote(self) -> int:
        """The process that forks its workers."""
        [pid] = [pid for pid in self.tree() if parent_of(pid) == self.pid and b"zygote" in read(pid, "cmdline")]
        return pid

    def workers(self) -> set[int]:
        """The children of the zygote that are still workers."""
        zygote = self.zygote()
        return {
            pid for pid in self.tree() if parent_of(pid) == zygote and b"raylite.runtime.zygote" in read(pid, "cmdline")
        }

    def running(self, *command: str) -> set[int]:
        """The processes of its tree that run this command."""
        wanted = "\0".join(command).encode() + b"\0"
        return {pid for pid in self.tree() if read(pid, "cmdline") == wanted}

    def until(self, condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S):
        """What `condition()` answers once it is true; fails the test if that takes longer."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"not within {timeout_s} s: {what}; {self.story()}", pytrace=False)
            time.sleep(0.005)
        return value

    # ---- the end ----

    def assert_nothing_left(self, *, alive: bool = False, timeout_s: float = GRACE_S) -> None:
        """Within the promised time there is no process (alive: but the driver itself) and no file of it any more."""
        self.until(lambda: not (self.others() if alive else self.tree()), "its processes are gone", timeout_s)
        assert os.listdir(self.temporary) == []
        assert shared_memory_of_nobody(self.shared_memory) == set()

    def clean_up(self) -> None:
        """End whatever is left of it."""
        if self.process.poll() is None:
            self.process.kill()
        deadline = time.monotonic() + PATIENCE_S
        while (left := self.others()) and time.monotonic() < deadline:
            for pid in left:
                signal_if_there(pid, signal.SIGKILL)
            time.sleep(0.005)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        shutil.rmtree(self.temporary, ignore_errors=True)


def start(code: str, folder: Path, *, arguments=(), python=(), **options) -> Driver:
    """A driver that runs PREAMBLE and `code` from a file."""
    script = folder / f"{uuid.uuid4().hex}.py"
    script.write_text(PREAMBLE + code)
    return run([sys.executable, *python, str(script), *arguments], folder, **options)


def run(command, folder: Path, **options) -> Driver:
    """A driver by its command. Its temporary folder has a short path, as Unix sockets may be made there."""
    temporary = Path(tempfile.mkdtemp(prefix="d"))
    return Driver(command, temporary, folder / f"{temporary.name}.stderr", uuid.uuid4().hex, **options)


def shared_memory_of_nobody(before: set[str]) -> set[str]:
    """What has come into /dev/shm since `before` and bears our name."""
    return {name for name in set(os.listdir("/dev/shm")) - before if "raylite" in name}


def signal_if_there(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def read(pid: int, name: str) -> bytes:
    """A file of a process in /proc; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty if the process is gone."""
    return read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()


def state_of(pid: int) -> str:
    """R, S, T, Z ...; empty if the process is gone."""
    return (stat(pid) or [""])[0]


def parent_of(pid: int) -> int:
    fields = stat(pid)
    return int(fields[1]) if fields else 0


def cpu_ticks(pid: int) -> int:
    """Clock ticks that a process has used."""
    fields = stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def descriptors(pid: int) -> dict[int, str]:
    """What each descriptor of a process refers to."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            pass
    return found
