"""A shard's whole state as bytes and back: for a replica that joins or starts again, and to compare replicas.

Equal states give equal bytes: every table is in the order of its ids. What is read is checked like any bytes from
outside (rule 7): a snapshot that is not whole leaves an empty state.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport int32_t, uint16_t, uint32_t, uint8_t
from libc.string cimport memset
from libcpp.algorithm cimport sort
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport align8, blob_copy, blob_data
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.message cimport Cursor, STREAMING, take, take_padded
from raylite._core.store.message cimport HOLDER_LINEAGE, HOLDER_NODE, HOLDER_PARENT, STORED_ACTOR_DEAD, \
    STORED_MISSING, StreamHeader
from raylite._core.store.state cimport AnswerWait, Endpoint, HolderKey, LetterWait, LoggedCall, store_state_clear, \
    STORED_TASK_RETIRED, StoredActor, StoredName, StoredObject

cdef enum:
    SNAPSHOT_VERSION = 2

cdef struct SnapshotHeader:
    uint32_t version
    uint32_t shard
    uint32_t n_shards
    uint32_t flushes
    uint64_t last_answer
    uint64_t n_letters
    uint64_t n_objects
    uint64_t n_tasks
    uint64_t n_actors
    uint64_t n_names
    uint64_t n_values
    uint64_t n_endpoints
    uint64_t n_answers
    uint64_t n_unknown
    uint64_t n_alive
    uint64_t n_dead

cdef struct ObjectRecord:         # then holders, locations, watchers, what it contains, value
    ObjectId id
    uint64_t size
    uint64_t n_holders
    uint64_t n_locations
    uint64_t n_watchers
    uint64_t n_contained
    uint64_t value_size           # 0: none
    uint8_t state
    uint8_t kind
    uint8_t flags
    uint8_t is_inline
    uint8_t known
    uint8_t described
    uint8_t unused[2]

cdef struct TaskRecord:           # then arguments, what it has made, spec
    TaskId id
    TaskId parent
    TaskId before
    uint64_t digest
    uint64_t home
    uint64_t spec_size
    uint64_t n_arguments
    uint64_t n_made
    int32_t n_returns
    int32_t max_retries
    uint32_t flags
    uint32_t epoch
    uint32_t attempt
    uint32_t n_settled
    uint32_t state
    uint32_t holds

cdef struct ActorRow:             # then watchers, name, handle, what it died of, LoggedRecord ... each
    TaskId id
    uint64_t node
    uint64_t n_watchers
    uint64_t name_size
    uint64_t handle_size
    uint64_t death_size
    uint64_t n_logged
    int32_t max_restarts
    uint32_t n_restarts
    uint32_t flags
    uint32_t state
    uint8_t known
    uint8_t ending
    uint8_t killed
    uint8_t waits
    uint8_t has_handle
    uint8_t has_death
    uint8_t unused[2]

cdef struct LoggedRecord:         # then what it holds, body
    TaskId call
    uint64_t number
    uint64_t n_held
    uint64_t size

cdef struct EndpointRecord:       # then its letters (size, bytes), LetterWait each
    uint64_t key
    uint64_t applied
    uint64_t sent
    uint64_t acknowledged
    uint64_t n_waits

cdef struct AnswerRecord:         # then body
    uint64_t number
    uint64_t endpoint
    uint64_t token
    ObjectId object
    uint32_t entry
    uint32_t n_missing
    uint64_t body_size


# ---- out -------------------------------------------------------------------------------------------------------

cdef inline void put(string* out, const void* data, uint64_t size) noexcept nogil:
    if size:
        out.append(<const char*> data, size)
    out.append(align8(size) - size, <char> 0)


cdef inline void put_blob(string* out, Blob* b) noexcept nogil:
    if b != NULL:
        put(out, blob_data(b), b.size)


cdef inline void put_sized(string* out, const char* data, uint64_t size) noexcept nogil:
    out.append(<const char*> &size, 8)
    put(out, data, size)


cdef void put_object(string* out, StoredObject* o) noexcept nogil:
    cdef ObjectRecord r
    memset(&r, 0, sizeof(ObjectRecord))
    r.id = o.id
    r.size = o.size
    r.n_holders = o.holders.size()
    r.n_locations = o.locations.size()
    r.n_watchers = o.watchers.size()
    r.n_contained = o.contained.size()
    r.value_size = o.value.size if o.value != NULL else 0
    r.state = o.state
    r.kind = o.kind
    r.flags = o.flags
    r.is_inline = o.is_inline
    r.known = o.known
    r.described = o.described
    put(out, &r, sizeof(ObjectRecord))
    for key in o.holders:
        out.append(<const char*> &key, sizeof(HolderKey))
    put(out, o.locations.data(), 8 * o.locations.size())
    put(out, o.watchers.data(), 8 * o.watchers.size())
    put(out, o.contained.data(), sizeof(ObjectId) * o.contained.size())
    put_blob(out, o.value)


cdef void put_task(string* out, const StoredTask* t) noexcept nogil:
    cdef TaskRecord r
    memset(&r, 0, sizeof(TaskRecord))
    r.id = t.id
    r.parent = t.parent
    r.before = t.before
    r.digest = t.digest
    r.home = t.home
    r.spec_size = t.spec.size
    r.n_arguments = t.arguments.size()
    r.n_made = t.made.size()
    r.n_returns = t.n_returns
    r.max_retries = t.max_retries
    r.flags = t.flags
    r.epoch = t.epoch
    r.attempt = t.attempt
    r.n_settled = t.n_settled
    r.state = t.state
    r.holds = t.holds
    put(out, &r, sizeof(TaskRecord))
    put(out, t.arguments.data(), sizeof(ObjectId) * t.arguments.size())
    put(out, t.made.data(), sizeof(ObjectId) * t.made.size())
    put_blob(out, t.spec)


cdef Blob* task_record(const StoredTask* t) noexcept nogil:
    """A task's row as the snapshot has it, for the archive."""
    cdef string out
    put_task(&out, t)
    return blob_copy(out.data(), out.size())


