"""What a shard does when nodes come and die, as the master tells it (docs/cluster.md, "When a node dies").

At once: the node is fenced, its copies are gone, its actors crashed, its tasks orphans. Its holds go later, when the
master knows that whatever the node had passed on has said so itself. So do objects that somebody speaks of and that no
COMMIT or PUT has made known: those that an OP_SETTLE found so, and that still are unknown when the nodes have settled.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp.algorithm cimport sort
from libcpp.map cimport map as ordered_map
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.ids cimport ACTOR_INDEX, ObjectId, TaskId
from raylite._core.message cimport take
from raylite._core.links.packet cimport PARTY_MASTER
from raylite._core.planted cimport DEAD_COPIES, planted
from raylite._core.store.actors cimport actor_condemned, actor_lost_node, make_waiting_actors
from raylite._core.store.directory cimport claimant_gone
from raylite._core.store.message cimport NodeRecord, OP_NODE_ALIVE, OP_NODE_DEAD, OP_NODE_DROP, OP_SETTLE, party_key, \
    STORE_OK
from raylite._core.store.objects cimport drop_location, give_up, release_here
from raylite._core.store.state cimport discard, find_object, find_task, HolderKey, includes, is_fenced, node_holder, \
    StoredObject, StoredTask, STORED_TASK_ORPHAN, STORED_TASK_PENDING
from raylite._core.store.streams cimport answer, await_all, drop_endpoint
from raylite._core.store.tasks cimport forsake


cdef void find_places(StoreState* s, uint64_t key, vector[ObjectId]* out) noexcept nogil:
    """The objects of which the node has a copy, or which it watches; in the order of their ids."""
    cdef unordered_map[ObjectId, StoredObject].iterator it = s.objects.begin()
    while it != s.objects.end():
        if includes(&deref(it).second.locations, key) or includes(&deref(it).second.watchers, key):
            out.push_back(deref(it).first)
        preincrement(it)
    sort(out.begin(), out.end())


cdef void find_held(StoreState* s, uint64_t key, vector[ObjectId]* out) noexcept nogil:
    cdef unordered_map[ObjectId, StoredObject].iterator it = s.objects.begin()
    cdef HolderKey holder = node_holder(key)
    while it != s.objects.end():
        if deref(it).second.holders.count(holder):
            out.push_back(deref(it).first)
        preincrement(it)
    sort(out.begin(), out.end())


cdef void find_tasks(StoreState* s, uint64_t home, uint8_t state, vector[TaskId]* out) noexcept nogil:
    cdef unordered_map[TaskId, StoredTask].iterator it = s.tasks.begin()
    while it != s.tasks.end():
        if deref(it).second.home == home and deref(it).second.state == state:
            out.push_back(deref(it).first)
        preincrement(it)
    sort(out.begin(), out.end())


cdef void on_alive(StoreState* s, uint32_t address, uint32_t incarnation) noexcept nogil:
    if not is_fenced(s, party_key(address, incarnation)):
        s.alive[address] = incarnation
        make_waiting_actors(s)


cdef void fence(StoreState* s, uint32_t address, uint32_t incarnation) noexcept nogil:
    """This start of the node and those before are dead."""
    cdef ordered_map[uint32_t, uint32_t].iterator it = s.alive.find(address)
    if it != s.alive.end() and deref(it).second <= incarnation:
        s.alive.erase(address)
    if not is_fenced(s, party_key(address, incarnation)):
        s.dead[address] = incarnation
    drop_endpoint(s, party_key(address, incarnation))


cdef void on_dead(StoreState* s, uint64_t key) noexcept nogil:
    cdef vector[ObjectId] objects
    cdef vector[TaskId] tasks, actors
    cdef StoredObject* row
    cdef size_t i
    find_tasks(s, key, STORED_TASK_PENDING, &tasks)
    for i in range(tasks.size()):
        find_task(s, tasks[i]).state = STORED_TASK_ORPHAN
    find_places(s, key, &objects)
    for i in range(objects.size()):
        row = find_object(s, objects[i])
        discard(&row.watchers, key)
        if not planted(DEAD_COPIES):
            drop_location(s, row, key)
    for entry in s.actors:
        discard(&s.actors[entry.first].watchers, key)
        if entry.second.node == key:
            actors.push_back(entry.first)
    for i in range(actors.size()):
        actor_lost_node(s, actors[i])


cdef void condemn_unknown(StoreState* s) noexcept nogil:
    """Whoever would have made these objects known is dead."""
    cdef vector[ObjectId] condemned
    cdef StoredObject* row
    cdef size_t i
    for entry in s.unknown:
        if entry.second:
            condemned.push_back(entry.first)
    for i in range(condemned.size()):
        row = find_object(s, condemned[i])
        row.known = True
        s.unknown.erase(condemned[i])
        if condemned[i].index == ACTOR_INDEX:
            actor_condemned(s, condemned[i].task)
        else:
            give_up(s, row, b"the node on which it was to be made died before anybody else knew how")


cdef void on_drop(StoreState* s, uint64_t key) noexcept nogil:
    cdef vector[ObjectId] objects
    cdef vector[TaskId] tasks
    cdef StoredTask* t
    cdef size_t i
    find_held(s, key, &objects)
    for i in range(objects.size()):
        release_here(s, objects[i], node_holder(key))
    find_tasks(s, key, STORED_TASK_ORPHAN, &tasks)
    for i in range(tasks.size()):
        t = find_task(s, tasks[i])
        if t != NULL and t.state == STORED_TASK_ORPHAN:
            forsake(s, t)
    claimant_gone(s, key)
    condemn_unknown(s)


cdef bint on_node(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    """What the master says of nodes; False if somebody else does."""
    cdef const NodeRecord* node
    cdef uint64_t key
    if s.asking >> 56 != PARTY_MASTER:
        return False
    if op.kind == OP_SETTLE:
        for entry in s.unknown:
            s.unknown[entry.first] = True
        await_all(s, op)
        return True
    node = <const NodeRecord*> take(body, sizeof(NodeRecord))
    if node == NULL:
        return False
    key = party_key(node.address, node.incarnation)
    if op.kind == OP_NODE_ALIVE:
        on_alive(s, node.address, node.incarnation)
    elif op.kind == OP_NODE_DEAD:
        fence(s, node.address, node.incarnation)
        on_dead(s, key)
    elif op.kind == OP_NODE_DROP:
        on_drop(s, key)
    answer(s, op, STORE_OK, NULL, 0)
    return True
