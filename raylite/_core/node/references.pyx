"""Who keeps what alive: holds taken and given back, values stored and freed, task rows kept as lineage.

An object's value lives while somebody can ask for it: a client with a reference, a task that takes it, a value that
contains it, a request under way; its bytes live on while they are viewed. A task's row lives while the task does, and
then while a result of it lies in the arena, from where it could be lost. Whatever loses a hold goes on `unsettled`;
settle() frees what nobody needs, and what that frees in turn, without recursion.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.string cimport memcpy, strlen
from libcpp.algorithm cimport sort
from libcpp.map cimport map as ordered_map
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.cluster.actor_log cimport parent_committed
from raylite._core.cluster.guests cimport count_guest_holds
from raylite._core.cluster.remote_objects cimport foreign_object, forget_remote, settle_beyond, touch
from raylite._core.cluster.remote_streams cimport tell_reading
from raylite._core.envelope cimport blob_copy, blob_data, blob_drop, envelope_pickle, envelope_refs, EnvelopeHeader, \
    KIND_FUNCTION, KIND_SYSTEM_ERROR, system_error
from raylite._core.ids cimport ACTOR_INDEX
from raylite._core.message cimport CMD_FORGET_FUNCTION, CMD_UNSEGMENT, READY_END, STREAMING, SUBMIT_ARGS_OBJECT
from raylite._core.node.actors cimport actor_unreferenced
from raylite._core.node.arena cimport arena_client_gone, arena_drop_segment, arena_free, arena_seal, \
    arena_surplus_segment
from raylite._core.node.history cimport history_add_name, history_add_task
from raylite._core.node.local_scheduler cimport Worker
from raylite._core.node.objects cimport could_be_lost, object_hold, OBJECT_IN_ARENA, object_in_scope, OBJECT_INLINE, \
    OBJECT_PENDING, OBJECT_RELEASED, OBJECT_REMOTE, OBJECT_SPILLED, object_unhold, object_unpin, objects_add, \
    objects_find, REACH_FOREIGN
from raylite._core.node.replay cimport forget_made
from raylite._core.node.requests cimport release_generator
from raylite._core.node.room cimport enter_arena, leave_arena, leave_disk
from raylite._core.node.state cimport emit, ERROR_OBJECT_LOST, ERROR_RAISED, ERROR_TASK_CANCELLED, Function
from raylite._core.node.task_table cimport TASK_CANCELLED, TASK_FAILED, TASK_FINISHED, tasks_erase, tasks_find
from raylite._core.planted cimport LINEAGE_UNHELD, planted


cdef Blob* unknown_object() noexcept nogil:
    cdef const char* text = b"the object is not known to this node: its last reference was released before"
    return system_error(ERROR_OBJECT_LOST, text, strlen(text))


cdef ObjectRow* require_object(NodeState* n, ObjectId id) noexcept nogil:
    """The object's row. One that this node does not know resolves to an error: every reference resolves (rule 5)."""
    cdef ObjectRow* row = objects_find(&n.objects, id)
    if row == NULL and n.cluster.joined:
        return foreign_object(n, id)
    if row == NULL:
        row = objects_add(&n.objects, id)
        store_blob(n, row, unknown_object())
    return row


cdef void contain(NodeState* n, ObjectRow* row, const ObjectId* refs, uint32_t n_refs) noexcept nogil:
    cdef ObjectRow* inner
    cdef uint32_t i
    for i in range(n_refs):
        inner = require_object(n, refs[i])
        inner.n_container_holds += 1
        touch(n, inner)
        row.contained.push_back(refs[i])


cdef void store_blob(NodeState* n, ObjectRow* row, Blob* envelope) noexcept nogil:
    """The object is ready: a small value. Takes over the caller's hold of the blob. Who waits is told soon."""
    cdef const EnvelopeHeader* head = <const EnvelopeHeader*> blob_data(envelope)
    row.state = OBJECT_INLINE
    row.kind = head.kind
    row.flags = head.flags
    row.size = envelope.size
    row.blob = envelope
    n.objects.inline_bytes += envelope.size
    n.arrived.push_back(row.id)
    contain(n, row, envelope_refs(blob_data(envelope)), head.n_refs)


