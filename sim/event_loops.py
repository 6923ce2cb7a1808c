"""asyncio under simulation: a loop that waits lets virtual time pass, and lets tasks run.

The loop waits in its selector. What is ready there is ready now; else the simulation goes on until what a coroutine
awaits has arrived, the loop's next timer is due, or another virtual thread calls the loop.
"""

import asyncio
import selectors
import threading
from _thread import get_ident
from asyncio.selector_events import BaseSelectorEventLoop

from raylite.runtime.client import current_client
from raylite.sim.errors import DeadlockError, ProcessEnded

SHORTEST_S = 1e-6  # a loop that never waits must not stop time

_kernel = None
_select = selectors.EpollSelector.select
_write_to_self = BaseSelectorEventLoop._write_to_self
_waiting = {}  # selector -> kernel.Thread


def install(kernel):
    """Event loops of the calling thread wait in this simulation's time."""
    global _kernel
    _kernel = kernel
    selectors.EpollSelector.select = select
    BaseSelectorEventLoop._write_to_self = write_to_self


def remove():
    """Event loops wait in real time again."""
    global _kernel
    selectors.EpollSelector.select = _select
    BaseSelectorEventLoop._write_to_self = _write_to_self
    _waiting.clear()
    _kernel = None


def select(self, timeout=None):
    """Stands in for EpollSelector.select."""
    if _kernel is None or get_ident() != _kernel.thread:
        return _select(self, timeout)
    ready = _select(self, 0)
    if ready:
        return ready
    client = current_client()
    if client.owner.ended:
        return select_at_the_end(timeout)
    wait(self, client, timeout)
    for callback, values, error in client.collect_arrived():
        callback(values, error)
    if client.owner.on_message is not None and client.owner.main is _kernel.calling_thread() and client.has_messages():
        client.owner.on_message()
    return _select(self, 0)


def wait(selector, client, timeout):
    """Let other code run until there may be something for the loop."""
    _waiting[selector] = _kernel.calling_thread()
    try:
        client.await_arrived(-1.0 if timeout is None else max(timeout, SHORTEST_S))
    except DeadlockError:
        if threading.active_count() == 1:
            raise
        _select(selector, timeout)  # another thread, or a device, may still bring something
    finally:
        _waiting.pop(selector, None)


def select_at_the_end(timeout):
    """The loop's process has ended: its coroutines run to their ends as far as they wait for nothing."""
    asyncio.get_running_loop().set_exception_handler(ignore)
    if timeout == 0:
        return []
    raise ProcessEnded


def ignore(loop, context):
    """What a loop has to say of coroutines that a crash has cut short."""


def write_to_self(self):
    """Stands in for BaseSelectorEventLoop._write_to_self, by which whoever calls a loop from elsewhere wakes it."""
    _write_to_self(self)
    if _kernel is not None and get_ident() == _kernel.thread:
        thread = _waiting.get(self._selector)
        if thread is not None:
            thread.go_on()
