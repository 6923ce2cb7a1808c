"""What must be true of a shard's tables between two letters (DESIGN rule 8)."""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint32_t, uint64_t
from libcpp.unordered_map cimport unordered_map
from raylite._core.ids cimport ACTOR_INDEX, object_id, ObjectId, same_object, TaskId
from raylite._core.message cimport SUBMIT_ACTOR
from raylite._core.store.message cimport *
from raylite._core.store.state cimport container_holder, Endpoint, find_actor, find_object, find_task, HolderKey, \
    is_fenced, is_shard, STORED_TASK_ENDED, STORED_TASK_FORSAKEN, STORED_TASK_ORPHAN, STORED_TASK_PENDING, \
    STORED_TASK_RETIRED, StoredActor, StoredObject, StoredTask, task_holder
from raylite._core.store.tasks cimport may_be_missed, n_results


cdef bint holds_here(StoreState* s, ObjectId id, HolderKey key) noexcept nogil:
    """Whether an object has this holder, as far as this shard can say."""
    cdef StoredObject* row
    if shard_of(id.task, s.n_shards) != s.shard:
        return True
    row = find_object(s, id)
    return row != NULL and row.holders.count(key) == 1


cdef bint is_holder(StoreState* s, ObjectId id, HolderKey key) noexcept nogil:
    """Whether who is said to hold an object does, as far as this shard can say."""
    cdef TaskId task
    cdef StoredTask* t
    cdef StoredObject* outer
    cdef size_t i
    task.hi = key.hi
    task.lo = key.lo
    if key.kind == HOLDER_NODE or key.kind == HOLDER_LOG or key.kind == HOLDER_PARENT \
            or shard_of(task, s.n_shards) != s.shard:
        return True
    if key.kind == HOLDER_CONTAINER:
        outer = find_object(s, object_id(task, key.index))
        if outer != NULL:
            for i in range(outer.contained.size()):
                if same_object(outer.contained[i], id):
                    return True
        return False
    t = find_task(s, task)
    if t != NULL and t.holds == key.kind:
        for i in range(t.arguments.size()):
            if same_object(t.arguments[i], id):
                return True
    return False


cdef const char* check_object(StoreState* s, StoredObject* row) noexcept nogil:
    cdef uint32_t n_keeping = 0
    cdef size_t i
    for key in row.holders:
        n_keeping += key.kind != HOLDER_LINEAGE
        if not is_holder(s, row.id, key):
            return b"an object is held by a task or value that does not hold it"
    if n_keeping != row.n_keeping:
        return b"an object miscounts the holders that keep its value"
    if row.holders.empty() and row.locations.empty():
        return b"an object that nobody holds has a row"
    if row.n_keeping == 0 and not row.locations.empty() and row.state != STORED_FREEING:
        return b"an object whose value nobody needs is not being freed"
    if (row.value != NULL) != (row.state == STORED_LOST or row.state == STORED_READY and row.is_inline):
        return b"an object has a value and is not inline, or is inline and has none"
    if (row.state == STORED_READY and not row.is_inline or row.state == STORED_FREEING) and row.locations.empty():
        return b"an object without a copy is said to have one"
    if row.state == STORED_MISSING and not row.watchers.empty() and row.n_keeping:
        return b"an object is watched and missing, and not made again"
    if row.known == (s.unknown.count(row.id) != 0):
        return b"an object is listed as unknown and is not, or the other way round"
    for i in range(row.contained.size()):
        if not holds_here(s, row.contained[i], container_holder(row.id)):
            return b"a value does not hold what is in it"
    for i in range(row.locations.size()):
        if i and row.locations[i - 1] >= row.locations[i]:
            return b"the locations of an object are not in order"
        if is_fenced(s, row.locations[i]):
            return b"a dead node is said to have a copy"
    for i in range(row.watchers.size()):
        if is_fenced(s, row.watchers[i]):
            return b"a dead node watches an object"
    return NULL


