"""Actors in a shard: where each runs, who wants to know, what becomes of it when it or its node ends.

An actor's id is that of the task that creates it, whose row stays, with its holds, as long as the actor may have to be
made again: that is giving the task to a node under a new epoch. Handles are holders of the object (task, ACTOR_INDEX).
"""
from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memset, strlen
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.envelope cimport align8, Blob, blob_copy, blob_data, blob_drop, envelope_valid, system_error
from raylite._core.ids cimport ACTOR_INDEX, object_id, ObjectId
from raylite._core.message cimport ACTOR_DETACHED, KILL_NO_RESTART, take, take_padded
from raylite._core.node.state cimport ERROR_ACTOR_DIED
from raylite._core.store.actor_log cimport append_log, drop_log, fail_log
from raylite._core.store.directory cimport drop_name
from raylite._core.store.message cimport *
from raylite._core.store.objects cimport hold_here, known_object
from raylite._core.store.state cimport discard, find_actor, find_object, find_task, includes, is_alive, is_node, \
    node_holder, StoredObject, StoredTask
from raylite._core.store.streams cimport answer, begin_out, put_out
from raylite._core.store.tasks cimport end_task, run_again


cdef Blob* died_of(const char* why) noexcept nogil:
    return system_error(ERROR_ACTOR_DIED, why, strlen(why))


cdef StoredActor* row_of(StoreState* s, TaskId id) noexcept nogil:
    cdef StoredActor* actor = &s.actors[id]
    actor.id = id
    return actor


cdef void erase_actor(StoreState* s, StoredActor* actor) noexcept nogil:
    blob_drop(actor.handle)
    blob_drop(actor.death)
    drop_log(actor)
    s.actors.erase(actor.id)


# ---- who wants to know -----------------------------------------------------------------------------------------

cdef void tell(StoreState* s, uint64_t watcher, const StoredActor* actor, bint with_handle) noexcept nogil:
    cdef ActorNotice notice
    cdef StoredTask* t = find_task(s, actor.id)
    cdef uint64_t at = 0
    cdef string* out = begin_out(s, watcher, ENTRY_ACTOR, 0, object_id(actor.id, ACTOR_INDEX), &at)
    if out == NULL:
        return
    memset(&notice, 0, sizeof(ActorNotice))
    notice.state = actor.state
    notice.address = <uint32_t> (actor.node >> 32)
    notice.incarnation = <uint32_t> actor.node
    notice.epoch = t.epoch if t != NULL else 0
    notice.n_restarts = actor.n_restarts
    notice.flags = actor.flags
    notice.death_size = <uint32_t> actor.death.size if actor.death != NULL else 0
    notice.handle_size = <uint32_t> actor.handle.size if with_handle and actor.handle != NULL else 0
    out.append(<const char*> &notice, sizeof(ActorNotice))
    if notice.death_size:
        out.append(blob_data(actor.death), notice.death_size)
        out.append(align8(notice.death_size) - notice.death_size, <char> 0)
    if notice.handle_size:
        out.append(blob_data(actor.handle), notice.handle_size)
    end_item(out, at)


cdef void notify(StoreState* s, const StoredActor* actor) noexcept nogil:
    cdef size_t i
    for i in range(actor.watchers.size()):
        tell(s, actor.watchers[i], actor, False)


cdef void on_actor_watch(StoreState* s, const StoreOp* op) noexcept nogil:
    cdef StoredActor* actor = find_actor(s, op.object.task)
    cdef StoredActor gone
    if actor == NULL and find_object(s, object_id(op.object.task, ACTOR_INDEX)) != NULL:
        actor = row_of(s, op.object.task)
    if actor != NULL:
        if not includes(&actor.watchers, s.asking):
            actor.watchers.push_back(s.asking)
        tell(s, s.asking, actor, True)
        return
    gone.id = op.object.task
    gone.node = 0
    gone.n_restarts = gone.flags = 0
    gone.handle = NULL
    gone.state = STORED_ACTOR_DEAD
    gone.death = died_of(b"it is not known to the control store: its last handle was released before")
    tell(s, s.asking, &gone, False)
    blob_drop(gone.death)


cdef void on_actor_unwatch(StoreState* s, const StoreOp* op) noexcept nogil:
    cdef StoredActor* actor = find_actor(s, op.object.task)
    if actor != NULL:
        discard(&actor.watchers, s.asking)


# ---- made ------------------------------------------------------------------------------------------------------