cdef void store_value(NodeState* n, uint32_t client, ObjectRow* row, const ValueRecord* value,
                      const char* body) noexcept nogil:
    """The object is ready, with what `client` sent: bytes in the message, or a block it has leased and written."""
    cdef const char* text = b"the arena block of this value was not leased by the process that sent it"
    if not value.in_arena:
        store_blob(n, row, blob_copy(body, value.where.size))
        return
    if not arena_seal(&n.arena, client, value.where.segment, value.where.offset, value.where.size):
        store_blob(n, row, system_error(ERROR_OBJECT_LOST, text, strlen(text)))
        return
    row.kind = value.kind
    row.flags = value.flags
    row.segment = value.where.segment
    row.offset = value.where.offset
    row.size = value.where.size
    enter_arena(n, row)
    n.arrived.push_back(row.id)
    contain(n, row, <const ObjectId*> body, value.n_refs)


cdef void refuse_value(NodeState* n, uint32_t client, const ValueRecord* value) noexcept nogil:
    """Nobody needs this value (any more): free the block that was leased for it."""
    if value.in_arena and arena_seal(&n.arena, client, value.where.segment, value.where.offset, 0):
        arena_free(&n.arena, value.where.segment, value.where.offset)
        n.room.changed = True


cdef void drop_value(NodeState* n, ObjectRow* row) noexcept nogil:
    """Free the value's bytes and the holds of the references inside it."""
    cdef size_t i
    cdef ObjectRow* inner
    if row.state == OBJECT_INLINE:
        n.objects.inline_bytes -= row.size
        blob_drop(row.blob)
        row.blob = NULL
    elif row.state == OBJECT_IN_ARENA:
        leave_arena(n, row)
    if row.on_disk:
        leave_disk(n, row)
    for i in range(row.contained.size()):
        inner = objects_find(&n.objects, row.contained[i])
        if inner != NULL:
            inner.n_container_holds -= 1
            n.unsettled.push_back(row.contained[i])
    row.contained.clear()


cdef void give_back_segments(NodeState* n) noexcept nogil:
    """Have the host drop the empty segments that the arena need not keep."""
    cdef uint32_t surplus = arena_surplus_segment(&n.arena)
    while surplus:
        arena_drop_segment(&n.arena, surplus)
        emit(n, CMD_UNSEGMENT, 0, NULL).object.index = surplus
        surplus = arena_surplus_segment(&n.arena)


cdef void change_argument_holds(NodeState* n, const ObjectId* refs, uint64_t n_refs, int as_task,
                                int as_lineage) noexcept nogil:
    cdef uint64_t i
    cdef ObjectRow* row
    for i in range(n_refs):
        row = require_object(n, refs[i])
        row.n_task_holds += as_task
        row.n_lineage_holds += as_lineage
        touch(n, row)
        if as_task <= 0 and as_lineage <= 0 or as_task < 0:
            n.unsettled.push_back(refs[i])


cdef void change_holds(NodeState* n, TaskRow* row, int as_task, int as_lineage) noexcept nogil:
    """Change the holds of a task on all its arguments: at the top level, and inside the argument envelope."""
    cdef const EnvelopeHeader* head
    if row.refs.size():
        change_argument_holds(n, row.refs.data(), row.refs.size(), as_task, as_lineage)
    if row.arguments != NULL:
        head = <const EnvelopeHeader*> blob_data(row.arguments)
        change_argument_holds(n, envelope_refs(blob_data(row.arguments)), head.n_refs, as_task, as_lineage)
    change_argument_holds(n, &row.function, 1, as_task, as_lineage)


cdef void client_holds(NodeState* n, ObjectRow* row, uint32_t client) noexcept nogil:
    """A client holds the object from now on, and with it the node does."""
    object_hold(row, client)
    touch(n, row)


cdef void hold_arguments(NodeState* n, TaskRow* row) noexcept nogil:
    if row.home:
        count_guest_holds(n, row, 1)
    change_holds(n, row, 1, 0)
    row.holds_arguments = True


