"""A virtual machine: what its parties and processes share. Its clock, which may differ from others'; how slow it is."""
from raylite.sim.timeline cimport START_NS

cdef extern from *:
    """
    static inline uint64_t raylite_scale(uint64_t n, uint64_t by, uint64_t over) {
        return (uint64_t)((unsigned __int128)n * by / over); }
    static inline uint64_t raylite_scale_up(uint64_t n, uint64_t by, uint64_t over) {
        return (uint64_t)(((unsigned __int128)n * by + over - 1) / over); }
    """
    uint64_t raylite_scale(uint64_t n, uint64_t by, uint64_t over) nogil
    uint64_t raylite_scale_up(uint64_t n, uint64_t by, uint64_t over) nogil

cdef enum:
    TRUE_RATE_PPM = 1000000
    RATE_LEAST_PPM = 500000
    RATE_MOST_PPM = 2000000
    SLOWNESS_MOST = 100000


cdef class Machine:
    """Args: number: of the machine, from 0; nodes come first."""

    def __init__(self, uint32_t number):
        self.number = number
        self.slowness = FULL_SPEED
        self.rate_ppm = TRUE_RATE_PPM
        self.since_ns = self.showed_ns = START_NS
        self.before = []

    cdef uint64_t local_ns(self, uint64_t kernel_ns) noexcept nogil:
        """What its clock shows at a time of the kernel's. It never goes back."""
        if self.rate_ppm == TRUE_RATE_PPM:
            return self.showed_ns + (kernel_ns - self.since_ns)
        return self.showed_ns + raylite_scale(kernel_ns - self.since_ns, self.rate_ppm, TRUE_RATE_PPM)

    cdef uint64_t kernel_ns(self, uint64_t local_ns) noexcept nogil:
        """When its clock shows this time, or the first later one, as long as its rate stays."""
        if local_ns <= self.showed_ns:
            return self.since_ns
        return self.since_ns + raylite_scale_up(local_ns - self.showed_ns, TRUE_RATE_PPM, self.rate_ppm)

    cdef uint64_t slowed(self, uint64_t duration_ns) noexcept nogil:
        """How long here takes what elsewhere takes so long."""
        return duration_ns if self.slowness == FULL_SPEED else raylite_scale(duration_ns, self.slowness, FULL_SPEED)

    def skew(self, uint64_t now_ns, uint64_t ahead_ns, uint32_t rate_ppm):
        """From now on the clock is so much further ahead, and runs at this rate. Args: now_ns: kernel time.

        Raises ValueError for a rate that is not from half the true one to twice.
        """
        if not RATE_LEAST_PPM <= rate_ppm <= RATE_MOST_PPM:
            raise ValueError(f"a clock's rate is from {RATE_LEAST_PPM} to {RATE_MOST_PPM} parts per million, "
                             f"not {rate_ppm}")
        self.before.append((self.since_ns, self.showed_ns, self.rate_ppm))
        self.showed_ns = self.local_ns(now_ns) + ahead_ns
        self.since_ns = now_ns
        self.rate_ppm = rate_ppm

    def slow_down(self, uint32_t percent):
        """From now on its work and its packets take so many percent of their time; 100: they are as they should be.

        Raises ValueError unless it is from 100 to 100,000.
        """
        if not FULL_SPEED <= percent <= SLOWNESS_MOST:
            raise ValueError(f"a machine takes from {FULL_SPEED} to {SLOWNESS_MOST} percent of the time, not {percent}")
        self.slowness = percent

    def clock_ns(self, uint64_t kernel_ns):
        """What its clock shows at a time of the kernel's."""
        return self.local_ns(kernel_ns)

    def true_ns(self, uint64_t local_ns):
        """The time of the kernel's at which its clock showed this."""
        since_ns, showed_ns, rate_ppm = self.since_ns, self.showed_ns, self.rate_ppm
        i = len(self.before)
        while i and local_ns < showed_ns:
            i -= 1
            since_ns, showed_ns, rate_ppm = self.before[i]
        return since_ns + max(local_ns - showed_ns, 0) * TRUE_RATE_PPM // rate_ppm
