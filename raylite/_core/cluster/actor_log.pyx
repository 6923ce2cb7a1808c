"""What brings an actor back on another node: the calls since its checkpoint, and that, in the control store.

    made: in the store -> sent, begun, ended: on the log -> DONE -> its caller hears -> (a checkpoint) off the log
                                     (its node dies) on the log -> the next node runs it again, before all others

Each call is made once, though nodes die anywhere, as
- the store knows a call before it is sent, and has it held by its caller as long as that may run again: then made again
  by another run of its caller, it is found there;
- nobody hears how it ended, nor of what depends on that, before it is on the log (departures wait for OP_ACTOR_LOG);
- a call that is on the log and comes again is refused, and its home asks the store how it ended;
- a checkpoint takes calls off the log when the store knows the ends of all of them.
What runs again on another node brings the store its results, for those who have not heard of them. What it submits is
what it submitted before (node/replay's `made`, which the log has too), but for calls of actors that replay: these are
found in the store, or may not have come to their actor.
"""
from cython.operator cimport dereference as deref
from libc.string cimport memcpy, memset, strlen
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.cluster.departures cimport depart_to_store, tell
from raylite._core.cluster.exposure cimport expose_all, expose_task
from raylite._core.cluster.guests cimport drop_guest
from raylite._core.cluster.homes cimport see_elsewhere
from raylite._core.cluster.message cimport CallRecord, MadeRecord, NODE_RESULT, RESULT_REFUSED
from raylite._core.cluster.remote_objects cimport foreign_object
from raylite._core.cluster.specs cimport add_task, all_arguments, Submission, take_submission, write_spec_with_name
from raylite._core.envelope cimport align8, Blob, blob_copy, blob_data, blob_drop, blob_new, ENVELOPE_RETRYABLE, \
    system_error
from raylite._core.ids cimport ACTOR_INDEX, object_id, ObjectId, same_task
from raylite._core.message cimport Cursor, STOP_KILL, STREAMING, take, take_padded
from raylite._core.node.actor_calls cimport call_leaves, call_waits, want_service
from raylite._core.node.actor_table cimport actors_find, add_all
from raylite._core.node.actors cimport actor_dies, died
from raylite._core.node.execution cimport resolve
from raylite._core.node.objects cimport objects_find
from raylite._core.node.references cimport hold_arguments
from raylite._core.node.replay cimport keep_made, repeat, replays, resume
from raylite._core.node.state cimport ERROR_OBJECT_LOST, Made, set_state, warn
from raylite._core.node.task_table cimport is_call, REPLAY_LOGGED, REPLAY_NOT, REPLAY_OWN, REPLAY_STATE, TASK_WAITING, \
    tasks_find
from raylite._core.store.message cimport AttemptHeader, EPOCH_OF_LOG, LogHeader, OP_ACTOR_LOG, OP_ACTOR_SAVED, \
    OP_FAILED, SavedHeader, STORE_OK


# ---- before a call is sent -------------------------------------------------------------------------------------

cdef bint is_known_beyond(NodeState* n, const ActorRow* actor, TaskRow* row) noexcept nogil:
    """Whether the call, which is in no list, may be sent. If not, it waits for the store first."""
    cdef TaskRow* parent
    if not n.cluster.joined or row.home or row.acknowledged or not replays(actor):
        return True
    parent = tasks_find(&n.tasks, row.parent)
    n.last_wait += 1
    row.wait_number = n.last_wait
    row.n_unresolved = 0
    row.committing = True
    if row.state != TASK_WAITING:
        set_state(n, row, TASK_WAITING, 0)
    if parent != NULL and not parent.acknowledged:
        n.cluster.before_children[parent.id].push_back(row.id)
        expose_task(n, parent.id)
    else:
        expose_task(n, row.id)
    call_waits(n, row)
    return False


cdef void parent_committed(NodeState* n, TaskId parent) noexcept nogil:
    """What it has made may be known to the store: it holds that, as long as it may run again."""
    cdef vector[TaskId] calls
    cdef TaskRow* row
    cdef size_t i
    it = n.cluster.before_children.find(parent)
    if it == n.cluster.before_children.end():
        return
    calls.swap(deref(it).second)
    n.cluster.before_children.erase(parent)
    for i in range(calls.size()):
        row = tasks_find(&n.tasks, calls[i])
        if row != NULL and row.committing:
            expose_task(n, row.id)


