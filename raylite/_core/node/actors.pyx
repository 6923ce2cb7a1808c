"""The life of an actor: made by a task that takes a worker for good, restarted, ended.

    PENDING -> ALIVE -> DEAD        its creation failed, it was killed, it left, its last handle went
               ALIVE -> RESTARTING -> ALIVE      its process died, and a restart was left

The task that creates it keeps its row while it could have to run again. The actor's object (ACTOR_INDEX) is there from
the start: its value describes a handle, whoever has a handle holds it, and when nobody does the actor ends, after the
calls that were sent. Ray's meaning throughout: a call that ran when the process died fails unless it may be tried
again; one that had not begun goes to the next process. An actor that replays comes back as it was: see replay.pyx.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy
from libcpp.algorithm cimport sort
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.cluster.departures cimport ask_store
from raylite._core.cluster.remote_actors cimport forget_afar, give_calls_back, make_actor_known, report_alive, \
    report_crash, report_end, send_calls_away
from raylite._core.envelope cimport Blob, blob_copy, blob_data, blob_drop, blob_keep, envelope_pickle, envelope_valid, \
    EnvelopeHeader, KIND_SYSTEM_ERROR, KIND_VALUE, system_error
from raylite._core.ids cimport ACTOR_INDEX, object_id, ObjectId, TaskId
from raylite._core.message cimport ACTOR_DETACHED, ACTOR_PLACED_ON_CPU, ACTOR_REPLAYS, ActorHeader, CMD_STOP, Cursor, \
    KILL_NO_RESTART, STOP_KILL, SUBMIT_RESTORES, take, take_padded
from raylite._core.node.actor_calls cimport call_comes_back, send_calls, want_service
from raylite._core.node.actor_table cimport ACTOR_ALIVE, ACTOR_DEAD, ACTOR_RESTARTING, ActorRow, actors_add, \
    actors_erase, actors_find, add_all, CallGroup, CallList
from raylite._core.node.execution cimport fail_task, resolve
from raylite._core.node.history cimport history_add_actor
from raylite._core.node.local_scheduler cimport ready_remove, Worker, worker_find, worker_run
from raylite._core.node.objects cimport ObjectRow, objects_add, objects_find, REACH_EXPOSED
from raylite._core.node.references cimport client_holds, drop_value, retire_task, store_blob
from raylite._core.node.replay cimport end_repetition, forget_calls, is_logged, replays, resume, rewind
from raylite._core.node.resources cimport resources_lend
from raylite._core.node.retries cimport retry
from raylite._core.node.state cimport emit, ERROR_ACTOR_DIED, ERROR_ACTOR_INIT, ERROR_ACTOR_UNAVAILABLE, \
    ERROR_SPAWN_FAILED, ERROR_TASK_CANCELLED, set_state
from raylite._core.node.task_table cimport CANCEL_KILLS, REPLAY_NOT, REPLAY_STATE, TASK_BLOCKED, TASK_CANCELLED, \
    TASK_FAILED, TASK_FINISHED, TASK_READY, TASK_RUNNING, TASK_SPILLED, TASK_WAITING, tasks_find
from raylite._core.store.message cimport OP_ACTOR_KILL


# ---- making ----------------------------------------------------------------------------------------------------

cdef bint take_actor(Cursor* c, ActorRequest* out) noexcept nogil:
    """Read what a submission says of an actor. False if it is malformed."""
    cdef uint32_t i
    out.header = <const ActorHeader*> take(c, sizeof(ActorHeader))
    if out.header == NULL or out.header.max_restarts < -1 or out.header.n_groups == 0 \
            or out.header.n_groups > GROUPS_MOST:
        return False
    out.groups = <const uint32_t*> take_padded(c, 4 * <uint64_t> out.header.n_groups)
    out.name = take_padded(c, out.header.name_size)
    out.handle = take_padded(c, out.header.handle_size)
    if c.failed or not envelope_valid(out.handle, out.header.handle_size) \
            or (<const EnvelopeHeader*> out.handle).kind != KIND_VALUE:
        return False
    for i in range(out.header.n_groups):
        if out.groups[i] == 0:
            return False
    return out.header.flags & ACTOR_REPLAYS == 0 or out.header.n_groups == 1 and out.groups[0] == 1


cdef bint actor_is_known(NodeState* n, TaskId id) noexcept nogil:
    """Whether the id is of an actor that was made, and may have ended: it is made once only."""
    return actors_find(&n.actors, id) != NULL


cdef bint name_is_taken(NodeState* n, const ActorRequest* request) noexcept nogil:
    return request.header.name_size != 0 and n.actors.names.count(string(request.name, request.header.name_size)) != 0


cdef void fill_actor(NodeState* n, TaskRow* row, ActorRow* actor, const ActorRequest* request) noexcept nogil:
    """What the task that makes an actor says of it. Calls may be waiting in its lists."""
    cdef CallGroup group = CallGroup(0, 0, CallList(NULL, NULL, 0), CallList(NULL, NULL, 0), NULL)
    cdef uint32_t i
    row.actor = row.id
    actor.function = row.function
    actor.made_ns = n.now_ns
    actor.job = row.job
    actor.shape = row.shape
    actor.shape_serial = n.scheduler.resources.shapes[row.shape].serial
    class_name(n, row.function, &actor.class_name)
    if actor.handle == NULL:
        actor.handle = blob_copy(request.handle, request.header.handle_size)
    actor.flags = <unsigned char> request.header.flags
    n.any_replays |= replays(actor)
    actor.restarts_left = request.header.max_restarts
    actor.max_pending = request.header.max_pending
    for i in range(request.header.n_groups):
        if i == actor.groups.size():
            actor.groups.push_back(group)
        actor.groups[i].limit = request.groups[i]
    actor.name = string(request.name, request.header.name_size)


cdef void add_actor(NodeState* n, TaskRow* row, const ActorRequest* request, uint32_t client) noexcept nogil:
    cdef ActorRow* actor = actors_add(&n.actors, row.id)
    cdef ObjectRow* object = objects_add(&n.objects, object_id(row.id, ACTOR_INDEX))
    fill_actor(n, row, actor, request)
    if not actor.name.empty() and not n.cluster.joined:
        n.actors.names[actor.name] = actor.id
    client_holds(n, object, client)
    object.kept = actor.flags & ACTOR_DETACHED != 0 and not n.cluster.joined
    drop_value(n, object)         # asked for before it was known, it was an error
    store_blob(n, object, blob_keep(actor.handle))
    if n.cluster.joined:
        make_actor_known(n, row, actor)


cdef void class_name(NodeState* n, ObjectId function, string* out) noexcept nogil:
    cdef Blob* name
    if n.functions.count(function):
        name = n.functions[function].name
        out.assign(blob_data(name), name.size)


cdef ObjectRow* actor_object(NodeState* n, TaskId id) noexcept nogil:
    """The object of an actor: made again if its last handle is gone and it has not ended. NULL if there is no actor."""
    cdef ActorRow* actor = actors_find(&n.actors, id)
    cdef ObjectRow* object = objects_find(&n.objects, object_id(id, ACTOR_INDEX))
    if actor != NULL and object == NULL and actor.handle != NULL:
        object = objects_add(&n.objects, object_id(id, ACTOR_INDEX))
        store_blob(n, object, blob_keep(actor.handle))
        if n.cluster.joined:
            object.reach |= REACH_EXPOSED
        else:
            actor.ending = False
    return object


cdef ObjectId actor_by_name(NodeState* n, uint32_t client, const char* name, uint64_t size) noexcept nogil:
    """The object of the actor of this full name, held by the client from now on; index 0 if there is none."""
    cdef ObjectRow* object
    cdef string full_name = string(name, size)
    if n.actors.names.count(full_name) == 0:
        return object_id(TaskId(0, 0), 0)
    object = actor_object(n, n.actors.names[full_name])
    client_holds(n, object, client)
    return object.id


# ---- what went wrong -------------------------------------------------------------------------------------------

cdef void describe(NodeState* n, const ActorRow* actor, string* out) noexcept nogil:
    """Class, actor id in hexadecimal, full name, process: each ended by 0x1f."""
    cdef char text[64]
    cdef const unsigned char* id = <const unsigned char*> &actor.id
    cdef size_t i
    out.append(actor.class_name)
    out.append(b"\x1f")
    for i in range(sizeof(TaskId)):
        snprintf(text, 64, "%02x", id[i])
        out.append(<const char*> text)
    out.append(b"\x1f")
    out.append(actor.name)
    snprintf(text, 64, "\x1f%u\x1f", actor.process)
    out.append(<const char*> text)


cdef Blob* actor_error(NodeState* n, const ActorRow* actor, uint32_t code, const char* why, uint64_t size) \
        noexcept nogil:
    cdef string text
    describe(n, actor, &text)
    text.append(string(why, size))
    return system_error(code, text.data(), text.size())


cdef Blob* died(NodeState* n, const ActorRow* actor, const char* why) noexcept nogil:
    cdef string text = string(why)
    return actor_error(n, actor, ERROR_ACTOR_DIED, text.data(), text.size())


cdef Blob* death_of(NodeState* n, TaskId id) noexcept nogil:
    """What a call of this actor gets if it is dead or not known; NULL if it is neither."""
    cdef ActorRow* actor = actors_find(&n.actors, id)
    cdef ActorRow unknown
    if actor == NULL:
        unknown.id = id
        unknown.process = 0
        return died(n, &unknown, b"it is not known here: its last handle was released before")
    if actor.state == ACTOR_DEAD:
        return blob_keep(actor.death)
    return NULL


# ---- ending ----------------------------------------------------------------------------------------------------

cdef void fail_calls(NodeState* n, ActorRow* actor) noexcept nogil:
    """Every call that has not ended gets the actor's death, in the order of the ids."""
    cdef vector[TaskId] calls
    cdef TaskRow* row
    cdef size_t i
    for caller in actor.callers:
        add_all(&caller.second, &calls)
    add_all(&actor.waiting, &calls)
    for i in range(actor.groups.size()):
        add_all(&actor.groups[i].ready, &calls)
        add_all(&actor.groups[i].sent, &calls)
    add_all(&actor.again, &calls)
    sort(calls.begin(), calls.end())
    for i in range(calls.size()):
        row = tasks_find(&n.tasks, calls[i])
        if row.replay == REPLAY_STATE:
            end_repetition(n, row, actor.death)
        elif row.cancelled:
            fail_task(n, row, system_error(ERROR_TASK_CANCELLED, b"cancelled", 9), TASK_CANCELLED)
        else:
            fail_task(n, row, blob_keep(actor.death), TASK_FAILED)
    forget_calls(n, actor)


