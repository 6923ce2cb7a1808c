from libc.stdint cimport uint64_t
from raylite.sim.kernel cimport Kernel
from raylite.sim.machine cimport Machine

cdef uint64_t size_of(records) except? 0

cdef class Disk:
    cdef readonly Kernel kernel
    cdef readonly Machine machine
    cdef readonly uint64_t latency_ns
    cdef readonly uint64_t bytes_per_s
    cdef public uint64_t capacity_bytes
    cdef public bint is_full      # by command: no write ends well
    cdef readonly uint64_t used_bytes
    cdef uint64_t free_ns         # when all that was written before is durable
    cdef uint64_t free_to_read_ns  # when all that was to be read before has been
    cdef uint64_t last_write
    cdef dict files               # name -> list of records: what is durable
    cdef dict writing             # number -> (name, records, whether they replace the file, whom to tell)
    cdef uint64_t read_ns(self, uint64_t size) except? 0
    cdef int finish(self, uint64_t number) except -1
