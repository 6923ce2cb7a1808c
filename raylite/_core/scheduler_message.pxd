"""What nodes ask global schedulers, and what those answer (docs/cluster.md).

A payload of SCHEDULER_ASK is questions one after another; one of SCHEDULER_ANSWER is answers one after another.
"""
from libc.stdint cimport uint32_t, uint64_t
from raylite._core.ids cimport ObjectId

cdef enum PlaceStrategy:
    PLACE_DEFAULT = 0
    PLACE_SPREAD = 1
    PLACE_ON_NODE = 2             # `node`, or nowhere
    PLACE_NEAR_NODE = 3           # `node` if that can run it at all, else as PLACE_DEFAULT

cdef enum PlaceRefusal:
    PLACE_FOUND = 0
    PLACE_INFEASIBLE = 1          # no node that there is could ever run it
    PLACE_NO_NODE = 2             # the node asked for is not there

cdef struct PlaceQuestion:
    uint64_t token                # comes back in the answer
    ObjectId function
    uint32_t demand_size          # as in SubmitHeader, follows, padded to 8
    uint32_t strategy             # PlaceStrategy
    uint32_t node                 # address
    uint32_t n_excluded           # u32 address each, follow the demand, padded to 8
    uint32_t n_arguments          # PlaceArgument ... each, follow
    uint32_t unused

cdef struct PlaceArgument:        # then u32 address of each copy, padded to 8
    ObjectId object
    uint64_t size
    uint32_t n_locations
    uint32_t unused

cdef struct PlaceAnswer:
    uint64_t token
    uint32_t address              # of a node, or 0
    uint32_t refusal              # PlaceRefusal
