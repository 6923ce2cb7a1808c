"""The node: the composition of its state machines. handle() is the one way in, the list of commands the one way out.

Rules it keeps: an event is checked before anything changes; after each event the ready tasks are placed and what went
out of scope is freed; in a debug build every table is then checked against the others.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.string cimport memset
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.cluster.departures cimport drop_cluster
from raylite._core.cluster.events cimport hear, reach_out
from raylite._core.cluster.groups cimport ask_for_groups_later
from raylite._core.cluster.remote_objects cimport touch
from raylite._core.cluster.spill cimport ask_again_later, REFUSED_NS
from raylite._core.cluster.transfers cimport on_bytes
from raylite._core.envelope cimport blob_copy, blob_data, blob_drop, envelope_valid, EnvelopeHeader, KIND_FUNCTION, \
    KIND_SYSTEM_ERROR
from raylite._core.ids cimport ACTOR_INDEX, object_bytes, object_from_bytes, ObjectId, task_bytes
from raylite._core.message cimport *
from raylite._core.node.actors cimport actor_object, on_kill
from raylite._core.node.call_sites cimport call_site_number, on_call_site
from raylite._core.node.environments cimport on_environment, on_find_environment
from raylite._core.node.execution cimport announce_arrivals, on_finished, on_submit, on_yielded
from raylite._core.node.group_events cimport group_client_gone, on_group, on_groups, on_ungroup, serve_groups
from raylite._core.node.history cimport history_add_client, HISTORY_BYTES, history_clear, HISTORY_TASKS
from raylite._core.node.invariants cimport invariant_violation
from raylite._core.node.leases cimport forget_client_leases, lease_room, on_return, on_segment
from raylite._core.node.lineage cimport on_committed, on_expose, on_lost, rebuild_wanted
from raylite._core.node.local_scheduler cimport IDLE_NS, n_shared, STALL_NS, Worker, worker_find
from raylite._core.node.memory cimport on_memory_short
from raylite._core.node.objects cimport object_here, object_ready, OBJECT_RELEASED, object_unhold, object_unpin, \
    ObjectRow, objects_add, objects_find
from raylite._core.node.placement cimport dispatch, start_worker, stop_idle_worker
from raylite._core.node.recovery cimport on_cancel, on_declined, on_recalled, on_worker_gone
from raylite._core.node.references cimport client_gone, client_holds, drop_value, give_back_segments, refuse_value, \
    require_object, settle, store_blob, store_value
from raylite._core.node.replay cimport on_checkpoint
from raylite._core.node.reports cimport on_query
from raylite._core.node.requests cimport forget_client_requests, on_await_read, on_forget, on_get, on_next, on_wait
from raylite._core.node.retries cimport end_delays
from raylite._core.node.resources cimport resources_name, resources_provide, resources_setup, UNIT
from raylite._core.node.room cimport on_restored, on_spilled, room_deadline_ns, serve_room
from raylite._core.node.state cimport call_back_queue, Client, Command, Function, poison, read_names, read_sizes, \
    read_workers, reject, Sizes, WorkerReport
from raylite._core.node.story cimport StoryEntry
from raylite._core.node.task_table import state_names

cdef extern from *:
    """
    template <typename T> static T *raylite_new(T *) { return new T(); }
    template <typename T> static void raylite_delete(T *p) { delete p; }
    #ifdef RAYLITE_DEBUG
    #define RAYLITE_IS_DEBUG 1
    #else
    #define RAYLITE_IS_DEBUG 0
    #endif
    """
    NodeState* raylite_new(NodeState*) nogil
    void raylite_delete(NodeState*) nogil
    bint RAYLITE_IS_DEBUG


# ---- clients ---------------------------------------------------------------------------------------------------

cdef void on_attach(NodeState* n, const Message* m) noexcept nogil:
    cdef Client* client = &n.clients[m.client]
    cdef Worker* w = worker_find(&n.scheduler, m.client)
    client.id = m.client
    client.flags = m.flags
    client.process = <uint32_t> m.request
    client.attach_ns = n.now_ns
    if m.client > n.last_client:
        n.last_client = m.client
    if m.flags & CLIENT_DRIVER and n.driver == 0:
        n.driver = m.client
    if w != NULL:
        w.attached = True
        w.process = <uint32_t> m.request
        n.scheduler.n_failed_spawns = 0


cdef void on_detach(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    cdef const Client* client
    if n.clients.count(m.client):
        client = &n.clients[m.client]
        history_add_client(&n.history, m.client, client.flags, client.process, client.attach_ns, n.now_ns, payload,
                           m.size)
    forget_client_requests(n, m.client)
    forget_client_leases(n, m.client)
    client_gone(n, m.client)
    group_client_gone(n, m.client)
    on_worker_gone(n, m, payload)
    n.clients.erase(m.client)
    if n.driver == m.client:
        n.driver = 0


# ---- objects ---------------------------------------------------------------------------------------------------

cdef bint on_put(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const char* body = NULL
    cdef const ValueRecord* value = take_value(&c, &body)
    cdef ObjectRow* row
    if value == NULL:
        return False
    row = objects_add(&n.objects, m.object)
    client_holds(n, row, m.client)
    if object_here(row):
        refuse_value(n, m.client, value)
    else:
        row.call_site = call_site_number(n, m.aux)
        store_value(n, m.client, row, value, body)
    return True


cdef bint on_function(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """A function is an object like any other; its name is kept beside it."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const uint64_t* name_size = <const uint64_t*> take(&c, 8)
    cdef const char* name = take_padded(&c, name_size[0]) if name_size != NULL else NULL
    cdef ObjectRow* row
    cdef Function* f
    if c.failed or not envelope_valid(c.data, c.left) or (<const EnvelopeHeader*> c.data).kind != KIND_FUNCTION:
        return False
    row = objects_add(&n.objects, m.object)
    client_holds(n, row, m.client)
    if object_ready(row) and row.kind != KIND_SYSTEM_ERROR:
        return True
    drop_value(n, row)            # asked for before it was known, it was an error
    store_blob(n, row, blob_copy(c.data, c.left))
    f = &n.functions[m.object]
    if f.name == NULL:
        f.name = blob_copy(name, name_size[0])
    return True