cdef void end_creation(NodeState* n, ActorRow* actor) noexcept nogil:
    """The task that creates the actor is needed no more. One that runs ends with its worker."""
    cdef TaskRow* row = tasks_find(&n.tasks, actor.id)
    if row == NULL:
        return
    if (row.state == TASK_RUNNING or row.state == TASK_BLOCKED) and worker_find(&n.scheduler, row.worker) != NULL:
        row.cancelled = CANCEL_KILLS
        stop_worker(n, row.worker, STOP_KILL)
        return
    if row.state == TASK_READY:
        ready_remove(&n.scheduler, row)
    if row.state != TASK_FINISHED:
        set_state(n, row, TASK_CANCELLED, 0)
    retire_task(n, row)


cdef void stop_worker(NodeState* n, uint32_t client, uint32_t flags) noexcept nogil:
    cdef Worker* w = worker_find(&n.scheduler, client)
    if w == NULL:
        return
    w.stopping = True
    emit(n, CMD_STOP, client, NULL).flags = <unsigned short> flags


cdef bint is_made_here(NodeState* n, const ActorRow* actor) noexcept nogil:
    """Whether the task that creates it is this node's business."""
    cdef TaskRow* row = tasks_find(&n.tasks, actor.id)
    return row != NULL and not (row.state == TASK_SPILLED and row.runs_at)


