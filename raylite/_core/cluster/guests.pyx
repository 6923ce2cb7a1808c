"""Tasks of other homes that run here.

A guest is a task like any other, but that its results go to its home and into the control store, that it is tried once
(another attempt is for its home to decide), and that nothing it leads to leaves this node before its home has said that
it is committed. If its home dies before that, nobody can have heard of it: it ends, and what it led to with it.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint32_t, uint64_t
from libcpp.algorithm cimport sort
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.cluster.actor_log cimport is_on_log, parent_committed, refuse_logged
from raylite._core.cluster.departures cimport depart, depart_to_store, forget_guest, guest_committed, tell, then_tell
from raylite._core.cluster.exposure cimport expose_contained, write_values
from raylite._core.cluster.homes cimport adopt
from raylite._core.cluster.message cimport ArgumentHint, NODE_RESULT, NODE_RETURN, TaskHeader
from raylite._core.cluster.remote_actors cimport host_creation
from raylite._core.cluster.remote_objects cimport foreign_object, is_at, remote_of
from raylite._core.cluster.specs cimport add_task, retries_after, Submission, take_submission
from raylite._core.cluster.table cimport Departure, PEER_CLIENT
from raylite._core.envelope cimport Blob, blob_copy, blob_data, blob_keep, envelope_refs, envelope_valid, \
    EnvelopeHeader, KIND_CHECKPOINT, KIND_FUNCTION
from raylite._core.ids cimport object_id, ObjectId, TaskId
from raylite._core.message cimport CallHeader, Cursor, SUBMIT_ACTOR, take, take_padded
from raylite._core.node.actor_table cimport ACTOR_ALIVE, ActorRow, actors_find
from raylite._core.node.execution cimport add_call, call_ends, resolve
from raylite._core.node.objects cimport object_here, object_hold, OBJECT_PENDING, object_unhold, ObjectRow, \
    objects_find
from raylite._core.node.recovery cimport cancel_task
from raylite._core.node.references cimport drop_value, hold_arguments, retire_task, store_blob
from raylite._core.node.replay cimport replays
from raylite._core.node.resources cimport resources_lacking
from raylite._core.node.state cimport Function, set_state
from raylite._core.node.task_table cimport CANCEL_INTERRUPTS, CANCEL_KILLS, REPLAY_STATE, TASK_CANCELLED, \
    TASK_FINISHED, TASK_WAITING, tasks_erase, tasks_find
from raylite._core.store.message cimport OP_DONE


# ---- coming ----------------------------------------------------------------------------------------------------

cdef void keep_function(NodeState* n, uint32_t source, ObjectId id, const char* name, uint64_t name_size,
                        const char* envelope, uint64_t size) noexcept nogil:
    """A function that came with a task: it stays until that node says that it is needed no more."""
    cdef ObjectRow* row = objects_find(&n.objects, id)
    cdef Function* f
    if row == NULL:
        row = foreign_object(n, id)
    object_hold(row, PEER_CLIENT | source)
    if row.state == OBJECT_PENDING:
        store_blob(n, row, blob_copy(envelope, size))
    f = &n.functions[id]
    if f.name == NULL:
        f.name = blob_copy(name, name_size)


cdef bint take_hint(NodeState* n, Cursor* c, const ObjectId* id) noexcept nogil:
    """What the home knows of an argument. False if it is malformed."""
    cdef const ArgumentHint* hint = <const ArgumentHint*> take(c, sizeof(ArgumentHint))
    cdef const char* body
    cdef ObjectRow* row
    if hint == NULL or hint.kind > KIND_CHECKPOINT:
        return False
    body = take_padded(c, hint.size if hint.is_inline else 4 * <uint64_t> hint.n_locations)
    if body == NULL or (hint.is_inline and not envelope_valid(body, hint.size)):
        return False
    row = objects_find(&n.objects, id[0])
    if row == NULL:
        row = foreign_object(n, id[0])
    if row.state == OBJECT_PENDING and hint.is_inline:
        store_blob(n, row, blob_copy(body, hint.size))
    elif row.state == OBJECT_PENDING and hint.n_locations:
        is_at(n, row, hint.size, <const uint32_t*> body, hint.n_locations)
    return True


cdef bint hints_valid(Cursor c, uint32_t count) noexcept nogil:
    cdef const ArgumentHint* hint
    for _ in range(count):
        hint = <const ArgumentHint*> take(&c, sizeof(ArgumentHint))
        if hint == NULL or take_padded(&c, hint.size if hint.is_inline else 4 * <uint64_t> hint.n_locations) == NULL:
            return False
    return True


cdef bint on_task(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil:
    """A task of another home, to be run here. False if it is malformed."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef Cursor spec
    cdef const TaskHeader* head = <const TaskHeader*> take(&c, sizeof(TaskHeader))
    cdef const char* function
    cdef const char* name
    cdef const char* environment
    cdef Submission s
    cdef TaskRow* row
    cdef uint32_t i
    if head == NULL:
        return False
    spec = Cursor(take_padded(&c, head.spec_size), head.spec_size, False)
    function = take_padded(&c, head.function_size)
    name = take_padded(&c, head.name_size)
    environment = take_padded(&c, head.environment_size)
    if c.failed or not take_submission(n, &spec, m.object.task, &s) or head.n_hints != s.header.n_refs \
            or not hints_valid(c, head.n_hints):
        return False
    if head.function_size and not (envelope_valid(function, head.function_size)
                                   and (<const EnvelopeHeader*> function).kind == KIND_FUNCTION):
        return False
    if s.call != NULL and runs_actor(n, s.call, head.actor_epoch) and is_on_log(n, s.call.actor, m.object.task):
        refuse_logged(n, source, m)
        return True
    if tasks_find(&n.tasks, m.object.task) != NULL or s.call != NULL and not runs_actor(n, s.call, head.actor_epoch):
        give_back(n, source, m)
        return True
    if head.function_size:
        keep_function(n, source, s.header.function, name, head.name_size, function, head.function_size)
    if head.environment:
        n.scheduler.resources.environments[head.environment] = string(environment, head.environment_size)
    row = add_task(n, m.object.task, &s, PEER_CLIENT | source, m.job)
    if row == NULL:
        return False
    row.home = source
    row.epoch = head.epoch
    row.attempt = m.attempt
    row.submit_ns = head.submit_ns
    row.n_moves = <unsigned char> min(head.n_moves, <uint32_t> 255)
    row.retries_at_home = retries_after(s.header.max_retries, m.attempt)
    row.retries_left = 0
    if s.call == NULL and resources_lacking(&n.scheduler.resources, row.shape) >= 0:
        tasks_erase(&n.tasks, row)
        give_back(n, source, m)
        return True
    for i in range(head.n_hints):
        take_hint(n, &c, &row.refs[i])
    add_results(n, row)
    hold_arguments(n, row)
    set_state(n, row, TASK_WAITING, 0)
    if s.header.flags & SUBMIT_ACTOR:
        host_creation(n, row, &s.actor)
    if s.call != NULL:
        row.acknowledged = replays(actors_find(&n.actors, s.call.actor))      # its home sends no other
        add_call(n, row, s.call)
    else:
        resolve(n, row)
    return True