cdef void take_instead(NodeState* n, TaskRow* row, ObjectId id) noexcept nogil:
    """The task takes this one object from now on, instead of its arguments."""
    change_holds(n, row, -1, 0)
    blob_drop(row.arguments)
    row.arguments = NULL
    row.refs.assign(1, id)
    row.flags &= ~SUBMIT_ARGS_OBJECT
    change_holds(n, row, 1, 0)


cdef void keep_as_lineage(NodeState* n, TaskRow* row, uint32_t n_kept) noexcept nogil:
    """The task ended with `n_kept` results in the arena: its row stays; the oldest such row goes if they are many."""
    change_holds(n, row, -1, 0 if planted(LINEAGE_UNHELD) else 1)
    row.holds_arguments = False
    row.holds_lineage = True
    row.n_kept = n_kept
    n.last_lineage += 1
    row.lineage_number = n.last_lineage
    n.lineage[row.lineage_number] = row.id
    while n.lineage.size() > n.lineage_cap:
        retire_task(n, tasks_find(&n.tasks, deref(n.lineage.begin()).second))


cdef void lineage_to_arguments(NodeState* n, TaskRow* row) noexcept nogil:
    """The task is to run again: what was lineage is argument again."""
    change_holds(n, row, 1, -1)
    row.holds_arguments = True
    row.holds_lineage = False
    n.lineage.erase(row.lineage_number)


cdef void retire_task(NodeState* n, TaskRow* row) noexcept nogil:
    """The task has ended and is no lineage: give back its holds and forget it."""
    if row.holds_arguments:
        change_holds(n, row, -1, 0)
        if row.home:
            count_guest_holds(n, row, -1)
    if row.holds_lineage:
        change_holds(n, row, 0, -1)
        n.lineage.erase(row.lineage_number)
    if not n.made.empty():
        forget_made(n, row.id)
    if not n.cluster.before_children.empty():
        parent_committed(n, row.id)   # or it never will be
    if not row.went_back:
        remember(n, row)
    tasks_erase(&n.tasks, row)


cdef void remember(NodeState* n, TaskRow* row) noexcept nogil:
    """Into the history, with the references that its arguments contain."""
    cdef vector[ObjectId] nested
    cdef const EnvelopeHeader* head
    cdef const ObjectId* refs
    cdef ObjectRow* block
    if row.arguments != NULL:
        head = <const EnvelopeHeader*> blob_data(row.arguments)
        refs = envelope_refs(blob_data(row.arguments))
        if head.n_refs:
            nested.assign(refs, refs + head.n_refs)
    elif row.flags & SUBMIT_ARGS_OBJECT:
        block = objects_find(&n.objects, row.refs.back())
        if block != NULL:
            nested = block.contained
    history_add_task(&n.history, row, &nested, n.scheduler.resources.shapes[row.shape].serial, error_code(row))


cdef uint32_t error_code(const TaskRow* row) noexcept nogil:
    """What the task failed of; 0 if it did not."""
    cdef const EnvelopeHeader* head
    cdef uint32_t code = ERROR_RAISED
    if row.state == TASK_CANCELLED:
        return ERROR_TASK_CANCELLED
    if row.state != TASK_FAILED:
        return 0
    if row.error != NULL:
        head = <const EnvelopeHeader*> blob_data(row.error)
        if head.kind == KIND_SYSTEM_ERROR and head.pickle_size >= 4:
            memcpy(&code, envelope_pickle(blob_data(row.error)), 4)
    return code


cdef void forget_function(NodeState* n, ObjectId id) noexcept nogil:
    cdef unordered_map[ObjectId, Function].iterator it = n.functions.find(id)
    cdef ordered_map[uint32_t, Worker].iterator w = n.scheduler.workers.begin()
    if it != n.functions.end():
        history_add_name(&n.history, id, deref(it).second.name)
        n.functions.erase(it)
    while w != n.scheduler.workers.end():
        if deref(w).second.functions.erase(id):
            emit(n, CMD_FORGET_FUNCTION, deref(w).first, NULL).object = id
        preincrement(w)