cdef void on_hold(NodeState* n, const Message* m) noexcept nogil:
    cdef ObjectRow* row = actor_object(n, m.object.task) if m.object.index == ACTOR_INDEX else NULL
    if row == NULL:
        row = require_object(n, m.object)
    client_holds(n, row, m.client)
    if row.state == OBJECT_RELEASED:
        n.wanted.push_back(row.id)


cdef void on_release(NodeState* n, const Message* m) noexcept nogil:
    cdef ObjectRow* row = objects_find(&n.objects, m.object)
    if row != NULL and object_unhold(row, m.client):
        n.unsettled.push_back(m.object)


cdef void on_unpin(NodeState* n, const Message* m) noexcept nogil:
    cdef ObjectRow* row = objects_find(&n.objects, m.object)
    if row != NULL and object_unpin(row, m.client, False):
        n.unsettled.push_back(m.object)
        n.room.changed = True


cdef void on_keep(NodeState* n, const Message* m) noexcept nogil:
    cdef ObjectRow* row = require_object(n, m.object)
    row.kept = True
    touch(n, row)


# ---- time ------------------------------------------------------------------------------------------------------

cdef void on_tick(NodeState* n) noexcept nogil:
    """Take back queues that do not move; end surplus idle workers; see who has waited for room long enough."""
    cdef ordered_map[uint32_t, Worker].iterator it = n.scheduler.workers.begin()
    cdef vector[uint32_t] surplus
    cdef Worker* w
    cdef size_t i, n_staying = 0
    end_delays(n)
    ask_again_later(n)
    ask_for_groups_later(n)
    n.room.changed = not n.room.waiting.empty() or not n.room.gathering.empty()
    while it != n.scheduler.workers.end():
        w = &deref(it).second
        preincrement(it)
        n_staying += not w.stopping and not w.dedicated
        if not w.queue.empty() and n.now_ns >= w.progress_ns + STALL_NS:
            w.stalled = True
            call_back_queue(n, w)
    for i in range(n.scheduler.idle.size()):
        w = worker_find(&n.scheduler, n.scheduler.idle[i])
        if n_staying > n.scheduler.n_kept_idle and w.attached and n.now_ns >= w.progress_ns + IDLE_NS:
            surplus.push_back(w.client)
            n_staying -= 1
    for i in range(surplus.size()):
        stop_idle_worker(n, surplus[i])


