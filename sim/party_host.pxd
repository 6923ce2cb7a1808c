from libc.stdint cimport int64_t, uint64_t
from raylite._core.links.packet cimport Packet
from raylite._core.links.party cimport Party
from raylite.sim.cluster_network cimport ClusterNetwork, Receiver
from raylite.sim.kernel cimport Kernel

cdef class PartyHost(Receiver):
    cdef readonly Kernel kernel
    cdef readonly ClusterNetwork network      # None: it is alone
    cdef readonly Party party
    cdef readonly bint gone
    cdef public object on_crash       # called with host, kind and number of a fault; False: it is left out
    cdef public object on_fenced      # called with the host, when it was told that it counts as dead
    cdef int crash_fault              # the kind of fault that each event may be for it; -1: none
    cdef uint64_t tick_at_ns
    cdef uint64_t now_ns(self) noexcept
    cdef int after_call(self) except -1
    cdef int after_event(self) except -1
    cdef int plan_tick(self, uint64_t deadline_ns) except -1
    cdef int tick_event(self, uint64_t at_ns) except -1
    cdef int tick(self) except -1
