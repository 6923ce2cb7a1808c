from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId

cdef enum ObjectState:
    OBJECT_PENDING = 0            # its task has not made it yet
    OBJECT_INLINE = 1             # a small value, in `blob`
    OBJECT_IN_ARENA = 2
    OBJECT_RELEASED = 3           # nobody can ask for its value; the row serves lineage only
    OBJECT_REMOTE = 4             # its value exists, on other nodes
    OBJECT_SPILLED = 5            # its value is on this node's disk only

cdef enum Reach:                  # of an object beyond this node
    REACH_EXPOSED = 1             # the control store has a row of it, or will once it gets what was sent
    REACH_FOREIGN = 2             # it came from elsewhere
    REACH_HELD = 4                # this node is among its holders there
    REACH_COPY = 8                # and among those with a copy
    REACH_WATCHED = 16            # the store tells this node of its state

cdef enum OnDisk:                 # of a value's bytes
    DISK_NOT = 0
    DISK_WRITING = 1              # pinned until they are there
    DISK_WHOLE = 2                # they may leave the arena at once

cdef struct Waiter:               # who wants to know when the object is ready: a task (client 0), or a request
    TaskId task
    uint64_t request              # of a task: its wait_number
    uint32_t client
    uint32_t slot                 # of a task: WaitFor

cdef enum WaitFor:                # what a task waits for
    WAIT_EXISTS = 0               # somewhere
    WAIT_HERE = 1

cdef struct Pin:
    uint32_t client
    uint32_t count

cdef struct ObjectRow:
    ObjectId id
    uint8_t state
    uint8_t kind                  # ValueKind
    uint8_t flags
    uint8_t reach                 # Reach
    uint8_t on_disk               # OnDisk
    bint kept                     # to the end of the job: a reference to it left raylite's sight
    bint restoring                # of OBJECT_SPILLED: it is on its way back to (segment, offset), or waits for room
    bint is_copy                  # it came from another node, which had it then
    uint32_t segment
    uint32_t n_task_holds         # tasks that take it as argument and have not ended
    uint32_t n_container_holds    # objects whose value has a reference to it
    uint32_t n_lineage_holds      # ended tasks that may have to run again on it
    uint32_t n_items              # of a stream that has ended: its items have the indices from 1 to this
    uint32_t place                # of an item that was not read: where it is in `contained` of its stream
    uint32_t call_site            # the line that made it; 0: not known
    uint64_t offset
    uint64_t size
    uint64_t used                 # when its bytes in the arena were last asked for, as a count of all that were
    uint64_t disk                 # the number under which the disk has it, or gets it; 0: it does not
    uint32_t n_gatherers          # tasks about to run on its bytes (see room.pyx)
    Blob* blob
    vector[uint32_t] holders      # clients with a reference of their own
    vector[Pin] pins              # clients with a view of its bytes
    vector[ObjectId] contained    # references in its value
    vector[Waiter] waiters

cdef struct Objects:
    unordered_map[ObjectId, ObjectRow] rows
    uint64_t inline_bytes

cdef ObjectRow* objects_find(Objects* o, ObjectId id) noexcept nogil
cdef ObjectRow* objects_add(Objects* o, ObjectId id) noexcept nogil
cdef bint object_hold(ObjectRow* row, uint32_t client) noexcept nogil
cdef bint object_unhold(ObjectRow* row, uint32_t client) noexcept nogil
cdef void object_pin(ObjectRow* row, uint32_t client) noexcept nogil
cdef bint object_unpin(ObjectRow* row, uint32_t client, bint entirely) noexcept nogil

cdef inline bint object_ready(const ObjectRow* row) noexcept nogil:
    return row.state == OBJECT_INLINE or row.state == OBJECT_IN_ARENA

cdef inline bint object_here(const ObjectRow* row) noexcept nogil:
    return object_ready(row) or row.state == OBJECT_SPILLED

cdef inline bint could_be_lost(const ObjectRow* row) noexcept nogil:
    """Whether the row of the task that made it is kept for it: its bytes could be lost, or are not there."""
    return row.state == OBJECT_IN_ARENA or row.state == OBJECT_SPILLED or row.state == OBJECT_RELEASED

cdef inline bint object_exists(const ObjectRow* row) noexcept nogil:
    return object_here(row) or row.state == OBJECT_REMOTE

cdef inline bint is_wanted_now(const ObjectRow* row) noexcept nogil:
    """Whether something has to be done for who waits for it: it will not come by itself."""
    return row.state == OBJECT_RELEASED or row.state == OBJECT_REMOTE or row.state == OBJECT_SPILLED \
        or row.reach & REACH_FOREIGN != 0

cdef inline bint object_in_scope(const ObjectRow* row) noexcept nogil:
    """Whether anybody can still ask for its value."""
    return (not row.holders.empty() or row.n_task_holds or row.n_container_holds or not row.waiters.empty()
            or row.kept)
