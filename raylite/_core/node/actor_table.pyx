"""The state of every actor that the node knows, and the lists that its calls go through.

    its caller's calls, in order -> ready -> sent to the worker, of which `limit` run at once

A call is in one of the lists from its submission to its end. The row leaves when the actor is dead and nobody has a
handle of it any more.
"""
from cython.operator cimport dereference as deref
from raylite._core.envelope cimport blob_drop


cdef ActorRow* actors_find(ActorTable* t, TaskId id) noexcept nogil:
    cdef unordered_map[TaskId, ActorRow].iterator it = t.rows.find(id)
    if it == t.rows.end():
        return NULL
    return &deref(it).second


cdef ActorRow* actors_add(ActorTable* t, TaskId id) noexcept nogil:
    cdef ActorRow* row = &t.rows[id]
    row.id = id
    return row


cdef void actors_erase(ActorTable* t, ActorRow* row) noexcept nogil:
    blob_drop(row.death)
    blob_drop(row.handle)
    t.rows.erase(row.id)


cdef void list_append(CallList* list, TaskRow* row) noexcept nogil:
    row.next = NULL
    row.previous = list.tail
    if list.tail != NULL:
        list.tail.next = row
    else:
        list.head = row
    list.tail = row
    list.size += 1


cdef void list_insert_in_order(CallList* list, TaskRow* row) noexcept nogil:
    """Insert by ready_sequence, looked for from the front: what comes back is older than most; those that were never
    ready come last."""
    cdef TaskRow* after = list.head
    while after != NULL and after.ready_sequence and after.ready_sequence < row.ready_sequence:
        after = after.next
    if after == NULL:
        list_append(list, row)
        return
    row.next = after
    row.previous = after.previous
    if after.previous != NULL:
        after.previous.next = row
    else:
        list.head = row
    after.previous = row
    list.size += 1


cdef void list_remove(CallList* list, TaskRow* row) noexcept nogil:
    if row.previous != NULL:
        row.previous.next = row.next
    else:
        list.head = row.next
    if row.next != NULL:
        row.next.previous = row.previous
    else:
        list.tail = row.previous
    row.next = row.previous = NULL
    list.size -= 1


cdef void add_all(const CallList* list, vector[TaskId]* out) noexcept nogil:
    cdef TaskRow* row = list.head
    while row != NULL:
        out.push_back(row.id)
        row = row.next


def actor_state_names():
    """The names of the actor states, by number."""
    return ("PENDING_CREATION", "ALIVE", "RESTARTING", "DEAD")
