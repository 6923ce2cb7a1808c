"""Who submits: the task that runs, or the driver's own, as a context variable of the thread or coroutine (DESIGN 4.4).

Greenlets of the simulator share a thread, and calls of an async actor a loop, so neither would do.
"""
from _contextvars import ContextVar

from raylite._core.ids cimport task_bytes, task_from_bytes

cdef object _task = ContextVar("raylite_task")


cdef class TaskContext:
    """A task as the submitter of others: its id, and how many it has submitted and put so far."""

    @staticmethod
    def of(bytes task_id not None, str name, uint32_t attempt=0, tuple gpus=(), bint is_driver=False,
           str function=None, bytes group=None, bint captures=False):
        cdef TaskContext c = TaskContext.__new__(TaskContext)
        c.id = task_from_bytes(task_id)
        c.name = name
        c.function = function
        c.attempt = attempt
        c.gpus = gpus
        c.is_driver = is_driver
        c.group = group
        c.captures = captures
        return c

    @property
    def task_id(self):
        """The task's id, 16 bytes."""
        return task_bytes(self.id)

    def enter(self):
        """Make this the task that the calls of this thread come from. Returns the token for leave()."""
        return _task.set(self)

    def leave(self, token):
        """Undo enter()."""
        _task.reset(token)


cdef TaskContext entered_task():
    """The task that the calls of this thread come from; None if none was entered."""
    return <TaskContext> _task.get(None)
