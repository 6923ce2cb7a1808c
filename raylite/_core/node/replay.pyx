"""What brings an actor back to where it was: the calls since its last checkpoint, in their order, and the checkpoint.

    sent -> ended: on `log` -> (its process dies) on `again` -> sent -> on `log` -> ...
    sent, begun                  (its process dies) on `again` -> sent -> ended: on `log`
    on `log` -> (a checkpoint) gone

A call that has ended keeps its row, its arguments and what it has submitted, until a checkpoint covers it. When the
process dies, `__init__` runs again, or the checkpoint is restored, and then the log, followed by what ran just then,
before all others: in the order in which the calls ran, along the stateful edges. Only the first run of a call makes its
results; what runs again makes none, and what it submits is what it submitted before, with the results of then (`made`).
So also for any other task that calls such an actor: if it runs again, its calls are those that it made before.

The checkpoint takes the place of the arguments of the task that creates the actor; so it is held, waited for, and found
lost, as they would be.

This is how it is on a node that is alone. Among others the log is in the control store: see cluster/actor_log.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint32_t
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from raylite._core.cluster.actor_log cimport fits_in_store, save_beyond
from raylite._core.cluster.remote_objects cimport foreign_object, touch
from raylite._core.envelope cimport blob_drop, blob_keep, KIND_SYSTEM_ERROR
from raylite._core.ids cimport ACTOR_INDEX, CHECKPOINT_INDEX, object_id
from raylite._core.message cimport Cursor, STOP_KILL, STREAMING, SUBMIT_ACTOR, SUBMIT_RESTORES, SUBMIT_TAKEN, \
    take_value, ValueRecord
from raylite._core.node.actor_calls cimport call_leaves
from raylite._core.node.actor_table cimport actors_find, CallList, list_append, list_remove
from raylite._core.node.actors cimport actor_dies, actor_object, died
from raylite._core.node.execution cimport confirm, function_name, resolve
from raylite._core.node.objects cimport OBJECT_PENDING, ObjectRow, objects_add, objects_find
from raylite._core.node.references cimport client_holds, refuse_value, retire_task, store_blob, store_value, \
    take_instead
from raylite._core.node.state cimport Made, set_state, warn
from raylite._core.node.task_table cimport is_call, is_creation, LISTED_AGAIN, LISTED_LOGGED, LISTED_NOT, \
    REPLAY_RESULT, REPLAY_STATE, TASK_FAILED, TASK_FINISHED, TASK_WAITING, tasks_find


# ---- the log ---------------------------------------------------------------------------------------------------

cdef bint is_logged(NodeState* n, const ActorRow* actor) noexcept nogil:
    """Whether the calls of this actor may have to run again."""
    return replays(actor) and actor.restarts_left != 0


cdef void log_call(NodeState* n, TaskRow* row) noexcept nogil:
    """The call has ended."""
    cdef ActorRow* actor = actors_find(&n.actors, row.actor)
    row.listed = LISTED_LOGGED
    list_append(&actor.log, row)


cdef void forget_calls(NodeState* n, ActorRow* actor) noexcept nogil:
    """Nothing of the log will run again."""
    forget_until(n, actor, <uint64_t> -1)


cdef void forget_until(NodeState* n, ActorRow* actor, uint64_t position) noexcept nogil:
    """The calls that came to the actor's worker up to this position will not run again."""
    cdef TaskRow* row
    while actor.log.head != NULL and actor.log.head.position <= position:
        row = actor.log.head
        list_remove(&actor.log, row)
        row.listed = LISTED_NOT
        retire_task(n, row)


# ---- running again ---------------------------------------------------------------------------------------------

cdef void repeat(NodeState* n, ActorRow* actor, TaskRow* row) noexcept nogil:
    """The call is to run again, after those that are to before it. resume() sees to its arguments."""
    row.attempt += 1
    row.worker = 0
    row.read_request = 0
    row.n_unresolved = 0
    if row.state != TASK_WAITING:
        set_state(n, row, TASK_WAITING, 0)
    row.listed = LISTED_AGAIN
    list_append(&actor.again, row)


