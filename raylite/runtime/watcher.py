"""A worker's thread that completes futures: started by the first one, as most workers have none."""

import select
import sys
from _thread import allocate_lock, start_new_thread

_starting = allocate_lock()
_watched = None


def ensure_watcher(client):
    """Have a thread that calls the callbacks of `client.watch`."""
    global _watched
    with _starting:
        if _watched is not client:
            _watched = client
            start_new_thread(run, (client,))


def run(client):
    """The thread."""
    poll = select.poll()
    poll.register(client.notice_event(), select.POLLIN)
    while client is _watched:
        poll.poll()
        deliver(client)


def deliver(client):
    """Call the callbacks of what has come. A function of its own: its variables keep nothing of that alive."""
    for callback, values, error in client.collect_arrived():
        try:
            callback(values, error)
        except Exception:  # there are other futures
            sys.excepthook(*sys.exc_info())
