"""Workers' output: read from their memory files, tagged with task and process, written to the driver's own streams.

A worker writes to files that never fill and never block it. It marks in them whose lines follow (worker.NAME_MARK).
What has been read is punched out of the file, so that it takes no memory.
"""

import os
import sys

from raylite.runtime.processes import punch_hole
from raylite.runtime.worker import NAME_MARK

CHUNK_BYTES = 1 << 20
PAGE = 4096


class Stream:
    """How far one file has been read, and the line that is not complete yet."""

    def __init__(self):
        self.offset = 0
        self.rest = b""
        self.name = ""


class OutputReader:
    """Args: show: whether to write what is read, or only to free it."""

    def __init__(self, show):
        self.show = show
        self.streams = {}  # (client, which) -> Stream

    def read(self, outputs):
        """Read all that is new. outputs: as EmbeddedHost.outputs gives it; descriptors of ended workers are closed."""
        for client, pid, out, err, ended in outputs:
            self.read_file(client, pid, out, "stdout", ended)
            self.read_file(client, pid, err, "stderr", ended)
            if ended:
                os.close(out)
                os.close(err)

    def read_file(self, client, pid, fd, which, ended):
        stream = self.streams.setdefault((client, which), Stream())
        while True:
            data = os.pread(fd, CHUNK_BYTES, stream.offset)
            if not data:
                break
            begin = stream.offset // PAGE * PAGE
            stream.offset += len(data)
            free(fd, begin, stream.offset // PAGE * PAGE - begin)
            self.write_lines(stream, pid, data, which)
        if ended:
            if stream.rest:
                self.write_lines(stream, pid, b"\n", which)
            del self.streams[client, which]

    def write_lines(self, stream, pid, data, which):
        """Write the complete lines; keep the last one if it has no end yet."""
        lines = (stream.rest + data).split(b"\n")
        stream.rest = lines.pop()
        if not self.show:
            for line in lines:
                if line.startswith(NAME_MARK):
                    stream.name = line
            return
        text = []
        for line in lines:
            before, mark, name = line.partition(NAME_MARK)
            if before or not mark:
                text.append(f"({stream.name} pid={pid}) {before.decode('utf-8', 'replace')}\n")
            if mark:
                stream.name = name.decode("utf-8", "replace")
        if text:
            target = getattr(sys, which)
            try:
                target.write("".join(text))
                target.flush()
            except (AttributeError, OSError, ValueError):
                pass  # the driver has closed its own


def free(fd, offset, size):
    """Give the pages behind read output back, where the system can."""
    if size > 0:
        punch_hole(fd, offset, size)
