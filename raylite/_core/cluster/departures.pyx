"""What a node says to other parties of its cluster, and what has to wait before it is said.

Whatever lets go of something, or shows something to others, departs: it waits until everything has been acknowledged
that the node had asked the control store to hold or to keep before it. So one queue keeps three promises: a reference
is held here before what brought it is let go; what a value contains is known before the value is; and nothing leaves
before its lineage is committed (DESIGN rule 4). A reference is let go last of all, when everything before it was
answered: what passes it on, in a value, is then held for that. What a guest, a task of another home, leads to waits
besides until its home has said that the guest is committed; those wait apart, as homes may wait for each other in a
circle otherwise, and only what is let go after them waits for them.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.string cimport memset
from libcpp.algorithm cimport sort
from libcpp.deque cimport deque
from libcpp.vector cimport vector
from raylite._core.cluster.homes cimport copies_refused
from raylite._core.cluster.message cimport NODE_COMMITTED, NODE_ITEM, NODE_RESULT
from raylite._core.cluster.table cimport Departure, PartyMessage, StoreRequest
from raylite._core.envelope cimport blob_data, blob_drop
from raylite._core.links.packet cimport MASTER_SETTLED
from raylite._core.message cimport MESSAGE_VERSION
from raylite._core.node.objects cimport ObjectRow, objects_find, REACH_HELD
from raylite._core.node.task_table cimport tasks_find
from raylite._core.planted cimport DEPARTS_AT_ONCE, planted, RELEASED_AT_ONCE
from raylite._core.store.message cimport DoneHeader, EPOCH_OF_LOG, OP_ACTOR, OP_ACTOR_CRASHED, OP_ACTOR_ENDED, \
    OP_ACTOR_LOG, OP_ACTOR_SAVED, OP_ACTOR_UNWATCH, OP_ACTOR_WATCH, OP_ADOPT, OP_ATTEMPT, OP_COMMIT, OP_DONE, OP_HOLD, \
    OP_PUT, OP_RELEASE, OP_UNWATCH, OP_WATCH


cdef PartyMessage peer_message(NodeState* n, uint32_t target, uint8_t kind, Blob* payload) noexcept nogil:
    cdef PartyMessage out
    memset(&out, 0, sizeof(PartyMessage))
    out.target = target
    out.message.version = MESSAGE_VERSION
    out.message.kind = kind
    out.message.incarnation = n.incarnation
    out.message.time_ns = n.now_ns
    out.message.size = <uint32_t> payload.size if payload != NULL else 0
    out.payload = payload
    return out


cdef Message* tell(NodeState* n, uint32_t target, uint8_t kind, Blob* payload) noexcept nogil:
    """Send another party a message now; the caller fills in what else it says. Takes over the payload's hold."""
    n.cluster.outgoing.push_back(peer_message(n, target, kind, payload))
    return &n.cluster.outgoing.back().message


cdef bint takes_hold(uint16_t kind) noexcept nogil:
    """Whether an operation is one that departures wait for."""
    return kind == OP_COMMIT or kind == OP_PUT or kind == OP_HOLD or kind == OP_ATTEMPT or kind == OP_ADOPT \
        or kind == OP_ACTOR or kind == OP_ACTOR_LOG


cdef bint comes_last(uint16_t kind) noexcept nogil:
    """Whether an operation waits, as a departure, for the answers to all that were asked for before."""
    return kind == OP_RELEASE or kind == OP_ACTOR_SAVED or kind == OP_ACTOR_CRASHED or kind == OP_ACTOR_ENDED


cdef bint is_told(uint16_t kind) noexcept nogil:
    """Whether an operation has no answer, but what the store tells from then on."""
    return kind == OP_WATCH or kind == OP_UNWATCH or kind == OP_ACTOR_WATCH or kind == OP_ACTOR_UNWATCH