cdef void put_actor(string* out, const StoredActor* a) noexcept nogil:
    cdef ActorRow r
    cdef size_t i
    memset(&r, 0, sizeof(ActorRow))
    r.id = a.id
    r.node = a.node
    r.n_watchers = a.watchers.size()
    r.name_size = a.name.size()
    r.has_handle = a.handle != NULL
    r.has_death = a.death != NULL
    r.handle_size = a.handle.size if r.has_handle else 0
    r.death_size = a.death.size if r.has_death else 0
    r.n_logged = a.log.size()
    r.max_restarts = a.max_restarts
    r.n_restarts = a.n_restarts
    r.flags = a.flags
    r.state = a.state
    r.known = a.known
    r.ending = a.ending
    r.killed = a.killed
    r.waits = a.waits
    put(out, &r, sizeof(ActorRow))
    put(out, a.watchers.data(), 8 * a.watchers.size())
    put(out, a.name.data(), a.name.size())
    put_blob(out, a.handle)
    put_blob(out, a.death)
    for i in range(a.log.size()):
        put_logged(out, &a.log[i])


cdef void put_logged(string* out, const LoggedCall* call) noexcept nogil:
    cdef LoggedRecord r
    r.call = call.call
    r.number = call.number
    r.n_held = call.held.size()
    r.size = call.body.size
    put(out, &r, sizeof(LoggedRecord))
    put(out, call.held.data(), sizeof(ObjectId) * call.held.size())
    put_blob(out, call.body)


cdef void put_endpoint(string* out, const Endpoint* e) noexcept nogil:
    cdef EndpointRecord r
    cdef LetterWait wait
    cdef size_t i
    r.key = e.key
    r.applied = e.applied
    r.sent = e.sent
    r.acknowledged = e.acknowledged
    r.n_waits = e.waits.size()
    put(out, &r, sizeof(EndpointRecord))
    for i in range(e.letters.size()):
        put_sized(out, blob_data(e.letters[i]), e.letters[i].size)
    for i in range(e.waits.size()):
        wait = e.waits[i]
        put(out, &wait, sizeof(LetterWait))


cdef void put_answer(string* out, uint64_t number, const AnswerWait* a) noexcept nogil:
    cdef AnswerRecord r
    r.number = number
    r.endpoint = a.endpoint
    r.token = a.token
    r.object = a.object
    r.entry = a.entry
    r.n_missing = a.n_missing
    r.body_size = a.body.size()
    put(out, &r, sizeof(AnswerRecord))
    put(out, a.body.data(), a.body.size())


