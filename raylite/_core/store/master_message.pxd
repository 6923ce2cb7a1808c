"""What the master and the other parties say to each other (docs/cluster.md). Chains: see ChainHeader in store_message.

A party registers (MASTER_REGISTER), is welcomed, told all chains and nodes, and from then on sends MASTER_HEARTBEAT.
If the master has started again it registers again; so it does if it is told MASTER_REGISTER itself.
"""
from libc.stdint cimport uint32_t, uint64_t

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

cdef struct NodeNotice:           # MASTER_NODE; then what the node says of itself
    uint32_t address
    uint32_t incarnation
    uint32_t is_suspect
    uint32_t size

cdef struct LoadNotice:           # MASTER_LOADS: one for each node that has sent one since, padded to 8
    uint32_t address
    uint32_t size
