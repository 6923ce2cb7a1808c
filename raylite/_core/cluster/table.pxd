"""What a node knows of the cluster around it: other nodes, what it has asked the control store, what is on its way."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libcpp.deque cimport deque
from libcpp.map cimport map as ordered_map
from libcpp.set cimport set as ordered_set
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.unordered_set cimport unordered_set
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.scheduler.loads cimport Means
from raylite._core.message cimport Message

cdef struct PartyMessage:          # to another party
    uint32_t target
    Message message
    Blob* payload

cdef struct StoreRequest:         # an operation of the control store's
    uint16_t kind                 # StoreOpKind
    uint16_t flags
    uint64_t token
    ObjectId object
    Blob* body

cdef struct Departure:            # waits for what went to the store before it
    uint64_t number               # the order in which they came up
    uint64_t fence                # the last token then
    StoreRequest operation        # if it has a kind
    PartyMessage message           # if it has a target; after the operation, if there is one, has been acknowledged

cdef struct Peer:                 # another node
    uint32_t address
    uint32_t incarnation
    unordered_set[ObjectId] functions         # that it was sent
    unordered_set[uint64_t] environments
    string id                     # as programs know it, as text

cdef struct Expected:             # the answer to an operation
    uint16_t kind                 # StoreOpKind
    ObjectId object
    uint32_t client               # that it is for, if it is
    uint64_t request

cdef struct Listing:              # a client's question to all shards
    uint32_t client
    uint64_t request
    uint32_t n_missing            # answers
    string found

cdef struct Asked:                # a client's question to another node
    uint32_t node
    uint32_t client
    uint64_t request

cdef struct Claim:                # an actor's submission that waits for its name
    Message message
    Blob* payload

cdef struct RemoteObject:         # what is known of an object's copies elsewhere
    vector[uint32_t] locations    # addresses, those that answered first
    uint32_t n_guest_holds        # of its row's task holds: by tasks of other homes, which hold it in the store
    uint64_t transfer             # that brings it here; 0: none

cdef struct Transfer:             # an object on its way here
    uint64_t id
    ObjectId object
    uint32_t source
    uint32_t segment
    uint64_t offset
    uint64_t size                 # 0: not known yet
    uint64_t asked                # bytes asked for
    uint64_t start_ns
    uint64_t arrived
    uint8_t kind                  # of the value, as it comes
    uint8_t flags
    bint leased
    vector[ObjectId] contained

cdef struct Reading:              # bytes on their way from the arena to another node
    uint32_t target
    uint64_t transfer             # the target's
    ObjectId object
    uint64_t offset

cdef struct GroupRequest:         # waits until something is known of a placement group
    TaskId group
    Message message

cdef struct Cluster:
    bint joined                   # the node is part of a cluster
    uint32_t address
    uint64_t last_token
    uint64_t last_transfer
    uint64_t last_reading
    uint64_t last_question
    uint64_t last_listing
    uint32_t n_shards             # of the control store
    unordered_map[TaskId, vector[TaskId]] before_children     # calls that wait until their parent is committed
    ordered_map[uint64_t, Listing] listings
    uint64_t last_asked
    ordered_map[uint64_t, Asked] asked        # not answered
    Means means                   # of what ran and came here
    ordered_map[uint32_t, Peer] peers
    ordered_set[uint32_t] schedulers
    vector[PartyMessage] outgoing
    vector[StoreRequest] operations
    ordered_map[uint64_t, Expected] expected          # answers
    ordered_map[uint64_t, Claim] claims               # by the token of OP_NAME_CLAIM
    ordered_set[uint64_t] holding                     # tokens, not answered, of what takes hold of something
    deque[Departure] departures                       # oldest first
    vector[Departure] settling                        # wait for all answers up to their fences
    ordered_map[uint64_t, PartyMessage] following      # once the operation of this token is done
    unordered_map[TaskId, vector[Departure]] uncommitted      # by the guest that has to be committed first
    ordered_set[uint64_t] apart   # the numbers of those
    deque[Departure] releases     # OP_RELEASE that come after some of those
    uint64_t last_departure
    unordered_map[ObjectId, RemoteObject] remote
    ordered_map[uint64_t, Transfer] transfers
    ordered_map[uint64_t, Reading] readings
    unordered_map[ObjectId, uint32_t] releasing       # how many OP_RELEASE of an object wait
    vector[ObjectId] touched      # whose holds in the store may have to change
    vector[TaskId] homeless       # tasks for which a global scheduler is to be asked
    ordered_map[uint64_t, TaskId] questions   # that were asked
    vector[TaskId] refused        # tasks that no node can run now: asked about again from time to time
    string id                     # of this node, as programs know it, as text
    ordered_map[string, uint32_t] addresses   # of the other nodes, by that
    ordered_map[uint64_t, TaskId] offers      # questions about tasks that are queued here
    uint32_t n_offering           # of such a round, not answered
    uint32_t offer_size           # how many tasks of each shape the next round is about
    bint has_moved                # whether any of this round went elsewhere
    ordered_map[TaskId, vector[TaskId]] grouped       # tasks that wait for a bundle, by placement group
    vector[TaskId] unplaced       # groups about which a scheduler is to be asked
    ordered_map[uint64_t, TaskId] group_questions     # that were asked
    deque[TaskId] hopeful         # groups that could not be placed: asked about again from time to time
    ordered_map[uint64_t, TaskId] group_tokens    # groups that the store was asked about
    vector[TaskId] strangers      # groups about whose home it is to be asked again
    vector[GroupRequest] group_requests

cdef enum:
    PEER_CLIENT = 0x80000000      # with a node's address: who holds what that node has sent to stay
