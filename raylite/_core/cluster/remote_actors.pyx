"""Actors of a cluster: which node runs them, calls to those that run elsewhere, names that hold everywhere.

The control store knows of every actor and decides on restarts; the node that runs one reports that it is alive, crashed
or over; all nodes with calls or handles watch. A call belongs to the node that submits it, which keeps the order of
each caller's calls, and is sent like any task to where its actor runs; what has not begun when the actor moves comes
back and goes there. Here an actor that runs elsewhere has a row too: its lists are those of calls from here.
"""
from cython.operator cimport dereference as deref
from libc.string cimport memchr, memcpy
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.cluster.actor_log cimport is_known_beyond
from raylite._core.cluster.departures cimport ask_store, depart_to_store, tell
from raylite._core.cluster.exposure cimport expose_task
from raylite._core.cluster.guests cimport drop_guest
from raylite._core.cluster.message cimport NODE_RETURN
from raylite._core.cluster.remote_objects cimport foreign_object, touch
from raylite._core.cluster.spill cimport send_task
from raylite._core.envelope cimport align8, blob_copy, blob_data, blob_drop, blob_new, envelope_pickle, \
    envelope_valid, EnvelopeHeader, KIND_SYSTEM_ERROR
from raylite._core.ids cimport ACTOR_INDEX, hash_bytes, object_id
from raylite._core.message cimport CMD_READY, Cursor, STOP_KILL, SUBMIT_NAME_TAKEN, take, take_padded, write_padded
from raylite._core.node.actor_calls cimport call_comes_back, want_service
from raylite._core.node.actor_table cimport ACTOR_ALIVE, ACTOR_DEAD, ACTOR_PENDING, ACTOR_RESTARTING, actors_add, \
    actors_erase, actors_find, add_all, CallGroup, list_append, list_remove
from raylite._core.node.actors cimport actor_dies, actor_object, died, fill_actor, stop_worker
from raylite._core.node.execution cimport confirm, on_submit_claimed
from raylite._core.node.objects cimport object_hold, ObjectRow, objects_find, REACH_EXPOSED, REACH_HELD
from raylite._core.node.references cimport retire_task
from raylite._core.node.replay cimport replays
from raylite._core.node.state cimport emit, set_state
from raylite._core.node.task_table cimport LISTED_NOT, LISTED_SENT, TASK_FINISHED, TASK_SPILLED, tasks_find
from raylite._core.store.message cimport ActorNotice, ActorRecord, AttemptHeader, END_KILLED, END_UNREFERENCED, \
    NAME_OF_ACTOR, OP_ACTOR, OP_ACTOR_ALIVE, OP_ACTOR_CRASHED, OP_ACTOR_ENDED, OP_ACTOR_UNWATCH, OP_ACTOR_WATCH, \
    OP_NAME_CLAIM, OP_NAME_FIND, STORE_OK, STORED_ACTOR_ALIVE, STORED_ACTOR_DEAD, STORED_ACTOR_RESTARTING

cdef enum:
    CALLS_AWAY = 1024             # sent to another node and not ended


# ---- knowing of it ---------------------------------------------------------------------------------------------

cdef void watch_actor(NodeState* n, ActorRow* actor) noexcept nogil:
    if not actor.watched:
        actor.watched = True
        ask_store(n, OP_ACTOR_WATCH, object_id(actor.id, ACTOR_INDEX), NULL)


cdef ActorRow* actor_from_afar(NodeState* n, TaskId id) noexcept nogil:
    """The row of an actor; of one that runs elsewhere it is made when it is first called."""
    cdef ActorRow* actor = actors_find(&n.actors, id)
    if actor == NULL:
        actor = actors_add(&n.actors, id)
        actor.state = ACTOR_PENDING
        actor.max_pending = -1
    if actor.worker == 0 and tasks_find(&n.tasks, id) == NULL:
        watch_actor(n, actor)
    return actor


cdef void forget_afar(NodeState* n, ActorRow* actor) noexcept nogil:
    """Nobody here can call it any more."""
    if actor.watched:
        ask_store(n, OP_ACTOR_UNWATCH, object_id(actor.id, ACTOR_INDEX), NULL)
    actors_erase(&n.actors, actor)


