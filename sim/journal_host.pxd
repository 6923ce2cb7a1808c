from libc.stdint cimport uint64_t
from raylite.sim.disk cimport Disk
from raylite.sim.party_host cimport PartyHost

cdef class JournalHost(PartyHost):
    cdef readonly Disk disk
    cdef readonly str file
    cdef readonly bint is_writing     # records are on their way to the disk
    cdef readonly bint is_stuck       # the disk had no room for them
    cdef tuple records                # those, until they are durable
    cdef bint replaces                # they supersede what is on the disk
    cdef uint64_t pause_ns            # until they are tried again
    cdef uint64_t base_bytes          # the journal's size when it was last rewritten
    cdef uint64_t log_bytes           # written since
    cdef bint holds_back(self) noexcept
    cdef bint has_records(self) except -1
    cdef int rewrite(self) except -1
    cdef tuple take_records(self)
    cdef int on_durable(self) except -1
    cdef int write_on(self) except -1
    cdef int try_again(self) except -1

cdef class ReplicaHost(JournalHost):
    cdef int archive(self) except -1
