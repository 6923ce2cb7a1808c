"""Queued tasks, offered again: from time to time a scheduler is asked whether some would wait less elsewhere.

However long the queue, a round is about a few of it, and more only while tasks go. A task stays if it would wait as
long elsewhere, and after MOVES_MOST moves.
"""
from libc.stdint cimport uint32_t
from libcpp.string cimport string
from raylite._core.cluster.departures cimport tell
from raylite._core.cluster.guests cimport return_guest
from raylite._core.cluster.spill cimport append_question, MOVES_MOST, scheduler_for, send_task
from raylite._core.envelope cimport blob_copy
from raylite._core.links.packet cimport SCHEDULER_ASK
from raylite._core.node.local_scheduler cimport ready_remove
from raylite._core.node.resources cimport no_group, Shape
from raylite._core.node.state cimport set_state
from raylite._core.node.task_table cimport is_creation, TASK_READY, TASK_SPILLED, TaskRow, tasks_find
from raylite._core.scheduler.message cimport PLACE_SPREAD

cdef enum:
    OFFERS_MOST = 64              # tasks of each shape in one round
    ALL_OFFERS_MOST = 256


cdef bint may_move(NodeState* n, const TaskRow* row) noexcept nogil:
    cdef const Shape* shape = &n.scheduler.resources.shapes[row.shape]
    return no_group(shape.group) and shape.strategy <= PLACE_SPREAD and row.n_moves < MOVES_MOST \
        and not (row.home and is_creation(row))


cdef void offer_queued(NodeState* n) noexcept nogil:
    """From time to time: ask whether tasks would wait less elsewhere than here, those first that came last.

    One of each shape is asked about; as long as any of them goes, twice as many the next time.
    """
    cdef TaskRow* row
    cdef string out
    cdef uint32_t count
    cdef size_t shape
    if n.cluster.schedulers.empty() or not n.cluster.offers.empty() or n.scheduler.n_ready == 0:
        return
    n.cluster.offer_size = min(2 * n.cluster.offer_size, OFFERS_MOST) if n.cluster.has_moved else 1
    n.cluster.has_moved = False
    for shape in range(n.scheduler.ready.size()):
        row = n.scheduler.ready[shape].tail
        count = 0
        while row != NULL and count < n.cluster.offer_size and n.cluster.offers.size() < ALL_OFFERS_MOST:
            if may_move(n, row):
                n.cluster.last_question += 1
                n.cluster.offers[n.cluster.last_question] = row.id
                append_question(n, row, n.cluster.last_question, n.cluster.address, &out)
            count += 1
            row = row.previous
    if out.size():
        tell(n, scheduler_for(n), SCHEDULER_ASK, blob_copy(out.data(), out.size()))


cdef void on_offer_answered(NodeState* n, const PlaceAnswer* answer) noexcept nogil:
    """A queued task goes where it waits less, unless it has begun meanwhile. Other homes' are for these to send."""
    cdef TaskRow* row = tasks_find(&n.tasks, n.cluster.offers[answer.token])
    n.cluster.offers.erase(answer.token)
    if row == NULL or row.state != TASK_READY or n.cluster.peers.count(answer.address) == 0:
        return
    n.cluster.has_moved = True
    ready_remove(&n.scheduler, row)
    if row.home:
        return_guest(n, row)
        return
    row.placed = False
    row.n_moves += 1
    set_state(n, row, TASK_SPILLED, 0)
    send_task(n, row, answer.address)