cdef bint is_kept_for_parent(NodeState* n, const TaskRow* row) noexcept nogil:
    """Whether the parent would make the call again if it ran again, and it must be made once. Of an actor of which not
    all is known here it may be so."""
    cdef const ActorRow* actor = actors_find(&n.actors, row.actor) if is_call(row) else NULL
    return actor != NULL and (replays(actor) or actor.handle == NULL) and tasks_find(&n.tasks, row.parent) != NULL


cdef void commit_answered(NodeState* n, TaskId id, uint16_t status) noexcept nogil:
    """The call is new to the store; or it was made before, by another run of its caller."""
    cdef TaskRow* row = tasks_find(&n.tasks, id)
    if row == NULL or not row.committing:
        return
    row.committing = False
    if status == STORE_OK:
        resolve(n, row)
    else:
        see_elsewhere(n, row)


# ---- going on the log ------------------------------------------------------------------------------------------

cdef void expose_made(NodeState* n, TaskId call) noexcept nogil:
    """The store knows all that the call has made, so that it finds that when it runs again."""
    cdef ObjectId id
    cdef uint32_t i
    it = n.made.find(call)
    if it == n.made.end():
        return
    for made in deref(it).second:
        expose_task(n, made.first)
        for i in range(made.second.n_results):
            id = object_id(made.first, ACTOR_INDEX if made.second.is_actor else i)
            if objects_find(&n.objects, id) != NULL:
                expose_all(n, id, True)


cdef void append_made(NodeState* n, TaskId call, vector[ObjectId]* held, vector[MadeRecord]* records) noexcept nogil:
    cdef MadeRecord record
    cdef uint32_t i
    it = n.made.find(call)
    if it == n.made.end():
        return
    for made in deref(it).second:
        memset(&record, 0, sizeof(MadeRecord))
        record.task = made.first
        record.digest = made.second.digest
        record.n_results = made.second.n_results
        record.is_actor = made.second.is_actor
        record.is_repeated = made.second.is_repeated
        records.push_back(record)
        for i in range(record.n_results):
            held.push_back(object_id(made.first, ACTOR_INDEX if made.second.is_actor else i))


cdef Blob* write_call(NodeState* n, const ActorRow* actor, const TaskRow* row) noexcept nogil:
    cdef vector[ObjectId] held
    cdef vector[MadeRecord] made
    cdef Blob* spec = write_spec_with_name(n, row)
    cdef Blob* body
    cdef LogHeader head
    cdef CallRecord record
    cdef string out
    all_arguments(row, &held)
    append_made(n, row.id, &held, &made)
    memset(&head, 0, sizeof(LogHeader))
    head.call = row.id
    head.number = actor.n_logged
    head.epoch = actor.epoch
    head.n_held = <uint32_t> held.size()
    record.n_made = <uint32_t> made.size()
    record.spec_size = <uint32_t> spec.size
    out.append(<const char*> &head, sizeof(LogHeader))
    out.append(<const char*> held.data(), held.size() * sizeof(ObjectId))
    out.append(<const char*> &record, sizeof(CallRecord))
    out.append(<const char*> made.data(), made.size() * sizeof(MadeRecord))
    out.append(blob_data(spec), spec.size)
    out.append(align8(spec.size) - spec.size, <char> 0)
    body = blob_copy(out.data(), out.size())
    blob_drop(spec)
    return body


cdef void log_beyond(NodeState* n, TaskRow* row) noexcept nogil:
    """The call has ended, the first time here or again. It is not tried again, whatever it raised."""
    cdef ActorRow* actor = actors_find(&n.actors, row.actor)
    cdef ObjectRow* result
    cdef int i
    if row.replay != REPLAY_STATE:
        actor.n_logged = max(actor.n_logged, actor.logged[row.id])
        return
    for i in range(1 if row.n_returns == STREAMING else row.n_returns):
        result = objects_find(&n.objects, object_id(row.id, i))
        if result != NULL:
            result.flags &= ~ENVELOPE_RETRYABLE
    if not row.home:
        expose_task(n, row.id)
    expose_made(n, row.id)
    actor.n_logged += 1
    actor.logged[row.id] = actor.n_logged
    depart_to_store(n, OP_ACTOR_LOG, object_id(actor.id, ACTOR_INDEX), write_call(n, actor, row), NULL)