cdef void put_tables(StoreState* s, string* out) noexcept nogil:
    cdef unordered_map[ObjectId, StoredObject].iterator o = s.objects.begin()
    cdef unordered_map[TaskId, StoredTask].iterator t = s.tasks.begin()
    cdef vector[ObjectId] objects
    cdef vector[TaskId] tasks
    cdef size_t i
    while o != s.objects.end():
        objects.push_back(deref(o).first)
        preincrement(o)
    while t != s.tasks.end():
        tasks.push_back(deref(t).first)
        preincrement(t)
    sort(objects.begin(), objects.end())
    sort(tasks.begin(), tasks.end())
    for i in range(objects.size()):
        put_object(out, &s.objects[objects[i]])
    for i in range(tasks.size()):
        put_task(out, &s.tasks[tasks[i]])


cdef void write_snapshot(StoreState* s, string* out) noexcept nogil:
    """The whole state, between two letters."""
    cdef SnapshotHeader h
    cdef uint32_t pair[2]
    cdef uint64_t flag
    h.version = SNAPSHOT_VERSION
    h.shard = s.shard
    h.n_shards = s.n_shards
    h.flushes = s.flushes
    h.last_answer = s.last_answer
    h.n_letters = s.n_letters
    h.n_objects = s.objects.size()
    h.n_tasks = s.tasks.size()
    h.n_actors = s.actors.size()
    h.n_names = s.names.size()
    h.n_values = s.values.size()
    h.n_endpoints = s.endpoints.size()
    h.n_answers = s.answers.size()
    h.n_unknown = s.unknown.size()
    h.n_alive = s.alive.size()
    h.n_dead = s.dead.size()
    out.clear()
    put(out, &h, sizeof(SnapshotHeader))
    put_tables(s, out)
    for actor in s.actors:
        put_actor(out, &s.actors[actor.first])
    for name in s.names:
        put(out, &name.second, sizeof(StoredName))
        put_sized(out, name.first.data(), name.first.size())
    for value in s.values:
        put_sized(out, value.first.data(), value.first.size())
        put_sized(out, blob_data(value.second), value.second.size)
    for endpoint in s.endpoints:
        put_endpoint(out, &s.endpoints[endpoint.first])
    for each in s.answers:
        put_answer(out, each.first, &s.answers[each.first])
    for unknown in s.unknown:
        flag = unknown.second
        put(out, &unknown.first, sizeof(ObjectId))
        put(out, &flag, 8)
    for node in s.alive:
        pair[0] = node.first
        pair[1] = node.second
        put(out, pair, 8)
    for node in s.dead:
        pair[0] = node.first
        pair[1] = node.second
        put(out, pair, 8)


# ---- in --------------------------------------------------------------------------------------------------------

cdef Blob* get_blob(Cursor* c, uint64_t size) noexcept nogil:
    cdef const char* data = take_padded(c, size)
    return blob_copy(data, size) if data != NULL else NULL


cdef void get_keys(Cursor* c, uint64_t n, vector[uint64_t]* out) noexcept nogil:
    cdef const uint64_t* keys = <const uint64_t*> take(c, 8 * n) if n <= c.left // 8 else NULL
    if keys == NULL:
        c.failed = True
    else:
        out.assign(keys, keys + n)


cdef void get_ids(Cursor* c, uint64_t n, vector[ObjectId]* out) noexcept nogil:
    cdef const ObjectId* ids = <const ObjectId*> take(c, sizeof(ObjectId) * n) if n <= c.left // sizeof(ObjectId) \
        else NULL
    if ids == NULL:
        c.failed = True
    else:
        out.assign(ids, ids + n)


