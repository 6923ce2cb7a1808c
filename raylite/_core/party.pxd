"""A party of the cluster: what has an address, sends packets and gets them (docs/cluster.md)."""
from libc.stdint cimport uint32_t, uint64_t
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.link cimport Links
from raylite._core.message cimport Message
from raylite._core.packet cimport Packet

cdef class Party:
    cdef readonly uint32_t address
    cdef readonly uint32_t incarnation
    cdef Links links
    cdef vector[Packet] out       # for the host to carry; it takes over the payloads' holds
    # what a host calls
    cdef int receive(self, uint64_t now_ns, const Packet* packet) except -1
    cdef int tick(self, uint64_t now_ns) except -1
    cdef uint64_t deadline_ns(self) noexcept
    # what a party does: send; and what it overrides
    cdef int send(self, uint32_t target, Message* message, Blob* payload) except -1   # takes over the payload's hold
    cdef int deliver(self, uint64_t now_ns, uint32_t source, const Message* message, Blob* payload) except -1
    cdef int on_time(self, uint64_t now_ns) except -1
    cdef uint64_t wants_time_ns(self) noexcept
    cdef int on_peer_gone(self, uint64_t now_ns, uint32_t source, uint32_t incarnation) except -1
    cdef int on_fenced(self, uint64_t now_ns) except -1