cdef bint runs_actor(NodeState* n, const CallHeader* call, uint32_t epoch) noexcept nogil:
    """Whether the actor that is called runs here, in the life that its caller knows of: not so, what the caller has
    sent to the one before goes first."""
    cdef ActorRow* actor = actors_find(&n.actors, call.actor)
    return actor != NULL and actor.state == ACTOR_ALIVE and actor.worker != 0 and actor.epoch == epoch \
        and not actor.awaits_log and call.group < actor.groups.size()


cdef void drop_guest(NodeState* n, TaskRow* row) noexcept nogil:
    """A call that its home has back."""
    call_ends(n, row)
    let_go_of_guest(n, row)


cdef void return_guest(NodeState* n, TaskRow* row) noexcept nogil:
    """A task that has not begun, and need not wait here any longer, is its home's again."""
    cdef Message* m = tell(n, row.home, NODE_RETURN, NULL)
    m.object = object_id(row.id, 0)
    m.attempt = row.attempt
    let_go_of_guest(n, row)


cdef void let_go_of_guest(NodeState* n, TaskRow* row) noexcept nogil:
    cdef ObjectRow* result
    cdef int i
    set_state(n, row, TASK_CANCELLED, 0)
    row.went_back = True
    for i in range(1 if row.n_returns < 0 else row.n_returns):
        result = objects_find(&n.objects, object_id(row.id, i))
        if result != NULL and not result.waiters.empty():
            n.wanted.push_back(result.id)     # who waits here asks the store
        n.unsettled.push_back(object_id(row.id, i))
    retire_task(n, row)


cdef void add_results(NodeState* n, const TaskRow* row) noexcept nogil:
    cdef int i
    for i in range(1 if row.n_returns < 0 else row.n_returns):
        foreign_object(n, object_id(row.id, i))


cdef void give_back(NodeState* n, uint32_t source, const Message* m) noexcept nogil:
    cdef Message* answer = tell(n, source, NODE_RETURN, NULL)
    answer.object = m.object
    answer.attempt = m.attempt


