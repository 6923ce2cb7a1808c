"""The host of a party that keeps a journal: what it sends leaves when what it has decided before is on its disk.

Started again it is first given what the disk has kept. A write for which there is no room is tried again.
"""
from raylite._core.envelope cimport blob_drop
from raylite._core.links.party cimport Party
from raylite.sim.cluster_network cimport ClusterNetwork
from raylite.sim.machine cimport Machine


cdef class JournalHost(PartyHost):
    """Args: network, machine, party: as for PartyHost; the party has take_journal() and replay(); disk, file: where the
    journal is."""

    def __init__(self, ClusterNetwork network not None, Machine machine not None, Party party not None,
                 Disk disk not None, str file not None):
        PartyHost.__init__(self, network, machine, party)
        self.disk = disk
        self.file = file
        party.replay(disk.read(file))

    def __dealloc__(self):
        cdef size_t i
        for i in range(self.held.size()):
            blob_drop(self.held[i].payload)

    cdef int after_call(self) except -1:
        self.take_journal()
        self.release()
        return self.plan_tick(self.party.deadline_ns())

    cdef int take_journal(self) except -1:
        """Have written down what was decided."""
        records = self.party.take_journal()
        if records:
            self.n_writing += 1
            self.write(tuple(records))
        return 0

    def write(self, tuple records not None):
        """Write records at the end of the journal."""
        self.disk.write(self.file, records, False, lambda fits: self.written(records, fits))

    def written(self, records, fits):
        """The disk is done with it."""
        if self.gone:
            return
        if not fits:
            self.write(records)
            return
        self.n_writing -= 1
        self.release()

    cdef int release(self) except -1:
        """Let go what was sent, once all is written."""
        cdef size_t i
        for i in range(self.party.out.size()):
            self.held.push_back(self.party.out[i])
        self.party.out.clear()
        return 0 if self.n_writing else self.network.carry_all(self, &self.held)
