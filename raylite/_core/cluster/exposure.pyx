"""Making tasks and objects known to the control store, before anything that depends on them leaves this node.

The walk goes along all edges of the lineage graph: from a task to its parent and to what its arguments come from; from
an object to the task that made it and to what its value contains. It stops at what the store knows already, at guests
(their home makes them known), and where the graph was forgotten, for nobody can need that again. A small value that no
task can make again is kept by the store itself.
"""
from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.cluster.actor_log cimport is_kept_for_parent, parent_committed
from raylite._core.cluster.departures cimport ask_store, depart, depart_to_store
from raylite._core.cluster.message cimport NODE_COMMITTED
from raylite._core.cluster.specs cimport all_arguments, retries_in_all, write_spec
from raylite._core.envelope cimport align8, blob_copy, blob_data, blob_drop, blob_new
from raylite._core.ids cimport object_id
from raylite._core.message cimport STREAMING, write_padded
from raylite._core.node.objects cimport object_here, OBJECT_INLINE, ObjectRow, objects_find, REACH_COPY, \
    REACH_EXPOSED, REACH_HELD
from raylite._core.node.task_table cimport REPLAY_STATE, TASK_FINISHED, tasks_find
from raylite._core.store.message cimport COMMIT_KEPT, CommitHeader, DoneHeader, EPOCH_OF_LOG, OP_COMMIT, OP_DONE, \
    OP_PUT, StoreValue

cdef struct Walk:
    vector[TaskId] tasks
    vector[ObjectId] objects


# ---- values ----------------------------------------------------------------------------------------------------

cdef void append_value(string* out, ObjectRow* row) noexcept nogil:
    """A StoreValue: a small value itself, or that there is a copy here."""
    cdef StoreValue value
    cdef char zeros[8]
    memset(&value, 0, sizeof(StoreValue))
    memset(zeros, 0, 8)
    value.index = row.id.index
    value.kind = row.kind
    value.flags = row.flags
    value.is_inline = row.state == OBJECT_INLINE
    value.size = row.size
    value.n_refs = <uint32_t> row.contained.size()
    out.append(<const char*> &value, sizeof(StoreValue))
    out.append(<const char*> row.contained.data(), row.contained.size() * sizeof(ObjectId))
    if value.is_inline:
        out.append(blob_data(row.blob), row.size)
        out.append(zeros, align8(row.size) - row.size)


cdef uint32_t n_returns(const TaskRow* row) noexcept nogil:
    return 1 if row.n_returns == STREAMING else <uint32_t> row.n_returns


cdef Blob* write_values(NodeState* n, const TaskRow* row) noexcept nogil:
    """A DoneHeader and what the task has made, as far as it is here; of what lies in the arena there is a copy here."""
    cdef DoneHeader head
    cdef string out
    cdef ObjectRow* result
    cdef uint32_t i
    memset(&head, 0, sizeof(DoneHeader))
    out.append(<const char*> &head, sizeof(DoneHeader))
    for i in range(n_returns(row)):
        result = objects_find(&n.objects, object_id(row.id, i))
        if result == NULL or not object_here(result):
            continue
        head.n_values += 1
        append_value(&out, result)
        result.reach |= REACH_EXPOSED | (0 if result.state == OBJECT_INLINE else REACH_COPY)
    head.epoch = EPOCH_OF_LOG if row.replay >= REPLAY_STATE else row.epoch
    head.attempt = row.attempt
    head.n_yielded = row.n_yielded
    memcpy(&out[0], &head, sizeof(DoneHeader))
    return blob_copy(out.data(), out.size())


cdef Blob* write_item(ObjectRow* row) noexcept nogil:
    cdef string out
    append_value(&out, row)
    return blob_copy(out.data(), out.size())


# ---- the walk --------------------------------------------------------------------------------------------------

cdef void add_contained(Walk* walk, const ObjectRow* row) noexcept nogil:
    cdef size_t i
    for i in range(row.contained.size()):
        walk.objects.push_back(row.contained[i])


cdef void add_results(NodeState* n, Walk* walk, const TaskRow* row) noexcept nogil:
    cdef ObjectRow* result
    cdef uint32_t i
    for i in range(n_returns(row)):
        result = objects_find(&n.objects, object_id(row.id, i))
        if result != NULL:
            result.reach |= REACH_EXPOSED | REACH_HELD
            add_contained(walk, result)


