"""Changes a task's state directly: refusals of the transition table that no event leads to. Built by its test."""
from raylite._core.ids cimport task_from_bytes
from raylite._core.node.node cimport Node
from raylite._core.node.state cimport set_state
from raylite._core.node.task_table cimport TaskRow


def change_state(Node node not None, bytes task, int old, int new):
    """Take a task that is in state `old` to `new`, as the core does it."""
    cdef TaskRow row
    row.id = task_from_bytes(task)
    row.worker = row.attempt = 0
    row.state = old
    with nogil:
        set_state(node.state, &row, new, 0)
    return row.state
