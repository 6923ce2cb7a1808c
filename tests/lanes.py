"""`make test`: the tests in two processes of pytest side by side, each file in the one that is free first.

`python -m tests.lanes` takes folders, or nothing for all tests; with any other argument it is plain pytest, in one
process. What is marked `alone` runs in the first process once the second has ended, as it measures what others on the
machine would change: time, memory, what is left behind.

Whole processes, and not workers of pytest-xdist: those have one more thread than a program has, and a test sees it (a
simulation waits for other threads; a fork beside threads is warned of; threads are counted).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

import pytest

N_LANES = 2
LANE, FOLDER = "TEST_LANE", "TEST_LANES_FOLDER"  # variables by which a process of pytest knows which one it is
LONGEST = ("tests/examples/test_examples.py", "tests/benchmarks/test_command.py", "tests/source/test_build.py")


# ---- the processes ---------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Run the tests; returns pytest's exit status, of several the highest."""
    plain = [sys.executable, "-m", "pytest", *arguments]
    if len(os.sched_getaffinity(0)) < N_LANES or not all(map(os.path.isdir, arguments)):
        os.execv(plain[0], plain)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for all of them; each tells its part of the story
    command = [*plain, "-p", "tests.lanes", "-o", "console_output_style=classic"]
    with tempfile.TemporaryDirectory(prefix="lanes-") as folder, tempfile.TemporaryFile() as output:
        processes = [start(command, lane, folder, output) for lane in range(N_LANES)]
        statuses = [process.wait() for process in processes]
        output.seek(0)
        sys.stdout.flush()
        os.write(1, b"\n")
        for line in output:
            os.write(1, line)
    return max(status if status >= 0 else 128 - status for status in statuses)


def start(command: list[str], lane: int, folder: str, output) -> subprocess.Popen:
    """One of the processes; what all but the first say goes to `output`, to be shown when all is done."""
    return subprocess.Popen(
        command,
        env={**os.environ, LANE: str(lane), FOLDER: folder},
        stdout=output if lane else None,
        stderr=subprocess.STDOUT if lane else None,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


# ---- in each of them, as a plugin of pytest --------------------------------------------------------------------------


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the files that nobody else has begun; the first process at last what is to run alone."""
    if session.testsfailed or session.config.option.collectonly:
        return None
    folder, lane = Path(os.environ[FOLDER]), int(os.environ[LANE])
    with open(folder / f"lane-{lane}", "w") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)  # until this process ends, however it does
        files = files_of(session.items)
        for path, items in sorted(files.items(), key=lambda file: file[0] not in LONGEST):
            together = [item for item in items if not item.get_closest_marker("alone")]
            if together and claim(folder, path):
                run(session, together)
        if lane == 0:
            await_others(folder)
            run(session, [item for item in session.items if item.get_closest_marker("alone")])
    return True


def files_of(items: list[pytest.Item]) -> dict[str, list[pytest.Item]]:
    """The tests of each file."""
    return {path: list(of_file) for path, of_file in groupby(items, key=lambda item: item.nodeid.partition("::")[0])}


def claim(folder: Path, path: str) -> bool:
    """Whether nobody has claimed this file of tests before; now it is ours."""
    try:
        (folder / hashlib.sha256(path.encode()).hexdigest()).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def await_others(folder: Path) -> None:
    """Return once the other processes have run all that they have claimed."""
    for lane in range(1, N_LANES):
        with open(folder / f"lane-{lane}", "a") as theirs:
            fcntl.flock(theirs, fcntl.LOCK_EX)


def run(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Run these tests, as pytest's own loop does."""
    for item, following in zip(items, [*items, None][1:], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