cdef void get_object(StoreState* s, Cursor* c) noexcept nogil:
    cdef const ObjectRecord* r = <const ObjectRecord*> take(c, sizeof(ObjectRecord))
    cdef const HolderKey* keys
    cdef StoredObject* o
    cdef uint64_t i
    if r == NULL or r.state > STORED_MISSING or r.n_holders > c.left // sizeof(HolderKey) or s.objects.count(r.id):
        c.failed = True
        return
    o = &s.objects[r.id]
    o.id = r.id
    o.size = r.size
    o.state = r.state
    o.kind = r.kind
    o.flags = r.flags
    o.is_inline = r.is_inline
    o.known = r.known
    o.described = r.described
    keys = <const HolderKey*> take(c, sizeof(HolderKey) * r.n_holders)
    for i in range(r.n_holders):
        if keys[i].kind < HOLDER_NODE or keys[i].kind > HOLDER_PARENT:
            c.failed = True
            return
        if o.holders.insert(keys[i]).second and keys[i].kind != HOLDER_LINEAGE:
            o.n_keeping += 1
    get_keys(c, r.n_locations, &o.locations)
    get_keys(c, r.n_watchers, &o.watchers)
    get_ids(c, r.n_contained, &o.contained)
    if r.value_size:
        o.value = get_blob(c, r.value_size)


cdef void get_task(StoreState* s, Cursor* c) noexcept nogil:
    cdef const TaskRecord* r = <const TaskRecord*> take(c, sizeof(TaskRecord))
    cdef StoredTask* t
    if r == NULL or r.state > STORED_TASK_RETIRED or r.n_returns < STREAMING or r.holds > HOLDER_LINEAGE \
            or s.tasks.count(r.id):
        c.failed = True
        return
    t = &s.tasks[r.id]
    t.id = r.id
    t.parent = r.parent
    t.before = r.before
    t.digest = r.digest
    t.home = r.home
    t.n_returns = r.n_returns
    t.max_retries = r.max_retries
    t.flags = r.flags
    t.epoch = r.epoch
    t.attempt = r.attempt
    t.n_settled = r.n_settled
    t.state = <uint8_t> r.state
    t.holds = <uint8_t> r.holds
    get_ids(c, r.n_arguments, &t.arguments)
    get_ids(c, r.n_made, &t.made)
    t.spec = get_blob(c, r.spec_size)


cdef void get_actor(StoreState* s, Cursor* c) noexcept nogil:
    cdef const ActorRow* r = <const ActorRow*> take(c, sizeof(ActorRow))
    cdef const char* name
    cdef StoredActor* a
    cdef uint64_t _i
    if r == NULL or r.state > STORED_ACTOR_DEAD:
        c.failed = True
        return
    a = &s.actors[r.id]
    a.id = r.id
    a.node = r.node
    a.max_restarts = r.max_restarts
    a.n_restarts = r.n_restarts
    a.flags = r.flags
    a.state = <uint8_t> r.state
    a.known = r.known
    a.ending = r.ending
    a.killed = r.killed
    a.waits = r.waits
    get_keys(c, r.n_watchers, &a.watchers)
    name = take_padded(c, r.name_size)
    if name != NULL:
        a.name.assign(name, r.name_size)
    if r.has_handle:
        a.handle = get_blob(c, r.handle_size)
    if r.has_death:
        a.death = get_blob(c, r.death_size)
    for _i in range(r.n_logged):
        if not get_logged(c, a):
            return


cdef bint get_logged(Cursor* c, StoredActor* a) noexcept nogil:
    """False if it is not there."""
    cdef const LoggedRecord* r = <const LoggedRecord*> take(c, sizeof(LoggedRecord))
    cdef LoggedCall call
    if r == NULL:
        return False
    call.call = r.call
    call.number = r.number
    get_ids(c, r.n_held, &call.held)
    call.body = get_blob(c, r.size)
    if call.body == NULL:
        return False
    a.log.push_back(call)
    return True


cdef const char* get_sized(Cursor* c, uint64_t* size) noexcept nogil:
    cdef const uint64_t* head = <const uint64_t*> take(c, 8)
    if head == NULL:
        return NULL
    size[0] = head[0]
    return take_padded(c, head[0])


