"""Progress bars of tasks, as the driver draws them: with tqdm, on its own stderr.

On a terminal each has a line below what is printed, and tqdm keeps them apart from bars that the program itself draws.
Elsewhere (a file, a pipe, a notebook) each is a line now and then, and one at its end, with nothing in it but text.
tqdm's lock is never waited for long: a program that is interrupted while it draws leaves it locked.
"""

import json
import sys
from contextlib import contextmanager, nullcontext
from functools import cache
from time import monotonic

from raylite.runtime.output import write_lines

LOCK_PATIENCE_S = 0.1
LINE_PERIOD_S = 10.0


class Bars:
    """All bars of all workers."""

    def __init__(self):
        self.drawn = {}  # (client, id) -> TerminalBar or LineBar
        self.news = {}  # (client, id) -> the newest state, not drawn yet

    def take(self, client, tag, report):
        """Note what a worker says of a bar. tag: whose it is; report: see raylite.util.tqdm."""
        try:
            state = json.loads(report)
            key, meter = (client, state["id"]), state["format"]
            meter["prefix"] = tag + meter["prefix"] if meter.get("prefix") else tag.rstrip()
        except (LookupError, TypeError, ValueError):
            return  # it only looks like one of ours
        self.news[key] = state

    def close_all(self, client=None):
        """Close those of a worker that has ended, or all."""
        for key in {**self.drawn, **self.news}:
            if client in (None, key[0]):
                state = self.news.get(key) or self.drawn[key].state
                self.news[key] = {**state, "closed": True}

    def show(self):
        """Draw what is new, unless somebody else is drawing: then the next time."""
        if not self.news:
            return
        try:
            from tqdm.std import tqdm
        except ImportError:
            self.news.clear()
            return
        with drawing(tqdm) as allowed:
            if allowed:
                news, self.news = self.news, {}
                for key, state in news.items():
                    if not state["closed"]:
                        self.draw(key, state)
                closed = [(key, state) for key, state in news.items() if state["closed"]]
                with apart(tqdm, sys.stderr) if closed else nullcontext():
                    for key, state in closed:
                        self.draw(key, state)

    def draw(self, key, state):
        bar = self.drawn.get(key)
        if bar is None:
            if state["closed"] and state["leave"] is False:
                return
            bar = self.drawn[key] = TerminalBar(state) if on_terminal(sys.stderr) else LineBar()
        bar.state = state
        if state["closed"]:
            del self.drawn[key]
            bar.close()
        else:
            bar.move()


class LineBar:
    """A bar where there is no terminal. state: the one to show."""

    def __init__(self):
        self.state = None
        self.next_s = monotonic() + LINE_PERIOD_S

    def move(self):
        if monotonic() >= self.next_s:
            self.write()

    def close(self):
        if self.state["leave"] is not False:
            self.write()

    def write(self):
        from tqdm.std import tqdm

        self.next_s = monotonic() + LINE_PERIOD_S
        if not self.state["tty_only"]:
            write_lines("stderr", [tqdm.format_meter(**{"ncols": None, **self.state["format"]}) + "\n"])


class TerminalBar:
    """A bar on a terminal: one of tqdm's, that shows the state of another. state: that."""

    def __init__(self, state):
        self.bar = mirror_class()(state)
        self.move, self.close = self.bar.refresh, self.bar.close

    @property
    def state(self):
        return self.bar.shown

    @state.setter
    def state(self, state):
        self.bar.shown = state


@cache
def mirror_class():
    """A bar of tqdm's that draws a state it is given."""
    from tqdm.std import tqdm

    class Mirror(tqdm):
        monitor_interval = 0  # no thread of its own

        def __init__(self, state):
            self.shown = state
            super().__init__(leave=state["leave"], dynamic_ncols=True, delay=1.0)  # not drawn before we say so
            self.delay = 0

        @property
        def format_dict(self):
            return {**super().format_dict, **self.shown["format"]}

    return Mirror


def on_terminal(stream):
    """Whether a stream ends on a terminal."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False  # there is none, or it is closed


@contextmanager
def drawing(tqdm):
    """Hold tqdm's lock, by which its bars on one terminal keep apart. Gives whether it could be had."""
    lock = tqdm.get_lock()
    parts = getattr(lock, "locks", [lock])  # tqdm's own is two, for threads and for processes
    held = []
    for part in parts:
        if not part.acquire(True, LOCK_PATIENCE_S):
            break
        held.append(part)
    try:
        yield len(held) == len(parts)
    finally:
        for part in reversed(held):
            part.release()


@contextmanager
def hidden(target):
    """Have no bars on the terminal meanwhile, be they of tasks or of the program itself; target: what is written to."""
    tqdm = getattr(sys.modules["tqdm.std"], "tqdm", None)
    if not getattr(tqdm, "_instances", None) or not on_terminal(target):
        yield
        return
    with drawing(tqdm) as allowed, apart(tqdm, target) if allowed else nullcontext():
        yield


@contextmanager
def apart(tqdm, target):
    """Take the bars off the terminal, and draw them again below what is written meanwhile. Under tqdm's lock.

    A bar that ends is written, too: tqdm by itself would leave copies of those below it.
    """
    with tqdm.external_write_mode(file=target, nolock=True) if on_terminal(target) else nullcontext():
        yield
