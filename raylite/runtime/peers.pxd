from libc.stdint cimport int32_t, uint32_t, uint64_t
from libcpp.deque cimport deque
from libcpp.map cimport map as ordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message
from raylite.runtime.channel cimport Channel
from libcpp.string cimport string

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
    bint unheard                  # a driver that has not read what it was told: what it says waits in its ring

cdef struct Finished:             # output of a worker that ended, until it is read
    uint32_t client
    int32_t process
    int out_file
    int err_file

cdef struct Peers:                # all of a host
    ordered_map[uint32_t, Peer*] rows
    Peer* spinning[PEERS_MOST]    # read without the lock while a leader spins
    uint64_t n_spinning
    vector[Peer*] graveyard       # freed when nobody spins
    vector[Finished] finished

cdef void close_fd(int fd) noexcept nogil
cdef Peer* find_peer(Peers* peers, uint32_t client) noexcept nogil
cdef Peer* open_peer(Peers* peers, uint32_t client, int* remote_socket) noexcept nogil
cdef bint bury_peer(Peers* peers, Peer* p) noexcept nogil
cdef void sweep_graveyard(Peers* peers) noexcept nogil
cdef void free_peers(Peers* peers) noexcept nogil
cdef bint peers_have_input(Peers* peers) noexcept nogil
cdef uint32_t n_drivers(Peers* peers) noexcept nogil
cdef void list_outputs(Peers* peers, vector[Finished]* out) noexcept nogil
cdef void ring_bell(Peer* p) noexcept nogil
cdef void flush_outbox(Peer* p) noexcept nogil
cdef void send_to_peer(Peer* p, const Message* m, Blob* payload) noexcept nogil
cdef void describe_end(const Peer* p, int status, string* text) noexcept nogil