cdef void get_endpoint(StoreState* s, Cursor* c) noexcept nogil:
    cdef const EndpointRecord* r = <const EndpointRecord*> take(c, sizeof(EndpointRecord))
    cdef const LetterWait* waits
    cdef const char* letter
    cdef uint64_t size = 0, i, _i
    cdef Endpoint* e
    if r == NULL or r.sent < r.acknowledged or r.n_waits > c.left // sizeof(LetterWait) or s.endpoints.count(r.key):
        c.failed = True
        return
    e = &s.endpoints[r.key]
    e.key = r.key
    e.applied = r.applied
    e.sent = r.sent
    e.acknowledged = r.acknowledged
    for _i in range(r.sent - r.acknowledged):
        letter = get_sized(c, &size)
        if letter == NULL or size < sizeof(StreamHeader):
            c.failed = True
            return
        e.letters.push_back(blob_copy(letter, size))
    waits = <const LetterWait*> take(c, sizeof(LetterWait) * r.n_waits)
    if waits != NULL:
        for i in range(r.n_waits):
            e.waits.push_back(waits[i])


cdef void get_answer(StoreState* s, Cursor* c) noexcept nogil:
    cdef const AnswerRecord* r = <const AnswerRecord*> take(c, sizeof(AnswerRecord))
    cdef const char* body = take_padded(c, r.body_size) if r != NULL else NULL
    cdef AnswerWait* a
    if body == NULL:
        c.failed = True
        return
    a = &s.answers[r.number]
    a.endpoint = r.endpoint
    a.token = r.token
    a.object = r.object
    a.entry = <uint16_t> r.entry
    a.n_missing = r.n_missing
    a.body.assign(body, r.body_size)


cdef void get_strings(StoreState* s, Cursor* c, const SnapshotHeader* h) noexcept nogil:
    """Names and key-value."""
    cdef const StoredName* row
    cdef const char* data
    cdef uint64_t size = 0, i = 0
    cdef string key
    while i < h.n_names and not c.failed:
        row = <const StoredName*> take_padded(c, sizeof(StoredName))
        data = get_sized(c, &size)
        if data != NULL and row != NULL:
            key.assign(data, size)
            s.names[key] = row[0]
        i += 1
    i = 0
    while i < h.n_values and not c.failed:
        data = get_sized(c, &size)
        if data != NULL:
            key.assign(data, size)
        data = get_sized(c, &size)
        if data == NULL or s.values.count(key):
            c.failed = True
        else:
            s.values[key] = blob_copy(data, size)
        i += 1


cdef void get_nodes(StoreState* s, Cursor* c, const SnapshotHeader* h) noexcept nogil:
    cdef const ObjectId* id
    cdef const uint64_t* flag
    cdef const uint32_t* node
    cdef uint64_t i = 0
    while i < h.n_unknown and not c.failed:
        id = <const ObjectId*> take(c, sizeof(ObjectId))
        flag = <const uint64_t*> take(c, 8)
        if flag != NULL:
            s.unknown[id[0]] = flag[0] != 0
        i += 1
    i = 0
    while i < h.n_alive + h.n_dead and not c.failed:
        node = <const uint32_t*> take(c, 8)
        if node != NULL:
            if i < h.n_alive:
                s.alive[node[0]] = node[1]
            else:
                s.dead[node[0]] = node[1]
        i += 1


cdef bint read_snapshot(StoreState* s, const char* data, uint64_t size) noexcept nogil:
    """Become what a snapshot says. False, and the state is empty, if it is not whole or of another shard."""
    cdef Cursor c = Cursor(data, size, False)
    cdef const SnapshotHeader* h = <const SnapshotHeader*> take(&c, sizeof(SnapshotHeader))
    cdef uint64_t i = 0, n
    store_state_clear(s)
    if h == NULL or h.version != SNAPSHOT_VERSION or h.shard != s.shard or h.n_shards != s.n_shards \
            or h.flushes != s.flushes:
        return False
    s.last_answer = h.last_answer
    s.n_letters = h.n_letters
    n = h.n_objects
    while i < n and not c.failed:
        get_object(s, &c)
        i += 1
    i = 0
    while i < h.n_tasks and not c.failed:
        get_task(s, &c)
        i += 1
    i = 0
    while i < h.n_actors and not c.failed:
        get_actor(s, &c)
        i += 1
    get_strings(s, &c, h)
    i = 0
    while i < h.n_endpoints and not c.failed:
        get_endpoint(s, &c)
        i += 1
    i = 0
    while i < h.n_answers and not c.failed:
        get_answer(s, &c)
        i += 1
    get_nodes(s, &c, h)
    if c.failed or c.left:
        store_state_clear(s)
        return False
    return True
