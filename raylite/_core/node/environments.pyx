"""Runtime environments: which hash stands for what, said by who submits and asked by workers that are started for it.

The node knows an environment by its hash: pools of workers are kept apart by it. What it stands for is the clients'
business, opaque here, and kept as long as the shapes of demand that name it: to the end of the job.
"""
from libc.stdint cimport uint64_t
from libcpp.string cimport string
from raylite._core.envelope cimport blob_copy
from raylite._core.message cimport CMD_READY
from raylite._core.node.state cimport emit


cdef bint on_environment(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """Remember what a hash stands for; said again, it is the same. False if nothing is said of it."""
    if m.size == 0:
        return False
    n.scheduler.resources.environments[m.request] = string(payload, m.size)
    return True


cdef void on_find_environment(NodeState* n, const Message* m) noexcept nogil:
    """Answer what a hash stands for: nothing, if nobody has said."""
    cdef string known
    it = n.scheduler.resources.environments.find(<uint64_t> m.aux)
    if it != n.scheduler.resources.environments.end():
        known = n.scheduler.resources.environments[m.aux]
    emit(n, CMD_READY, m.client, blob_copy(known.data(), known.size())).request = m.request
