"""asyncio under simulation: a loop that waits lets virtual time pass, and lets tasks run.

The loop waits in its selector. What is ready there is ready now; else the simulation goes on until what a coroutine
awaits has arrived, or the loop's next timer is due.
"""

import selectors
import threading
from _thread import get_ident

from raylite.runtime.client import current_client
from raylite.sim.errors import DeadlockError

SHORTEST_S = 1e-6  # a loop that never waits must not stop time

_kernel = None
_select = selectors.EpollSelector.select


def install(kernel):
    """Event loops of the calling thread wait in this simulation's time."""
    global _kernel
    _kernel = kernel
    selectors.EpollSelector.select = select


def remove():
    """Event loops wait in real time again."""
    global _kernel
    selectors.EpollSelector.select = _select
    _kernel = None


def select(self, timeout=None):
    """Stands in for EpollSelector.select."""
    if _kernel is None or get_ident() != _kernel.thread:
        return _select(self, timeout)
    ready = _select(self, 0)
    if ready:
        return ready
    client = current_client()
    try:
        client.await_arrived(-1.0 if timeout is None else max(timeout, SHORTEST_S))
    except DeadlockError:
        if threading.active_count() == 1:
            raise
        return _select(self, timeout)  # another thread, or a device, may still bring something
    for callback, values, error in client.collect_arrived():
        callback(values, error)
    return _select(self, 0)
