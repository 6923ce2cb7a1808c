from libc.stdint cimport uint32_t, uint64_t
from libcpp.vector cimport vector
from raylite._core.store.chain cimport Chain, JournalRecord, ShardHead
from raylite._core.envelope cimport Blob
from raylite._core.store.master_message cimport WelcomeHeader
from raylite._core.message cimport Message
from raylite._core.links.party cimport Party
from raylite._core.store.message cimport Outgoing

cdef class Replica(Party):
    cdef uint32_t master
    cdef uint64_t heartbeat_ns
    cdef uint64_t next_heartbeat_ns
    cdef bint flushes
    cdef bint journals
    cdef bint keeps_archive
    cdef bint debug
    cdef bint registered
    cdef uint32_t journal_since   # the start that began it; 0: there is none yet, and no chain may count on it
    cdef vector[Chain*] chains    # by shard; empty before the master's welcome
    cdef vector[ShardHead] heads
    cdef vector[Outgoing] early   # came before the welcome; target: who sent it
    cdef vector[JournalRecord] journal        # for the host to write down, in order; it takes over the data's holds
    cdef vector[Blob*] archive    # task rows that went, for the host, likewise
    cdef int start(self, uint64_t now_ns) except -1
    cdef int make_chains(self, uint32_t n_shards) except -1
    cdef int journal_written(self, uint64_t now_ns, tuple records) except -1
    cdef int send_all(self) except -1
    cdef int register(self) except -1
    cdef int begin_journal(self, uint32_t since) except -1
    cdef int on_welcome(self, const WelcomeHeader* head) except -1
    cdef int on_nodes(self, Blob* payload) except -1
    cdef int on_chain(self, Blob* payload) except -1
    cdef int take(self, uint32_t source, const Message* m, Blob* payload) except -1