cdef void rewind(NodeState* n, ActorRow* actor, const vector[pair[uint64_t, TaskId]]* sent, uint64_t started,
                 vector[TaskId]* lost) noexcept nogil:
    """The process died: the log is to run again, then what it had been sent, in order of position, then what was to run
    again before and had not been sent. What had begun uses up a retry; of that, what has none left is `lost`."""
    cdef CallList later = actor.again
    cdef TaskRow* row
    cdef size_t i
    actor.again = CallList(NULL, NULL, 0)
    while actor.log.head != NULL:
        row = actor.log.head
        list_remove(&actor.log, row)
        repeat(n, actor, row)
    for i in range(sent.size()):
        row = tasks_find(&n.tasks, sent[0][i].second)
        if row.replay != REPLAY_STATE and (row.cancelled or row.position <= started and row.retries_left == 0):
            lost.push_back(row.id)
            continue
        if row.replay != REPLAY_STATE:
            row.retries_left -= row.position <= started and row.retries_left > 0
            row.replay = REPLAY_RESULT
        call_leaves(n, row)
        repeat(n, actor, row)
    while later.head != NULL:
        row = later.head
        list_remove(&later, row)
        list_append(&actor.again, row)


cdef void resume(NodeState* n, ActorRow* actor) noexcept nogil:
    """Have the arguments of what is to run again brought back, where they are gone."""
    cdef vector[TaskId] calls
    cdef TaskRow* row = actor.again.head
    cdef size_t i
    while row != NULL:
        if row.state == TASK_WAITING and row.n_unresolved == 0:
            calls.push_back(row.id)
        row = row.next
    for i in range(calls.size()):
        row = tasks_find(&n.tasks, calls[i])
        if row != NULL and row.listed == LISTED_AGAIN:    # else the actor has died of one before it
            resolve(n, row)


cdef void call_repeated(NodeState* n, TaskRow* row, uint8_t state, uint64_t duration_ns) noexcept nogil:
    """A call that had ended has run again."""
    cdef ActorRow* actor = actors_find(&n.actors, row.actor)
    cdef string text, name
    if state == TASK_FAILED and row.error == NULL and row.n_returns != 0:
        text.assign(deref(function_name(n, row, &name)))
        text.append(b" had not raised, and did when it was replayed: its actor may not be what it was")
        warn(n, &text)
    call_leaves(n, row)
    set_state(n, row, state, duration_ns)
    if is_logged(n, actor):
        log_call(n, row)
    else:
        retire_task(n, row)


cdef void cannot_repeat(NodeState* n, TaskRow* row, Blob* error) noexcept nogil:
    """An argument of a call that had ended is gone for good: so is the actor. Takes over the hold of `error`."""
    cdef ActorRow* actor = actors_find(&n.actors, row.actor)
    blob_drop(error)
    actor_dies(n, actor, died(n, actor, b"an argument of a call since its last checkpoint is lost, so that the call "
                                        b"cannot be repeated"), STOP_KILL)


cdef void end_repetition(NodeState* n, TaskRow* row, Blob* death) noexcept nogil:
    """A call that had ended need not run again, as its actor has died. What was lost of its results stays so."""
    cdef ObjectRow* result
    cdef uint32_t i
    call_leaves(n, row)
    for i in range(1 if row.n_returns == STREAMING else <uint32_t> row.n_returns):
        result = objects_find(&n.objects, object_id(row.id, i))
        if result != NULL and result.state == OBJECT_PENDING:
            store_blob(n, result, blob_keep(death))
    set_state(n, row, TASK_FAILED if row.error != NULL else TASK_FINISHED, 0)
    retire_task(n, row)


# ---- checkpoints -----------------------------------------------------------------------------------------------

