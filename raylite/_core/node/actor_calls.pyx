"""In which order an actor's calls go to its worker.

Calls of one caller keep their order: a call waits for its own arguments and for the calls before it. Of the calls that
wait for nothing, each concurrency group sends the oldest first, a few more than it runs at once, so that the worker
need not wait for the next message. A call that is tried again goes in front of those that came after it; if it has to
wait for arguments once more (their bytes were lost), those that are not sent yet wait for it again. An actor that comes
back to where it was runs some calls again before all others: see replay.pyx.
"""
from libc.stdint cimport uint32_t
from libcpp.vector cimport vector
from raylite._core.cluster.actor_log cimport is_known_beyond
from raylite._core.ids cimport same_task
from raylite._core.message cimport ACTOR_OUT_OF_ORDER
from raylite._core.node.actor_table cimport ACTOR_ALIVE, ActorRow, actors_find, CallGroup, CallList, CALLS_AHEAD, \
    list_append, list_insert_in_order, list_remove
from raylite._core.node.execution cimport arguments_usable, resolve
from raylite._core.node.local_scheduler cimport Worker, worker_find
from raylite._core.node.placement cimport send_run
from raylite._core.node.state cimport set_state
from raylite._core.node.task_table cimport LISTED_AGAIN, LISTED_CALLER, LISTED_NOT, LISTED_READY, LISTED_SENT, \
    LISTED_WAITING, REPLAY_NOT, TASK_PLACED, TASK_READY, TASK_RUNNING, TASK_WAITING
from raylite._core.planted cimport CALLS_OVERTAKE, planted


cdef void want_service(NodeState* n, ActorRow* actor) noexcept nogil:
    """Look at the actor before the event is over: it may have calls to send, or to end."""
    n.dispatch_wanted = True
    if not actor.wanted:
        actor.wanted = True
        n.actors.to_serve.push_back(actor.id)


cdef void keep_in_turn(ActorRow* actor, TaskRow* row) noexcept nogil:
    row.listed = LISTED_CALLER
    if row.ready_sequence:
        list_insert_in_order(&actor.callers[row.parent], row)
    else:
        list_append(&actor.callers[row.parent], row)


cdef void hold_back_later(ActorRow* actor, const TaskRow* row) noexcept nogil:
    """The calls that the same caller made after this one, and that are not sent, wait for it again."""
    cdef TaskRow* later
    cdef TaskRow* following
    cdef size_t i
    for i in range(actor.groups.size()):
        following = actor.groups[i].ready.head
        while following != NULL:
            later = following
            following = later.next
            if same_task(later.parent, row.parent) and later.ready_sequence > row.ready_sequence:
                list_remove(&actor.groups[i].ready, later)
                keep_in_turn(actor, later)


cdef bint waits_its_turn(ActorRow* actor, const TaskRow* row) noexcept nogil:
    """Whether a call of the same caller that came before this one waits."""
    if actor.callers.empty() or actor.callers.count(row.parent) == 0:
        return False
    first = actor.callers[row.parent].head
    return row.ready_sequence == 0 or (first.ready_sequence and first.ready_sequence < row.ready_sequence)


cdef void call_waits(NodeState* n, TaskRow* row) noexcept nogil:
    """The call waits for arguments; those that the same caller makes later wait for it, if order is kept."""
    cdef ActorRow* actor = actors_find(&n.actors, row.actor)
    if row.listed != LISTED_NOT:
        return
    if actor.flags & ACTOR_OUT_OF_ORDER:
        row.listed = LISTED_WAITING
        list_append(&actor.waiting, row)
        return
    keep_in_turn(actor, row)
    if row.ready_sequence:
        hold_back_later(actor, row)


cdef void make_ready(NodeState* n, ActorRow* actor, TaskRow* row) noexcept nogil:
    row.listed = LISTED_READY
    if row.ready_sequence:
        list_insert_in_order(&actor.groups[row.group].ready, row)
    else:
        n.scheduler.sequence += 1
        row.ready_sequence = n.scheduler.sequence
        list_append(&actor.groups[row.group].ready, row)
    want_service(n, actor)


cdef void advance_caller(NodeState* n, ActorRow* actor, TaskRow* row) noexcept nogil:
    """The first calls of this caller may wait for nothing any more."""
    cdef CallList* calls = &actor.callers[row.parent]
    cdef TaskRow* first
    while calls.head != NULL and calls.head.state == TASK_READY:
        first = calls.head
        list_remove(calls, first)
        make_ready(n, actor, first)
    if calls.head == NULL:
        actor.callers.erase(row.parent)


cdef void call_ready(NodeState* n, TaskRow* row) noexcept nogil:
    """The call's arguments are there."""
    cdef ActorRow* actor = actors_find(&n.actors, row.actor)
    if row.listed == LISTED_AGAIN:
        want_service(n, actor)
    elif row.listed == LISTED_CALLER:
        advance_caller(n, actor, row)
    elif row.listed == LISTED_WAITING:
        list_remove(&actor.waiting, row)
        make_ready(n, actor, row)
    elif waits_its_turn(actor, row):
        keep_in_turn(actor, row)
    else:
        make_ready(n, actor, row)


