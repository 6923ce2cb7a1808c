from raylite.runtime.client cimport Client
from raylite.runtime.inbox cimport Call
from raylite.sim.kernel cimport Process
from raylite.sim.memory cimport Memory

cdef class SimulatedClient(Client):
    cdef readonly Process owner
    cdef Memory memory
    cdef bint is_watched          # a thread of its process completes futures
    cdef dict functions           # pickle -> order of registration; one for all clients of a job
    cdef int run_in_place(self, Call* call) except -1
