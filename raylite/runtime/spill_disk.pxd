from libc.stdint cimport uint32_t, uint64_t
from libcpp.deque cimport deque
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from raylite.runtime.native cimport pthread_cond_t, pthread_mutex_t, pthread_t

cdef enum DiskJobKind:
    DISK_SPILL = 1
    DISK_RESTORE = 2
    DISK_DROP = 3
    DISK_SEGMENT = 4              # a file that is a segment of the arena

# Called without any lock when a job is done, but for DISK_DROP; fd: of a segment, the callee's from there.
ctypedef void (*disk_done)(void* owner, int kind, uint64_t number, int error, uint64_t size, int fd) noexcept nogil

cdef struct DiskJob:
    int kind
    int memory                    # descriptor of the arena's segment, ours
    uint64_t number
    uint64_t offset               # in the segment
    uint64_t size

cdef struct DiskPlace:
    uint32_t file
    uint32_t sum
    uint64_t offset
    uint64_t size

cdef struct DiskFile:
    int fd
    uint32_t n_live               # values in it
    uint64_t end

cdef struct SpillDisk:
    pthread_mutex_t lock          # guards all that follows; not held while bytes move
    pthread_cond_t work
    string folder
    deque[DiskJob] writes
    deque[DiskJob] reads
    ordered_map[uint64_t, DiskPlace] places
    ordered_map[uint32_t, DiskFile] files
    uint32_t last_file            # the one that is written to
    uint32_t stopping
    bint is_open
    int n_threads
    pthread_t threads[2]
    void* owner
    disk_done done

cdef void disk_open(SpillDisk* d, const string* folder, void* owner, disk_done done) noexcept nogil
cdef bint disk_add(SpillDisk* d, int kind, uint64_t number, int memory, uint64_t offset, uint64_t size) noexcept nogil
cdef void disk_close(SpillDisk* d) noexcept nogil