cdef uint64_t node_deadline_ns(const NodeState* n) noexcept nogil:
    """By when the node wants an EV_TICK, or 0 if it does not care."""
    cdef uint64_t of_room = room_deadline_ns(n), other = other_deadline_ns(n)
    return of_room if of_room and (other == 0 or of_room < other) else other


cdef uint64_t other_deadline_ns(const NodeState* n) noexcept nogil:
    """By when, apart from who waits for room."""
    cdef uint64_t deadline_ns = 0
    if n.scheduler.n_queued:
        deadline_ns = n.now_ns + STALL_NS
    elif not n.cluster.refused.empty() or not n.cluster.hopeful.empty() or not n.cluster.strangers.empty():
        deadline_ns = n.now_ns + REFUSED_NS
    elif n_shared(&n.scheduler) > n.scheduler.n_kept_idle:
        deadline_ns = n.now_ns + IDLE_NS // 2
    if not n.delayed.empty() and (deadline_ns == 0 or deref(n.delayed.begin()).first < deadline_ns):
        return deref(n.delayed.begin()).first
    return deadline_ns


# ---- the one way in --------------------------------------------------------------------------------------------

cdef bint asks_well(const Message* m) noexcept nogil:
    """Whether a request is about whole ids, and its number not another client's (see request_key)."""
    return m.size % sizeof(ObjectId) == 0 and m.request >> 40 == 0