cdef bint on_actor(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    cdef const ActorRecord* h = <const ActorRecord*> take(body, sizeof(ActorRecord))
    cdef const char* name
    cdef const char* handle
    cdef StoredActor* actor
    if h == NULL or not is_node(s.asking):
        return False
    name = take_padded(body, h.name_size)
    handle = take_padded(body, h.handle_size)
    if body.failed or find_task(s, op.object.task) == NULL:
        return False
    known_object(s, object_id(op.object.task, ACTOR_INDEX), STORED_PENDING)
    hold_here(s, object_id(op.object.task, ACTOR_INDEX), node_holder(s.asking))
    actor = row_of(s, op.object.task)
    if not actor.known:
        actor.known = True
        actor.max_restarts = h.max_restarts
        actor.flags = h.flags
        actor.name.assign(name, h.name_size)
        actor.handle = blob_copy(handle, h.handle_size)
        if actor.killed:
            die(s, actor, died_of(b"it was killed before it was made"))
    answer(s, op, STORE_OK, NULL, 0)
    return True


cdef bint actor_needs_creation(StoreState* s, TaskId id) noexcept nogil:
    cdef StoredActor* actor = find_actor(s, id)
    return actor != NULL and actor.state != STORED_ACTOR_DEAD


cdef uint64_t place_for(StoreState* s, const StoredActor* actor, const StoredTask* t) noexcept nogil:
    """Which node makes the actor again: its home, else who watches it, has a handle, or is alive at all; else 0."""
    cdef StoredObject* handles = find_object(s, object_id(actor.id, ACTOR_INDEX))
    cdef size_t i
    if is_alive(s, t.home):
        return t.home
    for i in range(actor.watchers.size()):
        if is_alive(s, actor.watchers[i]):
            return actor.watchers[i]
    if handles != NULL:
        for key in handles.holders:
            if key.kind == HOLDER_NODE and is_alive(s, key.lo):
                return key.lo
    for node in s.alive:
        return party_key(node.first, node.second)
    return 0


cdef void make_again(StoreState* s, StoredActor* actor) noexcept nogil:
    cdef StoredTask* t = find_task(s, actor.id)
    cdef uint64_t place
    if t == NULL:
        die(s, actor, died_of(b"the task that makes it is not known to the control store"))
        return
    place = place_for(s, actor, t)
    actor.waits = place == 0
    if place:
        run_again(s, t, place)


cdef void make_waiting_actors(StoreState* s) noexcept nogil:
    """There is a node."""
    cdef vector[TaskId] waiting
    cdef size_t i
    for entry in s.actors:
        if entry.second.waits:
            waiting.push_back(entry.first)
    for i in range(waiting.size()):
        make_again(s, find_actor(s, waiting[i]))


# ---- ended -----------------------------------------------------------------------------------------------------

cdef void die(StoreState* s, StoredActor* actor, Blob* why) noexcept nogil:
    """For good. Takes over the hold of what it died of. The row stays while there are handles, to tell of it."""
    cdef StoredTask* t = find_task(s, actor.id)
    cdef StoredObject* handles = find_object(s, object_id(actor.id, ACTOR_INDEX))
    actor.state = STORED_ACTOR_DEAD
    actor.node = 0
    actor.waits = False
    actor.death = why
    fail_log(s, actor, why)
    notify(s, actor)
    if not actor.name.empty():
        drop_name(s, actor.id, &actor.name)
    if t != NULL:
        end_task(s, t)
    if handles == NULL or handles.n_keeping == 0:
        erase_actor(s, actor)


cdef void crash(StoreState* s, StoredActor* actor, Blob* why) noexcept nogil:
    """It ended against its will. Takes over the hold of what it died of."""
    actor.node = 0
    if actor.ending or actor.max_restarts >= 0 and actor.n_restarts >= <uint32_t> actor.max_restarts:
        die(s, actor, why)
        return
    blob_drop(why)
    actor.n_restarts += 1
    actor.state = STORED_ACTOR_RESTARTING
    notify(s, actor)
    make_again(s, actor)


cdef void come_alive(StoreState* s, StoredActor* actor, StoredTask* t) noexcept nogil:
    actor.state = STORED_ACTOR_ALIVE
    actor.node = s.asking
    end_task(s, t)
    notify(s, actor)
    if actor.ending:
        put_out(s, actor.node, ENTRY_ACTOR_END, END_UNREFERENCED, 0, object_id(actor.id, ACTOR_INDEX), NULL, 0)


cdef bint on_actor_report(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    """ALIVE, CRASHED, ENDED: of who has it under this epoch."""
    cdef const AttemptHeader* h = <const AttemptHeader*> take(body, sizeof(AttemptHeader))
    cdef StoredActor* actor = find_actor(s, op.object.task)
    cdef StoredTask* t = find_task(s, op.object.task)
    cdef uint16_t status = STORE_OK
    cdef string log
    if h == NULL or op.kind != OP_ACTOR_ALIVE and not envelope_valid(body.data, body.left):
        return False
    if actor == NULL or t == NULL:
        status = STORE_UNKNOWN
    elif actor.state == STORED_ACTOR_DEAD or t.epoch != h.epoch:
        status = STORE_STALE
    elif op.kind == OP_ACTOR_ALIVE:
        append_log(actor, &log)
        come_alive(s, actor, t)
    elif op.kind == OP_ACTOR_CRASHED:
        crash(s, actor, blob_copy(body.data, body.left))
    else:
        die(s, actor, blob_copy(body.data, body.left))
    answer(s, op, status, log.data(), log.size())
    return True


cdef void on_actor_kill(StoreState* s, const StoreOp* op) noexcept nogil:
    cdef StoredActor* actor = find_actor(s, op.object.task)
    cdef StoredTask* t = find_task(s, op.object.task)
    cdef ObjectId handles = object_id(op.object.task, ACTOR_INDEX)
    if actor == NULL and find_object(s, handles) != NULL:
        actor = row_of(s, op.object.task)
    if actor != NULL and not actor.known:
        actor.killed = actor.killed or op.flags & KILL_NO_RESTART
    elif actor != NULL and actor.state != STORED_ACTOR_DEAD:
        if op.flags & KILL_NO_RESTART:
            actor.max_restarts = <int> actor.n_restarts
        if actor.state == STORED_ACTOR_ALIVE:
            put_out(s, actor.node, ENTRY_ACTOR_END, END_KILLED if op.flags & KILL_NO_RESTART else END_RESTART, 0,
                    handles, NULL, 0)
        elif op.flags & KILL_NO_RESTART:
            if t != NULL:
                put_out(s, t.home, ENTRY_ACTOR_END, END_KILLED, 0, handles, NULL, 0)
            die(s, actor, died_of(b"it was killed"))
    answer(s, op, STORE_OK if actor != NULL else STORE_UNKNOWN, NULL, 0)


cdef void actor_unreferenced(StoreState* s, TaskId id) noexcept nogil:
    """No handle is left."""
    cdef StoredActor* actor = find_actor(s, id)
    cdef StoredTask* t = find_task(s, id)
    if actor == NULL or actor.known and actor.flags & ACTOR_DETACHED and actor.state != STORED_ACTOR_DEAD:
        return
    if not actor.known or actor.state == STORED_ACTOR_DEAD:
        erase_actor(s, actor)
    elif actor.waits:
        die(s, actor, died_of(b"its last handle was released"))
    elif not actor.ending:
        actor.ending = True
        put_out(s, actor.node if actor.node or t == NULL else t.home, ENTRY_ACTOR_END, END_UNREFERENCED, 0,
                object_id(id, ACTOR_INDEX), NULL, 0)


cdef void actor_condemned(StoreState* s, TaskId id) noexcept nogil:
    """Who would have made it known is dead."""
    cdef StoredActor* actor = find_actor(s, id)
    if actor != NULL and not actor.known:
        actor.known = True
        die(s, actor, died_of(b"the node that was to make it died"))


cdef void actor_lost_node(StoreState* s, TaskId id) noexcept nogil:
    crash(s, find_actor(s, id), died_of(b"the node that it ran on died"))


cdef void creation_forsaken(StoreState* s, TaskId id) noexcept nogil:
    """The home of the task that makes it died before it was made."""
    cdef StoredActor* actor = find_actor(s, id)
    cdef StoredTask* t = find_task(s, id)
    if actor == NULL:
        end_task(s, t)
    elif actor.ending:
        die(s, actor, died_of(b"its last handle was released"))
    else:
        make_again(s, actor)


cdef void on_actor_named(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    """Who claimed a name for the actor is dead: it is dropped unless the actor is there."""
    cdef StoredActor* actor = find_actor(s, op.object.task)
    cdef string name
    if actor != NULL and actor.known and actor.state != STORED_ACTOR_DEAD:
        return
    name.assign(body.data, body.left)
    drop_name(s, op.object.task, &name)