cdef void actor_dies(NodeState* n, ActorRow* actor, Blob* death, uint32_t stop_flags) noexcept nogil:
    """The actor is no more. Takes over the hold of `death`. A row that nobody has a handle of goes at once."""
    cdef uint32_t worker = actor.worker
    cdef bint runs_here = worker != 0 or is_made_here(n, actor)
    if actor.state == ACTOR_DEAD:
        blob_drop(death)
        return
    actor.state = ACTOR_DEAD
    actor.death = death
    actor.node = 0
    if n.cluster.joined and runs_here:
        report_end(n, actor)
    actor.worker = 0
    if not actor.name.empty():
        n.actors.names.erase(actor.name)
    if actor.flags & ACTOR_DETACHED:
        let_go(n, objects_find(&n.objects, object_id(actor.id, ACTOR_INDEX)))
    end_creation(n, actor)
    fail_calls(n, actor)
    stop_worker(n, worker, stop_flags)
    if n.cluster.joined and objects_find(&n.objects, object_id(actor.id, ACTOR_INDEX)) == NULL:
        actor.ending = True
    if actor.ending:
        want_service(n, actor)


cdef void let_go(NodeState* n, ObjectRow* object) noexcept nogil:
    """A detached actor is dead: its object is there for those who have a handle."""
    if object != NULL:
        object.kept = False
        n.unsettled.push_back(object.id)


