"""An endpoint's end of its streams to the shards of the control store: a node's or the master's (docs/cluster.md).

    store_setup(&c, address, incarnation, n_shards, ack_delay_ns)
    store_op(&c, object, OP_HOLD, 0, token, body, size)      # as many as an event leads to; or store_begin, store_end
    store_flush(&c, now_ns)                                  # at its end: one letter to each shard concerned, on c.out
    store_on_chain(&c, payload, &head)                       # MASTER_CHAIN: sends again what a new head may not have;
                                                             # the party must `know` that head before it sends c.out
    store_on_entries(&c, now_ns, payload)                    # STORE_ENTRIES; then, until it is False:
    while store_next_entry(&c, &entry, &body): ...           # each once, in its shard's order; valid until the next
    store_settle(&c, number)                                 # MASTER_SETTLE; after store_on_entries and store_flush:
    while store_settled(&c, &number): ...                    # MASTER_SETTLED
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libcpp.deque cimport deque
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId
from raylite._core.store.message cimport NodeRecord, Outgoing, StoreEntry

cdef enum:
    LETTERS_UNTOLD = 32           # letters of entries that wait for an acknowledgement at most

cdef struct ShardStream:
    uint32_t epoch                # of its chain
    uint32_t head                 # 0: not known
    uint32_t head_incarnation
    uint32_t n_drafted
    string draft                  # operations that no letter has yet
    uint64_t sent                 # number of the last letter
    uint64_t acknowledged
    deque[Blob*] letters          # (acknowledged, sent]
    uint64_t received             # number of the last letter of entries
    uint64_t told                 # of those, acknowledged
    uint64_t tell_by_ns           # 0: nothing to acknowledge

cdef struct Settling:             # what is to be acknowledged before MASTER_SETTLED is said
    uint64_t number
    vector[uint64_t] letters      # of each shard

cdef struct StoreClient:
    uint32_t address
    uint32_t incarnation
    uint64_t ack_delay_ns
    bint fenced                   # a shard has said that this endpoint was declared dead
    vector[ShardStream] shards
    uint32_t drafting             # the shard of store_begin
    uint64_t drafting_at
    deque[Blob*] inbox            # letters of entries, those of the first up to inbox_at are handed out
    uint64_t inbox_at
    deque[Settling] settling
    vector[Outgoing] out          # for the party to send, and to clear

cdef void store_setup(StoreClient* c, uint32_t address, uint32_t incarnation, uint32_t n_shards,
                      uint64_t ack_delay_ns) noexcept nogil
cdef void store_clear(StoreClient* c) noexcept nogil
cdef void store_op(StoreClient* c, ObjectId object, uint16_t kind, uint16_t flags, uint64_t token, const char* body,
                   uint64_t size) noexcept nogil
cdef void store_op_at(StoreClient* c, uint32_t shard, ObjectId object, uint16_t kind, uint16_t flags, uint64_t token,
                      const char* body, uint64_t size) noexcept nogil
cdef string* store_begin(StoreClient* c, ObjectId object, uint16_t kind, uint16_t flags, uint64_t token) noexcept nogil
cdef void store_end(StoreClient* c) noexcept nogil
cdef void store_hold(StoreClient* c, ObjectId object, bint holds) noexcept nogil
cdef void store_flush(StoreClient* c, uint64_t now_ns) noexcept nogil
cdef uint64_t store_deadline_ns(const StoreClient* c) noexcept nogil
cdef bint store_on_chain(StoreClient* c, Blob* payload, NodeRecord* head) noexcept nogil
cdef bint store_on_entries(StoreClient* c, uint64_t now_ns, Blob* payload) noexcept nogil
cdef bint store_next_entry(StoreClient* c, StoreEntry* entry, const char** body) noexcept nogil
cdef uint64_t store_n_unacknowledged(const StoreClient* c) noexcept nogil
cdef void store_settle(StoreClient* c, uint64_t number) noexcept nogil
cdef bint store_settled(StoreClient* c, uint64_t* number) noexcept nogil
