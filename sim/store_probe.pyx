"""A node that does nothing but use the control store's keys and values: for tests, and to see what the store survives."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from raylite._core.envelope cimport Blob, blob_copy, blob_data
from raylite._core.ids cimport hash_bytes, object_id, ObjectId
from raylite._core.master_message cimport RegisterHeader, WelcomeHeader
from raylite._core.message cimport Message
from raylite._core.packet cimport MASTER_CHAIN, MASTER_HEARTBEAT, MASTER_REGISTER, MASTER_SETTLE, MASTER_SETTLED, \
    MASTER_WELCOME, party, PARTY_MASTER, STORE_ENTRIES
from raylite._core.party cimport Party
from raylite._core.store_client cimport store_clear, store_deadline_ns, store_flush, store_next_entry, \
    store_on_chain, store_on_entries, store_op, store_setup, StoreClient
from raylite._core.store_message cimport ENTRY_ANSWER, KV_OVERWRITE, OP_KV_GET, OP_KV_PUT, store_letter_message, \
    StoreEntry

cdef enum:
    TELL_NS = 5000000             # a shard waits no longer for the acknowledgement of its entries


cdef class StoreProbe(Party):
    """Args: address, incarnation: its own; n_shards: of the store.

    Attributes: answers: token to (status, bytes) of every answer.
    """
    cdef StoreClient store
    cdef uint64_t heartbeat_ns
    cdef uint64_t next_heartbeat_ns
    cdef uint64_t last_token
    cdef readonly dict answers

    def __init__(self, uint32_t address, uint32_t incarnation, uint32_t n_shards):
        self.join(address, incarnation)
        store_setup(&self.store, address, incarnation, n_shards, TELL_NS)
        self.answers = {}

    def __dealloc__(self):
        store_clear(&self.store)

    def begin(self, uint64_t now_ns):
        """Register with the master."""
        self.now_ns = now_ns
        self.register()

    def put(self, uint64_t now_ns, bytes key not None, bytes value not None):
        """Have a value kept under a key. Returns the token of its answer."""
        padded = key + bytes(-len(key) % 8)
        return self.ask(now_ns, OP_KV_PUT, key, len(key).to_bytes(8, "little") + padded + value)

    def get(self, uint64_t now_ns, bytes key not None):
        """Have a value told. Returns the token of its answer."""
        return self.ask(now_ns, OP_KV_GET, key, key)

    def ask(self, uint64_t now_ns, int kind, bytes key not None, bytes body not None):
        """Have the store do something. Returns the token of its answer."""
        cdef ObjectId object = object_id(hash_bytes(key, len(key), 0), 0)
        self.now_ns = now_ns
        self.last_token += 1
        store_op(&self.store, object, kind, KV_OVERWRITE if kind == OP_KV_PUT else 0, self.last_token, body, len(body))
        self.flush()
        return self.last_token

    cdef int flush(self) except -1:
        cdef size_t i
        store_flush(&self.store, self.now_ns)
        for i in range(self.store.out.size()):
            self.send(self.store.out[i].target, &self.store.out[i].message, self.store.out[i].payload)
        self.store.out.clear()
        return 0

    cdef int tell_master(self, uint8_t kind, uint64_t aux, Blob* payload) except -1:
        cdef Message m = store_letter_message(kind, payload.size if payload != NULL else 0)
        m.incarnation = self.incarnation
        m.aux = aux
        return self.send(party(PARTY_MASTER, 0), &m, payload)

    cdef int register(self) except -1:
        cdef RegisterHeader head
        memset(&head, 0, sizeof(RegisterHeader))
        return self.tell_master(MASTER_REGISTER, 0, blob_copy(<const char*> &head, sizeof(RegisterHeader)))

    cdef int deliver(self, uint64_t now_ns, uint32_t source, const Message* message, Blob* payload) except -1:
        cdef StoreEntry entry
        cdef const char* body = NULL
        if message.kind == MASTER_WELCOME:
            self.heartbeat_ns = (<const WelcomeHeader*> blob_data(payload)).heartbeat_ns
            self.next_heartbeat_ns = now_ns + self.heartbeat_ns
        elif message.kind == MASTER_REGISTER:
            self.register()
        elif message.kind == MASTER_CHAIN:
            store_on_chain(&self.store, payload)
        elif message.kind == MASTER_SETTLE:
            self.tell_master(MASTER_SETTLED, message.aux, NULL)
        elif message.kind == STORE_ENTRIES and store_on_entries(&self.store, now_ns, payload):
            while store_next_entry(&self.store, &entry, &body):
                if entry.kind == ENTRY_ANSWER:
                    self.answers[entry.token] = entry.flags, body[:entry.size]
        return self.flush()

    cdef int on_time(self, uint64_t now_ns) except -1:
        if self.next_heartbeat_ns and now_ns >= self.next_heartbeat_ns:
            self.next_heartbeat_ns = now_ns + self.heartbeat_ns
            self.tell_master(MASTER_HEARTBEAT, 0, NULL)
        return self.flush()

    cdef uint64_t wants_time_ns(self) noexcept:
        cdef uint64_t store_ns = store_deadline_ns(&self.store)
        if store_ns and self.next_heartbeat_ns:
            return min(store_ns, self.next_heartbeat_ns)
        return store_ns + self.next_heartbeat_ns

    cdef int on_peer_gone(self, uint64_t now_ns, uint32_t source, uint32_t incarnation) except -1:
        return self.register() if source == party(PARTY_MASTER, 0) else 0
