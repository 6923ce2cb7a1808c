from libc.stdint cimport int32_t, uint32_t, uint64_t
from libcpp.vector cimport vector
from raylite._core.message cimport Message
from raylite.runtime.native cimport load_flag, load_relaxed

cdef enum:
    PAGE = 4096
    RING_BYTES = 1 << 20
    RECORD_MOST = RING_BYTES // 4
    CHANNEL_BYTES = 2 * PAGE + 2 * RING_BYTES
    CHANNEL_FDS = 6               # memory, bell page, two bells of the node, two of the client

cdef enum Bell:                   # whom the other side has to wake
    BELL_AWAKE = 0
    BELL_THREAD = 1               # the native thread sleeps
    BELL_WAITER = 2               # a thread in a wait sleeps

cdef struct NodePage:             # written by the node's process only
    uint64_t tail                 # of the ring to the client; release: the records before it are whole
    uint64_t unused0[7]
    uint64_t head                 # of the ring to the node; release: the bytes before it may be overwritten
    uint64_t unused1[7]
    uint64_t wants_space          # seq_cst: an outbox waits until the client has read
    uint64_t recall_from          # seq_cst: positions [from, to) are taken back
    uint64_t recall_to

cdef struct ClientPage:           # written by the client's process only
    uint64_t tail                 # of the ring to the node; release
    uint64_t unused0[7]
    uint64_t head                 # of the ring to the client; release
    uint64_t unused1[7]
    uint64_t bell                 # seq_cst: Bell
    uint64_t wants_space          # seq_cst: a sender waits until the node has read
    uint64_t started              # seq_cst: messages of its queue it has begun

cdef struct BellPage:             # written by the node's process only
    uint64_t bell                 # seq_cst: Bell
    uint64_t n_running            # relaxed: workers that run a task

cdef struct Writer:
    char* data
    uint64_t tail
    uint64_t* shared_tail
    const uint64_t* shared_head

cdef struct Reader:
    const char* data
    uint64_t head
    uint64_t* shared_head
    const uint64_t* shared_tail
    vector[char] message          # the one being assembled: header, then payload
    bint broken

cdef struct Channel:              # one side's view of it
    NodePage* node
    ClientPage* client
    Writer out
    Reader into
    int memory
    bint node_side

cdef bint channel_map(Channel* c, int memory, bint node_side) noexcept nogil
cdef void channel_unmap(Channel* c) noexcept nogil
cdef bint ring_write(Writer* w, const Message* m, const char* payload, uint64_t* progress) noexcept nogil
cdef bint ring_read(Reader* r) noexcept nogil

cdef inline bint ring_has(const Reader* r) noexcept nogil:
    """Whether there is anything to read. A leader that spins asks without the lock, while another thread may read."""
    return load_relaxed(r.shared_tail) != load_relaxed(r.shared_head) and not load_flag(&r.broken)