cdef void on_kill(NodeState* n, const Message* m) noexcept nogil:
    """Kill an actor; with a restart left, unless that is not wanted, it comes back."""
    cdef ActorRow* actor = actors_find(&n.actors, m.object.task)
    cdef TaskRow* creation
    if n.cluster.joined:
        ask_store(n, OP_ACTOR_KILL, object_id(m.object.task, ACTOR_INDEX), NULL)
        n.cluster.operations.back().flags = m.flags
        return
    if actor == NULL or actor.state == ACTOR_DEAD:
        return
    if m.flags & KILL_NO_RESTART or actor.restarts_left == 0:
        actor_dies(n, actor, died(n, actor, b"it was killed by kill()"), STOP_KILL)
    elif actor.state == ACTOR_ALIVE:
        stop_worker(n, actor.worker, STOP_KILL)
    else:
        creation = tasks_find(&n.tasks, actor.id)
        if creation.state == TASK_RUNNING or creation.state == TASK_BLOCKED:
            stop_worker(n, creation.worker, STOP_KILL)


cdef void actor_exits(NodeState* n, TaskId id) noexcept nogil:
    """One of its calls asked for it. Its process ends in its own time."""
    cdef ActorRow* actor = actors_find(&n.actors, id)
    if actor != NULL:
        actor_dies(n, actor, died(n, actor, b"it left by exit_actor()"), 0)


cdef void actor_unreferenced(NodeState* n, TaskId id) noexcept nogil:
    """Its last handle is gone."""
    cdef ActorRow* actor = actors_find(&n.actors, id)
    if actor == NULL:
        return
    if not n.cluster.joined:      # there, others may have handles
        actor.ending = True
    want_service(n, actor)


cdef bint is_known_only(NodeState* n, const ActorRow* actor) noexcept nogil:
    """Whether the actor is another node's, and nobody here can call it any more."""
    return n.cluster.joined and actor.worker == 0 and tasks_find(&n.tasks, actor.id) == NULL \
        and objects_find(&n.objects, object_id(actor.id, ACTOR_INDEX)) == NULL


