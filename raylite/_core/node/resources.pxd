from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libcpp.map cimport map as ordered_map
from libcpp.set cimport set as ordered_set
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.ids cimport TaskId
from raylite._core.message cimport Cursor

cdef enum:
    UNIT = 10000                  # resources are whole multiples of 1/10000
    CPU = 0
    GPU = 1
    MEMORY = 2
    ANY_BUNDLE = -1
    DEMAND_CAPTURES = 1           # flags of a demand: what the task submits goes into its group
    DEMAND_UNSCHEDULABLE = 2      # on no node there is: its tasks fail
    DEMAND_SPREAD = 4             # on as many nodes as possible
    DEMAND_ON_NODE = 8            # on the node that the first label names, or nowhere
    DEMAND_NEAR_NODE = 16         # there if it could run there, else anywhere

cdef enum ResourceKind:           # of a name; those of bundles are of the kind that they are a part of
    RESOURCE_PLAIN = 0
    RESOURCE_CPU = 1              # lent by tasks that wait
    RESOURCE_GPU = 2              # handed out by number

cdef enum Doom:                   # why the tasks of a shape cannot run, and fail instead
    DOOM_NOT = 0
    DOOM_UNGROUPED = 1            # their placement group is gone
    DOOM_UNSCHEDULABLE = 2

cdef struct Amount:
    uint32_t resource
    int64_t amount

cdef struct Shape:                # what a class of tasks asks for; tasks of one shape queue together
    vector[Amount] amounts
    uint64_t environment          # hash of its runtime_env; part of the worker pool's key
    int64_t gpus
    TaskId group                  # the placement group that it takes from, or zero
    int32_t bundle                # of it; ANY_BUNDLE
    bint captures
    uint8_t strategy              # PlaceStrategy
    string node                   # that the strategy names, as text
    uint32_t n_labels
    string labels                 # PlaceLabel ... each: what those of the node are to be
    uint8_t doom                  # Doom
    string key                    # the bytes it was interned from; empty if the number is free
    uint64_t serial               # of all shapes that there ever were: numbers are used again

cdef struct Resources:
    vector[string] names          # empty if the number is free
    vector[uint8_t] kinds         # ResourceKind, of each name
    vector[int64_t] total
    vector[int64_t] available
    vector[vector[int64_t]] gpu_free          # of each name whose kind is GPU: what is free of each GPU
    vector[Shape] shapes
    ordered_map[string, uint32_t] name_numbers
    ordered_map[string, uint32_t] shape_numbers
    vector[uint32_t] free_names
    vector[uint32_t] free_shapes
    uint64_t last_serial
    uint32_t n_doomed             # shapes whose tasks fail
    ordered_map[uint64_t, string] environments    # what each hash stands for
    ordered_set[TaskId] groups    # placement groups that tasks may be in
    vector[uint32_t] freed        # names of which more has become available since placement groups last looked
    vector[uint8_t] is_freed      # of each name, whether it is among them

cdef struct DemandHeader:
    uint64_t environment
    uint32_t n_amounts
    int32_t bundle                # of the group; ANY_BUNDLE
    TaskId group                  # zero: of the node
    uint32_t flags                # DEMAND_*
    uint32_t n_labels             # PlaceLabel ... each (scheduler/message.pxd), follow the amounts

cdef struct DemandEntry:          # the name follows, padded to 8
    int64_t amount
    uint32_t name_size
    uint32_t unused

cdef inline bint no_group(TaskId group) noexcept nogil:
    return group.hi == 0 and group.lo == 0

cdef void resources_setup(Resources* r) noexcept nogil
cdef uint32_t resources_name(Resources* r, const char* name, uint64_t size) noexcept nogil
cdef string bundle_resource(const string* name, TaskId group, int32_t bundle) noexcept nogil
cdef bint resource_asked_for(const Resources* r, uint32_t shape, uint32_t resource, string* name) noexcept nogil
cdef void resources_provide(Resources* r, uint32_t resource, int64_t amount) noexcept nogil
cdef void resources_provide_gpu(Resources* r, uint32_t resource, uint32_t gpu, int64_t amount) noexcept nogil
cdef void resources_forget_name(Resources* r, uint32_t resource) noexcept nogil
cdef bint entries_valid(Cursor* c, uint32_t count, int64_t least) noexcept nogil
cdef int resources_intern(Resources* r, const char* data, uint64_t size) noexcept nogil
cdef void resources_doom(Resources* r, uint32_t shape, uint8_t doom) noexcept nogil
cdef void resources_forget_shape(Resources* r, uint32_t shape) noexcept nogil
cdef bint resources_fit(const Resources* r, uint32_t shape) noexcept nogil
cdef bint resources_await(const Resources* r, uint32_t shape, uint32_t other) noexcept nogil
cdef int resources_lacking(const Resources* r, uint32_t shape) noexcept nogil
cdef void resources_acquire(Resources* r, uint32_t shape, vector[uint32_t]* gpus) noexcept nogil
cdef void resources_release(Resources* r, uint32_t shape, const vector[uint32_t]* gpus) noexcept nogil
cdef bint amounts_fit(const Resources* r, const vector[Amount]* amounts, int64_t gpus) noexcept nogil
cdef void amounts_acquire(Resources* r, const vector[Amount]* amounts, int64_t gpus,
                          vector[uint32_t]* numbers) noexcept nogil
cdef void amounts_release(Resources* r, const vector[Amount]* amounts, int64_t gpus,
                          const vector[uint32_t]* numbers) noexcept nogil
cdef void resources_lend(Resources* r, uint32_t shape) noexcept nogil
cdef void resources_take_back(Resources* r, uint32_t shape) noexcept nogil
