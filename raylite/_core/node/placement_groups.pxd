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
cdef bint needs_nodes(const PlacementGroup* row) noexcept nogil
cdef bint group_possible(const Resources* r, const PlacementGroup* row) noexcept nogil
cdef void groups_place(PlacementGroups* g, Resources* r) noexcept nogil
cdef void group_remove(PlacementGroups* g, Resources* r, PlacementGroup* row) noexcept nogil
cdef void groups_release(PlacementGroups* g, Resources* r) noexcept nogil
