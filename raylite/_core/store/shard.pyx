"""A shard of the control store: a deterministic state machine; letters of endpoints go in, letters to them come out.

Replicas apply the same letters in the same order and so have the same state, down to the bytes of the letters that they
would send (docs/cluster.md). An operation is checked before it changes anything; what follows from a letter - objects
freed, tasks made again or forgotten - is done before its letters are sealed.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint32_t
from libcpp.string cimport string
from raylite._core.envelope cimport blob_data, blob_drop
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.message cimport Cursor
from raylite._core.links.packet cimport PARTY_MASTER, PARTY_NODE, PARTY_SHARD
from raylite._core.planted cimport planted, REPEATED_LETTER
from raylite._core.store.actors cimport on_actor, on_actor_kill, on_actor_named, on_actor_report, on_actor_unwatch, \
    on_actor_watch
from raylite._core.store.directory cimport on_name, on_value
from raylite._core.store.invariants cimport store_violation
from raylite._core.store.message cimport *
from raylite._core.store.nodes cimport on_node
from raylite._core.store.objects cimport on_hold, on_locate, on_put, on_unlocate, on_unwatch, on_watch, settle_object
from raylite._core.store.snapshot cimport read_snapshot, write_snapshot
from raylite._core.store.state cimport Endpoint, is_fenced, is_node, is_shard, read_store_sizes, \
    store_poison, StoreSizes, store_state_delete, store_state_new
from raylite._core.store.streams cimport acknowledge, add_endpoint, answer, drop_endpoint, find_endpoint, seal_drafts
from raylite._core.store.tasks cimport on_attempt, on_commit, on_done, on_failed, settle_task

cdef extern from *:
    """
    #ifdef RAYLITE_DEBUG
    #define RAYLITE_IS_DEBUG 1
    #else
    #define RAYLITE_IS_DEBUG 0
    #endif
    """
    bint RAYLITE_IS_DEBUG


cdef bint from_node(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    """What only nodes ask for. False if it is malformed."""
    if op.kind == OP_COMMIT:
        return on_commit(s, op, body)
    if op.kind == OP_DONE:
        return on_done(s, op, body)
    if op.kind == OP_PUT:
        return on_put(s, op, body)
    if op.kind == OP_LOCATE:
        on_locate(s, op)
    elif op.kind == OP_UNLOCATE:
        on_unlocate(s, op)
    elif op.kind == OP_WATCH:
        on_watch(s, op)
        return True
    elif op.kind == OP_UNWATCH:
        on_unwatch(s, op)
    elif op.kind == OP_ATTEMPT or op.kind == OP_ADOPT:
        return on_attempt(s, op, body)
    elif op.kind == OP_FAILED:
        return on_failed(s, op, body)
    elif op.kind == OP_ACTOR:
        return on_actor(s, op, body)
    elif OP_ACTOR_ALIVE <= op.kind <= OP_ACTOR_CRASHED:
        return on_actor_report(s, op, body)
    elif op.kind == OP_ACTOR_WATCH:
        on_actor_watch(s, op)
        return True
    elif op.kind == OP_ACTOR_UNWATCH:
        on_actor_unwatch(s, op)
    elif op.kind == OP_ACTOR_KILL:
        on_actor_kill(s, op)
        return True
    else:
        return False
    answer(s, op, STORE_OK, NULL, 0)
    return True


cdef bint from_shard(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    cdef StoreOp inner = op[0]
    inner.kind -= ENTRY_FIRST_FORWARD
    if inner.kind == OP_HOLD or inner.kind == OP_RELEASE:
        return on_hold(s, &inner, body)
    if inner.kind == OP_NAME_DROP:
        return on_name(s, &inner, body)
    if inner.kind == OP_ACTOR_NAMED:
        on_actor_named(s, &inner, body)
        return True
    return False


cdef bint route(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    """Hand the operation to whom it concerns. False if it is malformed, or not for this endpoint to ask."""
    if op.kind >= ENTRY_FIRST_FORWARD:
        return is_shard(s.asking) and from_shard(s, op, body)
    if is_shard(s.asking):
        return False
    if op.kind == OP_NOTHING:
        answer(s, op, STORE_OK, NULL, 0)
        return True
    if op.kind == OP_HOLD or op.kind == OP_RELEASE:
        return on_hold(s, op, body)
    if OP_NAME_CLAIM <= op.kind <= OP_NAME_LIST:
        return on_name(s, op, body)
    if OP_KV_PUT <= op.kind <= OP_KV_LIST:
        return on_value(s, op, body)
    if OP_NODE_ALIVE <= op.kind <= OP_SETTLE:
        return on_node(s, op, body)
    return is_node(s.asking) and from_node(s, op, body)


cdef bint is_here(StoreState* s, const StoreOp* op) noexcept nogil:
    """Whether an operation is about what this shard has."""
    return op.kind == OP_NOTHING or OP_NODE_ALIVE <= op.kind <= OP_SETTLE or op.kind == OP_NAME_LIST \
        or op.kind == OP_KV_LIST or shard_of(op.object.task, s.n_shards) == s.shard


cdef void follow_up(StoreState* s) noexcept nogil:
    """Until nothing follows any more."""
    cdef ObjectId object
    cdef TaskId task
    while not s.unsettled.empty() or not s.ended.empty():
        if not s.unsettled.empty():
            object = s.unsettled.back()
            s.unsettled.pop_back()
            settle_object(s, object)
        else:
            task = s.ended.back()
            s.ended.pop_back()
            settle_task(s, task)


# ---- letters ---------------------------------------------------------------------------------------------------

cdef uint64_t sender_of(StoreState* s, const StreamHeader* h) noexcept nogil:
    """Whose letter it is; 0 if such an endpoint does not exist."""
    cdef uint32_t kind = h.endpoint >> 24
    if kind == PARTY_SHARD and (h.incarnation or h.endpoint & 0xFFFFFF >= s.n_shards
                                or (h.endpoint & 0xFFFFFF) == s.shard):
        return 0
    if kind != PARTY_SHARD and kind != PARTY_NODE and kind != PARTY_MASTER:
        return 0
    return party_key(h.endpoint, h.incarnation)


cdef bint is_whole(const StreamHeader* h, const char* data, uint64_t size) noexcept nogil:
    cdef Cursor c = Cursor(data, size, False)
    return take_letter(&c) and c.left == 0 and (h.sequence != 0 or h.n_items == 0)


cdef bint is_superseded(StoreState* s, uint64_t key) noexcept nogil:
    """Whether this start of the master is not the last one."""
    it = s.endpoints.upper_bound(key)
    return key >> 56 == PARTY_MASTER and it != s.endpoints.end() and deref(it).first >> 32 == key >> 32


cdef int judge_letter(StoreState* s, const char* data, uint64_t size) noexcept nogil:
    """What a letter is to this shard in its present state. Only a LETTER_NEW may be applied."""
    cdef const StreamHeader* h = <const StreamHeader*> data
    cdef uint64_t key
    cdef Endpoint* e
    if size < sizeof(StreamHeader) or h.shard != s.shard or not is_whole(h, data, size):
        return LETTER_MALFORMED
    key = sender_of(s, h)
    if key == 0:
        return LETTER_MALFORMED
    if is_fenced(s, key) or is_superseded(s, key):
        return LETTER_FENCED
    e = find_endpoint(s, key)
    if h.acknowledged > (e.sent if e != NULL else 0):
        return LETTER_MALFORMED
    if h.sequence > (e.applied if e != NULL else 0) + 1:
        return LETTER_EARLY
    if h.sequence == (e.applied if e != NULL else 0) + 1 or e != NULL and h.acknowledged > e.acknowledged:
        return LETTER_NEW
    return LETTER_NEW if planted(REPEATED_LETTER) and h.sequence else LETTER_KNOWN


cdef void drop_older_starts(StoreState* s, uint64_t key) noexcept nogil:
    """The master has started again: nobody reads the streams of its older starts."""
    it = s.endpoints.lower_bound(key >> 32 << 32)
    cdef uint64_t older
    while it != s.endpoints.end() and deref(it).first < key:
        older = deref(it).first
        preincrement(it)
        drop_endpoint(s, older)


cdef void apply_operations(StoreState* s, const StreamHeader* h, const char* data, uint64_t size) noexcept nogil:
    cdef Cursor c = Cursor(data + sizeof(StreamHeader), size - sizeof(StreamHeader), False)
    cdef Cursor inner
    cdef const StoreOp* op
    cdef const char* body = NULL
    cdef uint32_t _i
    for _i in range(h.n_items):
        op = take_item(&c, &body)
        inner = Cursor(body, op.size, False)
        s.awaited.clear()         # what an operation that is not answered has led to
        if not is_here(s, op) or not route(s, op, &inner):
            answer(s, op, STORE_MALFORMED, NULL, 0)


cdef void apply_letter(StoreState* s, const char* data, uint64_t size) noexcept nogil:
    """Apply a LETTER_NEW. Endpoints that there is a new letter for are on `written`."""
    cdef const StreamHeader* h = <const StreamHeader*> data
    cdef uint64_t key = party_key(h.endpoint, h.incarnation)
    cdef Endpoint* e = find_endpoint(s, key)
    cdef string wrong
    if not s.fault.empty():
        return
    if e == NULL:
        if key >> 56 == PARTY_MASTER:
            drop_older_starts(s, key)
        e = add_endpoint(s, key)
    s.asking = key
    acknowledge(s, e, h.acknowledged)
    if h.sequence == e.applied + 1:
        e.applied += 1
        apply_operations(s, h, data, size)
        follow_up(s)
    elif planted(REPEATED_LETTER) and h.sequence:
        apply_operations(s, h, data, size)
        follow_up(s)
    s.awaited.clear()
    s.written = s.drafted
    seal_drafts(s)
    s.n_letters += 1
    if s.debug and s.n_letters % (1 + (s.objects.size() + s.tasks.size()) // 64) == 0:
        store_violation(s, &wrong)
        if not wrong.empty():
            store_poison(s, wrong.c_str())


# ---- what Python sees ------------------------------------------------------------------------------------------

cdef class Shard:
    """The thin owner of a shard's state, for tests and for programs that want to see what a letter does.

    Args: shard: its number, n_shards: of the store, flushes: whether tasks that no lineage needs go, debug: check every
    table after every letter (default: whether this is a debug build).
    """

    def __cinit__(self, uint32_t shard=0, uint32_t n_shards=1, *, bint flushes=True, debug=None):
        if shard >= n_shards:
            raise ValueError(f"there is no shard {shard} among {n_shards}")
        self.state = store_state_new(shard, n_shards, flushes)
        self.state.debug = RAYLITE_IS_DEBUG if debug is None else debug

    def __dealloc__(self):
        store_state_delete(self.state)

    def apply(self, bytes letter not None):
        """Apply a letter; returns its fate (LetterFate). Raises RuntimeError if a table is found wrong."""
        cdef const char* data = letter
        cdef int fate = judge_letter(self.state, data, len(letter))
        self.state.written.clear()
        if fate == LETTER_NEW:
            apply_letter(self.state, data, len(letter))
        if not self.state.fault.empty():
            raise RuntimeError(f"raylite shard fault: {self.state.fault.decode()}")
        return fate

    def letters(self, uint32_t address, uint32_t incarnation=0):
        """The letters that an endpoint has not acknowledged, oldest first."""
        cdef Endpoint* e = find_endpoint(self.state, party_key(address, incarnation))
        return [blob_data(e.letters[i])[:e.letters[i].size] for i in range(e.letters.size())] if e != NULL else []

    def written(self):
        """The endpoints that the last letter led to a letter for: (address, incarnation) each."""
        return [(key >> 32, key & 0xFFFFFFFF) for key in self.state.written]

    def archive(self):
        """The task rows that went since, as bytes."""
        rows = []
        for i in range(self.state.archive.size()):
            rows.append(blob_data(self.state.archive[i])[:self.state.archive[i].size])
            blob_drop(self.state.archive[i])
        self.state.archive.clear()
        return rows

    def sizes(self):
        """How many rows each table has."""
        cdef StoreSizes sizes
        read_store_sizes(self.state, &sizes)
        return sizes

    def snapshot(self):
        """The whole state as bytes."""
        cdef string out
        write_snapshot(self.state, &out)
        return <bytes> out

    def restore(self, bytes snapshot not None):
        """Become what a snapshot says; raises ValueError, and is empty, if it is not whole."""
        if not read_snapshot(self.state, snapshot, len(snapshot)):
            raise ValueError("this is no whole snapshot of this shard")

    def check_invariants(self):
        """Check every table against the others; raises RuntimeError naming the first violation."""
        cdef string wrong
        store_violation(self.state, &wrong)
        if not wrong.empty():
            raise RuntimeError(f"raylite shard invariant violated: {wrong.decode()}")