cdef bint route(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """Hand the event to its state machine. False if it is malformed."""
    if m.kind == EV_SUBMIT:
        return on_submit(n, m, payload)
    if m.kind == EV_FINISHED:
        return on_finished(n, m, payload)
    if m.kind == EV_GET:
        if not asks_well(m):
            return False
        on_get(n, m, payload)
    elif m.kind == EV_RELEASE:
        on_release(n, m)
    elif m.kind == EV_HOLD:
        on_hold(n, m)
    elif m.kind == EV_UNPIN:
        on_unpin(n, m)
    elif m.kind == EV_WAIT:
        if not asks_well(m):
            return False
        on_wait(n, m, payload)
    elif m.kind == EV_PUT:
        return on_put(n, m, payload)
    elif m.kind == EV_LEASE:
        if m.size != 8 or (<const uint64_t*> payload)[0] == 0:
            return False
        lease_room(n, m.client, m.request, (<const uint64_t*> payload)[0])
    elif m.kind == EV_YIELDED:
        return on_yielded(n, m, payload)
    elif m.kind == EV_NEXT:
        if not asks_well(m) or m.object.index == 0:
            return False
        on_next(n, m)
    elif m.kind == EV_FORGET:
        on_forget(n, m)
    elif m.kind == EV_FUNCTION:
        return on_function(n, m, payload)
    elif m.kind == EV_ATTACH:
        on_attach(n, m)
    elif m.kind == EV_DETACH:
        on_detach(n, m, payload)
    elif m.kind == EV_RECALLED:
        on_recalled(n, m)
    elif m.kind == EV_DECLINED:
        on_declined(n, m)
    elif m.kind == EV_CANCEL:
        on_cancel(n, m)
    elif m.kind == EV_AWAIT_READ:
        if not asks_well(m):
            return False
        on_await_read(n, m)
    elif m.kind == EV_KILL:
        on_kill(n, m)
    elif m.kind == EV_CHECKPOINT:
        return on_checkpoint(n, m, payload)
    elif m.kind == EV_TICK:
        on_tick(n)
    elif m.kind == EV_SEGMENT:
        on_segment(n, m)
    elif m.kind == EV_RETURN:
        if m.size != sizeof(Location):
            return False
        on_return(n, m, payload)
    elif m.kind == EV_LOST:
        on_lost(n, m)
    elif m.kind == EV_SPILLED:
        on_spilled(n, m)
    elif m.kind == EV_RESTORED:
        on_restored(n, m)
    elif m.kind == EV_QUERY:
        return on_query(n, m, payload)
    elif m.kind == EV_KEEP:
        on_keep(n, m)
    elif m.kind == EV_BYTES:
        on_bytes(n, m, payload)
    elif m.kind == EV_EXPOSE:
        on_expose(n, m)
    elif m.kind == EV_COMMITTED:
        on_committed(n, m)
    elif m.kind == EV_ENVIRONMENT:
        return on_environment(n, m, payload)
    elif m.kind == EV_FIND_ENVIRONMENT:
        on_find_environment(n, m)
    elif m.kind == EV_GROUP:
        return on_group(n, m, payload)
    elif m.kind == EV_UNGROUP:
        on_ungroup(n, m)
    elif m.kind == EV_CALL_SITE:
        return on_call_site(n, m, payload)
    elif m.kind == EV_MEMORY_SHORT:
        return on_memory_short(n, m, payload)
    elif m.kind == EV_GROUPS:
        on_groups(n, m, payload)
    else:
        return False
    return True


cdef void follow_up(NodeState* n) noexcept nogil:
    """Objects arrive, lost ones are made again, and what went out of scope is freed, until nothing follows any more."""
    while not n.arrived.empty() or not n.wanted.empty() or not n.unsettled.empty():
        announce_arrivals(n)
        rebuild_wanted(n)
        settle(n)


cdef void finish_event(NodeState* n) noexcept nogil:
    """All that follows from an event, of any kind."""
    cdef string wrong
    follow_up(n)
    while (n.dispatch_wanted or n.room.changed) and n.fault.empty():
        if n.room.changed:
            serve_room(n)
            follow_up(n)
            continue
        serve_groups(n)
        dispatch(n)
        follow_up(n)
    if n.cluster.joined:
        reach_out(n)
    give_back_segments(n)
    n.n_events += 1
    if n.debug and n.n_events % (1 + (n.tasks.rows.size() + n.objects.rows.size()) // 64) == 0:
        invariant_violation(n, &wrong)
        if not wrong.empty():
            poison(n, wrong.c_str())


cdef void node_hear(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil:
    """Handle what another party of the cluster says."""
    if not n.fault.empty():
        return
    n.now_ns = m.time_ns
    n.cause = m.kind
    if m.version != MESSAGE_VERSION or not hear(n, source, m, payload):
        reject(n, m)
    finish_event(n)


cdef void node_handle(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """Handle one event at its time. The commands it leads to are left on n.commands."""
    if not n.fault.empty():
        return
    n.now_ns = m.time_ns
    n.cause = m.kind
    if m.version != MESSAGE_VERSION or not route(n, m, payload):
        reject(n, m)
    finish_event(n)


cdef void node_drop_commands(NodeState* n) noexcept nogil:
    cdef size_t i
    for i in range(n.commands.size()):
        blob_drop(n.commands[i].payload)
    n.commands.clear()


cdef list story_rows(const Story* story, const ordered_map[ObjectId, string]* names):
    """The transitions, oldest first, as dicts."""
    cdef size_t i, size = story.ring.size()
    cdef size_t first = story.n_recorded % size if size and size == story.capacity else 0
    cdef const StoryEntry* e
    states = state_names()
    out = []
    for i in range(size):
        e = &story.ring[(first + i) % size]
        out.append({"time_ns": e.time_ns, "task": task_bytes(e.task).hex(), "from": states[e.old_state],
                    "to": states[e.new_state], "worker": e.worker, "attempt": e.attempt, "cause": e.cause,
                    "duration_ns": e.duration_ns, "function": name_of(e.function, names)})
    return out


cdef str name_of(ObjectId function, const ordered_map[ObjectId, string]* names):
    if names.count(function) == 0:
        return object_bytes(function).hex()[:12]
    return names.at(function).decode("utf-8", "replace")


cdef list worker_rows(const vector[WorkerReport]* workers):
    cdef size_t i
    cdef const WorkerReport* w
    out = []
    for i in range(workers.size()):
        w = &workers[0][i]
        out.append({"client": w.client, "pid": w.process, "running": w.n_running, "queued": w.n_queued,
                    "attached": bool(w.attached)})
    return out


cdef class Node:
    """The thin owner of a node's state, and what Python sees of it.

    Args: resources: name to amount in 1/10000, object_store_bytes: capacity of the arena, worker_cap: most worker
    processes, kept_idle: workers that stay when idle, incarnation: of this node, debug: check every table after every
    event (default: whether this is a debug build), segment_bytes: usual size of an arena segment, story_capacity:
    transitions remembered, lineage_cap: finished tasks kept to run again, history_capacity: ended tasks remembered,
    history_bytes: of their references, names and errors; spills: whether the host has a disk for what does not fit.
    """

    def __cinit__(self):
        self.state = raylite_new(self.state)

    def __init__(self, resources, *, uint64_t object_store_bytes=1 << 30, uint32_t worker_cap=16, uint32_t kept_idle=0,
                 uint32_t incarnation=1, debug=None, uint64_t segment_bytes=1 << 28, uint64_t story_capacity=65536,
                 uint64_t lineage_cap=100000, uint64_t history_capacity=HISTORY_TASKS,
                 uint64_t history_bytes=HISTORY_BYTES, bint spills=False):
        cdef NodeState* n = self.state
        if resources.get("GPU", 0) % UNIT or any(amount < 0 for amount in resources.values()):
            raise ValueError(f"amounts of resources may not be negative, and GPUs are whole ones: {resources}")
        n.incarnation = incarnation
        n.debug = RAYLITE_IS_DEBUG if debug is None else debug
        n.arena.capacity = object_store_bytes
        n.arena.segment_size = segment_bytes
        n.room.spills = spills
        n.scheduler.worker_cap = worker_cap
        n.scheduler.n_kept_idle = kept_idle
        n.story.capacity = story_capacity
        n.lineage_cap = lineage_cap
        n.history.capacity = history_capacity
        n.history.bytes_most = history_bytes
        resources_setup(&n.scheduler.resources)
        for name, amount in resources.items():
            data = name.encode()
            resources_provide(&n.scheduler.resources, resources_name(&n.scheduler.resources, data, len(data)), amount)

    def __dealloc__(self):
        cdef unordered_map[ObjectId, ObjectRow].iterator row
        if self.state == NULL:
            return
        node_drop_commands(self.state)
        drop_cluster(self.state)
        row = self.state.objects.rows.begin()
        while row != self.state.objects.rows.end():
            blob_drop(deref(row).second.blob)
            preincrement(row)
        for task in self.state.tasks.rows:
            blob_drop(task.second.arguments)
            blob_drop(task.second.name)
            blob_drop(task.second.error)
        history_clear(&self.state.history)
        for function in self.state.functions:
            blob_drop(function.second.name)
        for actor in self.state.actors.rows:
            blob_drop(actor.second.death)
            blob_drop(actor.second.handle)
        raylite_delete(self.state)

    def handle(self, uint64_t now_ns, int kind, uint32_t client=0, *, bytes payload=b"", bytes object=None,
               uint64_t request=0, uint64_t aux=0, int flags=0, uint32_t attempt=0, uint32_t job=0, int version=1):
        """Handle one event; returns the commands as dicts. For tests and hosts written in Python.

        Raises RuntimeError with the story when the node is poisoned.
        """
        cdef Message m
        memset(&m, 0, sizeof(Message))
        m.version = version
        m.kind = kind
        m.flags = flags
        m.size = <uint32_t> len(payload)
        m.client = client
        m.job = job
        m.attempt = attempt
        m.incarnation = self.state.incarnation
        m.time_ns = now_ns
        m.request = request
        m.aux = aux
        if object is not None:
            m.object = object_from_bytes(object)
        node_handle(self.state, &m, <const char*> payload)
        self.check()
        return self.take_commands()

    def take_commands(self):
        """The commands left behind, oldest first, as dicts; they are then performed as far as the node knows."""
        cdef Command* c
        cdef size_t i
        out = []
        for i in range(self.state.commands.size()):
            c = &self.state.commands[i]
            out.append({
                "kind": c.message.kind, "client": c.message.client, "flags": c.message.flags,
                "request": c.message.request, "aux": c.message.aux, "attempt": c.message.attempt,
                "job": c.message.job, "time_ns": c.message.time_ns, "object": object_bytes(c.message.object),
                "payload": blob_data(c.payload)[:c.payload.size] if c.payload != NULL else b"",
            })
        node_drop_commands(self.state)
        return out

    def start_workers(self, int count):
        """Ask the host for `count` workers before there is work (commands CMD_SPAWN)."""
        for _ in range(count):
            start_worker(self.state, 0)

    def check(self):
        """Raise RuntimeError if the node is poisoned."""
        if not self.state.fault.empty():
            last = self.story()[-20:]
            raise RuntimeError(f"raylite node fault: {self.state.fault.decode()}; last transitions: {last}")

    def check_invariants(self):
        """Check every table against the others; raises RuntimeError naming the first violation."""
        cdef string wrong
        self.check()
        invariant_violation(self.state, &wrong)
        if not wrong.empty():
            raise RuntimeError(f"raylite node invariant violated: {wrong.decode()}")

    def deadline_ns(self):
        """By when the node wants an EV_TICK, or 0."""
        return node_deadline_ns(self.state)

    def story(self):
        """The remembered transitions, oldest first: dicts with time, task, states, worker, attempt, duration."""
        cdef ordered_map[ObjectId, string] names
        read_names(self.state, &names)
        return story_rows(&self.state.story, &names)

    def environment(self, uint64_t number):
        """What the runtime environment of this number stands for, as bytes; empty if nobody has said."""
        if self.state.scheduler.resources.environments.count(number) == 0:
            return b""
        return bytes(self.state.scheduler.resources.environments[number])

    def table_sizes(self):
        """How many numbers the resources' names and shapes take up; those of what is gone are used again."""
        return {"names": self.state.scheduler.resources.names.size(),
                "shapes": self.state.scheduler.resources.shapes.size()}

    def group_tries(self):
        """How often it has been tried to create a placement group."""
        return self.state.groups.n_tries

    def function_name(self, bytes function not None):
        """The name of a registered function (by its 20-byte id), or its id in hexadecimal."""
        cdef unordered_map[ObjectId, Function].iterator it = self.state.functions.find(object_from_bytes(function))
        if it == self.state.functions.end() or deref(it).second.name == NULL:
            return function.hex()[:12]
        return blob_data(deref(it).second.name)[:deref(it).second.name.size].decode("utf-8", "replace")

    def workers(self):
        """The workers: client number, process id, running and queued tasks."""
        cdef vector[WorkerReport] workers
        read_workers(self.state, &workers)
        return worker_rows(&workers)

    def sizes(self):
        """How many rows each table has, and the bytes they hold; all zero when everything has been released."""
        cdef Sizes sizes
        read_sizes(self.state, &sizes)
        return sizes

    def resources(self):
        """Name to (total, available), in 1/10000."""
        r = &self.state.scheduler.resources
        return {r.names[i].decode("utf-8", "replace"): (r.total[i], r.available[i]) for i in range(r.names.size())
                if r.names[i].size()}
