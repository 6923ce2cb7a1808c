"""What the interpreter keeps for each of its threads, and virtual threads, which share one, have each their own.

That is the event loop that runs, with its current task and its hooks for asynchronous generators, and a debugger. Who
gives way takes them along.
"""
import sys

cdef object gettrace = sys.gettrace
cdef object modules = sys.modules


cdef object leave_thread_state():
    """Other code will run in this thread. Returns what is the caller's own; None if that is nothing."""
    asyncio = modules.get("asyncio.events")
    loop = asyncio._get_running_loop() if asyncio is not None else None
    trace = gettrace()
    if loop is None and trace is None:
        return None
    return leave_loop(asyncio, loop), leave_debugger(trace)


cdef int return_to_thread_state(object state) except -1:
    if state is None:
        return 0
    loop, trace = state
    if loop is not None:
        return_to_loop(loop)
    if trace is not None:
        sys.settrace(trace)
    return 0


cdef object leave_loop(object asyncio, object loop):
    if loop is None:
        return None
    swap_task = getattr(modules.get("asyncio.tasks"), "_swap_current_task", None)
    task = swap_task(loop, None) if swap_task is not None else None
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    asyncio._set_running_loop(None)
    return loop, task, hooks


cdef int return_to_loop(object state) except -1:
    loop, task, hooks = state
    modules["asyncio.events"]._set_running_loop(loop)
    sys.set_asyncgen_hooks(*hooks)
    if task is not None:
        modules["asyncio.tasks"]._swap_current_task(loop, task)
    return 0


cdef object leave_debugger(object trace):
    """A debugger follows its own code. What measures coverage wants to see all."""
    bdb = modules.get("bdb")
    if trace is None or bdb is None or not isinstance(getattr(trace, "__self__", None), bdb.Bdb):
        return None
    sys.settrace(None)
    return trace