cdef void end_if_done(NodeState* n, ActorRow* actor) noexcept nogil:
    cdef TaskRow* creation
    if actor.n_unfinished == 0 and is_known_only(n, actor):
        forget_afar(n, actor)
        return
    if not actor.ending or actor.n_unfinished:
        return
    if n.cluster.joined and actor.worker == 0 and actor.state != ACTOR_DEAD and not is_made_here(n, actor):
        return                    # another node sees to that
    if actor.state != ACTOR_DEAD:
        creation = tasks_find(&n.tasks, actor.id)
        if creation != NULL and (creation.state == TASK_RUNNING or creation.state == TASK_BLOCKED):
            return                # it will have begun for a purpose
        actor_dies(n, actor, died(n, actor, b"all handles of it are gone"), 0)
    if objects_find(&n.objects, object_id(actor.id, ACTOR_INDEX)) != NULL:
        return
    history_add_actor(&n.history, actor)
    if n.cluster.joined:
        forget_afar(n, actor)
    else:
        actors_erase(&n.actors, actor)


cdef void serve_actors(NodeState* n) noexcept nogil:
    """Send calls that can be sent; end actors that nobody can call and that have no call left."""
    cdef ActorRow* actor
    cdef size_t i = 0
    while i < n.actors.to_serve.size():       # it may grow
        actor = actors_find(&n.actors, n.actors.to_serve[i])
        i += 1
        if actor != NULL:
            actor.wanted = False
            if actor.node:
                send_calls_away(n, actor)
            else:
                send_calls(n, actor)
            end_if_done(n, actor)
    n.actors.to_serve.clear()


# ---- the task that creates it ----------------------------------------------------------------------------------

cdef void settle_in(NodeState* n, ActorRow* actor, TaskRow* row, Worker* w) noexcept nogil:
    """The worker is the actor's: what it runs on is held for life, but for a CPU that was needed to place it only."""
    w.life = worker_run(w, row.id)[0]         # which may be waiting, in another of its threads
    w.keeps_cpu = actor.flags & ACTOR_PLACED_ON_CPU == 0
    if not w.keeps_cpu and not w.life.lent:
        resources_lend(&n.scheduler.resources, w.life.shape)
        w.life.lent = True
    w.settled = True
    w.running.clear()
    w.backlog_ns = 0


cdef void creation_ended(NodeState* n, TaskRow* row, Worker* w, const char* error) noexcept nogil:
    """`__init__` has returned, or raised: then `error` is an envelope of the words that say what."""
    cdef ActorRow* actor = actors_find(&n.actors, row.id)
    cdef Blob* death
    n.dispatch_wanted = True
    if row.cancelled or actor == NULL:        # it was killed meanwhile: its worker is on its way out
        return
    settle_in(n, actor, row, w)
    if error != NULL:
        death = actor_error(n, actor, ERROR_ACTOR_INIT, envelope_pickle(error),
                            (<const EnvelopeHeader*> error).pickle_size)
        set_state(n, row, TASK_FAILED, 0)
        row.error = blob_keep(death)
        retire_task(n, row)
        actor.worker = w.client
        actor_dies(n, actor, death, 0)
        return
    set_state(n, row, TASK_FINISHED, 0)
    if n.cluster.joined:
        report_alive(n, actor, row)
    if actor.restarts_left == 0 or n.cluster.joined:
        retire_task(n, row)
    actor.state = ACTOR_ALIVE
    actor.worker = w.client
    actor.process = w.process
    want_service(n, actor)


