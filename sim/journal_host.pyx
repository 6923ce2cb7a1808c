"""The hosts of parties that keep a journal: the master, and replicas of the store.

One write is under way at a time; what comes meanwhile is the next. Where there is no room it is tried again, after
pauses that grow, and until there is nothing leaves the party: it falls silent, and counts as dead after a while.
"""
from libc.string cimport memset
from raylite._core.links.party cimport Party
from raylite._core.store.master cimport Master
from raylite._core.store.replica cimport Replica
from raylite.sim.cluster_network cimport ClusterNetwork
from raylite.sim.disk cimport size_of
from raylite.sim.machine cimport Machine
from raylite.sim.timeline cimport Event, timeline_plan

cdef enum:
    PAUSE_LEAST_NS = 1000000
    PAUSE_MOST_NS = 100000000
    REWRITTEN_BYTES = 1 << 20     # a journal that has grown by so much, and by half, is rewritten


ARCHIVE = "archive"


cdef int at_try_again(void* target, void* event) except -1:
    return (<JournalHost> target).try_again()


cdef class JournalHost(PartyHost):
    """The host of a master: what it sends leaves when what it has decided before is on its disk.

    Args: network, machine, party: as for PartyHost; disk, file: where the journal is, which the party has replayed.
    """

    def __init__(self, ClusterNetwork network not None, Machine machine not None, Party party not None,
                 Disk disk not None, str file not None):
        PartyHost.__init__(self, network, machine, party)
        self.disk = disk
        self.file = file
        self.log_bytes = disk.size_bytes(file)

    def end(self):
        """It is gone, and with it what is not durable."""
        self.disk.abandon(self.file)
        PartyHost.end(self)

    cdef int after_call(self) except -1:
        self.write_on()
        if not self.holds_back():
            self.network.carry_all(self, &self.party.out)
        return self.plan_tick(self.party.deadline_ns())

    cdef bint holds_back(self) noexcept:
        """Whether what the party sends has to wait."""
        return self.is_writing

    cdef bint has_records(self) except -1:
        return not (<Master> self.party).state.journal.empty()

    cdef int rewrite(self) except -1:
        """Have the party write its journal anew."""
        (<Master> self.party).rewrite_journal()
        return 0

    cdef tuple take_records(self):
        """What the party wants written; sets `replaces`. A long journal is rewritten."""
        cdef tuple records
        cdef uint64_t size
        self.replaces = self.log_bytes > max(<uint64_t> REWRITTEN_BYTES, self.base_bytes)
        if self.replaces:
            self.rewrite()
        records = tuple(self.party.take_journal())
        size = size_of(records)
        if self.replaces:
            self.base_bytes = size
            self.log_bytes = 0
        else:
            self.log_bytes += size
        return records

    cdef int on_durable(self) except -1:
        """The records are on the disk."""
        return 0

    cdef int write_on(self) except -1:
        """Write what there is to write, unless something is being written."""
        if self.is_writing or not self.has_records():
            return 0
        self.is_writing = True
        self.replaces = False
        self.records = self.take_records()
        self.disk.write(self.file, self.records, self.replaces, self.written)
        return 0

    def written(self, fits):
        """The disk is done with the records. Args: fits: whether it had room."""
        cdef Event e
        self.is_stuck = not fits
        if fits:
            self.is_writing = False
            self.pause_ns = 0
            self.on_durable()
            self.after_event()
            return
        self.pause_ns = min(max(2 * self.pause_ns, <uint64_t> PAUSE_LEAST_NS), <uint64_t> PAUSE_MOST_NS)
        memset(&e, 0, sizeof(Event))
        e.handle = at_try_again
        e.target = <void*> self
        e.background = True
        timeline_plan(&self.kernel.timeline, self.kernel.timeline.now_ns + self.pause_ns, &e)

    cdef int try_again(self) except -1:
        if not self.gone:
            self.disk.write(self.file, self.records, self.replaces, self.written)
        return 0


cdef class ReplicaHost(JournalHost):
    """The host of a replica, which itself passes on what is written, and nothing else. Rows that the replica
    has forgotten are written to another file of the disk, ARCHIVE."""

    cdef int after_call(self) except -1:
        self.archive()
        return JournalHost.after_call(self)

    cdef int archive(self) except -1:
        """Write down the rows of tasks that went. Nothing waits for that; what a full disk does not take is gone."""
        if not (<Replica> self.party).archive.empty():
            self.disk.write(ARCHIVE, tuple(self.party.take_archive()), False)
        return 0

    cdef bint holds_back(self) noexcept:
        return self.is_stuck

    cdef bint has_records(self) except -1:
        return not (<Replica> self.party).journal.empty()

    cdef int rewrite(self) except -1:
        (<Replica> self.party).rewrite_journal()
        return 0

    cdef int on_durable(self) except -1:
        return (<Replica> self.party).journal_written(self.now_ns(), self.records)