cdef void count_guest_holds(NodeState* n, const TaskRow* row, int change) noexcept nogil:
    """The guest takes its arguments, or lets go of them: its home holds them, and the store for it."""
    cdef const EnvelopeHeader* head
    cdef const ObjectId* nested
    cdef size_t i
    for i in range(row.refs.size()):
        remote_of(n, row.refs[i]).n_guest_holds += change
    remote_of(n, row.function).n_guest_holds += change
    if row.arguments != NULL:
        head = <const EnvelopeHeader*> blob_data(row.arguments)
        nested = envelope_refs(blob_data(row.arguments))
        for i in range(head.n_refs):
            remote_of(n, nested[i]).n_guest_holds += change


# ---- going -----------------------------------------------------------------------------------------------------

cdef void ended_beyond(NodeState* n, TaskRow* row, uint8_t state) noexcept nogil:
    """A task that others know of has ended: its home is told, and the store.

    What a home hears, the store knows; but a failure it hears alone, as it may decide on another attempt. Not so of a
    call that is on its actor's log: it is not tried again."""
    cdef Departure* done
    cdef Message* m
    cdef Blob* values
    if row.home == 0:
        if row.committed and not (row.runs_at and state == TASK_FINISHED):
            expose_contained(n, row)
            depart_to_store(n, OP_DONE, object_id(row.id, 0), write_values(n, row), row)
        return
    if row.orphan and not row.acknowledged:       # nobody has heard of it, nor will
        forget_guest(n, row.id)
        hide_failure(n, row)
        return
    expose_contained(n, row)
    values = write_values(n, row)
    if state == TASK_FINISHED or row.orphan or row.replay >= REPLAY_STATE:
        done = depart_to_store(n, OP_DONE, object_id(row.id, 0), blob_keep(values), row)
        m = then_tell(n, done, row.home, NODE_RESULT, values)
    else:
        m = depart(n, row.home, NODE_RESULT, values, row)
    m.object = object_id(row.id, 0)
    m.attempt = row.attempt
    if state != TASK_FINISHED:
        hide_failure(n, row)


cdef void hide_failure(NodeState* n, const TaskRow* row) noexcept nogil:
    """Whether the guest has failed for good is for its home to say, also to who waits here."""
    cdef ObjectRow* result
    cdef int i
    for i in range(1 if row.n_returns < 0 else row.n_returns):
        result = objects_find(&n.objects, object_id(row.id, i))
        if result == NULL or not object_here(result):
            continue
        drop_value(n, result)
        result.state = OBJECT_PENDING
        result.size = 0
        if not result.waiters.empty():
            n.wanted.push_back(result.id)


cdef void on_home_committed(NodeState* n, uint32_t source, const Message* m) noexcept nogil:
    """The guest's home has committed it: what it led to may leave. Also if it has ended by now."""
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    if row != NULL and row.home == source:
        row.acknowledged = True
        parent_committed(n, row.id)
    guest_committed(n, m.object.task)


cdef void on_home_cancels(NodeState* n, uint32_t source, const Message* m) noexcept nogil:
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    if row != NULL and row.home == source and row.state < TASK_FINISHED:
        cancel_task(n, row, CANCEL_KILLS if m.flags >= CANCEL_KILLS else CANCEL_INTERRUPTS)


cdef void on_function_gone(NodeState* n, uint32_t source, const Message* m) noexcept nogil:
    cdef ObjectRow* row = objects_find(&n.objects, m.object)
    if row != NULL and object_unhold(row, PEER_CLIENT | source):
        n.unsettled.push_back(row.id)


cdef void expel(NodeState* n, TaskRow* row) noexcept nogil:
    """Nobody needs what the guest does."""
    if row.state < TASK_FINISHED:
        cancel_task(n, row, CANCEL_KILLS)


cdef void home_lost(NodeState* n, uint32_t address) noexcept nogil:
    """A node is gone: guests that it had committed find another home here, if anybody needs them."""
    cdef unordered_map[TaskId, TaskRow].iterator it = n.tasks.rows.begin()
    cdef vector[TaskId] ids
    cdef TaskRow* row
    cdef size_t i
    while it != n.tasks.rows.end():
        if deref(it).second.home == address:
            ids.push_back(deref(it).first)
        preincrement(it)
    sort(ids.begin(), ids.end())
    for i in range(ids.size()):
        row = tasks_find(&n.tasks, ids[i])
        if row == NULL:
            continue
        row.orphan = True
        if row.acknowledged:
            row.retries_left = row.retries_at_home    # it may crash before the store has answered
            adopt(n, row)
        else:
            forget_guest(n, row.id)
            expel(n, row)
