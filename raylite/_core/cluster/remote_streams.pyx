"""Streams whose generator runs on another node than their reader.

Each item is told to the stream's home as it is made: itself, if it is small, else that there is a copy here, which is
held here until the home says that it holds it. What the reader has taken goes the other way, for generators that may
not be far ahead.
"""
from raylite._core.cluster.departures cimport depart
from raylite._core.cluster.exposure cimport expose_all, write_item
from raylite._core.cluster.message cimport NODE_ITEM, NODE_ITEM_HELD, NODE_READ
from raylite._core.cluster.remote_objects cimport hold_touched, touch
from raylite._core.cluster.spill cimport take_result, take_stored
from raylite._core.envelope cimport Blob, KIND_USER_ERROR
from raylite._core.ids cimport object_id
from raylite._core.message cimport Cursor, READY_END, STREAMING
from raylite._core.node.objects cimport object_exists, object_here, object_in_scope, ObjectRow, objects_add, \
    objects_find, REACH_EXPOSED, REACH_FOREIGN
from raylite._core.node.references cimport refuse_value, store_value
from raylite._core.node.requests cimport release_generator
from raylite._core.node.task_table cimport TASK_SPILLED, tasks_find
from raylite._core.store.message cimport StoreValue

cdef enum:
    NO_READER = 0xFFFFFFFF


# ---- where it is made ------------------------------------------------------------------------------------------

cdef void item_of_guest(NodeState* n, TaskRow* row, const Message* m, const ValueRecord* value,
                        const char* body) noexcept nogil:
    cdef ObjectId id = m.object
    cdef ObjectRow* item
    cdef Message* out
    cdef Blob* payload
    if value.kind == KIND_USER_ERROR and id.index <= row.n_yielded:
        id.index = row.n_yielded + 1
    if id.index > row.n_yielded:
        row.n_yielded = id.index
    item = objects_add(&n.objects, id)
    if object_here(item):         # by an attempt before, and kept
        refuse_value(n, m.client, value)
    else:
        store_value(n, m.client, item, value, body)
    if value.in_arena:
        item.kept = True          # until the home holds it
    else:
        n.unsettled.push_back(id)
    expose_all(n, id, value.in_arena)
    payload = write_item(item)
    out = depart(n, row.home, NODE_ITEM, payload, row)
    out.object = id
    out.attempt = row.attempt


cdef void on_item_held(NodeState* n, uint32_t source, const Message* m) noexcept nogil:
    cdef ObjectRow* item = objects_find(&n.objects, m.object)
    if item != NULL:
        item.kept = False
        n.unsettled.push_back(item.id)


cdef void on_read(NodeState* n, uint32_t source, const Message* m) noexcept nogil:
    """The reader is so far; a generator that waits for it goes on."""
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    if row == NULL or row.home != source:
        return
    if m.flags & READY_END:
        row.n_consumed = NO_READER
    elif m.object.index > row.n_consumed:
        row.n_consumed = m.object.index
    if row.read_request and row.n_consumed >= row.read_index:
        release_generator(n, row, m.flags & READY_END)


# ---- at the stream's home --------------------------------------------------------------------------------------

cdef bint on_item(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil:
    """A generator that runs elsewhere has made an item. False if the message is malformed."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const char* body = NULL
    cdef const StoreValue* v = take_stored(&c, &body)
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    cdef bint counts
    if v == NULL or m.object.index == 0:
        return False
    counts = row != NULL and row.state == TASK_SPILLED and row.runs_at == source and row.attempt == m.attempt \
        and row.n_returns == STREAMING
    if counts:
        take_item(n, row, source, m.object, v, body)
    if body == NULL:
        hold_touched(n)           # if it is needed here at all
        depart(n, source, NODE_ITEM_HELD, NULL, NULL).object = m.object
    return True


cdef void take_item(NodeState* n, TaskRow* row, uint32_t source, ObjectId id, const StoreValue* v,
                    const char* body) noexcept nogil:
    cdef ObjectRow* stream = objects_find(&n.objects, object_id(row.id, 0))
    cdef ObjectRow* item
    if v.kind == KIND_USER_ERROR and id.index <= row.n_yielded:
        id.index = row.n_yielded + 1
    if id.index > row.n_yielded:
        row.n_yielded = id.index
    if stream == NULL or not object_in_scope(stream) or id.index <= row.n_consumed:
        return
    item = objects_add(&n.objects, id)
    if object_exists(item):
        return
    if body == NULL:
        item.reach |= REACH_EXPOSED | REACH_FOREIGN
    take_result(n, id, source, v, body)
    item = objects_find(&n.objects, id)
    item.n_container_holds += 1
    item.place = <uint32_t> stream.contained.size()
    stream.contained.push_back(id)
    touch(n, item)


cdef void tell_reader_so_far(NodeState* n, const TaskRow* row) noexcept nogil:
    """The generator begins: its reader may have read what an earlier attempt made, or be gone."""
    cdef const ObjectRow* stream = objects_find(&n.objects, object_id(row.id, 0))
    if stream == NULL or not object_in_scope(stream):
        tell_reading(n, row, row.n_consumed, READY_END)
    elif row.n_consumed:
        tell_reading(n, row, row.n_consumed, 0)


cdef void tell_reading(NodeState* n, const TaskRow* row, uint32_t index, uint16_t flags) noexcept nogil:
    """The generator's node is told how far the reader is, if the generator waits for it."""
    cdef Message* m
    if row.state != TASK_SPILLED or row.runs_at == 0 or row.backpressure == 0:
        return
    m = depart(n, row.runs_at, NODE_READ, NULL, NULL)     # behind the task, if that still waits
    m.object = object_id(row.id, index)
    m.flags = flags
