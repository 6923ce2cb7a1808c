from libcpp.vector cimport vector
from raylite._core.links.packet cimport Packet
from raylite.sim.disk cimport Disk
from raylite.sim.party_host cimport PartyHost

cdef class JournalHost(PartyHost):
    cdef readonly Disk disk
    cdef readonly str file
    cdef vector[Packet] held      # what may leave when all is written
    cdef int n_writing
    cdef int take_journal(self) except -1
    cdef int release(self) except -1