cdef void make_actor_known(NodeState* n, TaskRow* row, ActorRow* actor) noexcept nogil:
    """An actor is made here: the store hears of it at once, with the task that makes it."""
    cdef size_t size = sizeof(ActorRecord) + align8(actor.name.size()) + align8(actor.handle.size)
    cdef ObjectRow* handles = objects_find(&n.objects, object_id(actor.id, ACTOR_INDEX))
    cdef Blob* body = blob_new(size)
    cdef ActorRecord* record = <ActorRecord*> blob_data(body)
    cdef char* at
    expose_task(n, row.id)
    record.max_restarts = actor.restarts_left
    record.flags = actor.flags
    record.name_size = <uint32_t> actor.name.size()
    record.handle_size = <uint32_t> actor.handle.size
    at = write_padded(<char*> (record + 1), actor.name.data(), actor.name.size())
    write_padded(at, blob_data(actor.handle), actor.handle.size)
    ask_store(n, OP_ACTOR, object_id(actor.id, ACTOR_INDEX), body)
    handles.reach |= REACH_EXPOSED | REACH_HELD
    watch_actor(n, actor)


# ---- running it ------------------------------------------------------------------------------------------------

cdef void host_creation(NodeState* n, TaskRow* row, const ActorRequest* request) noexcept nogil:
    """The task that makes the actor is to run here, for another home or again. The store may not know of it yet."""
    cdef ActorRow* actor = actors_find(&n.actors, row.id)
    if actor == NULL:
        actor = actors_add(&n.actors, row.id)
    fill_actor(n, row, actor, request)
    actor.node = 0
    actor.state = ACTOR_RESTARTING if row.attempt else ACTOR_PENDING
    if actor.restarts_left > 0:
        actor.restarts_left = max(actor.restarts_left - <int> row.attempt, 0)
    actor.n_restarts = row.attempt


cdef Blob* report(const ActorRow* actor, Blob* why) noexcept nogil:
    cdef Blob* body = blob_new(sizeof(AttemptHeader) + (why.size if why != NULL else 0))
    cdef AttemptHeader* head = <AttemptHeader*> blob_data(body)
    head.epoch = actor.epoch
    head.attempt = actor.attempt
    if why != NULL:
        memcpy(<char*> (head + 1), blob_data(why), why.size)
    return body


cdef void report_alive(NodeState* n, ActorRow* actor, const TaskRow* creation) noexcept nogil:
    """`__init__` has returned, here."""
    actor.epoch = creation.epoch
    actor.attempt = creation.attempt
    actor.awaits_log = replays(actor)
    ask_store(n, OP_ACTOR_ALIVE, object_id(actor.id, ACTOR_INDEX), report(actor, NULL))


cdef void report_over(NodeState* n, const ActorRow* actor, uint16_t kind, Blob* why) noexcept nogil:
    """That of one that replays comes after the ends of all its calls: what is on the log without an end has none."""
    if replays(actor):
        depart_to_store(n, kind, object_id(actor.id, ACTOR_INDEX), report(actor, why), NULL)
    else:
        ask_store(n, kind, object_id(actor.id, ACTOR_INDEX), report(actor, why))


cdef void report_end(NodeState* n, ActorRow* actor) noexcept nogil:
    """It is over for good."""
    report_over(n, actor, OP_ACTOR_ENDED, actor.death)


cdef void report_crash(NodeState* n, ActorRow* actor, Blob* why) noexcept nogil:
    """Its process died, and a restart is left: the store says where."""
    report_over(n, actor, OP_ACTOR_CRASHED, why)
    actor.state = ACTOR_RESTARTING
    actor.worker = 0
    watch_actor(n, actor)


cdef void give_calls_back(NodeState* n, ActorRow* actor) noexcept nogil:
    """The actor may come back elsewhere: what other nodes have sent here and has not begun is theirs again."""
    cdef vector[TaskId] calls
    cdef TaskRow* row
    cdef Message* m
    cdef size_t i
    for entry in actor.callers:
        add_all(&entry.second, &calls)
    add_all(&actor.waiting, &calls)
    for i in range(actor.groups.size()):
        add_all(&actor.groups[i].ready, &calls)
    for i in range(calls.size()):
        row = tasks_find(&n.tasks, calls[i])
        if row == NULL or not row.home:
            continue
        m = tell(n, row.home, NODE_RETURN, NULL)
        m.object = object_id(row.id, 0)
        m.attempt = row.attempt
        drop_guest(n, row)