cdef bint on_checkpoint(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """An actor's worker has saved it as it is after the message at position `request`. False if that is malformed."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const char* body = NULL
    cdef const ValueRecord* value = take_value(&c, &body)
    cdef ActorRow* actor = actors_find(&n.actors, m.object.task)
    cdef TaskRow* creation = tasks_find(&n.tasks, m.object.task)
    cdef ObjectRow* row
    if value == NULL:
        return False
    if creation == NULL or not is_logged(n, actor) or actor.worker != m.client \
            or n.cluster.joined and not fits_in_store(n, actor, value):
        refuse_value(n, m.client, value)
        return True
    actor.n_checkpoints += 1
    row = objects_add(&n.objects, object_id(actor.id, CHECKPOINT_INDEX | actor.n_checkpoints))
    store_value(n, m.client, row, value, body)
    if row.kind == KIND_SYSTEM_ERROR:         # the bytes are not there
        n.unsettled.push_back(row.id)
        return True
    take_instead(n, creation, row.id)
    creation.flags |= SUBMIT_RESTORES
    forget_made(n, creation.id)
    if n.cluster.joined:
        save_beyond(n, actor, creation, row)
    else:
        forget_until(n, actor, m.request)
    return True


# ---- what was submitted ----------------------------------------------------------------------------------------

cdef bint may_run_again(NodeState* n, const TaskRow* parent, const CallHeader* call) noexcept nogil:
    """Whether what this task submits would have to be the same if it ran again."""
    if is_creation(parent):
        return replays(actors_find(&n.actors, parent.id))
    if is_call(parent) and replays(actors_find(&n.actors, parent.actor)):
        return True
    return call != NULL and replays(actors_find(&n.actors, call.actor)) and not (is_call(parent)
                                                                                 and parent.retries_left == 0)


cdef void hold_made(NodeState* n, TaskId id, const Made* made, int change) noexcept nogil:
    cdef ObjectRow* row
    cdef uint32_t i
    for i in range(made.n_results):
        row = objects_find(&n.objects, object_id(id, ACTOR_INDEX if made.is_actor else i))
        if row == NULL:           # known from the log alone
            row = foreign_object(n, object_id(id, ACTOR_INDEX if made.is_actor else i))
        row.n_task_holds += change
        touch(n, row)
        if change < 0:
            n.unsettled.push_back(row.id)


cdef void note_made(NodeState* n, const TaskRow* row, const CallHeader* call) noexcept nogil:
    """A task is submitted: keep what it makes while the one that submits it may run again. A stream is not kept."""
    cdef const TaskRow* parent = tasks_find(&n.tasks, row.parent)
    cdef Made made
    if parent == NULL or row.n_returns == STREAMING or not may_run_again(n, parent, call):
        return
    if n.made.count(row.parent) and n.made[row.parent].count(row.id):
        return
    made.digest = row.digest
    made.is_repeated = call != NULL and replays(actors_find(&n.actors, call.actor))
    made.is_actor = row.flags & SUBMIT_ACTOR != 0
    made.n_results = 1 if made.is_actor else <uint32_t> row.n_returns
    keep_made(n, row.parent, row.id, &made)


cdef void keep_made(NodeState* n, TaskId parent, TaskId id, const Made* made) noexcept nogil:
    """This is what the task has submitted, and what it makes is kept."""
    n.made[parent][id] = made[0]
    hold_made(n, id, made, 1)


cdef bint made_before(NodeState* n, const Message* m, const SubmitHeader* h) noexcept nogil:
    """Whether the same was submitted by an earlier run of the same task: then it is that."""
    cdef Made made
    cdef ObjectRow* row
    cdef uint32_t i
    siblings = n.made.find(h.parent)
    if siblings == n.made.end() or deref(siblings).second.count(m.object.task) == 0:
        return False
    made = deref(siblings).second[m.object.task]
    if made.digest != h.digest:
        confirm(n, m, SUBMIT_TAKEN)
        return True
    if made.is_repeated and n.cluster.joined:
        return False              # it may not have come to its actor, which knows
    for i in range(made.n_results):
        row = actor_object(n, m.object.task) if made.is_actor else objects_find(&n.objects,
                                                                                object_id(m.object.task, i))
        if row != NULL:
            client_holds(n, row, m.client)
    confirm(n, m, 0)
    return True


cdef void forget_made(NodeState* n, TaskId parent) noexcept nogil:
    """This task will not run again."""
    cdef unordered_map[TaskId, ordered_map[TaskId, Made]].iterator it = n.made.find(parent)
    cdef ordered_map[TaskId, Made].iterator made
    if it == n.made.end():
        return
    made = deref(it).second.begin()
    while made != deref(it).second.end():
        hold_made(n, deref(made).first, &deref(made).second, -1)
        preincrement(made)
    n.made.erase(it)
