"""Workers' output: read from their memory files, tagged with task and process, written to the driver's own streams.

A worker writes to files that never fill and never block it. It marks in them whose lines follow (worker.NAME_MARK).
What has been read is punched out of the file, so that it takes no memory; but for the last page, which the story of a
crash is told from.
"""

import os
import sys

from raylite.runtime.processes import punch_hole
from raylite.runtime.worker import NAME_MARK

CHUNK_BYTES = 1 << 20
PAGE = 4096


class Stream:
    """How far one file has been read and freed, and the line that is not complete yet."""

    def __init__(self):
        self.offset = 0
        self.freed = 0
        self.rest = bytearray()
        self.name = ""

    def take(self, fd):
        """What is new in the file, piece by piece, as far as it has come now."""
        size = os.fstat(fd).st_size
        if size < self.offset:  # truncated: by a shell's `> /dev/stderr`, for one
            self.offset = self.freed = 0
        while self.offset < size:
            data = os.pread(fd, min(CHUNK_BYTES, size - self.offset), self.offset)
            if not data:
                return
            self.offset += len(data)
            yield data
            self.free(fd)

    def free(self, fd):
        """Give back the pages behind what was read, where the system can."""
        end = (self.offset - PAGE) // PAGE * PAGE
        if end > self.freed:
            punch_hole(fd, self.freed, end - self.freed)
            self.freed = end

    def lines(self, data):
        """The lines that `data` completes, as (name of the task, bytes)."""
        newline = data.rfind(b"\n") + 1
        if not newline:
            self.rest += data
            return
        whole = bytes(self.rest) + data[: newline - 1]
        self.rest = bytearray(data[newline:])
        for line in whole.split(b"\n"):
            before, mark, name = line.partition(NAME_MARK)
            if before or not mark:
                yield self.name, before
            if mark:
                self.name = name.decode("utf-8", "replace")


class OutputReader:
    """Args: show: whether to write what is read, or only to free it."""

    def __init__(self, show):
        self.show = show
        self.streams = {}  # (client, which) -> Stream

    def read(self, outputs, last=False):
        """Read all that is new. outputs: as EmbeddedHost.outputs gives it; descriptors of ended workers are closed;
        last: nothing more will come of the others either."""
        for client, pid, out, err, ended in outputs:
            for which, fd in (("stdout", out), ("stderr", err)):
                self.read_file((client, which), pid, fd, ended or last)
                if ended:
                    os.close(fd)

    def read_file(self, key, pid, fd, ended):
        stream = self.streams.setdefault(key, Stream())
        for data in stream.take(fd):
            self.write(stream, pid, data, key[1])
        if ended:
            if stream.rest:
                self.write(stream, pid, b"\n", key[1])
            del self.streams[key]

    def write(self, stream, pid, data, which):
        """Write the lines that `data` completes to the driver's own stream."""
        if not self.show:
            return
        write_text(which, "".join(
            f"({name} pid={pid}) {line.decode('utf-8', 'replace')}\n" for name, line in stream.lines(data)
        ))


def write_text(which, text):
    """Write to sys.stdout or sys.stderr, whatever the program has made of it; where there is none, nowhere."""
    target = getattr(sys, which)
    if target is None or not text:
        return
    try:
        buffer = getattr(target, "buffer", None)
        if buffer is None:
            target.write(text)
        else:  # text layers lose what two threads write at once (CPython before 3.12.4); buffers have a lock
            target.flush()
            buffer.write(text.encode(target.encoding, "backslashreplace"))
        target.flush()
    except (AttributeError, LookupError, OSError, TypeError, ValueError):
        pass  # the program has closed it, or who read it is gone
