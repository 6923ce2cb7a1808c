"""A party that has registered with the master, and that the master hears of from time to time (docs/cluster.md)."""
from libc.string cimport memset
from raylite._core.envelope cimport blob_copy, blob_data
from raylite._core.store.master_message cimport RegisterHeader, WelcomeHeader
from raylite._core.message cimport MESSAGE_VERSION
from raylite._core.links.packet cimport MASTER_HEARTBEAT, MASTER_REGISTER, MASTER_WELCOME


cdef class Enlisted(Party):
    """The base of nodes and schedulers."""

    cdef int start(self, uint64_t now_ns) except -1:
        """Register."""
        self.now_ns = now_ns
        return self.register() if self.master else 0

    cdef int register(self) except -1:
        cdef RegisterHeader head
        cdef string out, report
        if self.heartbeat_ns == 0:
            self.next_heartbeat_ns = self.now_ns + REGISTER_AGAIN_NS
        memset(&head, 0, sizeof(RegisterHeader))
        out.append(<const char*> &head, sizeof(RegisterHeader))
        self.write_report(&report)
        out.append(report)
        return self.tell_master(MASTER_REGISTER, &out)

    cdef int tell_master(self, uint8_t kind, const string* body) except -1:
        cdef Message m
        memset(&m, 0, sizeof(Message))
        m.version = MESSAGE_VERSION
        m.kind = kind
        m.incarnation = self.incarnation
        m.size = <uint32_t> body.size()
        return self.send(self.master, &m, blob_copy(body.data(), body.size()))

    cdef bint hear_enlisting(self, const Message* message, Blob* payload) except -1:
        """What the master says to everybody. True if that was it."""
        if message.kind == MASTER_REGISTER:
            self.register()
        elif message.kind == MASTER_WELCOME and payload != NULL and payload.size >= sizeof(WelcomeHeader):
            self.heartbeat_ns = (<const WelcomeHeader*> blob_data(payload)).heartbeat_ns
            self.next_heartbeat_ns = self.now_ns
        else:
            return False
        return True

    cdef bint is_heartbeat_due(self, uint64_t now_ns) except -1:
        """Send a heartbeat if it is time, or register once more. True if it was."""
        cdef string report
        if self.next_heartbeat_ns == 0 or now_ns < self.next_heartbeat_ns:
            return False
        if self.heartbeat_ns == 0:
            self.register()
            return True
        self.next_heartbeat_ns = now_ns + self.heartbeat_ns
        self.write_report(&report)
        self.tell_master(MASTER_HEARTBEAT, &report)
        return True

    cdef int write_report(self, string* out) except -1:
        return 0

    cdef int on_peer_gone(self, uint64_t now_ns, uint32_t source, uint32_t incarnation) except -1:
        if source == self.master:
            self.register()       # it has started again
        return 0
