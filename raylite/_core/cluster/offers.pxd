from raylite._core.node.state cimport NodeState
from raylite._core.scheduler.message cimport PlaceAnswer

cdef void offer_queued(NodeState* n) noexcept nogil
cdef void on_offer_answered(NodeState* n, const PlaceAnswer* answer) noexcept nogil
