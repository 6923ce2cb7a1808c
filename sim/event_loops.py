"""asyncio under simulation: a loop that waits lets virtual time pass, and lets tasks run.

The loop waits in its selector. What is ready there is ready now; else the simulation goes on until what a coroutine
awaits has arrived, the loop's next timer is due, or another virtual thread calls the loop. Sets of tasks and futures
have an order that does not depend on where these lie in memory. In a process that has ended, coroutines run to their
ends as far as they wait for nothing.
"""

import asyncio
import selectors
import threading
from _thread import get_ident
from asyncio import base_events, futures, runners, tasks
from asyncio.selector_events import BaseSelectorEventLoop
from itertools import count

from raylite.runtime.client import current_client
from raylite.sim.errors import DeadlockError, ProcessEnded
from raylite.sim.locks import THREADS_REFUSED

SHORTEST_S = 1e-6  # a loop that never waits must not stop time

_kernel = None
_select = selectors.EpollSelector.select
_write_to_self = getattr(BaseSelectorEventLoop, "_write_to_self")  # noqa: B009
_cancel_all_tasks = getattr(runners, "_cancel_all_tasks")  # noqa: B009
_run_in_executor = base_events.BaseEventLoop.run_in_executor
_waiting: dict = {}  # selector -> kernel.Thread
_numbers = count()


class Numbered:
    """Before a class of futures: its instances hash to the order in which they first did."""

    __slots__ = ()

    def __hash__(self):
        try:
            return self.number
        except AttributeError:
            self.number = next(_numbers)
            return self.number


class NumberedFuture(Numbered, futures.Future):
    """A future whose order does not depend on where it lies in memory."""

    __slots__ = ("number",)


class NumberedTask(Numbered, tasks.Task):
    """The same for a task."""

    __slots__ = ("number",)


REPLACED = (  # in asyncio and below: where, name, what is there, what stands in for it
    (selectors.EpollSelector, "select", _select, lambda self, timeout=None: select(self, timeout)),
    (BaseSelectorEventLoop, "_write_to_self", _write_to_self, lambda self: write_to_self(self)),
    (base_events.BaseEventLoop, "run_in_executor", _run_in_executor, lambda *args: run_in_executor(*args)),
    (runners, "_cancel_all_tasks", _cancel_all_tasks, lambda loop: cancel_all_tasks(loop)),
    (futures, "Future", futures.Future, NumberedFuture),
    (tasks, "Task", tasks.Task, NumberedTask),
)


def install(kernel):
    """Event loops of the calling thread wait in this simulation's time."""
    global _kernel, _numbers
    _kernel = kernel
    _numbers = count()
    for where, name, _, stand_in in REPLACED:
        setattr(where, name, stand_in)


def remove():
    """Event loops wait in real time again."""
    global _kernel
    for where, name, original, _ in REPLACED:
        setattr(where, name, original)
    _waiting.clear()
    _kernel = None


def is_virtual():
    """Whether it is a simulation's code that calls."""
    return _kernel is not None and get_ident() == _kernel.thread


def select(self, timeout=None):
    """Stands in for EpollSelector.select."""
    if not is_virtual():
        return _select(self, timeout)
    ready = _select(self, 0)
    if ready:
        return ready
    client = current_client()
    if client.owner.ended:
        if timeout == 0:
            return []
        raise ProcessEnded
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


def write_to_self(loop):
    """Stands in for BaseSelectorEventLoop._write_to_self, by which whoever calls a loop from elsewhere wakes it."""
    _write_to_self(loop)
    if is_virtual():
        thread = _waiting.get(loop._selector)
        if thread is not None:
            thread.go_on()


def run_in_executor(loop, executor, function, *args):
    """Stands in for BaseEventLoop.run_in_executor: what starts threads is refused before it has begun to."""
    if executor is None and is_virtual() and _kernel.in_task:
        raise RuntimeError(THREADS_REFUSED)
    return _run_in_executor(loop, executor, function, *args)


def cancel_all_tasks(loop):
    """Stands in for runners._cancel_all_tasks, with which asyncio.run ends."""
    if is_virtual() and current_client().owner.ended:
        end_all_tasks(loop)
    else:
        _cancel_all_tasks(loop)


def end_all_tasks(loop):
    """The process has ended: let all coroutines unwind, each by what it meets next."""
    loop.set_exception_handler(lambda loop, context: None)  # there is nobody to tell
    n_left = -1
    while (left := asyncio.all_tasks(loop)) and len(left) != n_left:
        n_left = len(left)
        for task in left:
            task.cancel()
        try:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        except ProcessEnded:
            pass
    for task in left:
        task._log_destroy_pending = False
        try:
            task.get_coro().close()
        except BaseException:
            pass  # it would rather wait for something
