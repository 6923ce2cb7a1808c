"""What the master and the other parties say to each other (docs/cluster.md). Chains: see ChainHeader in store_message.

A party registers (MASTER_REGISTER), is welcomed, told all chains and nodes, and from then on sends MASTER_HEARTBEAT.
If the master has started again it registers again; so it does if it is told MASTER_REGISTER itself.
"""
from libc.stdint cimport uint32_t, uint64_t
from raylite._core.message cimport Cursor, take, take_padded

cdef struct RegisterHeader:       # MASTER_REGISTER; then what a node says of itself; of a replica, ShardHeld ...
    uint32_t n_held               # of a replica: shards of which its journal had a state
    uint32_t journal_since        # of a replica: the incarnation from which on all that ever left it is in its journal;
    #                               0: it has none

cdef struct ShardHeld:
    uint32_t shard
    uint32_t unused
    uint64_t applied

cdef struct WelcomeHeader:        # MASTER_WELCOME
    uint32_t n_shards
    uint32_t unused
    uint64_t heartbeat_ns         # how often the master wants to hear of the party

cdef struct NodeNotice:           # MASTER_NODE: one or more, each followed by what the node says of itself, padded to 8
    uint32_t address
    uint32_t incarnation
    uint32_t is_suspect
    uint32_t size

cdef struct LoadNotice:           # MASTER_LOADS: one for each node that has sent one since, padded to 8
    uint32_t address
    uint32_t size

cdef inline const NodeNotice* take_notice(Cursor* c, const char** about) noexcept nogil:
    """The next notice of a MASTER_NODE, and what that node says of itself; NULL if it is not whole."""
    cdef const NodeNotice* notice = <const NodeNotice*> take(c, sizeof(NodeNotice))
    if notice == NULL:
        return NULL
    about[0] = take_padded(c, notice.size)
    return notice if about[0] != NULL else NULL
