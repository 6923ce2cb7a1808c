"""The disk of a virtual machine: files of records. A write takes its time, and is durable at its end: whole, or not.

Writes end in the order in which they began. A crash loses those that have not ended; what is durable outlives it.
"""
from libc.stdint cimport int64_t
from libc.string cimport memset
from raylite.sim.fault_draws cimport FAULT_FULL_DISK
from raylite.sim.timeline cimport Event, timeline_plan


cdef int at_end(void* target, void* event) except -1:
    return (<Disk> target).finish((<Event*> event).token)


cdef uint64_t size_of(records) except? 0:
    """How many bytes records take: of one that is a tuple its last part counts."""
    return sum([len(record[-1]) if isinstance(record, tuple) else len(record) for record in records])


cdef class Disk:
    """Args: kernel; machine: whose disk it is; latency_ns, bytes_per_s: of a write; capacity_bytes: of all files.

    A record is bytes, or a tuple that ends with bytes.
    """

    def __init__(self, Kernel kernel not None, Machine machine not None, *, uint64_t latency_ns=200000,
                 uint64_t bytes_per_s=1000000000, uint64_t capacity_bytes=1 << 40):
        self.kernel = kernel
        self.machine = machine
        self.latency_ns = latency_ns
        self.bytes_per_s = bytes_per_s
        self.capacity_bytes = capacity_bytes
        self.files = {}
        self.writing = {}

    def append(self, str name not None, bytes record not None, done=None):
        """Write a record at a file's end. Args: done: called at its end with whether there was room, unless a crash
        comes before."""
        self.write(name, (record,), False, done)

    def replace(self, str name not None, records, done=None):
        """Write these records in the place of the whole file, which is there until then."""
        self.write(name, tuple(records), True, done)

    def write(self, str name not None, tuple records not None, bint replaces, done=None):
        """As append() and replace()."""
        cdef Event e
        cdef uint64_t size = size_of(records)
        self.free_ns = max(self.free_ns, self.kernel.timeline.now_ns) + self.machine.slowed(
            self.latency_ns + size * 1000000000 // self.bytes_per_s)
        self.last_write += 1
        self.writing[self.last_write] = (name, records, replaces, done)
        memset(&e, 0, sizeof(Event))
        e.handle = at_end
        e.target = <void*> self
        e.background = True
        e.token = self.last_write
        timeline_plan(&self.kernel.timeline, self.free_ns, &e)

    cdef int finish(self, uint64_t number) except -1:
        cdef int64_t fault, size
        write = self.writing.pop(number, None)
        if write is None:
            return 0
        name, records, replaces, done = write
        size = <int64_t> size_of(records) - (<int64_t> size_of(self.files.get(name, ())) if replaces else 0)
        fault = self.kernel.faults.strikes(FAULT_FULL_DISK)
        if fault >= 0:
            self.kernel.faults.note(FAULT_FULL_DISK, fault, self.kernel.timeline.now_ns, self.machine.number)
        fits = fault < 0 and not self.is_full and <int64_t> self.used_bytes + size <= <int64_t> self.capacity_bytes
        if fits:
            self.used_bytes += size
            if replaces:
                self.files[name] = []
            self.files.setdefault(name, []).extend(records)
        if done is not None:
            done(fits)
        return 0

    def read(self, str name not None):
        """The records of a file that are durable; none if there is no such file."""
        return list(self.files.get(name, ()))

    cdef uint64_t read_ns(self, uint64_t size) except? 0:
        """When a reading of so many bytes ends that begins now, behind those before it."""
        self.free_to_read_ns = max(self.free_to_read_ns, self.kernel.timeline.now_ns) + self.machine.slowed(
            self.latency_ns + size * 1000000000 // self.bytes_per_s)
        return self.free_to_read_ns

    def size_bytes(self, str name not None):
        """The size of what is durable of a file."""
        return size_of(self.files.get(name, ()))

    def remove(self, str name not None):
        """Remove a file, at once."""
        self.used_bytes -= size_of(self.files.pop(name, ()))

    def abandon(self, str name not None):
        """Who writes to a file is gone, and with it what is not durable."""
        for number in [number for number, write in self.writing.items() if write[0] == name]:
            del self.writing[number]

    def wipe(self):
        """Another disk takes its place, which is empty."""
        self.crash()
        self.files.clear()
        self.used_bytes = 0

    def crash(self):
        """Who writes is gone, and with it what is not durable."""
        self.writing.clear()
        self.free_ns = self.free_to_read_ns = 0
