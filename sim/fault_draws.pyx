"""Which of the occasions of a fault are faults: a stream of seeded draws for each kind.

A kind's draws depend on the seed and on its own occasions only, so to leave one kind out shifts no other's. The faults
of a kind are numbered from 0 as the draws say them; one that is left out keeps its number, so that a failing run can be
run again with fewer and fewer of them. Those that the program commands are beside these, numbered from BY_COMMAND on.
"""
from raylite._core.ids cimport derive_task, TaskId
from raylite._core.rng cimport rng_next

from raylite.sim.faults import KINDS

FAULT_NAMES = tuple(KINDS)
BY_COMMAND = FIRST_COMMANDED
cdef enum:
    STREAM_CRASHES = 5            # of kernel.Stream
    STREAM_FAULTS = 16            # and those that follow, one for each other kind
    DRAW_BITS = 53


cdef class FaultDraws:
    """Args: seed; faults: a Faults."""

    def __init__(self, uint64_t seed, faults not None):
        cdef int kind
        if len(KINDS) != N_FAULTS:
            raise RuntimeError("faults.KINDS and the enum Fault differ")
        self.occurred = []
        self.kept = [None] * N_FAULTS
        for kind, name in enumerate(KINDS):
            stream = STREAM_CRASHES if kind == FAULT_WORKER_CRASH else STREAM_FAULTS + kind
            self.draws[kind].state = derive_task(TaskId(seed, stream), 0, 0).lo
            self.below[kind] = <uint64_t> (<double> getattr(faults, name) * <double> (<uint64_t> 1 << DRAW_BITS))
            if name in faults.kept:
                self.kept[kind] = frozenset(faults.kept[name])

    def stop(self):
        """From here on nothing goes wrong any more."""
        cdef int kind
        for kind in range(N_FAULTS):
            self.below[kind] = 0

    def order(self, kind not None, uint64_t times):
        """Have the next so many occasions of a kind, by its name, be faults, whatever the draws say."""
        self.n_ordered[FAULT_NAMES.index(kind)] += times

    def command(self, kind not None, uint64_t now_ns, whom):
        """Note a fault that the program has brought about itself."""
        self.note(FAULT_NAMES.index(kind), self.next_commanded(), now_ns, whom)

    cdef int64_t next_commanded(self) noexcept:
        self.n_commanded += 1
        return FIRST_COMMANDED + <int64_t> self.n_commanded - 1

    cdef int64_t strikes(self, int kind, int rarely=0) except -2:
        """The number of the fault that this occasion is, or -1: it is none; rarely: as many times halved is the
        likelihood."""
        cdef int64_t number = self.drawn(kind, rarely)
        if number < 0 and self.n_ordered[kind]:
            self.n_ordered[kind] -= 1
            return self.next_commanded()
        return number

    cdef int64_t drawn(self, int kind, int rarely) except -2:
        cdef int64_t number
        if self.below[kind] == 0 or rng_next(&self.draws[kind]) >> (64 - DRAW_BITS) >= self.below[kind] >> rarely:
            return -1
        number = self.n_due[kind]
        self.n_due[kind] += 1
        return number if self.kept[kind] is None or number in self.kept[kind] else -1

    cdef int note(self, int kind, int64_t number, uint64_t now_ns, object whom) except -1:
        """A fault has befallen somebody."""
        self.occurred.append((kind, number, now_ns, whom))
        return 0
