from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp.deque cimport deque
from libcpp.map cimport map as ordered_map
from libcpp.pair cimport pair
from libcpp.set cimport set as ordered_set
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.ids cimport TaskId
from raylite._core.node.resources cimport Amount, Resources

cdef enum GroupStrategy:
    GROUP_PACK = 0
    GROUP_SPREAD = 1
    GROUP_STRICT_PACK = 2
    GROUP_STRICT_SPREAD = 3

cdef enum GroupState:
    GROUP_PENDING = 0             # until all its bundles fit at once
    GROUP_CREATED = 1
    GROUP_LEAVING = 2             # removed, and something runs in it yet
    GROUP_GONE = 3                # remembered for a while

cdef struct Bundle:
    vector[Amount] amounts        # of the node's resources
    int64_t gpus
    vector[uint32_t] gpu_numbers  # those that it has
    bint is_here                  # it is set aside on this node
    bint is_open                  # and tasks may take from it

cdef struct PlacementGroup:
    TaskId id
    uint64_t number               # order of creation
    uint32_t client               # who made it
    bint detached
    uint8_t strategy
    uint8_t state
    string name                   # namespace, 0x1f, name; empty if it has none
    vector[Bundle] bundles
    bint lacks_something          # it waits until `lacks_amount` of resource `lacks` may be had
    uint32_t lacks
    int64_t lacks_amount
    # in a cluster (cluster/groups.pyx)
    uint32_t home                 # the node that sees to it; 0: this one
    bint is_known                 # its home has told of it
    uint64_t request              # of who made it, and has not been answered
    uint32_t n_claims             # names that the store has not given it yet
    bint is_refused               # one of them is taken
    vector[uint32_t] nodes        # where each bundle is; 0: nowhere
    vector[uint32_t] proposed     # where each is to go, while nodes are asked to set it aside; 0: it stays
    ordered_set[uint32_t] awaited     # those that have not answered
    uint32_t round                # what is said in an earlier one does not count
    bint has_failed               # some node has not the room
    bint is_warned
    ordered_set[uint32_t] watchers    # nodes that were told of it
    uint32_t turn                 # the bundle at which its next task looks first, if any will do

cdef struct PlacementGroups:
    ordered_map[TaskId, PlacementGroup] rows
    ordered_map[uint64_t, TaskId] pending     # by number
    ordered_map[pair[uint32_t, int64_t], ordered_set[uint64_t]] lacking   # by resource and amount: the numbers of those
    uint64_t last_tried           # the pending groups after this number have not been tried yet
    uint64_t n_tries
    vector[TaskId] leaving
    deque[TaskId] gone            # oldest first
    uint64_t last
    uint32_t n_swept              # doomed shapes that were in use when it was last looked

cdef PlacementGroup* groups_find(PlacementGroups* g, TaskId id) noexcept nogil
cdef PlacementGroup* groups_named(PlacementGroups* g, const string* name) noexcept nogil
cdef PlacementGroup* groups_add(PlacementGroups* g, Resources* r, TaskId id, const vector[Bundle]* bundles) \
    noexcept nogil
cdef void group_describe(Resources* r, PlacementGroup* row, const vector[Bundle]* bundles) noexcept nogil
cdef void group_created(PlacementGroups* g, PlacementGroup* row) noexcept nogil
cdef void group_unmake(PlacementGroups* g, Resources* r, PlacementGroup* row) noexcept nogil
cdef bint bundles_take(Resources* r, PlacementGroup* row, const vector[uint32_t]* which) noexcept nogil
cdef void bundles_open(Resources* r, PlacementGroup* row) noexcept nogil
cdef void bundles_give_back(Resources* r, PlacementGroup* row, bint open_too) noexcept nogil
cdef bint needs_nodes(const PlacementGroup* row) noexcept nogil
cdef bint group_possible(const Resources* r, const PlacementGroup* row) noexcept nogil
cdef void groups_place(PlacementGroups* g, Resources* r) noexcept nogil
cdef void group_remove(PlacementGroups* g, Resources* r, PlacementGroup* row) noexcept nogil
cdef void groups_release(PlacementGroups* g, Resources* r) noexcept nogil
