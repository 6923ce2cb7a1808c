from libc.stdint cimport uint32_t, uint64_t
from raylite._core.message cimport Message
from raylite.runtime.host cimport Host
from raylite.runtime.peers cimport Peer

cdef void make_segment(Host* h, const Message* m) noexcept nogil
cdef void drop_segment(Host* h, const Message* m) noexcept nogil
cdef int copy_segment(Host* h, uint32_t segment, uint64_t* size) noexcept nogil
cdef void send_descriptor(Host* h, Peer* p, uint32_t segment) noexcept nogil
cdef void use_disk(Host* h, const Message* m, const char* payload) noexcept nogil
cdef void disk_has_done(void* owner, int kind, uint64_t number, int error, uint64_t size, int fd) noexcept nogil