# ---- calling it ------------------------------------------------------------------------------------------------

cdef bint has_calls_away(const ActorRow* actor) noexcept nogil:
    cdef size_t i
    for i in range(actor.groups.size()):
        if actor.groups[i].sent.size:
            return True
    return False


cdef void send_calls_away(NodeState* n, ActorRow* actor) noexcept nogil:
    """Send calls to the node that runs the actor; what came back waits for what was sent before it."""
    cdef CallGroup* group
    cdef TaskRow* row
    cdef size_t i
    if actor.draining and has_calls_away(actor):
        return
    actor.draining = False
    if actor.state != ACTOR_ALIVE or n.cluster.peers.count(actor.node) == 0:
        return
    for i in range(actor.groups.size()):
        group = &actor.groups[i]
        while group.ready.head != NULL and group.sent.size < CALLS_AWAY:
            row = group.ready.head
            list_remove(&group.ready, row)
            row.listed = LISTED_NOT
            if not is_known_beyond(n, actor, row):
                continue
            row.listed = LISTED_SENT
            list_append(&group.sent, row)
            group.n_running += 1
            set_state(n, row, TASK_SPILLED, 0)
            send_task(n, row, actor.node)


cdef void call_came_back(NodeState* n, TaskRow* row) noexcept nogil:
    """The node did not run it: the actor is not there, or not any more."""
    cdef ActorRow* actor = actors_find(&n.actors, row.actor)
    cdef uint32_t source = row.runs_at
    row.runs_at = 0
    actor.draining = True
    call_comes_back(n, actor, row)
    if actor.node == source:      # what the store has said may be older than that
        actor.node = 0
        actor.state = ACTOR_RESTARTING
        actor.watched = False
        watch_actor(n, actor)


cdef void actors_lost_node(NodeState* n, uint32_t address) noexcept nogil:
    """A node is gone: the store says what becomes of its actors."""
    for entry in n.actors.rows:
        if entry.second.node == address:
            n.actors.rows[entry.first].node = 0
            if entry.second.state == ACTOR_ALIVE:
                n.actors.rows[entry.first].state = ACTOR_RESTARTING


cdef void actors_of_node(NodeState* n, uint32_t address) noexcept nogil:
    """A node has become known: calls to its actors may be waiting."""
    for entry in n.actors.rows:
        if entry.second.node == address:
            want_service(n, &n.actors.rows[entry.first])


# ---- what the store says ---------------------------------------------------------------------------------------

cdef void runs_elsewhere(NodeState* n, ActorRow* actor, uint32_t address, uint32_t epoch) noexcept nogil:
    cdef TaskRow* creation = tasks_find(&n.tasks, actor.id)
    actor.node = address
    actor.epoch = epoch
    actor.state = ACTOR_ALIVE
    if creation != NULL and creation.state == TASK_SPILLED:
        set_state(n, creation, TASK_FINISHED, 0)
        retire_task(n, creation)
    want_service(n, actor)


cdef Blob* death_as_told(NodeState* n, const ActorRow* actor, const char* death, uint64_t size) noexcept nogil:
    """What calls get from now on. What the store says by itself does not say of which actor."""
    cdef const EnvelopeHeader* head = <const EnvelopeHeader*> death
    cdef string why
    if size == 0:
        return died(n, actor, b"it has ended")
    if head.kind == KIND_SYSTEM_ERROR and head.pickle_size >= 4:
        why.assign(envelope_pickle(death) + 4, head.pickle_size - 4)
    if why.empty() or memchr(why.data(), 0x1F, why.size()) != NULL:
        return blob_copy(death, size)
    return died(n, actor, why.c_str())


