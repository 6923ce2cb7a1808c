"""What parties of a cluster send each other (docs/cluster.md): addresses, packets, kinds of messages between parties.

A packet carries one message and its payload between two parties; the links number and acknowledge it. As bytes it is
the header, the message and the payload, one after another, little-endian.
"""
from libc.stdint cimport uint32_t, uint64_t
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message

cdef enum PartyKind:
    PARTY_NODE = 1
    PARTY_REPLICA = 2
    PARTY_MASTER = 3
    PARTY_SCHEDULER = 4
    PARTY_SHARD = 5               # an endpoint of streams, not a party: its replicas are

cdef enum PeerMessage:            # kinds of messages between parties
    PEER_ACK = 128                # nothing but the packet's header
    PEER_FENCED = 129             # the target's incarnation was declared dead, or there is a newer one
    # the control store
    STORE_REQUEST = 130           # endpoint to head; payload: StreamHeader, StoreOp ...
    STORE_ENTRIES = 131           # tail to endpoint; payload: StreamHeader, StoreEntry ...
    CHAIN_UPDATE = 132            # from here on: see chain.pyx
    CHAIN_ACK = 133
    CHAIN_RESYNC = 134
    CHAIN_SNAPSHOT = 135
    CHAIN_TAKEN = 136
    CHAIN_LAST = 139
    # the master
    MASTER_REGISTER = 140         # from here on: see master.pyx
    MASTER_WELCOME = 141
    MASTER_HEARTBEAT = 142        # payload of a node's: NodeLoad ... (see loads.pyx)
    MASTER_CHAIN = 143            # the configuration of a shard's chain
    MASTER_NODE = 144             # a node has come
    MASTER_NODE_DEAD = 145
    MASTER_SETTLED = 146
    MASTER_LOADS = 147            # to schedulers
    MASTER_SETTLE = 148           # aux: a number that comes back in MASTER_SETTLED when all that the node has sent to
    #                               the store by now is acknowledged
    MASTER_JOINED = 149           # a replica's successor-to-be has all that it has; client: shard, aux: epoch
    MASTER_LAST = 159
    # global schedulers
    SCHEDULER_ASK = 160
    SCHEDULER_ANSWER = 161
    SCHEDULER_ASK_GROUP = 162
    SCHEDULER_ANSWER_GROUP = 163
    SCHEDULER_LAST = 169
    # nodes among themselves: see cluster modules of the node
    NODE_FIRST = 170
    NODE_LAST = 219

cdef struct PacketHeader:
    uint32_t source
    uint32_t target
    uint32_t source_incarnation
    uint32_t target_incarnation   # as the source knows it; 0: not yet
    uint64_t sequence             # of this link's data, from 1; 0: nothing but an acknowledgement
    uint64_t acknowledged         # of the other direction: all up to here has come
    uint64_t early                # and of what is behind the next one, bit i: acknowledged + 2 + i

cdef struct Packet:
    PacketHeader head
    Message message
    Blob* payload

cdef inline uint32_t party(uint32_t kind, uint32_t number) noexcept nogil:
    """The address of a party: numbers from 0."""
    return (kind << 24) | number

cdef inline uint32_t party_kind(uint32_t address) noexcept nogil:
    return address >> 24

cdef inline uint32_t party_number(uint32_t address) noexcept nogil:
    return address & 0xFFFFFF

cdef void packet_write(const Packet* packet, char* out) noexcept nogil
cdef bint packet_read(const char* data, uint64_t size, Packet* packet) noexcept nogil

cdef inline uint64_t packet_size(const Packet* packet) noexcept nogil:
    """Of a packet as bytes."""
    return sizeof(PacketHeader) + sizeof(Message) + packet.message.size