# ---- and off it, to run again ----------------------------------------------------------------------------------

cdef TaskRow* add_logged(NodeState* n, ActorRow* actor, TaskId id, Cursor* spec) noexcept nogil:
    """A call of another home that ended on another node. NULL if it is malformed."""
    cdef Submission s
    cdef TaskRow* row
    cdef int i
    if not take_submission(n, spec, id, &s) or s.call == NULL or not same_task(s.call.actor, actor.id) \
            or s.call.group >= actor.groups.size():
        return NULL
    row = add_task(n, id, &s, 0, actor.job)
    if row == NULL:
        return NULL
    row.actor = actor.id
    row.group = s.call.group
    row.sequence = s.call.sequence
    row.committed = 1
    row.acknowledged = True
    row.replay = REPLAY_LOGGED
    row.retries_left = 0
    for i in range(1 if row.n_returns == STREAMING else row.n_returns):
        if objects_find(&n.objects, object_id(id, i)) == NULL:
            foreign_object(n, object_id(id, i))
    hold_arguments(n, row)
    actor.n_unfinished += 1
    return row


cdef bint put_back(NodeState* n, ActorRow* actor, const char* entry, uint64_t size) noexcept nogil:
    """The call is to run again. False if that is malformed."""
    cdef Cursor c = Cursor(entry, size, False)
    cdef Cursor spec
    cdef const LogHeader* head = <const LogHeader*> take(&c, sizeof(LogHeader))
    cdef const CallRecord* record
    cdef const MadeRecord* made
    cdef Made known
    cdef TaskRow* row
    cdef uint32_t i
    if head == NULL:
        return False
    take(&c, sizeof(ObjectId) * <unsigned long long> head.n_held)
    record = <const CallRecord*> take(&c, sizeof(CallRecord))
    if record == NULL:
        return False
    made = <const MadeRecord*> take(&c, sizeof(MadeRecord) * <unsigned long long> record.n_made)
    spec = Cursor(take_padded(&c, record.spec_size), record.spec_size, False)
    if c.failed:
        return False
    row = tasks_find(&n.tasks, head.call)
    if row == NULL:
        row = add_logged(n, actor, head.call, &spec)
        if row == NULL:
            return False
    else:
        take_out(n, row)
        row.replay = REPLAY_OWN
    actor.logged[head.call] = head.number
    for i in range(record.n_made):
        if n.made.count(head.call) and n.made[head.call].count(made[i].task):
            continue
        known = Made(made[i].digest, made[i].n_results, made[i].is_actor, made[i].is_repeated)
        keep_made(n, head.call, made[i].task, &known)
    repeat(n, actor, row)
    return True


cdef void take_out(NodeState* n, TaskRow* row) noexcept nogil:
    """The call is not where it was: away, or waiting for its turn, for arguments, for the store."""
    call_leaves(n, row)
    row.registering = row.committing = False
    row.retry_at_ns = 0
    row.runs_at = 0
    row.worker = 0
    if row.state != TASK_WAITING:
        set_state(n, row, TASK_WAITING, 0)


cdef void log_arrived(NodeState* n, TaskId id, const char* body, uint64_t size) noexcept nogil:
    """The store knows that the actor is alive here, and says what is to run again before all else."""
    cdef Cursor c = Cursor(body, size, False)
    cdef ActorRow* actor = actors_find(&n.actors, id)
    cdef const uint64_t* entry_size
    cdef const char* entry
    if actor == NULL or not actor.awaits_log:
        return
    actor.awaits_log = False
    while c.left and not c.failed:
        entry_size = <const uint64_t*> take(&c, 8)
        entry = take_padded(&c, entry_size[0]) if entry_size != NULL else NULL
        if entry == NULL or not put_back(n, actor, entry, entry_size[0]):
            actor_dies(n, actor, died(n, actor, b"its calls since its last checkpoint are malformed"), STOP_KILL)
            return
    resume(n, actor)
    actor = actors_find(&n.actors, id)
    if actor != NULL:
        want_service(n, actor)


