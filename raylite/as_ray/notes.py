"""What a program that `raylite run` started has asked for in vain: noted where it happens, said when the program ends.

The notes of all processes of a program are lines in a memory file of its first process, which the others reach by its
path under /proc: nothing is left of it, however the program ends.
"""

from __future__ import annotations

import os
import sys

from raylite import config
from raylite.absent import rays_name

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NAME = "raylite-notes"
_noted: set[str] = set()  # in this process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import IO


def begin() -> None:
    """Take notes, in this process and those below it; if it is the first of its program, say them when it ends."""
    if config.notes_path():
        return
    import atexit

    fd = os.memfd_create(_NAME, os.MFD_CLOEXEC)
    config.set_notes_path(f"/proc/{os.getpid()}/fd/{fd}")
    atexit.register(report, os.getpid())


def note(what: str, why: str) -> None:
    """Note that the program has asked for something, unless this process has noted it.

    Args: what: in the program's words; why: why it is not there, or without effect.
    """
    if what in _noted:
        return
    _noted.add(what)
    from json import dumps

    file = open_notes("ab", buffering=0)
    if file is not None:
        with file:
            file.write(dumps([what, place(sys._getframe(1)), why]).encode() + b"\n")


def open_notes(mode: str, buffering: int = -1) -> IO | None:
    """The file of notes; None if the first process has ended, or has closed it: its number may be another file's."""
    path = config.notes_path()
    try:
        return open(path, mode, buffering) if os.readlink(path).startswith(f"/memfd:{_NAME}") else None
    except OSError:
        return None


def note_lookup(full_name: str, why: str) -> None:
    """Note that a module or class of ours was asked for a name that it lacks; for its `__getattr__`, by raylite.absent.

    Who tries names out (`hasattr`, pickle in search of a function's module) does not count: the code that looks the
    name up must have it in it. Nor do modules that are there, which Python loads after it has asked.
    """
    home, _, name = full_name.rpartition(".")
    frame: FrameType | None = sys._getframe(3)  # past raylite.absent and __getattr__
    while frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    if frame is None or is_ours(frame) or name not in frame.f_code.co_names:
        return
    from importlib.util import find_spec

    if home not in sys.modules or find_spec(full_name) is None:
        note(rays_name(full_name), why)


def place(frame: FrameType | None) -> str:
    """Where the program is: file and line of the nearest frame that is neither raylite's nor the import system's."""
    while frame is not None:
        if not is_ours(frame) and not frame.f_code.co_filename.startswith("<frozen importlib"):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def is_ours(frame: FrameType) -> bool:
    """Whether a frame is of code of raylite's."""
    return frame.f_code.co_filename.startswith(_PACKAGE)


def report(process: int) -> None:
    """Say what has been noted, on stderr. In a fork of the first process there is nothing to say."""
    if os.getpid() != process:
        return
    from json import loads

    file = open_notes("rb")
    if file is None:
        return
    found: dict[str, tuple[str, str]] = {}
    with file:
        for line in file:
            what, where, why = loads(line)
            found.setdefault(what, (where, why))
    if found:
        lines = [f"  {what} ({where}): {why}" for what, (where, why) in found.items()]
        text = "\n".join(["raylite run: this program asked for what is not there, or has no effect:", *lines])
        try:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        except (AttributeError, OSError, ValueError):
            pass  # the program has closed it
