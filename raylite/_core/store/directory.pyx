"""What a shard finds by a string: names of actors and placement groups, and the key-value table.

The string's hash (hash_bytes with seed 0) says which shard has it. An actor's name goes with the actor, whose shard
says so; if who claimed it dies, the actor's shard is asked whether there ever was one. A placement group's names go
with who claimed them.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint32_t
from libcpp.map cimport map as ordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport align8, Blob, blob_copy, blob_data, blob_drop
from raylite._core.ids cimport hash_bytes, object_id, same_task
from raylite._core.message cimport take, take_padded
from raylite._core.store.actors cimport on_actor_named
from raylite._core.store.message cimport *
from raylite._core.store.state cimport StoredName
from raylite._core.store.streams cimport answer, forward


cdef void drop_here(StoreState* s, TaskId owner, const string* name) noexcept nogil:
    cdef ordered_map[string, StoredName].iterator it = s.names.find(name[0])
    if it != s.names.end() and same_task(deref(it).second.owner, owner):
        s.names.erase(it)


cdef void drop_name(StoreState* s, TaskId owner, const string* name) noexcept nogil:
    """A name is the owner's no more, in whichever shard it is."""
    cdef TaskId where = hash_bytes(name.data(), name.size(), 0)
    cdef string body
    if shard_of(where, s.n_shards) == s.shard:
        drop_here(s, owner, name)
        return
    body.assign(<const char*> &owner, sizeof(TaskId))
    body.append(name[0])
    forward(s, where, OP_NAME_DROP, object_id(where, 0), body.data(), body.size(), False)


cdef void claimant_gone(StoreState* s, uint64_t claimant) noexcept nogil:
    """A node is dead: names that it claimed for actors of which nothing came are dropped, and those of its groups."""
    cdef ordered_map[string, StoredName].iterator it = s.names.begin()
    cdef vector[string] claimed
    cdef const StoredName* row
    cdef StoreOp op
    cdef Cursor body
    cdef size_t i
    while it != s.names.end():
        if deref(it).second.claimant == claimant:
            claimed.push_back(deref(it).first)
        preincrement(it)
    for i in range(claimed.size()):
        row = &deref(s.names.find(claimed[i])).second
        if not row.flags & NAME_OF_ACTOR:
            s.names.erase(claimed[i])
            continue
        if shard_of(row.owner, s.n_shards) != s.shard:
            forward(s, row.owner, OP_ACTOR_NAMED, object_id(row.owner, 0), claimed[i].data(), claimed[i].size(), False)
            continue
        op.object = object_id(row.owner, 0)
        body = Cursor(claimed[i].data(), claimed[i].size(), False)
        on_actor_named(s, &op, &body)


cdef void list_names(StoreState* s, const StoreOp* op, const string* prefix) noexcept nogil:
    cdef ordered_map[string, StoredName].iterator it = s.names.lower_bound(prefix[0])
    cdef string out
    while it != s.names.end() and deref(it).first.compare(0, prefix.size(), prefix[0]) == 0:
        if deref(it).second.flags & NAME_OF_ACTOR:
            out.append(deref(it).first)
            out.append(b"\n")
        preincrement(it)
    answer(s, op, STORE_OK, out.data(), out.size())


cdef void claim_name(StoreState* s, const StoreOp* op, TaskId owner, const string* name) noexcept nogil:
    cdef ordered_map[string, StoredName].iterator it = s.names.find(name[0])
    cdef StoredName* row
    if it == s.names.end():
        row = &s.names[name[0]]
        row.owner = owner
        row.claimant = s.asking
        row.flags = op.flags
    else:
        row = &deref(it).second
    answer(s, op, STORE_OK if same_task(row.owner, owner) else STORE_TAKEN, <const char*> &row.owner, sizeof(TaskId))


cdef bint on_name(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    cdef const TaskId* owner = NULL
    cdef ordered_map[string, StoredName].iterator it
    cdef string name
    if op.kind == OP_NAME_CLAIM or op.kind == OP_NAME_DROP:
        owner = <const TaskId*> take(body, sizeof(TaskId))
        if owner == NULL:
            return False
    name.assign(body.data, body.left)
    if op.kind == OP_NAME_CLAIM:
        claim_name(s, op, owner[0], &name)
    elif op.kind == OP_NAME_LIST:
        list_names(s, op, &name)
    elif op.kind == OP_NAME_DROP:
        drop_here(s, owner[0], &name)
        answer(s, op, STORE_OK, NULL, 0)
    else:
        it = s.names.find(name)
        if it == s.names.end():
            answer(s, op, STORE_UNKNOWN, NULL, 0)
        else:
            answer(s, op, STORE_OK, <const char*> &deref(it).second.owner, sizeof(TaskId))
    return True


# ---- key-value -------------------------------------------------------------------------------------------------

cdef bint put_value(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    cdef const uint32_t* size = <const uint32_t*> take(body, 8)
    cdef const char* key_data = take_padded(body, size[0]) if size != NULL else NULL
    cdef ordered_map[string, Blob*].iterator it
    cdef string key
    if key_data == NULL:
        return False
    key.assign(key_data, size[0])
    it = s.values.find(key)
    if it != s.values.end() and not op.flags & KV_OVERWRITE:
        answer(s, op, STORE_TAKEN, NULL, 0)
        return True
    if it != s.values.end():
        blob_drop(deref(it).second)
    s.values[key] = blob_copy(body.data, body.left)
    answer(s, op, STORE_OK, NULL, 0)
    return True


cdef void list_keys(StoreState* s, const StoreOp* op, const string* prefix) noexcept nogil:
    cdef ordered_map[string, Blob*].iterator it = s.values.lower_bound(prefix[0])
    cdef uint32_t size[2]
    cdef string out
    while it != s.values.end() and deref(it).first.compare(0, prefix.size(), prefix[0]) == 0:
        size[0] = <uint32_t> deref(it).first.size()
        size[1] = 0
        out.append(<const char*> size, 8)
        out.append(deref(it).first)
        out.append(align8(size[0]) - size[0], <char> 0)
        preincrement(it)
    answer(s, op, STORE_OK, out.data(), out.size())


cdef bint on_value(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    cdef ordered_map[string, Blob*].iterator it
    cdef string key
    if op.kind == OP_KV_PUT:
        return put_value(s, op, body)
    key.assign(body.data, body.left)
    if op.kind == OP_KV_LIST:
        list_keys(s, op, &key)
        return True
    it = s.values.find(key)
    if it == s.values.end():
        answer(s, op, STORE_UNKNOWN, NULL, 0)
    elif op.kind == OP_KV_GET:
        answer(s, op, STORE_OK, blob_data(deref(it).second), deref(it).second.size)
    else:
        blob_drop(deref(it).second)
        s.values.erase(it)
        answer(s, op, STORE_OK, NULL, 0)
    return True
