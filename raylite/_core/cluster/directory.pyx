"""What all of a cluster finds by a string: values by their keys, and lists of keys and names, gathered from all shards.

A key's hash says which shard has it, so a list is a question to every one; the client gets one answer, shard by shard.
"""
from raylite._core.cluster.departures cimport ask_store
from raylite._core.cluster.table cimport Listing
from raylite._core.envelope cimport Blob, blob_copy, blob_data, blob_new
from raylite._core.ids cimport hash_bytes, object_id, ObjectId, TaskId
from raylite._core.message cimport CMD_READY, Cursor, QUERY_VALUE_DELETE, QUERY_VALUE_KEYS, \
    QUERY_VALUE_PUT, take, take_padded
from raylite._core.node.state cimport emit
from raylite._core.store.message cimport NAME_OF_ACTOR, OP_KV_DELETE, OP_KV_GET, OP_KV_LIST, OP_KV_PUT, OP_NAME_LIST
from libc.stdint cimport uint32_t
from libc.string cimport memcpy


cdef ObjectId in_shard(uint32_t shard, uint32_t n_shards) noexcept nogil:
    """An id whose row would be in this shard (shard_of)."""
    cdef uint64_t first = ((<uint64_t> shard << 32) + n_shards - 1) // n_shards
    return object_id(TaskId(first << 32, 0), 0)


cdef void ask_all(NodeState* n, const Message* m, uint16_t kind, uint16_t flags, const char* prefix,
                  uint64_t size) noexcept nogil:
    cdef Listing* listing
    cdef uint64_t token
    cdef uint32_t shard
    n.cluster.last_listing += 1
    listing = &n.cluster.listings[n.cluster.last_listing]
    listing.client = m.client
    listing.request = m.request
    listing.n_missing = n.cluster.n_shards
    for shard in range(n.cluster.n_shards):
        token = ask_store(n, kind, in_shard(shard, n.cluster.n_shards), blob_copy(prefix, size))
        n.cluster.operations.back().flags = flags
        n.cluster.expected[token].request = n.cluster.last_listing


cdef void shard_listed(NodeState* n, const Expected* asked, const char* body, uint64_t size) noexcept nogil:
    """One shard has answered; the last one's answer goes to the client with the others."""
    cdef Listing* listing
    if n.cluster.listings.count(asked.request) == 0:
        return
    listing = &n.cluster.listings[asked.request]
    listing.found.append(body, size)
    listing.n_missing -= 1
    if listing.n_missing:
        return
    if n.clients.count(listing.client):
        emit(n, CMD_READY, listing.client, blob_copy(
            listing.found.data(), listing.found.size())).request = listing.request
    n.cluster.listings.erase(asked.request)


cdef void list_names(NodeState* n, const Message* m) noexcept nogil:
    """A client asks for the names of all actors."""
    ask_all(n, m, OP_NAME_LIST, NAME_OF_ACTOR, NULL, 0)


cdef bint ask_for_value(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """A client's question about the key-value table. False if it is malformed."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const uint32_t* head
    cdef const char* key = payload
    cdef uint64_t key_size = m.size, token
    cdef uint16_t kind = OP_KV_GET, flags = 0
    if m.object.index == QUERY_VALUE_KEYS:
        ask_all(n, m, OP_KV_LIST, 0, payload, m.size)
        return True
    if m.object.index == QUERY_VALUE_PUT:
        head = <const uint32_t*> take(&c, 8)
        key = take_padded(&c, head[0]) if head != NULL else NULL
        if key == NULL:
            return False
        key_size = head[0]
        kind = OP_KV_PUT
        flags = <uint16_t> head[1]            # VALUE_OVERWRITE is KV_OVERWRITE
    elif m.object.index == QUERY_VALUE_DELETE:
        kind = OP_KV_DELETE
    token = ask_store(n, kind, object_id(hash_bytes(key, key_size, 0), 0), blob_copy(payload, m.size))
    n.cluster.operations.back().flags = flags
    n.cluster.expected[token].client = m.client
    n.cluster.expected[token].request = m.request
    return True


cdef void value_answered(NodeState* n, const Expected* asked, uint16_t status, const char* body,
                         uint64_t size) noexcept nogil:
    cdef Blob* answer
    cdef uint64_t head = status
    if n.clients.count(asked.client) == 0:
        return
    answer = blob_new(8 + size)
    memcpy(blob_data(answer), &head, 8)
    if size:
        memcpy(blob_data(answer) + 8, body, size)
    emit(n, CMD_READY, asked.client, answer).request = asked.request