cdef const char* check_task(StoreState* s, StoredTask* t) noexcept nogil:
    cdef StoredObject* row
    cdef uint32_t i
    cdef bint needed = False
    for i in range(<uint32_t> t.arguments.size()):
        if t.holds and not holds_here(s, t.arguments[i], task_holder(t.holds, t.id)):
            return b"a task does not hold its arguments"
    for i in range(<uint32_t> n_results(t)):
        row = find_object(s, object_id(t.id, i))
        if row == NULL:
            continue
        needed = needed or may_be_missed(t, row)
        if (row.state == STORED_PENDING or row.state == STORED_REBUILT) \
                and (t.state == STORED_TASK_ENDED or t.state == STORED_TASK_RETIRED):
            return b"an object is awaited of a task that has ended"
        if t.state == STORED_TASK_FORSAKEN and row.n_keeping and not row.watchers.empty() \
                and (row.state == STORED_PENDING or row.state == STORED_REBUILT):
            return b"an object is watched that nobody makes"
    if t.state == STORED_TASK_PENDING and is_fenced(s, t.home):
        return b"the home of a task is dead"
    if t.state <= STORED_TASK_ORPHAN and t.holds != HOLDER_TASK:
        return b"a task that has not ended does not hold its arguments as such"
    if t.flags & SUBMIT_ACTOR == 0 and (t.state == STORED_TASK_ENDED or t.state == STORED_TASK_FORSAKEN) and not needed:
        return b"a task is kept that nobody can need"
    return NULL


cdef const char* check_actor(StoreState* s, StoredActor* actor) noexcept nogil:
    cdef StoredObject* handles = find_object(s, object_id(actor.id, ACTOR_INDEX))
    cdef size_t i, k
    if (actor.state == STORED_ACTOR_ALIVE) != (actor.node != 0):
        return b"an actor is alive and nowhere, or somewhere and not alive"
    if is_fenced(s, actor.node):
        return b"an actor is alive on a dead node"
    if (actor.state == STORED_ACTOR_DEAD) != (actor.death != NULL):
        return b"an actor is dead and cannot say of what"
    if actor.state == STORED_ACTOR_DEAD and not actor.log.empty():
        return b"a dead actor has a log"
    for i in range(actor.log.size()):
        if i and actor.log[i - 1].number >= actor.log[i].number:
            return b"the log of an actor is not in order"
        for k in range(actor.log[i].held.size()):
            if not holds_here(s, actor.log[i].held[k], task_holder(HOLDER_LOG, actor.log[i].call)):
                return b"a logged call does not hold what it needs"
    if actor.known and actor.state != STORED_ACTOR_DEAD and find_task(s, actor.id) == NULL:
        return b"the task that makes an actor is forgotten"
    if (handles == NULL or handles.n_keeping == 0) and (not actor.known or actor.state == STORED_ACTOR_DEAD):
        return b"a dead actor without handles has a row"
    return NULL


cdef const char* check_streams(StoreState* s) noexcept nogil:
    cdef unordered_map[uint64_t, uint32_t] missing
    cdef Endpoint* e
    cdef size_t i
    for entry in s.endpoints:
        e = &s.endpoints[entry.first]
        if e.letters.size() != e.sent - e.acknowledged or e.n_drafted or is_fenced(s, e.key):
            return b"a stream lacks letters, has one unfinished, or is a dead node's"
        for i in range(e.waits.size()):
            if e.waits[i].number <= e.acknowledged or not is_shard(e.key):
                return b"an answer waits for a letter that is acknowledged"
            missing[e.waits[i].answer] += 1
    for answer in s.answers:
        if answer.second.n_missing == 0 or missing[answer.first] != answer.second.n_missing:
            return b"an answer miscounts the letters that it waits for"
    if missing.size() != s.answers.size():
        return b"a letter is awaited for an answer that is not there"
    return NULL


cdef const char* find_violation(StoreState* s) noexcept nogil:
    cdef unordered_map[ObjectId, StoredObject].iterator o = s.objects.begin()
    cdef unordered_map[TaskId, StoredTask].iterator t = s.tasks.begin()
    cdef const char* found
    if not s.unsettled.empty() or not s.ended.empty() or not s.awaited.empty() or not s.drafted.empty():
        return b"a letter has left something undone"
    while o != s.objects.end():
        found = check_object(s, &deref(o).second)
        if found != NULL:
            return found
        preincrement(o)
    while t != s.tasks.end():
        found = check_task(s, &deref(t).second)
        if found != NULL:
            return found
        preincrement(t)
    for entry in s.actors:
        found = check_actor(s, find_actor(s, entry.first))
        if found != NULL:
            return found
    for unknown in s.unknown:
        if find_object(s, unknown.first) == NULL:
            return b"an object is listed as unknown that has no row"
    return check_streams(s)


cdef void store_violation(StoreState* s, string* wrong) noexcept nogil:
    """Write the first violation found into `wrong`; it stays empty if there is none."""
    cdef const char* found = find_violation(s)
    if found != NULL:
        wrong.assign(found)
