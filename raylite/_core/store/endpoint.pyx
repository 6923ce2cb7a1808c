"""A party that is an endpoint of the control store and nothing else: for programs that only look, and for tests.

It registers with the master as a node does, reports, and settles when asked.
"""
from raylite._core.envelope cimport blob_copy, blob_data
from raylite._core.ids cimport object_bytes, object_from_bytes
from raylite._core.message cimport Cursor
from raylite._core.links.packet cimport MASTER_CHAIN, MASTER_HEARTBEAT, MASTER_NODE, MASTER_NODE_DEAD, \
    MASTER_REGISTER, MASTER_SETTLE, MASTER_SETTLED, MASTER_WELCOME, party, PARTY_MASTER, STORE_ENTRIES
from raylite._core.store.client cimport store_clear, store_deadline_ns, store_flush, store_n_unacknowledged, \
    store_next_entry, store_on_chain, store_on_entries, store_op, store_op_at, store_settle, store_settled, \
    store_setup
from raylite._core.store.master_message cimport NodeNotice, RegisterHeader, take_notice, WelcomeHeader
from raylite._core.store.message cimport NodeRecord, store_letter_message, StoreEntry

cdef extern from *:
    """
    template <typename T> static T *raylite_new(T *) { return new T(); }
    template <typename T> static void raylite_delete(T *p) { delete p; }
    """
    StoreClient* raylite_new(StoreClient*) nogil
    void raylite_delete(StoreClient*) nogil


cdef class StoreEndpoint(Party):
    """An endpoint of the control store.

    Args: address, incarnation: its own, n_shards: of the store, ack_delay_ns: how long an acknowledgement may wait,
    about: what the master tells others of it.
    """

    def __cinit__(self):
        self.store = raylite_new(self.store)

    def __init__(self, uint32_t address, uint32_t incarnation, uint32_t n_shards, *,
                 uint64_t ack_delay_ns=10_000_000, bytes about=b""):
        self.join(address, incarnation)
        self.master = party(PARTY_MASTER, 0)
        self.about = about
        self.entries = []
        self.heard = []
        store_setup(self.store, address, incarnation, n_shards, ack_delay_ns)

    def __dealloc__(self):
        if self.store != NULL:
            store_clear(self.store)
            raylite_delete(self.store)

    cdef int say_to_master(self, int kind, uint64_t aux, bytes body) except -1:
        m = store_letter_message(kind, len(body))
        m.incarnation = self.incarnation
        m.aux = aux
        return self.send(self.master, &m, blob_copy(body, len(body)) if body else NULL)

    cdef int register(self) except -1:
        return self.say_to_master(MASTER_REGISTER, 0, bytes(sizeof(RegisterHeader)) + self.about)

    cdef int deliver(self, uint64_t now_ns, uint32_t source, const Message* message, Blob* payload) except -1:
        cdef const char* data = blob_data(payload) if payload != NULL else NULL
        cdef const NodeRecord* node = <const NodeRecord*> data
        cdef NodeRecord head
        if message.kind == STORE_ENTRIES and payload != NULL:
            store_on_entries(self.store, now_ns, payload)
            self.take_entries()
        elif message.kind == MASTER_CHAIN and payload != NULL:
            if store_on_chain(self.store, payload, &head):
                self.know(head.address, head.incarnation)
        elif message.kind == MASTER_WELCOME and message.size >= sizeof(WelcomeHeader):
            self.heartbeat_ns = (<const WelcomeHeader*> data).heartbeat_ns
            self.next_heartbeat_ns = now_ns + self.heartbeat_ns
        elif message.kind == MASTER_REGISTER:
            self.register()
        elif message.kind == MASTER_SETTLE:
            store_settle(self.store, message.aux)
        elif message.kind == MASTER_NODE and payload != NULL:
            self.meet(payload)
        elif message.kind == MASTER_NODE_DEAD and message.size >= sizeof(NodeRecord):
            self.declare_dead(node.address, node.incarnation)
            self.heard.append(("dead", node.address, node.incarnation))
        return self.send_all()

    cdef int meet(self, Blob* payload) except -1:
        cdef Cursor c = Cursor(blob_data(payload), payload.size, False)
        cdef const NodeNotice* notice
        cdef const char* about = NULL
        while c.left:
            notice = take_notice(&c, &about)
            if notice == NULL:
                break
            if notice.address != self.address:
                self.know(notice.address, notice.incarnation)
                self.heard.append(("node", notice.address, notice.incarnation))
        return 0

    cdef int take_entries(self) except -1:
        cdef StoreEntry entry
        cdef const char* body = NULL
        while store_next_entry(self.store, &entry, &body):
            self.entries.append((entry.kind, object_bytes(entry.object), body[:entry.size], entry.flags, entry.token))
        return 0

    cdef int send_all(self) except -1:
        cdef uint64_t number = 0
        cdef size_t i
        store_flush(self.store, self.now_ns)
        for i in range(self.store.out.size()):
            self.send(self.store.out[i].target, &self.store.out[i].message, self.store.out[i].payload)
        self.store.out.clear()
        while store_settled(self.store, &number):
            self.say_to_master(MASTER_SETTLED, number, b"")
        return 0

    cdef int on_time(self, uint64_t now_ns) except -1:
        if self.next_heartbeat_ns and now_ns >= self.next_heartbeat_ns:
            self.next_heartbeat_ns = now_ns + self.heartbeat_ns
            self.say_to_master(MASTER_HEARTBEAT, 0, b"")
        return self.send_all()

    cdef uint64_t wants_time_ns(self) noexcept:
        cdef uint64_t store_ns = store_deadline_ns(self.store)
        if not store_ns or not self.next_heartbeat_ns:
            return store_ns + self.next_heartbeat_ns
        return min(store_ns, self.next_heartbeat_ns)

    cdef int on_peer_gone(self, uint64_t now_ns, uint32_t source, uint32_t incarnation) except -1:
        if source == self.master:
            self.register()
        return 0

    def begin(self, uint64_t now_ns):
        """Register with the master."""
        self.now_ns = now_ns
        self.register()

    def ask(self, uint64_t now_ns, items, shard=None):
        """Send operations, of one event: (kind, object or task, body, flags, token) each; to the shard of the object,
        or to one by its number."""
        self.now_ns = now_ns
        for kind, object, body, flags, token in items:
            id = object_from_bytes(object if len(object) == 20 else object + bytes(4))
            if shard is None:
                store_op(self.store, id, kind, flags, token, body, len(body))
            else:
                store_op_at(self.store, shard, id, kind, flags, token, body, len(body))
        self.send_all()

    def take_entries_in(self):
        """The entries that have come since the last call: (kind, object, body, flags, token) each."""
        entries, self.entries = self.entries, []
        return entries

    def take_heard(self):
        """What the master has said of nodes since the last call: ("node" or "dead", address, incarnation) each."""
        heard, self.heard = self.heard, []
        return heard

    def unacknowledged(self):
        """How many letters the store has not acknowledged."""
        return store_n_unacknowledged(self.store)

    def is_refused(self):
        """Whether the store has said that this endpoint was declared dead."""
        return bool(self.store.fenced)