cdef void give_up_log(NodeState* n, ActorRow* actor) noexcept nogil:
    """The process died: the store knows what is to run again, wherever that will be. Calls from here wait again."""
    cdef vector[TaskId] calls
    cdef TaskRow* row
    cdef size_t i
    for i in range(actor.groups.size()):
        add_all(&actor.groups[i].sent, &calls)
    add_all(&actor.again, &calls)
    for i in range(calls.size()):
        row = tasks_find(&n.tasks, calls[i])
        if row.replay == REPLAY_LOGGED:
            drop_guest(n, row)
        elif row.replay == REPLAY_OWN:
            take_out(n, row)
            row.replay = REPLAY_NOT
            resolve(n, row)
    forget_log(actor)


cdef void forget_log(ActorRow* actor) noexcept nogil:
    """Nothing of it runs here any more."""
    actor.awaits_log = False
    actor.n_logged = 0
    actor.logged.clear()


# ---- calls that come again -------------------------------------------------------------------------------------

cdef bint is_on_log(NodeState* n, TaskId actor, TaskId call) noexcept nogil:
    return actors_find(&n.actors, actor).logged.count(call) != 0


cdef void refuse_logged(NodeState* n, uint32_t source, const Message* m) noexcept nogil:
    """The call was made before. How it ended the store knows, or will; or has forgotten, as nobody held the result."""
    cdef const char* why = b"the call was made before, by a run of its caller that died, and its result was let go"
    cdef Message* answer = tell(n, source, NODE_RESULT, NULL)
    cdef AttemptHeader head
    cdef Blob* error
    cdef Blob* body
    answer.object = m.object
    answer.attempt = m.attempt
    answer.flags = RESULT_REFUSED
    if tasks_find(&n.tasks, m.object.task) != NULL:
        return
    error = system_error(ERROR_OBJECT_LOST, why, strlen(why))
    body = blob_new(sizeof(AttemptHeader) + error.size)
    head.epoch = EPOCH_OF_LOG
    head.attempt = 0
    memcpy(blob_data(body), &head, sizeof(AttemptHeader))
    memcpy(blob_data(body) + sizeof(AttemptHeader), blob_data(error), error.size)
    blob_drop(error)
    depart_to_store(n, OP_FAILED, object_id(m.object.task, 0), body, NULL)


# ---- checkpoints -----------------------------------------------------------------------------------------------

cdef bint fits_in_store(NodeState* n, ActorRow* actor, const ValueRecord* value) noexcept nogil:
    """A large one would be on this node alone: the one before it stays, with the calls since. Said once."""
    cdef string text
    if not value.in_arena:
        return True
    if not actor.too_large:
        actor.too_large = True
        text.assign(b"A checkpoint of ")
        text.append(actor.class_name)
        text.append(b" is too large to be kept beyond its node, so its calls since the one before stay on its log.")
        warn(n, &text)
    return False


cdef void save_beyond(NodeState* n, ActorRow* actor, TaskRow* creation, const ObjectRow* checkpoint) noexcept nogil:
    """The task that makes the actor is another one: this comes after all that its calls have led to."""
    cdef vector[ObjectId] arguments
    cdef Blob* spec
    cdef SavedHeader head
    cdef string out
    expose_all(n, checkpoint.id, True)
    all_arguments(creation, &arguments)
    spec = write_spec_with_name(n, creation)
    memset(&head, 0, sizeof(SavedHeader))
    head.number = actor.n_logged
    head.epoch = actor.epoch
    head.n_arguments = <uint32_t> arguments.size()
    head.spec_size = <uint32_t> spec.size
    out.append(<const char*> &head, sizeof(SavedHeader))
    out.append(<const char*> arguments.data(), arguments.size() * sizeof(ObjectId))
    out.append(blob_data(spec), spec.size)
    out.append(align8(spec.size) - spec.size, <char> 0)
    blob_drop(spec)
    depart_to_store(n, OP_ACTOR_SAVED, object_id(actor.id, ACTOR_INDEX), blob_copy(out.data(), out.size()), NULL)
    actor.logged.clear()
