"""The lineage graph, asked two questions: what must run again so that an object exists, what must be committed first.

Its data edges are the objects' task ids and the tasks' references, its control edges the tasks' parents; the rows that
references.pyx keeps are all there is to it. Rebuilding re-runs the smallest set: the task that made the object, and
those that made arguments of it that are gone too (Ray paper 4.2.3). Committing walks to every ancestor and argument
producer that is not acknowledged yet (DESIGN rule 4): a result leaves the node after they are.
"""
from cython.operator cimport dereference as deref
from libc.string cimport memcpy
from libcpp.algorithm cimport sort
from libcpp.string cimport string
from libcpp.unordered_set cimport unordered_set
from raylite._core.cluster.departures cimport ask_store
from raylite._core.cluster.remote_objects cimport want_from_elsewhere, watch
from raylite._core.envelope cimport Blob, blob_data, blob_new, envelope_refs, EnvelopeHeader, system_error
from raylite._core.ids cimport PUT_INDEX, same_object
from raylite._core.message cimport CMD_COMMIT, CMD_EXPOSED, STREAMING
from raylite._core.node.execution cimport function_name, run_again
from raylite._core.node.objects cimport object_here, OBJECT_IN_ARENA, object_in_scope, OBJECT_PENDING, \
    OBJECT_RELEASED, OBJECT_REMOTE, OBJECT_SPILLED, ObjectRow, objects_find, REACH_COPY, REACH_EXPOSED, REACH_FOREIGN
from raylite._core.node.references cimport drop_value, lineage_serves_less, store_blob
from raylite._core.node.room cimport want_restored
from raylite._core.node.state cimport Commit, emit, ERROR_NOT_REMADE
from raylite._core.node.task_table cimport is_call, TASK_FINISHED, TaskRow, tasks_find
from raylite._core.store.message cimport OP_UNLOCATE


cdef bint is_result(const ObjectRow* row, const TaskRow* creator) noexcept nogil:
    """Whether running the task again makes the object again, which it does not of a stream's items."""
    return creator.n_returns != STREAMING or row.id.index == 0


cdef void give_up(NodeState* n, ObjectRow* row, const TaskRow* creator) noexcept nogil:
    """The object cannot be made again: it is an error from now on, saying why: function if known, 0x1f, sentence."""
    cdef const char* why = b"its bytes are lost, and the task that made it is no longer in the lineage"
    cdef string text, name
    if row.id.index & PUT_INDEX:
        why = b"its bytes are lost, and it was made by put, which cannot be repeated"
    elif creator != NULL and is_call(creator):
        why = b"its bytes are lost, and it was made by a method of an actor, which cannot be repeated"
    elif creator != NULL and creator.retries_left == 0 and is_result(row, creator):
        why = b"its bytes are lost, and the task that made it has no retries left"
    elif creator != NULL:
        why = b"its bytes are lost, and it was an item of a stream, which cannot be repeated"
    if creator != NULL:
        text.assign(deref(function_name(n, creator, &name)))
    text.append(b"\x1f")
    text.append(why)
    store_blob(n, row, system_error(ERROR_NOT_REMADE, text.data(), text.size()))


cdef void rebuild_wanted(NodeState* n) noexcept nogil:
    """Run again what makes the objects on `wanted`; what those tasks lack comes onto the list in turn."""
    cdef ObjectRow* row
    cdef TaskRow* creator
    while not n.wanted.empty():
        row = objects_find(&n.objects, n.wanted.back())
        n.wanted.pop_back()
        if row == NULL:
            continue
        if row.state == OBJECT_REMOTE or row.state == OBJECT_PENDING and row.reach & REACH_FOREIGN:
            want_from_elsewhere(n, row)
            continue
        if row.state == OBJECT_SPILLED:
            want_restored(n, row)
            continue
        if row.state != OBJECT_RELEASED:
            continue
        if row.reach & REACH_EXPOSED:         # others may want it too: the store says who makes it
            watch(n, row)
            continue
        creator = tasks_find(&n.tasks, row.id.task)
        if creator == NULL or row.id.index & PUT_INDEX or not is_result(row, creator) \
                or is_call(creator) and creator.state >= TASK_FINISHED:
            give_up(n, row, creator)
        elif creator.state != TASK_FINISHED:
            row.state = OBJECT_PENDING
        elif creator.retries_left:
            if creator.retries_left > 0:
                creator.retries_left -= 1
            run_again(n, creator)
        else:
            give_up(n, row, creator)
            lineage_serves_less(n, creator)