cdef bint is_result(const TaskRow* row, uint32_t index) noexcept nogil:
    """Whether the index is of a return of the task: not of what it put, nor of a stream item."""
    return index < (1 if row.n_returns == STREAMING else <uint32_t> row.n_returns)


cdef void lineage_serves_less(NodeState* n, TaskRow* creator) noexcept nogil:
    """A result for which the task's row was kept is gone, or to be had without it."""
    if creator.n_kept:
        creator.n_kept -= 1
        if creator.n_kept == 0 and creator.holds_lineage:
            retire_task(n, creator)


cdef void comes_from_elsewhere(NodeState* n, const ObjectRow* row) noexcept nogil:
    """An object that was freed or lost here is there again, and no task of this node's has made it."""
    cdef TaskRow* creator = tasks_find(&n.tasks, row.id.task)
    if creator != NULL and is_result(creator, row.id.index) and row.state == OBJECT_RELEASED:
        lineage_serves_less(n, creator)


cdef void erase_object(NodeState* n, ObjectRow* row) noexcept nogil:
    """Nothing needs the row: it goes, and with its creator's last result the creator's row."""
    cdef TaskRow* creator = tasks_find(&n.tasks, row.id.task)
    cdef bint was_kept = creator != NULL and is_result(creator, row.id.index) \
        and could_be_lost(row)
    drop_value(n, row)
    if row.kind == KIND_FUNCTION:
        forget_function(n, row.id)
    if row.id.index == ACTOR_INDEX:
        actor_unreferenced(n, row.id.task)
    forget_remote(n, row.id)
    n.objects.rows.erase(row.id)
    if was_kept:
        lineage_serves_less(n, creator)


cdef void settle_object(NodeState* n, ObjectRow* row) noexcept nogil:
    cdef TaskRow* creator
    if row.reach:
        if settle_beyond(n, row):
            return
    elif object_in_scope(row):
        return
    creator = tasks_find(&n.tasks, row.id.task)
    if row.state == OBJECT_PENDING:
        drop_value(n, row)        # of a stream nobody reads: the items made so far
        if creator != NULL and creator.read_request:
            release_generator(n, creator, READY_END)
        if creator != NULL:
            tell_reading(n, creator, 0, READY_END)
        if row.reach & REACH_FOREIGN and row.n_lineage_holds:
            return
        if creator == NULL or creator.state >= TASK_FINISHED or (creator.n_returns == STREAMING and row.id.index):
            erase_object(n, row)
        return
    if not row.pins.empty() or row.restoring:
        return
    if row.state == OBJECT_REMOTE and row.n_lineage_holds:
        return
    if row.n_lineage_holds == 0:
        erase_object(n, row)
    elif row.state == OBJECT_IN_ARENA or row.state == OBJECT_SPILLED:
        drop_value(n, row)
        row.state = OBJECT_RELEASED


cdef void settle(NodeState* n) noexcept nogil:
    """Free what has gone out of scope, and all that follows from it."""
    cdef ObjectRow* row
    cdef ObjectId id
    while not n.unsettled.empty():
        id = n.unsettled.back()
        n.unsettled.pop_back()
        row = objects_find(&n.objects, id)
        if row != NULL:
            settle_object(n, row)


cdef void client_gone(NodeState* n, uint32_t client) noexcept nogil:
    """A client ended: its references, views and unfinished blocks go with it, in the order of the objects' ids."""
    cdef unordered_map[ObjectId, ObjectRow].iterator it = n.objects.rows.begin()
    cdef vector[ObjectId] touched
    cdef ObjectRow* row
    cdef size_t i
    cdef bint changed
    while it != n.objects.rows.end():
        row = &deref(it).second
        changed = object_unhold(row, client)
        if object_unpin(row, client, True) or changed:
            touched.push_back(row.id)
        preincrement(it)
    sort(touched.begin(), touched.end())
    for i in range(touched.size()):
        n.unsettled.push_back(touched[i])
    arena_client_gone(&n.arena, client)
    n.room.changed = True