cdef void creation_failed(NodeState* n, TaskRow* row, Blob* error) noexcept nogil:
    """It never ran: an argument is an error, or no process could be started. Takes over the hold of `error`."""
    cdef ActorRow* actor = actors_find(&n.actors, row.id)
    cdef const EnvelopeHeader* head = <const EnvelopeHeader*> blob_data(error)
    cdef string why = string(b"it could not be created: an argument of its __init__ is an error")
    cdef uint32_t code = 0
    if row.flags & SUBMIT_RESTORES:
        why.assign(b"it could not be restored: its checkpoint is lost")
    if head.kind == KIND_SYSTEM_ERROR:
        memcpy(&code, envelope_pickle(blob_data(error)), 4)
    if code == ERROR_SPAWN_FAILED:
        why.assign(b"it could not be created: no process could be started: ")
        why.append(envelope_pickle(blob_data(error)) + 4, head.pickle_size - 4)
    set_state(n, row, TASK_FAILED, 0)
    row.error = blob_keep(error)
    retire_task(n, row)
    if actor != NULL:
        actor_dies(n, actor, actor_error(n, actor, ERROR_ACTOR_DIED, why.data(), why.size()), 0)
    blob_drop(error)


cdef void restart(NodeState* n, ActorRow* actor) noexcept nogil:
    cdef TaskRow* row = tasks_find(&n.tasks, actor.id)
    if actor.restarts_left > 0:
        actor.restarts_left -= 1
    actor.n_restarts += 1
    actor.state = ACTOR_RESTARTING
    actor.worker = 0
    row.attempt += 1
    row.worker = 0
    set_state(n, row, TASK_WAITING, 0)
    resolve(n, row)


cdef void lose_call(NodeState* n, ActorRow* actor, TaskRow* row, const char* why, uint64_t size) noexcept nogil:
    """The call ran when the process died, and the actor comes back."""
    if row.cancelled:
        fail_task(n, row, system_error(ERROR_TASK_CANCELLED, b"cancelled", 9), TASK_CANCELLED)
    elif row.retries_left:
        retry(n, row)
    else:
        fail_task(n, row, actor_error(n, actor, ERROR_ACTOR_UNAVAILABLE, why, size), TASK_FAILED)


cdef void actor_lost(NodeState* n, ActorRow* actor, uint64_t started, const char* why, uint64_t why_size) \
        noexcept nogil:
    """Its process died; messages up to position `started` had been begun."""
    cdef vector[pair[uint64_t, TaskId]] sent
    cdef vector[TaskId] lost
    cdef TaskRow* row
    cdef TaskRow* previous
    cdef size_t i
    for i in range(actor.groups.size()):
        row = actor.groups[i].sent.tail
        while row != NULL:
            previous = row.previous
            if row.position > started and not row.cancelled and row.replay == REPLAY_NOT:
                call_comes_back(n, actor, row)
            else:
                sent.push_back(pair[uint64_t, TaskId](row.position, row.id))
            row = previous
    if actor.restarts_left == 0:
        actor_dies(n, actor, actor_error(n, actor, ERROR_ACTOR_DIED, why, why_size), 0)
        return
    sort(sent.begin(), sent.end())
    if is_logged(n, actor):
        rewind(n, actor, &sent, started, &lost)
    else:
        for i in range(sent.size()):
            lost.push_back(sent[i].second)
    for i in range(lost.size()):
        lose_call(n, actor, tasks_find(&n.tasks, lost[i]), why, why_size)
    if n.cluster.joined:
        leave(n, actor, why, why_size)
    else:
        restart(n, actor)
        resume(n, actor)


cdef void leave(NodeState* n, ActorRow* actor, const char* why, uint64_t why_size) noexcept nogil:
    """The control store says where it starts again."""
    cdef TaskRow* creation = tasks_find(&n.tasks, actor.id)
    cdef Blob* error = actor_error(n, actor, ERROR_ACTOR_DIED, why, why_size)
    if creation != NULL:
        actor.epoch = creation.epoch
        actor.attempt = creation.attempt
        set_state(n, creation, TASK_FAILED, 0)
        retire_task(n, creation)
    give_calls_back(n, actor)
    report_crash(n, actor, error)
    blob_drop(error)