cdef void on_lost(NodeState* n, const Message* m) noexcept nogil:
    """The bytes of an object are gone. It is made again at once if anybody could ask for it."""
    cdef ObjectRow* row = objects_find(&n.objects, m.object)
    if row == NULL or row.state != OBJECT_IN_ARENA and (row.state != OBJECT_SPILLED or row.restoring):
        return
    drop_value(n, row)
    row.pins.clear()
    row.state = OBJECT_RELEASED
    if row.reach & REACH_COPY:
        row.reach &= ~REACH_COPY
        ask_store(n, OP_UNLOCATE, row.id, NULL)
    n.lost_any = True
    if object_in_scope(row):
        n.wanted.push_back(row.id)
    else:
        n.unsettled.push_back(row.id)


cdef bint can_be_made_again(NodeState* n, ObjectId wanted) noexcept nogil:
    """Whether a value that is gone, or would be, comes back by running tasks of the lineage again."""
    cdef vector[ObjectId] todo
    cdef unordered_set[ObjectId] seen
    cdef ObjectId id
    cdef ObjectRow* row
    cdef TaskRow* task
    cdef const ObjectId* nested
    cdef size_t i
    todo.push_back(wanted)
    seen.insert(wanted)
    while not todo.empty():
        id = todo.back()
        todo.pop_back()
        row = objects_find(&n.objects, id)
        if row != NULL and (row.state == OBJECT_PENDING or (object_here(row) and not same_object(id, wanted))):
            continue
        task = tasks_find(&n.tasks, id.task)
        if row == NULL or task == NULL or task.state != TASK_FINISHED or id.index & PUT_INDEX or is_call(task) \
                or not is_result(row, task) or task.retries_left == 0:
            return False
        for i in range(task.refs.size()):
            if seen.insert(task.refs[i]).second:
                todo.push_back(task.refs[i])
        if task.arguments != NULL:
            nested = envelope_refs(blob_data(task.arguments))
            for i in range((<const EnvelopeHeader*> blob_data(task.arguments)).n_refs):
                if seen.insert(nested[i]).second:
                    todo.push_back(nested[i])
    return True


cdef void add_uncommitted(NodeState* n, TaskId id, vector[TaskId]* todo, unordered_set[TaskId]* seen) noexcept nogil:
    cdef TaskRow* row = tasks_find(&n.tasks, id)
    if row != NULL and not row.acknowledged and seen.insert(id).second:
        todo.push_back(id)


cdef void on_expose(NodeState* n, const Message* m) noexcept nogil:
    """An object is to leave the node: its task's row, its ancestors' and argument producers' go out first, as one."""
    cdef vector[TaskId] todo, rows
    cdef unordered_set[TaskId] seen
    cdef TaskRow* row
    cdef Commit* commit
    cdef Blob* payload
    cdef const ObjectId* nested
    cdef size_t i
    add_uncommitted(n, m.object.task, &todo, &seen)
    while not todo.empty():
        row = tasks_find(&n.tasks, todo.back())
        todo.pop_back()
        rows.push_back(row.id)
        add_uncommitted(n, row.parent, &todo, &seen)
        for i in range(row.refs.size()):
            add_uncommitted(n, row.refs[i].task, &todo, &seen)
        if row.arguments != NULL:
            nested = envelope_refs(blob_data(row.arguments))
            for i in range((<const EnvelopeHeader*> blob_data(row.arguments)).n_refs):
                add_uncommitted(n, nested[i].task, &todo, &seen)
    sort(rows.begin(), rows.end())
    n.last_commit += 1
    commit = &n.commits[n.last_commit]
    commit.number = n.last_commit
    commit.request = m.request
    commit.client = m.client
    commit.object = m.object
    commit.tasks = rows
    for i in range(rows.size()):
        tasks_find(&n.tasks, rows[i]).committed = commit.number
    payload = blob_new(rows.size() * sizeof(TaskId))
    if rows.size():
        memcpy(blob_data(payload), rows.data(), rows.size() * sizeof(TaskId))
    emit(n, CMD_COMMIT, 0, payload).request = commit.number


cdef void on_committed(NodeState* n, const Message* m) noexcept nogil:
    """The control store has acknowledged a commit: what waited for it may leave."""
    cdef Commit commit
    cdef TaskRow* row
    cdef Message* exposed
    cdef size_t i
    it = n.commits.find(m.request)
    if it == n.commits.end():
        return
    commit = deref(it).second
    n.commits.erase(m.request)
    for i in range(commit.tasks.size()):
        row = tasks_find(&n.tasks, commit.tasks[i])
        if row != NULL:
            row.acknowledged = True
    exposed = emit(n, CMD_EXPOSED, commit.client, NULL)
    exposed.request = commit.request
    exposed.object = commit.object