cdef void commit_task(NodeState* n, Walk* walk, TaskRow* row) noexcept nogil:
    """The task's row, with all that it needs: what its arguments come from follows."""
    cdef vector[ObjectId] arguments
    cdef Blob* spec = write_spec(n, row)
    cdef Blob* body
    cdef CommitHeader* head
    all_arguments(row, &arguments)
    body = blob_new(sizeof(CommitHeader) + arguments.size() * sizeof(ObjectId) + align8(spec.size))
    head = <CommitHeader*> blob_data(body)
    memset(head, 0, sizeof(CommitHeader))
    head.parent = row.parent
    head.before = row.before
    head.digest = row.digest
    head.n_returns = row.n_returns
    head.n_args = <uint32_t> arguments.size()
    head.max_retries = retries_in_all(row)
    head.flags = row.flags | (COMMIT_KEPT if is_kept_for_parent(n, row) else 0)
    head.spec_size = <uint32_t> spec.size
    memcpy(<char*> (head + 1), arguments.data(), arguments.size() * sizeof(ObjectId))
    write_padded(<char*> (head + 1) + arguments.size() * sizeof(ObjectId), blob_data(spec), spec.size)
    blob_drop(spec)
    row.committed = ask_store(n, OP_COMMIT, object_id(row.id, 0), body)
    walk.tasks.push_back(row.parent)
    walk.objects.insert(walk.objects.end(), arguments.begin(), arguments.end())
    add_results(n, walk, row)
    if row.state == TASK_FINISHED:            # kept as lineage
        depart_to_store(n, OP_DONE, object_id(row.id, 0), write_values(n, row), row)


cdef void put_object(NodeState* n, Walk* walk, ObjectRow* row) noexcept nogil:
    """A value that no task is known to have made."""
    row.reach |= REACH_EXPOSED | REACH_HELD | (0 if row.state == OBJECT_INLINE else REACH_COPY)
    add_contained(walk, row)
    ask_store(n, OP_PUT, row.id, write_item(row))


cdef void walk_on(NodeState* n, Walk* walk) noexcept nogil:
    cdef TaskRow* task
    cdef ObjectRow* row
    cdef ObjectId id
    while not walk.tasks.empty() or not walk.objects.empty():
        if not walk.tasks.empty():
            task = tasks_find(&n.tasks, walk.tasks.back())
            walk.tasks.pop_back()
            if task != NULL and not task.committed and not task.home:
                commit_task(n, walk, task)
            continue
        id = walk.objects.back()
        walk.objects.pop_back()
        row = objects_find(&n.objects, id)
        if row == NULL or row.reach & REACH_EXPOSED:
            continue
        task = tasks_find(&n.tasks, id.task)
        if task != NULL and not task.committed and not task.home:
            walk.objects.push_back(id)        # once more, as not all that a task makes is a result of it
            commit_task(n, walk, task)
        elif object_here(row):
            put_object(n, walk, row)


cdef void expose_task(NodeState* n, TaskId id) noexcept nogil:
    """The task is going to another node: it is made known, with all that it comes from."""
    cdef Walk walk
    walk.tasks.push_back(id)
    walk_on(n, &walk)


cdef void expose_contained(NodeState* n, const TaskRow* row) noexcept nogil:
    """The task's results are to leave the node: what they contain is made known."""
    cdef Walk walk
    cdef ObjectRow* result
    cdef uint32_t i
    for i in range(n_returns(row)):
        result = objects_find(&n.objects, object_id(row.id, i))
        if result != NULL:
            add_contained(&walk, result)
    walk_on(n, &walk)


cdef void expose_all(NodeState* n, ObjectId id, bint itself) noexcept nogil:
    """What the value of this object contains is made known; and, if it stays here, the object."""
    cdef Walk walk
    if itself:
        walk.objects.push_back(id)
    else:
        add_contained(&walk, objects_find(&n.objects, id))
    walk_on(n, &walk)


cdef void task_committed(NodeState* n, TaskId id) noexcept nogil:
    """The store has acknowledged the task's row. Who runs it for this node is told when its ancestors are as well."""
    cdef TaskRow* row = tasks_find(&n.tasks, id)
    cdef TaskRow* parent
    if row == NULL:
        return
    row.acknowledged = True
    parent_committed(n, id)
    if row.runs_at and not row.home:
        parent = tasks_find(&n.tasks, row.parent)
        depart(n, row.runs_at, NODE_COMMITTED, NULL, parent).object = object_id(id, 0)
