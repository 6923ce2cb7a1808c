"""What nodes ask global schedulers, and what those answer (docs/cluster.md).

A payload of SCHEDULER_ASK is questions one after another; one of SCHEDULER_ANSWER is answers one after another.
"""
from libc.stdint cimport uint32_t, uint64_t
from raylite._core.ids cimport ObjectId
from raylite._core.message cimport Cursor, take, take_padded

cdef enum PlaceStrategy:
    PLACE_DEFAULT = 0
    PLACE_SPREAD = 1
    PLACE_ON_NODE = 2             # `node`, or nowhere
    PLACE_NEAR_NODE = 3           # `node` if that can run it at all, else as PLACE_DEFAULT

cdef enum PlaceRefusal:
    PLACE_FOUND = 0
    PLACE_INFEASIBLE = 1          # no node that there is could ever run it
    PLACE_NO_NODE = 2             # the node asked for is not there, or none is
    PLACE_EXCLUDED = 3            # what could run it is excluded

cdef enum LabelOperator:
    LABEL_IN = 0                  # one of these values
    LABEL_NOT_IN = 1              # none of them, or it is not there
    LABEL_EXISTS = 2
    LABEL_ABSENT = 3

cdef struct PlaceQuestion:
    uint64_t token                # comes back in the answer
    ObjectId function
    uint32_t demand_size          # as in SubmitHeader, follows, padded to 8
    uint32_t strategy             # PlaceStrategy
    uint32_t node                 # address; by default: of who asks, if the task is in its queue
    uint32_t n_excluded           # u32 address each, follow the demand, padded to 8
    uint32_t n_arguments          # PlaceArgument ... each, follow; an object only once
    uint32_t n_labels             # PlaceLabel ... each, follow

cdef struct PlaceArgument:        # then u32 address of each copy, padded to 8
    ObjectId object
    uint64_t size
    uint32_t n_locations
    uint32_t unused

cdef struct PlaceLabel:           # then the key, padded to 8; of each value its size as u64, and itself, padded to 8
    uint32_t operator             # LabelOperator
    uint32_t is_soft              # preferred, not needed
    uint32_t key_size
    uint32_t n_values

cdef inline bint skip_label(Cursor* c) noexcept nogil:
    """Pass over a PlaceLabel. False if it is malformed."""
    cdef const PlaceLabel* label = <const PlaceLabel*> take(c, sizeof(PlaceLabel))
    cdef const uint64_t* size
    if label == NULL or label.operator > LABEL_ABSENT or label.is_soft > 1:
        return False
    take_padded(c, label.key_size)
    for _ in range(label.n_values):
        size = <const uint64_t*> take(c, 8)
        if size == NULL:
            return False
        take_padded(c, size[0])
    return not c.failed

cdef struct GroupQuestion:        # SCHEDULER_ASK_GROUP: where to set bundles aside
    uint64_t token                # comes back in the answer
    uint32_t strategy             # GroupStrategy
    uint32_t n_bundles            # BundleHeader, DemandEntry ... each, follow
    uint32_t n_kept               # u32 address of each bundle of the group that stays where it is, padded to 8, follow
    uint32_t unused

cdef struct GroupAnswer:          # SCHEDULER_ANSWER_GROUP
    uint64_t token
    uint32_t n_bundles            # u32 address each, follow; 0: there is no place now
    uint32_t is_possible          # whether there would be if nothing else was there

cdef struct PlaceAnswer:
    uint64_t token
    uint32_t address              # of a node, or 0
    uint32_t refusal              # PlaceRefusal
    uint32_t lacking              # if infeasible: which amount of the demand, or behind them which label, fewest have
    uint32_t unused
