from libc.stdint cimport int32_t, uint16_t, uint32_t, uint64_t, uint8_t
from libcpp.deque cimport deque
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from raylite._core.node.node cimport Node
from raylite._core.node.state cimport NodeState
from raylite.runtime.channel cimport BellPage
from raylite.runtime.client cimport Client
from raylite.runtime.inbox cimport Inbox
from raylite.runtime.peers cimport Peers
from raylite.runtime.pump cimport Pump
from raylite.runtime.spill_disk cimport SpillDisk

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
    int door                      # where processes of this user come in, or -1
    string card                   # what they are told about the runtime
    uint64_t door_opens_at_ns     # it is shut for lack of descriptors till then; 0: it is not
    Peers peers
    deque[uint32_t] orders        # workers that the zygote was not told of yet
    ordered_map[uint32_t, int] segments
    ordered_map[uint32_t, uint64_t] segment_sizes
    SpillDisk disk                # for what the arena has no room for, if it is open
    uint64_t tick_at_ns
    uint32_t n_zygotes_lost       # in a row, without a worker started
    bint zygote_lost
    bint refuses_workers          # no process can be started any more
    bint output_asleep            # the monitor sleeps until something runs
    bint performing

cdef void feed(Host* h, uint8_t kind, uint32_t client, uint64_t request, uint32_t segment, uint16_t flags,
               const char* payload, uint32_t size) noexcept nogil
cdef void perform(Host* h) noexcept nogil
cdef void keep_deadline(Host* h) noexcept nogil

cdef class EmbeddedHost:
    cdef Host* host
    cdef readonly Node node

cdef class LocalClient(Client):
    cdef EmbeddedHost owner
