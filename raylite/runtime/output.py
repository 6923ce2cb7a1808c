"""Workers' output: read from their memory files, tagged with task and process, written to the driver's own streams.

A worker writes to files that never fill and never block it. It marks in them whose lines follow (output_marks).
What has been read is punched out of the file, so that it takes no memory; but for the last pages, which the story of a
crash is told from.
"""

import os
import select
import sys
from time import sleep

from raylite.runtime.output_marks import BAR_MARK, NAME_MARK
from raylite.runtime.processes import punch_hole

CHUNK_BYTES = 1 << 20
PAGE = 4096
KEPT_BYTES = 3 * PAGE  # the names of extension modules behind a stack can be long
FULL_PIPE_S = 0.01


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
        end = (self.offset - KEPT_BYTES) // PAGE * PAGE
        if end > self.freed:
            punch_hole(fd, self.freed, end - self.freed)
            self.freed = end

    def lines(self, data):
        """The lines that `data` completes, as (name of the task, bytes, whether it is the report of a progress bar)."""
        newline = data.rfind(b"\n") + 1
        if not newline:
            self.rest += data
            return
        whole = bytes(self.rest) + data[: newline - 1]
        self.rest = bytearray(data[newline:])
        for line in whole.split(b"\n"):
            before, bar_mark, report = line.partition(BAR_MARK)
            before, name_mark, name = before.partition(NAME_MARK)
            if before or not (bar_mark or name_mark):
                yield self.name, before, False
            if name_mark:
                self.name = name.decode("utf-8", "replace")
            if bar_mark:
                yield self.name, report, True


class OutputReader:
    """Args: show: whether to write what is read, or only to free it."""

    def __init__(self, show):
        self.show = show
        self.streams = {}  # (client, which) -> Stream
        self.bars = None  # there may never be any

    def read(self, outputs, last=False):
        """Read all that is new. outputs: as EmbeddedHost.outputs gives it; descriptors of ended workers are closed;
        last: nothing more will come of the others either."""
        for client, pid, out, err, ended in outputs:
            for which, fd in (("stdout", out), ("stderr", err)):
                self.read_file((client, which), pid, fd, ended or last)
                if ended:
                    os.close(fd)
            if self.bars and ended:
                self.bars.close_all(client)
        if self.bars:
            if last:
                self.bars.close_all()
            self.bars.show()

    def read_file(self, key, pid, fd, ended):
        stream = self.streams.setdefault(key, Stream())
        for data in stream.take(fd):
            self.write(stream, pid, data, key)
        if ended:
            if stream.rest:
                self.write(stream, pid, b"\n", key)
            del self.streams[key]

    def write(self, stream, pid, data, key):
        """Write the lines that `data` completes to the driver's own stream."""
        if not self.show:
            return
        client, which = key
        lines = []
        for name, line, is_report in stream.lines(data):
            tag = f"({name} pid={pid}) "
            if is_report:
                self.take_report(client, tag, line)
            else:
                lines.append(f"{tag}{line.decode('utf-8', 'replace')}\n")
        write_lines(which, lines)

    def take_report(self, client, tag, report):
        if self.bars is None:
            from raylite.runtime.bars import Bars

            self.bars = Bars()
        self.bars.take(client, tag, report)


def write_lines(which, lines):
    """Write to sys.stdout or sys.stderr, whatever the program has made of it; where there is none, nowhere."""
    target = getattr(sys, which)
    if target is None or not lines:
        return
    if "tqdm.std" not in sys.modules:
        write_text(target, lines)
        return
    from raylite.runtime.bars import hidden

    with hidden(target):
        write_text(target, lines)


def write_text(target, lines):
    """Write lines to a stream, whole ones beside what other threads write; to one that is closed, nothing."""
    try:
        buffer = getattr(target, "buffer", None)
        if buffer is None:
            target.write("".join(lines))
        else:  # a text layer loses what two threads write at once (CPython before 3.12.4)
            flush(target)
            for piece in pieces(line.encode(target.encoding, "backslashreplace") for line in lines):
                write_all(buffer, piece)
        flush(target)
    except (AttributeError, LookupError, OSError, TypeError, ValueError):
        pass  # the program has closed it, or who read it is gone


def pieces(lines):
    """Lines, joined as far as the system writes them to a pipe as one: other threads write there, too."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > select.PIPE_BUF:
            yield piece
            piece = b""
        piece += line
    yield piece


def write_all(buffer, data):
    """Write to a stream of bytes that may be unbuffered, or a pipe that does not block its writer."""
    while data:
        try:
            written = buffer.write(data)
        except BlockingIOError as error:
            written = error.characters_written
        data = data[written or 0 :]
        if not written:
            sleep(FULL_PIPE_S)


def flush(stream):
    """Flush a stream that may be a pipe that does not block its writer."""
    while True:
        try:
            stream.flush()
            return
        except BlockingIOError:
            sleep(FULL_PIPE_S)