cdef uint64_t ask_store(NodeState* n, uint16_t kind, ObjectId object, Blob* body) noexcept nogil:
    """Have the control store do something now; the answer comes with the token returned. Takes over the body's hold."""
    cdef StoreRequest request
    request.kind = kind
    request.flags = 0
    request.token = 0
    request.object = object
    request.body = body
    if is_told(kind):
        n.cluster.operations.push_back(request)
        return 0
    n.cluster.last_token += 1
    request.token = n.cluster.last_token
    n.cluster.operations.push_back(request)
    memset(&n.cluster.expected[request.token], 0, sizeof(Expected))
    n.cluster.expected[request.token].kind = kind
    n.cluster.expected[request.token].object = object
    if takes_hold(kind):
        n.cluster.holding.insert(request.token)
    return request.token


cdef bint take_answer(NodeState* n, uint64_t token, Expected* out) noexcept nogil:
    """The store has answered: what it was asked is put into `out`. False if nothing was."""
    it = n.cluster.expected.find(token)
    if it == n.cluster.expected.end():
        return False
    out[0] = deref(it).second
    n.cluster.expected.erase(token)
    n.cluster.holding.erase(token)
    return True


cdef bint go_on(NodeState* n, uint64_t token, bint done, PartyMessage* refused) noexcept nogil:
    """What was to follow an operation does, if the store has done it. Else it is put into `refused`: True."""
    it = n.cluster.following.find(token)
    if it == n.cluster.following.end():
        return False
    if done:
        n.cluster.outgoing.push_back(deref(it).second)
    else:
        refused[0] = deref(it).second
    n.cluster.following.erase(token)
    return not done


# ---- departures ------------------------------------------------------------------------------------------------

cdef Departure* add_departure(NodeState* n, const TaskRow* guest) noexcept nogil:
    cdef Departure d
    cdef vector[Departure]* apart
    memset(&d, 0, sizeof(Departure))
    n.cluster.last_departure += 1
    d.number = n.cluster.last_departure
    d.fence = n.cluster.last_token
    if guest != NULL and guest.home and not guest.acknowledged:
        apart = &n.cluster.uncommitted[guest.id]
        apart.push_back(d)
        n.cluster.apart.insert(d.number)
        return &apart.back()
    n.cluster.departures.push_back(d)
    return &n.cluster.departures.back()


cdef Message* depart(NodeState* n, uint32_t target, uint8_t kind, Blob* payload, const TaskRow* guest) noexcept nogil:
    """Send another party a message as soon as it may; `guest`: whose commit it waits for besides, or NULL."""
    cdef Departure* d = add_departure(n, guest)
    d.message = peer_message(n, target, kind, payload)
    return &d.message.message


cdef Departure* depart_to_store(NodeState* n, uint16_t kind, ObjectId object, Blob* body,
                                const TaskRow* guest) noexcept nogil:
    """Have the control store do something as soon as it may."""
    cdef Departure* d = add_departure(n, guest)
    d.operation.kind = kind
    d.operation.object = object
    d.operation.body = body
    return d


cdef Message* then_tell(NodeState* n, Departure* d, uint32_t target, uint8_t kind, Blob* payload) noexcept nogil:
    """Send another party a message when the store has done that; if it refuses, nobody hears of it."""
    d.message = peer_message(n, target, kind, payload)
    return &d.message.message


cdef void depart_release(NodeState* n, ObjectId object, Blob* holder) noexcept nogil:
    """Let go of an object in the store as soon as that may be. Takes over the body's hold."""
    n.cluster.releasing[object] += 1
    depart_to_store(n, OP_RELEASE, object, holder, NULL)


cdef bint is_last_release(NodeState* n, ObjectId object) noexcept nogil:
    """One of those that wait may go: whether no later one waits, and the object is not held again meanwhile."""
    cdef const ObjectRow* row = objects_find(&n.objects, object)
    n.cluster.releasing[object] -= 1
    if n.cluster.releasing[object]:
        return False
    n.cluster.releasing.erase(object)
    return row == NULL or not row.reach & REACH_HELD


cdef void queue_in_order(NodeState* n, const Departure* d) noexcept nogil:
    """Queue where it would be had it not waited apart: what came up after it may let go of what it shows to others."""
    cdef deque[Departure].iterator at = n.cluster.departures.begin()
    while at != n.cluster.departures.end() and deref(at).number < d.number:
        preincrement(at)
    n.cluster.departures.insert(at, d[0])


