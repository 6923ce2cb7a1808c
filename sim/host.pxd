from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId
from raylite._core.message cimport Message
from raylite._core.node.node cimport Node
from raylite._core.rng cimport Rng
from raylite.sim.disk cimport Disk
from raylite.sim.kernel cimport Process
from raylite.sim.memory cimport Memory
from raylite.sim.party_host cimport PartyHost
from raylite.sim.timeline cimport Event
from raylite.sim.trace cimport Trace

cdef class SimulatedHost(PartyHost):
    cdef readonly Node node
    cdef readonly Memory memory
    cdef readonly Disk disk
    cdef set spilled              # numbers of values that are on the disk, or on their way
    cdef readonly dict processes  # number -> Process
    cdef Trace own_trace          # if it is alone
    cdef Trace* trace
    cdef Rng delays
    cdef Rng starts
    cdef uint64_t read_ns         # when the last reading of the arena is done
    cdef uint64_t written_ns      # when bytes of a value came from another node last
    cdef object make_worker
    cdef public bint is_full      # by command: there is no memory for another segment
    cdef Process process(self, uint32_t number)
    cdef int node_event(self, Event* e) except -1
    cdef int hear(self, Event* e) except -1
    cdef int evict(self) except -1
    cdef int lose_object(self, ObjectId id) except -1
    cdef bint fits(self, const Message* m) except -1
    cdef int forget(self, uint32_t number) except -1
    cdef int client_event(self, Event* e) except -1
    cdef int start_event(self, uint32_t number) except -1
    cdef int flush_event(self, uint32_t number) except -1
    cdef int perform(self) except -1
    cdef int spawn(self, const Message* m, Blob* payload) except -1
    cdef int recall(self, uint32_t number) except -1
    cdef int kill(self, Process p) except -1
    cdef int read_arena(self, const Message* m, Blob* payload) except -1
    cdef uint64_t delay(self) noexcept
    cdef int warn(self, Blob* text) except -1
    cdef int tell_node(self, uint8_t kind, uint32_t client, uint64_t request, uint32_t segment,
                       uint64_t aux=*) except -1
    cdef uint64_t make_segment(self, const Message* m) except? 1
    cdef bytes value_on_disk(self, uint64_t number)
    cdef int spill(self, const Message* m, uint64_t size) except -1
    cdef int restore(self, const Message* m, uint64_t size) except -1
    cdef int drop_spilled(self, uint64_t number) except -1
    cdef int attend(self, Process p) except -1
    cdef int interrupt(self, Process p) except -1