cdef bint on_actor_entry(NodeState* n, TaskId id, const char* body, uint64_t size) noexcept nogil:
    """What has become of an actor. False if it is malformed."""
    cdef Cursor c = Cursor(body, size, False)
    cdef const ActorNotice* notice = <const ActorNotice*> take(&c, sizeof(ActorNotice))
    cdef const char* death
    cdef const char* handle
    cdef ActorRow* actor = actors_find(&n.actors, id)
    if notice == NULL:
        return False
    death = take_padded(&c, notice.death_size)
    handle = take(&c, notice.handle_size)
    if c.failed or (notice.death_size and not envelope_valid(death, notice.death_size)) \
            or (notice.handle_size and not envelope_valid(handle, notice.handle_size)):
        return False
    if actor == NULL or actor.state == ACTOR_DEAD:
        return True
    if actor.handle == NULL and notice.handle_size:
        actor.handle = blob_copy(handle, notice.handle_size)
        actor.flags = <unsigned char> notice.flags
    if notice.state == STORED_ACTOR_DEAD:
        actor_dies(n, actor, death_as_told(n, actor, death, notice.death_size), STOP_KILL)
    elif actor.worker or notice.address == n.cluster.address:
        pass                      # this node knows best
    elif notice.state == STORED_ACTOR_ALIVE:
        runs_elsewhere(n, actor, notice.address, notice.epoch)
    elif tasks_find(&n.tasks, id) == NULL:
        actor.node = 0
        actor.state = ACTOR_RESTARTING if notice.state == STORED_ACTOR_RESTARTING else ACTOR_PENDING
    return True


cdef void on_actor_end_entry(NodeState* n, TaskId id, uint16_t how) noexcept nogil:
    """Nobody has a handle any more, or somebody kills it."""
    cdef ActorRow* actor = actors_find(&n.actors, id)
    if actor == NULL or actor.state == ACTOR_DEAD:
        return
    if how == END_UNREFERENCED:
        actor.ending = True
        want_service(n, actor)
    elif how == END_KILLED:
        actor_dies(n, actor, died(n, actor, b"it was killed by kill()"), STOP_KILL)
    elif actor.worker:
        stop_worker(n, actor.worker, STOP_KILL)


# ---- names -----------------------------------------------------------------------------------------------------

cdef ObjectId name_object(const char* name, uint64_t size) noexcept nogil:
    return object_id(hash_bytes(name, size, 0), 0)


cdef bint claim_name(NodeState* n, const Message* m, const char* payload, const ActorRequest* request) noexcept nogil:
    """An actor that is to have a name is made when the store has given it."""
    cdef uint64_t size = request.header.name_size
    cdef Blob* body = blob_new(sizeof(TaskId) + size)
    cdef uint64_t token
    memcpy(blob_data(body), &m.object.task, sizeof(TaskId))
    memcpy(blob_data(body) + sizeof(TaskId), request.name, size)
    token = ask_store(n, OP_NAME_CLAIM, name_object(request.name, size), body)
    n.cluster.operations.back().flags = NAME_OF_ACTOR
    n.cluster.claims[token].message = m[0]
    n.cluster.claims[token].payload = blob_copy(payload, m.size)
    return True


cdef void name_claimed(NodeState* n, uint64_t token, uint16_t status) noexcept nogil:
    it = n.cluster.claims.find(token)
    if it == n.cluster.claims.end():
        return
    if status == STORE_OK:
        on_submit_claimed(n, &deref(it).second.message, blob_data(deref(it).second.payload))
    else:
        confirm(n, &deref(it).second.message, SUBMIT_NAME_TAKEN)
    blob_drop(deref(it).second.payload)
    n.cluster.claims.erase(token)


cdef void find_name(NodeState* n, const Message* m, const char* name, uint64_t size) noexcept nogil:
    """A client asks for the actor of this name."""
    cdef uint64_t token = ask_store(n, OP_NAME_FIND, name_object(name, size), blob_copy(name, size))
    n.cluster.operations.back().flags = NAME_OF_ACTOR
    n.cluster.expected[token].client = m.client
    n.cluster.expected[token].request = m.request


cdef void name_found(NodeState* n, const Expected* asked, uint16_t status, const char* body,
                     uint64_t size) noexcept nogil:
    """The client that asked has a handle from now on."""
    cdef ObjectRow* handles
    cdef TaskId id
    if n.clients.count(asked.client) == 0:
        return
    if status != STORE_OK or size < sizeof(TaskId):
        emit(n, CMD_READY, asked.client, NULL).request = asked.request
        return
    memcpy(&id, body, sizeof(TaskId))
    handles = actor_object(n, id)
    if handles == NULL:
        handles = foreign_object(n, object_id(id, ACTOR_INDEX))
    object_hold(handles, asked.client)
    touch(n, handles)
    emit(n, CMD_READY, asked.client, blob_copy(<const char*> &id, sizeof(TaskId))).request = asked.request
