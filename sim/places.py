"""Where in a program's code somebody waits for a lock, a queue or an event loop: for reports that nothing can go on."""

import sys
from os.path import basename, dirname

from raylite.runtime.async_actor import AsyncActor
from raylite.sim import locks

OURS = dirname(dirname(__file__))  # with which no place is of use, nor with the library's that user code waits in
LIBRARY = frozenset({"threading", "queue", "concurrent.futures._base", "concurrent.futures.thread", "contextlib"})


def places(processes):
    """(where the driver waits for a lock, or None; a dict of the same for each task, by its id)."""
    driver, found = None, {}
    for thread in locks.waiting():
        frame = thread.frame
        if frame is None:
            driver = place(sys._getframe())
        elif thread.task is not None:
            found[thread.task.task_id] = place(frame)
    for process in processes:
        actor = getattr(process.worker, "actor", None)
        coroutines = actor.running if isinstance(actor, AsyncActor) else {}
        for task_id, coroutine in coroutines.items():
            stack = coroutine.get_stack()
            if stack and task_id not in found:
                found[task_id] = f"an await at {spot(innermost(coroutine) or stack[-1])}"
    return driver, found


def place(frame):
    """What the code is in, and the line of the program's own that it came from."""
    outermost = None
    while frame is not None and is_library(frame):
        outermost = frame
        frame = frame.f_back
    if frame is None:
        return "a lock"
    ours = outermost is None or outermost.f_code.co_filename.startswith(OURS)
    what = "a lock" if ours else getattr(outermost.f_code, "co_qualname", outermost.f_code.co_name)
    return f"{what} at {spot(frame)}"


def is_library(frame):
    """Whether the frame is the standard library's or ours, and not the program's."""
    return frame.f_globals.get("__name__") in LIBRARY or frame.f_code.co_filename.startswith(OURS)


def spot(frame):
    """File, line and function of a frame."""
    return f"{basename(frame.f_code.co_filename)}:{frame.f_lineno}, in {frame.f_code.co_name}"


def innermost(coroutine):
    """The frame of the innermost coroutine, of the program's own, that a task awaits."""
    frame, step = None, coroutine.get_coro()
    while step is not None:
        own = getattr(step, "cr_frame", None) or getattr(step, "ag_frame", None)
        if own is not None and not own.f_code.co_filename.startswith((OURS, dirname(sys.modules["asyncio"].__file__))):
            frame = own
        step = getattr(step, "cr_await", None) or getattr(step, "ag_await", None)
    return frame
