"""A terminal for programs under test: a pseudo-terminal, and what is on its screen after all that came to it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import threading

N_ROWS, N_COLUMNS = 50, 120
UP, ERASE_LINE = "\x1b[A", "\x1b[K"


class Terminal:
    """Args: none. `fd` is for the program; `screen` reads until the program has closed it."""

    def __init__(self):
        self._ours, self.fd = pty.openpty()
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", N_ROWS, N_COLUMNS, 0, 0))
        self._came = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        try:
            while data := os.read(self._ours, 1 << 16):
                self._came += data
        except OSError:  # all have closed it
            pass

    def close(self):
        """Let go of it; the program must have ended."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
            self._reader.join()
            os.close(self._ours)

    def text(self):
        """All that came to it, once the program has ended."""
        self.close()
        return self._came.decode()

    def screen(self):
        """The lines on it, once the program has ended."""
        return drawn(self.text())


def drawn(text):
    """The lines that these characters leave on a screen that is long enough."""
    rows, row, column = [[]], 0, 0
    at = 0
    while at < len(text):
        if text.startswith(UP, at):
            row -= 1
            at += len(UP)
        elif text.startswith(ERASE_LINE, at):
            del rows[row][column:]
            at += len(ERASE_LINE)
        else:
            if text[at] == "\r":
                column = 0
            elif text[at] == "\n":
                row += 1
                rows += [[]] * (row == len(rows))
            else:
                assert text[at].isprintable(), f"a character that this terminal does not know: {text[at]!r}"
                rows[row] += " " * (column - len(rows[row]))
                rows[row][column : column + 1] = text[at]
                column += 1
            at += 1
    return [line for line in ("".join(cells).rstrip() for cells in rows) if line]
