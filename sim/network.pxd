from libc.stdint cimport uint32_t, uint64_t
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message
from raylite._core.rng cimport Rng
from raylite.sim.timeline cimport Timeline, handle_function

cdef struct Link:                 # between a virtual process and its node
    Timeline* timeline
    Rng* delays
    void* host
    handle_function at_node       # host's: a message has come
    handle_function at_client
    handle_function at_flush      # host's: see to what destructors left unsaid
    const uint32_t* slowness      # of the machine that both are on (see machine)
    uint32_t client               # the process's number at the node
    uint64_t node_ns              # when the last message to the node arrives
    uint64_t client_ns            # when the last message to the process arrives
    uint64_t report_ns            # when the host's last report on the process arrives
    bint flush_planned
    uint64_t started              # the last message that the process has begun (see host.recall in the runtime)
    uint64_t recall_from
    uint64_t recall_to

cdef uint64_t delay_ns(Rng* delays) noexcept nogil
cdef bint link_to_node(void* link, const Message* m, const char* payload, bint may_wait) noexcept nogil
cdef void link_to_client(Link* l, const Message* m, Blob* payload) noexcept nogil
cdef void link_report(Link* l, const Message* m, const char* payload) noexcept nogil
cdef void link_flush_soon(void* link) noexcept nogil
