"""Seeded randomness for the core and the simulator: SplitMix64 (Steele, Lea, Flood 2014), one word of state."""


cdef uint64_t rng_next(Rng* rng) noexcept nogil:
    cdef uint64_t z
    rng.state += <uint64_t> 0x9E3779B97F4A7C15
    z = rng.state
    z = (z ^ (z >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t> 0x94D049BB133111EB
    return z ^ (z >> 31)


cdef uint64_t rng_below(Rng* rng, uint64_t bound) noexcept nogil:
    """A whole number in [0, bound); 0 if bound is 0. The bias is below bound / 2**64."""
    return rng_next(rng) % bound if bound else 0


cdef double rng_unit(Rng* rng) noexcept nogil:
    """A number in [0, 1) with 53 random bits."""
    return <double> (rng_next(rng) >> 11) * (1.0 / 9007199254740992.0)


cdef class Random:
    """A seeded generator; equal seeds give equal draws on every machine."""
    cdef Rng rng

    def __init__(self, uint64_t seed):
        self.rng.state = seed

    def next(self):
        """A whole number of 64 bits."""
        return rng_next(&self.rng)

    def below(self, uint64_t bound):
        """A whole number in [0, bound)."""
        if bound == 0:
            raise ValueError("bound must be positive")
        return rng_below(&self.rng, bound)

    def unit(self):
        """A float in [0, 1)."""
        return rng_unit(&self.rng)

    def split(self):
        """A new generator, seeded from this one."""
        return Random(rng_next(&self.rng))