cdef void guest_committed(NodeState* n, TaskId task) noexcept nogil:
    """The guest's home has committed it: what it led to queues with the rest. Its fence has long been set."""
    cdef vector[Departure] waiting
    cdef size_t i
    if n.cluster.uncommitted.count(task) == 0:
        return
    waiting.swap(n.cluster.uncommitted[task])
    n.cluster.uncommitted.erase(task)
    for i in range(waiting.size()):
        n.cluster.apart.erase(waiting[i].number)
        queue_in_order(n, &waiting[i])
    free_releases(n)


cdef bint comes_after_guests(NodeState* n, const Departure* d) noexcept nogil:
    """Whether what guests led to before waits yet for their homes: values of theirs may contain what is let go."""
    return not n.cluster.apart.empty() and deref(n.cluster.apart.begin()) < d.number


cdef void free_releases(NodeState* n) noexcept nogil:
    """Guests were committed, or forgotten: what came after them queues behind it."""
    while not n.cluster.releases.empty() and not comes_after_guests(n, &n.cluster.releases.front()):
        queue_in_order(n, &n.cluster.releases.front())
        n.cluster.releases.pop_front()


cdef void drop_departure(Departure* d) noexcept nogil:
    blob_drop(d.message.payload)
    blob_drop(d.operation.body)


cdef void forget_guest(NodeState* n, TaskId task) noexcept nogil:
    """The guest's home died before it had committed it: nobody will hear of what it made. Who runs tasks that it has
    submitted hears that those are committed, as they end like any others."""
    cdef Departure* d
    cdef size_t i
    if n.cluster.uncommitted.count(task) == 0:
        return
    for i in range(n.cluster.uncommitted[task].size()):
        d = &n.cluster.uncommitted[task][i]
        n.cluster.apart.erase(d.number)
        if d.message.message.kind == NODE_COMMITTED:
            queue_in_order(n, d)
        else:
            drop_departure(d)
    n.cluster.uncommitted.erase(task)
    copies_refused(n, task)
    free_releases(n)


cdef bint unsay(Departure* d, uint32_t address) noexcept nogil:
    """What was for this party is for nobody. Whether the store is to do nothing either."""
    if d.message.target == address:
        blob_drop(d.message.payload)
        memset(&d.message, 0, sizeof(PartyMessage))
    return d.message.target == 0 and d.operation.kind == 0


cdef bint is_of_guest_ended(NodeState* n, TaskId guest, const vector[Departure]* waiting, uint32_t home) noexcept nogil:
    """Whether this is what a guest of that home led to, which has ended: of others their rows tell what to do."""
    cdef size_t i
    if tasks_find(&n.tasks, guest) != NULL:
        return False
    for i in range(waiting.size()):
        if waiting[0][i].message.target == home and (waiting[0][i].message.message.kind == NODE_RESULT
                                                     or waiting[0][i].message.message.kind == NODE_ITEM):
            return True
    return False


cdef void forget_target(NodeState* n, uint32_t address) noexcept nogil:
    """A node is dead: what waits to be said to it must not reach the next one at its address."""
    cdef deque[Departure] kept
    cdef vector[uint64_t] tokens
    cdef vector[TaskId] ended
    cdef size_t i
    for i in range(n.cluster.departures.size()):
        if not unsay(&n.cluster.departures[i], address):
            kept.push_back(n.cluster.departures[i])
    n.cluster.departures.swap(kept)
    it = n.cluster.uncommitted.begin()
    while it != n.cluster.uncommitted.end():
        if is_of_guest_ended(n, deref(it).first, &deref(it).second, address):
            ended.push_back(deref(it).first)
        for i in range(deref(it).second.size()):
            unsay(&deref(it).second[i], address)
        preincrement(it)
    sort(ended.begin(), ended.end())
    for i in range(ended.size()):
        forget_guest(n, ended[i])
    for followed in n.cluster.following:
        if followed.second.target == address:
            blob_drop(followed.second.payload)
            tokens.push_back(followed.first)
    for i in range(tokens.size()):
        n.cluster.following.erase(tokens[i])


