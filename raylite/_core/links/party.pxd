"""A party of the cluster: what has an address, sends packets and gets them (docs/cluster.md)."""
from libc.stdint cimport uint32_t, uint64_t
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.links.link cimport Links
from raylite._core.message cimport Message
from raylite._core.links.packet cimport Packet

cdef class Party:
    cdef readonly uint32_t address            # 0: in no cluster; it costs nothing then
    cdef readonly uint32_t incarnation
    cdef readonly bint fenced                 # it was declared dead, and has been told
    cdef readonly uint64_t now_ns             # of the latest call; what is sent meanwhile is sent then
    cdef Links links
    cdef vector[Packet] out       # for the host to carry; it takes over the payloads' holds
    cdef int join(self, uint32_t address, uint32_t incarnation) except -1
    # what a host calls
    cdef int receive(self, uint64_t now_ns, const Packet* packet) except -1   # which keeps the payload's hold
    cdef int tick(self, uint64_t now_ns) except -1
    cdef uint64_t deadline_ns(self) noexcept  # by when to call tick; 0: no need
    # what a party does; sending answers SendStatus
    cdef int send(self, uint32_t target, Message* message, Blob* payload) except -1   # takes over the payload's hold
    cdef int send_bulk(self, uint32_t target, Message* message, Blob* payload) except -1      # and lets others pass
    cdef int know(self, uint32_t address, uint32_t incarnation) except -1     # somebody said so: no need to ask
    cdef int declare_dead(self, uint32_t address, uint32_t incarnation) except -1
    # what it overrides; holds of payloads are the caller's
    cdef int deliver(self, uint64_t now_ns, uint32_t source, const Message* message, Blob* payload) except -1
    cdef int on_time(self, uint64_t now_ns) except -1
    cdef uint64_t wants_time_ns(self) noexcept                # when on_time is to be called; 0: not
    cdef int on_returned(self, uint64_t now_ns, uint32_t target, uint32_t incarnation, const Message* message,
                         Blob* payload) except -1             # may have been delivered, but was not acknowledged
    cdef int on_peer_gone(self, uint64_t now_ns, uint32_t source, uint32_t incarnation) except -1
    cdef int on_fenced(self, uint64_t now_ns) except -1
    cdef int hand_over(self) except -1
    cdef int check_links(self, uint32_t address) except -1
