from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libcpp.deque cimport deque
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId
from raylite._core.message cimport Location, Message
from raylite.runtime.pump cimport Pump

ctypedef bint (*send_function)(void* link, const Message* m, const char* payload, bint may_wait) noexcept nogil
ctypedef void (*wake_function)(void* link) noexcept nogil

cdef struct Slot:                 # one value asked for
    bint filled
    bint in_arena
    ObjectId object
    Blob* blob
    Location where

cdef struct Call:                 # a request whose answer is awaited
    uint64_t id
    uint32_t n_missing
    bint answered
    bint failed                   # one of the values is an error
    uint64_t token                # not 0: nobody blocks in it, it goes on `arrived`
    uint16_t flags
    uint64_t aux
    Blob* answer
    vector[Slot] slots
    vector[Blob*] in_place        # tasks for the waiting thread to run meanwhile: Message, payload

cdef struct Release:              # something to tell the node, from a destructor or under the lock
    Release* next
    uint32_t kind                 # EV_HOLD, EV_RELEASE, EV_UNPIN, EV_DECLINED
    uint32_t attempt              # EV_DECLINED
    ObjectId object

cdef struct Inbox:                # a client's end of the interface; guarded by pump.lock, but for `releases`
    Pump* pump
    void* link
    send_function send
    uint32_t client
    uint32_t job
    uint64_t last_request
    unordered_map[uint64_t, Call*] calls
    deque[Blob*] runs             # tasks to run: Message, payload
    deque[Blob*] notices          # what the Python side has to hear of: Message, payload
    vector[uint64_t] arrived      # asynchronous calls that are done
    void* releases                # lock-free stack of Release
    Release* unsaid               # taken from there, oldest first
    Release* unsaid_last
    int notice_event              # set when notices or arrived have something new
    bint announces_runs           # the notice event is for tasks too
    bint closed                   # the node is gone
    wake_function wake            # without a pump: have inbox_flush called soon

cdef bint inbox_has_task(const Inbox* b) noexcept nogil
cdef void inbox_deliver(Inbox* b, const Message* m, const char* payload, Blob* shared) noexcept nogil
cdef Call* inbox_call(Inbox* b, uint32_t n_slots, uint64_t token) noexcept nogil
cdef bint inbox_detach(Inbox* b, Call* call, bint may_wait) noexcept nogil
cdef void inbox_free_call(Call* call) noexcept nogil
cdef void inbox_take_arrived(Inbox* b, vector[Call*]* calls) noexcept nogil
cdef void inbox_lock(Inbox* b) noexcept nogil
cdef void inbox_unlock(Inbox* b) noexcept nogil
cdef void inbox_release_later(Inbox* b, uint32_t kind, ObjectId object) noexcept nogil
cdef bint inbox_flush(Inbox* b, bint may_wait) noexcept nogil
cdef bint inbox_send(Inbox* b, Message* m, const char* payload, bint may_wait) noexcept nogil
cdef void inbox_close(Inbox* b) noexcept nogil
cdef void inbox_forget(Inbox* b) noexcept nogil
cdef void inbox_free(Inbox* b) noexcept nogil