cdef void send_departures(NodeState* n) noexcept nogil:
    """Send what waits for nothing any more. In the order of the queue: whoever asks the store asks it in that order."""
    send_queue(n)
    send_settled(n)


cdef void send_settled(NodeState* n) noexcept nogil:
    """What waits for all that the store had been asked before: also for DONE, which holds what a value contains."""
    cdef vector[Departure] waiting
    cdef Departure* d
    cdef size_t i
    waiting.swap(n.cluster.settling)
    for i in range(waiting.size()):
        d = &waiting[i]
        if not n.cluster.expected.empty() and deref(n.cluster.expected.begin()).first <= d.fence \
                and not planted(RELEASED_AT_ONCE):
            n.cluster.settling.push_back(d[0])
        elif d.operation.kind == OP_RELEASE and not is_last_release(n, d.operation.object):
            drop_departure(d)
        elif d.operation.kind:
            ask_store(n, d.operation.kind, d.operation.object, d.operation.body)
        else:
            n.cluster.outgoing.push_back(d.message)


cdef void renew_epoch(NodeState* n, const Departure* d) noexcept nogil:
    """The task's end may have been written down before its node heard under which epoch it is at it."""
    cdef DoneHeader* head = <DoneHeader*> blob_data(d.operation.body)
    cdef const TaskRow* row = tasks_find(&n.tasks, d.operation.object.task)
    if row != NULL and row.attempt == head.attempt and head.epoch != EPOCH_OF_LOG:
        head.epoch = row.epoch


cdef void send_queue(NodeState* n) noexcept nogil:
    cdef Departure* d
    cdef uint64_t token
    while not n.cluster.departures.empty():
        d = &n.cluster.departures.front()
        if not n.cluster.holding.empty() and deref(n.cluster.holding.begin()) <= d.fence \
                and not planted(DEPARTS_AT_ONCE):
            return
        if d.operation.kind == OP_RELEASE and comes_after_guests(n, d):
            n.cluster.releases.push_back(d[0])
        elif comes_last(d.operation.kind) or d.message.message.kind == MASTER_SETTLED:
            d.fence = n.cluster.last_token
            n.cluster.settling.push_back(d[0])
        elif d.operation.kind:
            if d.operation.kind == OP_DONE:
                renew_epoch(n, d)
            token = ask_store(n, d.operation.kind, d.operation.object, d.operation.body)
            if d.message.target:
                n.cluster.following[token] = d.message
        elif d.message.target:
            n.cluster.outgoing.push_back(d.message)
        n.cluster.departures.pop_front()


cdef void drop_cluster(NodeState* n) noexcept nogil:
    """Let go of all bytes that were still to be sent."""
    cdef size_t i
    for i in range(n.cluster.outgoing.size()):
        blob_drop(n.cluster.outgoing[i].payload)
    for i in range(n.cluster.operations.size()):
        blob_drop(n.cluster.operations[i].body)
    for i in range(n.cluster.departures.size()):
        drop_departure(&n.cluster.departures[i])
    it = n.cluster.uncommitted.begin()
    while it != n.cluster.uncommitted.end():
        for i in range(deref(it).second.size()):
            drop_departure(&deref(it).second[i])
        preincrement(it)
    for i in range(n.cluster.settling.size()):
        drop_departure(&n.cluster.settling[i])
    n.cluster.settling.clear()
    for i in range(n.cluster.releases.size()):
        drop_departure(&n.cluster.releases[i])
    n.cluster.releases.clear()
    for claim in n.cluster.claims:
        blob_drop(claim.second.payload)
    n.cluster.claims.clear()
    for followed in n.cluster.following:
        blob_drop(followed.second.payload)
    n.cluster.following.clear()
    n.cluster.outgoing.clear()
    n.cluster.operations.clear()
    n.cluster.departures.clear()
    n.cluster.uncommitted.clear()
