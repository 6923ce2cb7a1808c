"""Faults planted in the core, to see whether the tests would find them (tests/quality). None in a release build.

In a debug build each module that asks has a word of its own, `raylite_planted`: the number of the one fault that is on,
0 if none is. A test writes it through the symbol; nothing else does. In a release build the question is the constant 0,
so neither word nor fault is compiled. A fault is asked for where it would be made: `if planted(STALE_INCARNATION):`.
"""

cdef extern from *:
    """
    #ifdef RAYLITE_DEBUG
    extern "C" { __attribute__((visibility("default"), used)) int raylite_planted = 0; }
    #define RAYLITE_PLANTED(fault) (raylite_planted == (int) (fault))
    #else
    #define RAYLITE_PLANTED(fault) 0
    #endif
    """
    bint planted "RAYLITE_PLANTED"(int fault) noexcept nogil

cdef enum Planted:
    REPEATED_PACKET = 1           # a packet that the network repeats is handed over again
    STALE_INCARNATION = 2         # packets of an incarnation that was declared dead are taken
    REPEATED_LETTER = 3           # a shard applies a letter that it has applied before
    ACK_LOST = 4                  # a shard does not acknowledge letters to which it answers nothing
    ANSWER_TOO_SOON = 5           # a shard answers before the other shards concerned know
    UPDATES_LOST = 6              # a replica whose successor died passes on nothing that the next one lacks
    OLD_EPOCH = 7                 # the store takes the word of who has lost the task to another home, or attempt
    DEAD_COPIES = 8               # copies on a node that died stay in the table
    DROPPED_TOO_SOON = 9          # a dead node's holds go before what it had passed on is known
    FREED_EARLY = 10              # a node does not hold what only a value of its own contains
    RELEASED_AT_ONCE = 11         # a hold is given back before those are known that follow from it
    DEPARTS_AT_ONCE = 12          # what leaves a node does not wait for what must be known before
    MISPLACED_CHUNK = 13          # every chunk of a large value is written where the first one belongs
    LOST_WITH_NODE = 14           # tasks that ran on a node that died are not tried again
    OFF_BY_ONE = 15               # a task starts where one unit of a resource is lacking
    RESOURCE_LEAK = 16            # of each amount that is given back a ten-thousandth is not
    RETRY_FREE = 17               # a retry does not count
    CALLS_OVERTAKE = 18           # the second call that is ready goes before the first
    LINEAGE_UNHELD = 19           # an ended task holds nothing that it would need to run again
    WAITER_FORGOTTEN = 20         # of those who wait for an object of a shard only the first is told
