"""Current Python stacks of other processes of a runtime, be they stuck in C or waiting for the GIL.

Every process that takes part has a memory file of a known name, and a handler for a real-time signal. The handler that
runs at once (faulthandler) writes the stack of the main thread into the file, without the GIL; one that Python runs,
as soon as the main thread gets back to Python, adds those of all threads and says that this is all. Who asks finds the
file through /proc, empties it, sends the signal and reads. No process is signalled that has not both file and handler.
"""

from __future__ import annotations

import os
import sys
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "raylite-stack"
SIGNAL = 45  # SIGRTMIN + 11
END = "raylite: that is all\n"
PATIENCE_S = 0.5
PERIOD_S = 0.002
OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Answerable:
    """This process answers who asks for its stacks, until stop(). Where the signal is in use, it does not."""

    def __init__(self) -> None:
        import _signal
        import faulthandler

        self.fd = -1
        self.previous: Any = None
        self.handles = False
        if _signal.getsignal(SIGNAL) is not _signal.SIG_DFL:
            return
        self.fd = os.memfd_create(NAME)
        os.fchmod(self.fd, 0o600)  # its owner's alone
        set_append(self.fd)
        try:
            self.previous = _signal.signal(SIGNAL, self.write_all)
            self.handles = True
        except ValueError:
            pass  # not the main thread: then the main thread's stack has to do
        faulthandler.register(SIGNAL, self.fd, all_threads=False, chain=self.handles)

    def write_all(self, signum: int, frame: Any) -> None:
        """The stacks of all threads, innermost call first; this one's first."""
        from _thread import get_ident

        frames = sys._current_frames()
        frames.pop(get_ident(), None)
        os.write(self.fd, "".join([text_of(frame), *map(text_of, frames.values()), END]).encode("utf-8", "replace"))

    def stop(self) -> None:
        import _signal
        import faulthandler

        if self.fd < 0:
            return
        faulthandler.unregister(SIGNAL)
        if self.handles:
            try:
                _signal.signal(SIGNAL, self.previous)
            except ValueError:
                _ignore(SIGNAL)
        os.close(self.fd)
        self.fd = -1


def _ignore(number: int) -> None:
    """What is handled in Python can be changed by the main thread only: the handler stays, and finds no file."""


def set_append(fd: int) -> None:
    """Have all writes go to the end of the file, wherever that is by then."""
    from fcntl import F_GETFL, F_SETFL, fcntl

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | os.O_APPEND)


def text_of(frame: Any) -> str:
    """A stack as faulthandler writes it."""
    lines = ["Stack:\n"]
    while frame is not None:
        lines.append(f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}\n')
        frame = frame.f_back
    return "".join(lines)


class Stack:
    """The stack of one thread. Attributes: frames: (file, line, function), the innermost last."""

    def __init__(self, frames: list[tuple[str, int, str]]) -> None:
        self.frames = frames

    def lines(self) -> list[str]:
        """A line of text for each frame."""
        return [f"{file}:{line} in {function}" for file, line, function in self.frames]

    def user_lines(self) -> list[str]:
        """Those of frames that are not raylite's own."""
        return [f"{file}:{line} in {function}" for file, line, function in self.frames if is_users(file)]

    def __repr__(self) -> str:
        return "\n".join(self.lines())


def is_users(file: str) -> bool:
    """Whether the file is not raylite's own, nor Python's innermost."""
    return not file.startswith(OWN_FOLDER) and not file.startswith("<frozen ")


def stacks_of(pid: int) -> list[Stack] | None:
    """The stacks of a process's threads, the main thread's first; of one that does not get back to Python, that alone.
    None if the process does not answer."""
    from fcntl import LOCK_EX, flock

    path = answer_file(pid)
    if path is None or not handles_signal(pid):
        return None
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        flock(fd, LOCK_EX)  # one at a time
        os.ftruncate(fd, 0)
        os.kill(pid, SIGNAL)
        return read_stacks(await_answer(fd))
    except OSError:
        return None
    finally:
        os.close(fd)


def await_answer(fd: int) -> str:
    """What is written until it is all, or for as long as we wait."""
    until = monotonic() + PATIENCE_S
    while True:
        text = os.pread(fd, 1 << 22, 0).decode("utf-8", "replace")
        if text.endswith(END) or monotonic() > until:
            return text
        sleep(PERIOD_S)


def read_stacks(text: str) -> list[Stack] | None:
    """The stacks in an answer: those of all threads if it is whole, else of the main thread."""
    stacks: list[Stack] = []
    for part in text.split("Stack")[1:]:
        frames = [frame for line in part.splitlines()[1:] if (frame := read_frame(line)) is not None]
        stacks.append(Stack(frames[::-1]))
    return (stacks[1:] if text.endswith(END) and len(stacks) > 1 else stacks) or None


def read_frame(line: str) -> tuple[str, int, str] | None:
    """A line such as `  File "a.py", line 3 in f`."""
    file, _, rest = line.strip().removeprefix('File "').partition('", line ')
    number, _, function = rest.partition(" in ")
    return (file, int(number), function) if number.isdigit() else None


def answer_file(pid: int) -> str | None:
    """Where the memory file of a process is found."""
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            if os.readlink(f"{folder}/{name}").startswith(f"/memfd:{NAME}"):
                return f"{folder}/{name}"
    except OSError:
        pass
    return None


def handles_signal(pid: int) -> bool:
    """Whether the process has a handler: without, the signal would end it."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (SIGNAL - 1) & 1)
    except OSError:
        pass
    return False
