"""How the store comes to forget a dead node, and nothing that the node had passed on (docs/cluster.md).

At once all parties and all shards hear of the death, so nothing more of the node is accepted anywhere. Then, in order:

1. every node settles: what it has sent to the store, also because of what the dead node told it, is acknowledged;
2. every shard settles: so is what shards told each other because of that. They note which objects are only spoken of;
3. every node settles again: were there a live node that makes such an object known, it would have done so by now;
4. every shard drops the dead node's holds, and what nobody will make known.

A node that dies in between may have told others, so the stages then start anew, for all that are dying.
"""
from libc.stdint cimport uint16_t
from libc.string cimport memset
from raylite._core.ids cimport ObjectId
from raylite._core.planted cimport DROPPED_TOO_SOON, planted
from raylite._core.store.master_state cimport MASTER_RECORD_DEATH, MASTER_RECORD_DROPPED, record, say, say_all, \
    STAGE_DROP, STAGE_NODES, STAGE_NODES_AGAIN, STAGE_NONE, STAGE_SHARDS
from raylite._core.links.packet cimport MASTER_NODE_DEAD, MASTER_SETTLE, party_kind, PARTY_NODE
from raylite._core.store.client cimport store_op_at
from raylite._core.store.message cimport OP_NODE_DEAD, OP_NODE_DROP, OP_SETTLE


cdef void tell_shards(MasterState* m, uint16_t op, uint64_t token, const NodeRecord* node) noexcept nogil:
    cdef ObjectId nothing
    cdef uint32_t shard
    memset(&nothing, 0, sizeof(ObjectId))
    for shard in range(m.n_shards):
        store_op_at(&m.store, shard, nothing, op, 0, token, <const char*> node, sizeof(NodeRecord) if node else 0)


cdef void settle_nodes(MasterState* m) noexcept nogil:
    m.unsettled.clear()
    for entry in m.members:
        if party_kind(entry.first) == PARTY_NODE:
            m.unsettled.insert(entry.first)
            say(m, entry.first, MASTER_SETTLE, m.settle_number, NULL, 0)


cdef void drop_all(MasterState* m) noexcept nogil:
    cdef size_t i
    for i in range(m.dying.size()):
        tell_shards(m, OP_NODE_DROP, m.settle_number, &m.dying[i])
    m.n_unsettled_shards = m.n_shards * m.dying.size()


cdef void finish(MasterState* m) noexcept nogil:
    cdef size_t i
    for i in range(m.dying.size()):
        record(m, MASTER_RECORD_DROPPED, <const char*> &m.dying[i], sizeof(NodeRecord))
    m.dying.clear()
    m.stage = STAGE_NONE


cdef void enter_stage(MasterState* m, uint32_t stage) noexcept nogil:
    """Begin a stage; those that have nothing to wait for are over at once."""
    while True:
        m.stage = stage
        m.settle_number += 1
        m.unsettled.clear()
        m.n_unsettled_shards = 0
        if stage == STAGE_NODES or stage == STAGE_NODES_AGAIN:
            settle_nodes(m)
        elif stage == STAGE_SHARDS:
            m.n_unsettled_shards = m.n_shards
            tell_shards(m, OP_SETTLE, m.settle_number, NULL)
        else:
            drop_all(m)
        if not m.unsettled.empty() or m.n_unsettled_shards or stage == STAGE_DROP:
            return
        stage += 1


cdef void stage_over(MasterState* m) noexcept nogil:
    if m.stage == STAGE_DROP:
        finish(m)
    elif m.stage != STAGE_NONE:
        enter_stage(m, m.stage + 1)


cdef void node_died(MasterState* m, NodeRecord node) noexcept nogil:
    """The member is a node and counts as dead from now on."""
    record(m, MASTER_RECORD_DEATH, <const char*> &node, sizeof(NodeRecord))
    m.members.erase(node.address)
    m.dead[node.address] = node.incarnation
    m.dying.push_back(node)
    m.fenced.push_back(node)
    say_all(m, MASTER_NODE_DEAD, <const char*> &node, sizeof(NodeRecord), True)
    tell_shards(m, OP_NODE_DEAD, 0, &node)
    enter_stage(m, STAGE_DROP if planted(DROPPED_TOO_SOON) else STAGE_NODES)


cdef void resume_deaths(MasterState* m) noexcept nogil:
    """After a start of the master: deaths that were written down, and not that the store has dropped the nodes."""
    cdef size_t i
    for i in range(m.dying.size()):
        say_all(m, MASTER_NODE_DEAD, <const char*> &m.dying[i], sizeof(NodeRecord), True)
        tell_shards(m, OP_NODE_DEAD, 0, &m.dying[i])
    if m.dying.size():
        enter_stage(m, STAGE_NODES)


cdef void on_node_settled(MasterState* m, uint32_t node, uint64_t number) noexcept nogil:
    if number == m.settle_number and m.unsettled.erase(node) and m.unsettled.empty():
        stage_over(m)


cdef void on_shard_settled(MasterState* m, uint64_t number) noexcept nogil:
    """A shard has settled, or has dropped a node."""
    if number == m.settle_number and m.n_unsettled_shards:
        m.n_unsettled_shards -= 1
        if m.n_unsettled_shards == 0:
            stage_over(m)