cdef void run_next(NodeState* n, CallGroup* group) noexcept nogil:
    """One that was sent may run now."""
    while group.n_running < group.limit and group.next_to_run != NULL:
        set_state(n, group.next_to_run, TASK_RUNNING, 0)
        group.n_running += 1
        group.next_to_run = group.next_to_run.next


cdef void call_leaves(NodeState* n, TaskRow* row) noexcept nogil:
    """The call ends, or waits once more: it leaves the list that it is in. Its state is still what it was there."""
    cdef ActorRow* actor = actors_find(&n.actors, row.actor)
    cdef CallGroup* group = &actor.groups[row.group] if actor != NULL else NULL
    cdef unsigned char listed = row.listed
    if listed == LISTED_NOT:
        return
    row.listed = LISTED_NOT
    if listed == LISTED_CALLER:
        list_remove(&actor.callers[row.parent], row)
        advance_caller(n, actor, row)
    elif listed == LISTED_WAITING:
        list_remove(&actor.waiting, row)
    elif listed == LISTED_READY:
        list_remove(&group.ready, row)
    elif listed == LISTED_AGAIN:
        list_remove(&actor.again, row)
    else:
        if row.state == TASK_PLACED:
            if group.next_to_run == row:
                group.next_to_run = row.next
        else:
            group.n_running -= 1
        list_remove(&group.sent, row)
        run_next(n, group)
    want_service(n, actor)


cdef void call_comes_back(NodeState* n, ActorRow* actor, TaskRow* row) noexcept nogil:
    """The call was sent to a worker that is gone and had not begun it."""
    cdef CallGroup* group = &actor.groups[row.group]
    if row.state == TASK_PLACED:
        if group.next_to_run == row:
            group.next_to_run = row.next
    else:
        group.n_running -= 1
    list_remove(&group.sent, row)
    row.worker = 0
    set_state(n, row, TASK_READY, 0)
    make_ready(n, actor, row)


cdef bint has_room(const CallGroup* group) noexcept nogil:
    return group.sent.size < <unsigned long long> group.limit + CALLS_AHEAD


cdef bint has_arguments(NodeState* n, TaskRow* row) noexcept nogil:
    """Whether the arguments of a call that is ready are still there; if not, it waits for them once more."""
    if not n.lost_any or arguments_usable(n, row):
        return True
    set_state(n, row, TASK_WAITING, 0)
    resolve(n, row)
    return False


cdef void send_call(NodeState* n, ActorRow* actor, Worker* w, CallGroup* group, TaskRow* row) noexcept nogil:
    cdef vector[uint32_t] no_gpus
    w.position += 1
    row.position = w.position
    row.worker = w.client
    if row.replay == REPLAY_NOT:
        row.before = actor.last_call
        actor.last_call = row.id
        actor.n_calls += 1
    row.listed = LISTED_SENT
    list_append(&group.sent, row)
    if group.n_running < group.limit:
        group.n_running += 1
        set_state(n, row, TASK_RUNNING, 0)
    else:
        set_state(n, row, TASK_PLACED, 0)
        if group.next_to_run == NULL:
            group.next_to_run = row
    send_run(n, w, row, row.position, &no_gpus, 0)


cdef bint send_again(NodeState* n, ActorRow* actor, Worker* w) noexcept nogil:
    """Send calls that are to run again, in their order. Whether all of them were sent."""
    cdef CallGroup* group = &actor.groups[0]
    cdef TaskRow* row
    while actor.again.head != NULL:
        row = actor.again.head
        if row.state != TASK_READY or not has_room(group) or not has_arguments(n, row):
            return False
        list_remove(&actor.again, row)
        send_call(n, actor, w, group, row)
    return True


cdef void send_group(NodeState* n, ActorRow* actor, Worker* w, CallGroup* group) noexcept nogil:
    cdef TaskRow* row
    while group.ready.head != NULL and has_room(group):
        row = group.ready.head
        if planted(CALLS_OVERTAKE) and row.next != NULL:
            row = row.next
        list_remove(&group.ready, row)
        row.listed = LISTED_NOT
        if has_arguments(n, row) and is_known_beyond(n, actor, row):
            send_call(n, actor, w, group, row)


cdef void send_calls(NodeState* n, ActorRow* actor) noexcept nogil:
    """Send what the worker should have by now."""
    cdef Worker* w = worker_find(&n.scheduler, actor.worker)
    cdef size_t i
    if actor.state != ACTOR_ALIVE or actor.awaits_log or w == NULL or w.stopping or not send_again(n, actor, w):
        return
    for i in range(actor.groups.size()):
        send_group(n, actor, w, &actor.groups[i])


cdef bint actor_is_busy(NodeState* n, TaskId id) noexcept nogil:
    """Whether the actor's worker has calls to run."""
    cdef ActorRow* actor = actors_find(&n.actors, id)
    cdef size_t i
    if actor == NULL:
        return False
    for i in range(actor.groups.size()):
        if actor.groups[i].sent.size:
            return True
    return False
