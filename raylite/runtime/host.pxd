from libc.stdint cimport int32_t, uint32_t, uint64_t
from libcpp.deque cimport deque
from libcpp.map cimport map as ordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message
from raylite._core.node cimport Node
from raylite._core.state cimport NodeState
from raylite.runtime.channel cimport BellPage, Channel
from raylite.runtime.client cimport Client
from raylite.runtime.inbox cimport Inbox
from raylite.runtime.pump cimport Pump

cdef enum:
    PEERS_MOST = 4096
    PEER_FDS = 10
    GPUS_MOST = 64

cdef enum PeerFd:                 # as they are passed to the peer's process
    FD_MEMORY = 0
    FD_BELL = 1
    FD_NODE_THREAD = 2
    FD_NODE_WAITER = 3
    FD_THREAD = 4
    FD_WAITER = 5
    FD_SPACE = 6
    FD_SOCKET = 7
    FD_OUT = 8
    FD_ERR = 9

cdef struct SpawnOrder:           # to the zygote
    uint32_t kind
    uint32_t client
    uint64_t environment
    uint32_t n_gpus
    uint32_t gpus[GPUS_MOST]

cdef struct Outgoing:
    Message message
    Blob* payload
    uint64_t progress

cdef struct Peer:                 # a client at the end of a ring
    Channel channel
    deque[Outgoing] outbox
    uint32_t client
    int32_t process               # 0: not known yet
    int thread_event
    int waiter_event
    int space_event
    int socket
    int out_file
    int err_file
    int pidfd                     # of a driver's process
    int remote                    # the other end of `socket`, until the zygote has it
    SpawnOrder order              # of a worker
    bint is_worker
    bint doomed                   # to be killed as soon as its process is known
    bint silent                   # a message for it was written since its bell was looked at

cdef struct ZygoteReport:         # from the zygote
    uint32_t kind
    uint32_t client
    int32_t process
    int32_t status

cdef enum ZygoteKind:
    ORDER_SPAWN = 1
    REPORT_STARTED = 2
    REPORT_EXITED = 3
    REPORT_FAILED = 4

cdef struct Finished:             # output of a worker that ended, until it is read
    uint32_t client
    int32_t process
    int out_file
    int err_file

cdef struct Host:
    Pump pump
    NodeState* node
    Inbox* local
    BellPage* bell
    int bell_file
    int thread_event
    int waiter_event
    int zygote
    int zygote_pidfd
    ordered_map[uint32_t, Peer*] peers
    Peer* spinning[PEERS_MOST]    # read without the lock while a leader spins
    uint64_t n_spinning
    vector[Peer*] graveyard       # freed when nobody spins
    deque[uint32_t] orders        # workers that the zygote was not told of yet
    vector[Finished] finished
    ordered_map[uint32_t, int] segments
    ordered_map[uint32_t, uint64_t] segment_sizes
    uint64_t tick_at_ns
    uint32_t n_zygotes_lost       # in a row, without a worker started
    bint zygote_lost
    bint refuses_workers          # no process can be started any more
    bint output_asleep            # the monitor sleeps until something runs
    bint performing

cdef class EmbeddedHost:
    cdef Host* host
    cdef readonly Node node

cdef class LocalClient(Client):
    cdef EmbeddedHost owner
