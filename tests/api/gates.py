"""Gates: where a task waits until the test lets it through, without guessing how long anything takes."""

from __future__ import annotations

import fcntl
import os


class Gate:
    """Closed until `open()`: whoever calls `pass_through()` before waits, in whatever process.

    Args: path: of a file of its own. It is locked by the test, and by passers, who share it; so a test that fails
    leaves nobody waiting for ever.
    """

    def __init__(self, path):
        self.path = str(path)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def open(self):
        """Let everybody through, now and later."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def pass_through(self):
        """Return once the gate is open."""
        passer = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(passer, fcntl.LOCK_SH)
        finally:
            os.close(passer)

    def __getstate__(self):
        return {"path": self.path, "_file": None}


class Tally:
    """A count that processes share: each `add()` is one more, with a note of who it was.

    Args: path: of a file of its own.
    """

    def __init__(self, path):
        self.path = str(path)

    def add(self, note=""):
        """Count one more."""
        with open(self.path, "a") as file:
            file.write(f"{note}\n")

    def notes(self):
        """The notes, in order."""
        try:
            with open(self.path) as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def __len__(self):
        return len(self.notes())
