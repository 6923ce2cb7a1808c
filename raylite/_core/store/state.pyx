"""All that a shard of the control store knows, as one struct: its tables, and the streams of those it talks to.

Equal letters in equal order make equal states (docs/cluster.md), so nothing here depends on the order of a hash map:
what goes through a whole table does so by sorted ids.
"""
from cython.operator cimport dereference as deref, preincrement
from raylite._core.envelope cimport blob_drop

cdef extern from *:
    """
    template <typename T> static T *raylite_new(T *) { return new T(); }
    template <typename T> static void raylite_delete(T *p) { delete p; }
    """
    StoreState* raylite_new(StoreState*) nogil
    void raylite_delete(StoreState*) nogil


cdef StoreState* store_state_new(uint32_t shard, uint32_t n_shards, bint flushes) noexcept nogil:
    cdef StoreState* s = NULL
    s = raylite_new(s)
    s.shard = shard
    s.n_shards = n_shards
    s.flushes = flushes
    return s


cdef void store_state_clear(StoreState* s) noexcept nogil:
    """Empty every table."""
    cdef unordered_map[ObjectId, StoredObject].iterator o = s.objects.begin()
    cdef unordered_map[TaskId, StoredTask].iterator t = s.tasks.begin()
    cdef size_t i
    while o != s.objects.end():
        blob_drop(deref(o).second.value)
        preincrement(o)
    while t != s.tasks.end():
        blob_drop(deref(t).second.spec)
        preincrement(t)
    for actor in s.actors:
        blob_drop(actor.second.handle)
        blob_drop(actor.second.death)
        for i in range(actor.second.log.size()):
            blob_drop(actor.second.log[i].body)
    for value in s.values:
        blob_drop(value.second)
    for endpoint in s.endpoints:
        for i in range(endpoint.second.letters.size()):
            blob_drop(endpoint.second.letters[i])
    for i in range(s.archive.size()):
        blob_drop(s.archive[i])
    s.objects.clear()
    s.tasks.clear()
    s.actors.clear()
    s.names.clear()
    s.values.clear()
    s.endpoints.clear()
    s.answers.clear()
    s.alive.clear()
    s.dead.clear()
    s.archive.clear()
    s.unknown.clear()
    s.last_answer = s.n_letters = 0


cdef void store_state_delete(StoreState* s) noexcept nogil:
    if s != NULL:
        store_state_clear(s)
        raylite_delete(s)


cdef void read_store_sizes(StoreState* s, StoreSizes* out) noexcept nogil:
    out.objects = s.objects.size()
    out.tasks = s.tasks.size()
    out.actors = s.actors.size()
    out.names = s.names.size()
    out.values = s.values.size()
    out.endpoints = s.endpoints.size()
    out.answers = s.answers.size()
    out.letters = out.inline_bytes = 0
    for endpoint in s.endpoints:
        out.letters += endpoint.second.letters.size()
    for row in s.objects:
        if row.second.value != NULL:
            out.inline_bytes += row.second.value.size


cdef void store_poison(StoreState* s, const char* what) noexcept nogil:
    """A fault of the shard itself: nothing is handled any more. The first one is remembered."""
    if s.fault.empty():
        s.fault.assign(what)


cdef StoredObject* find_object(StoreState* s, ObjectId id) noexcept nogil:
    cdef unordered_map[ObjectId, StoredObject].iterator it = s.objects.find(id)
    return &deref(it).second if it != s.objects.end() else NULL


cdef StoredTask* find_task(StoreState* s, TaskId id) noexcept nogil:
    cdef unordered_map[TaskId, StoredTask].iterator it = s.tasks.find(id)
    return &deref(it).second if it != s.tasks.end() else NULL


cdef StoredActor* find_actor(StoreState* s, TaskId id) noexcept nogil:
    cdef ordered_map[TaskId, StoredActor].iterator it = s.actors.find(id)
    return &deref(it).second if it != s.actors.end() else NULL


cdef bint is_fenced(StoreState* s, uint64_t key) noexcept nogil:
    """Whether this start of a party was declared dead."""
    cdef ordered_map[uint32_t, uint32_t].iterator it = s.dead.find(<uint32_t> (key >> 32))
    return it != s.dead.end() and <uint32_t> key <= deref(it).second


cdef bint is_alive(StoreState* s, uint64_t key) noexcept nogil:
    """Whether the master has said that this start of a node is there, and not that it is dead."""
    cdef ordered_map[uint32_t, uint32_t].iterator it = s.alive.find(<uint32_t> (key >> 32))
    return it != s.alive.end() and <uint32_t> key == deref(it).second


cdef bint includes(const vector[uint64_t]* keys, uint64_t key) noexcept nogil:
    cdef size_t i
    for i in range(keys.size()):
        if keys[0][i] == key:
            return True
    return False


cdef bint discard(vector[uint64_t]* keys, uint64_t key) noexcept nogil:
    """Take a key out, keeping the order of the others; whether it was there."""
    cdef size_t i
    for i in range(keys.size()):
        if keys[0][i] == key:
            keys.erase(keys.begin() + i)
            return True
    return False
