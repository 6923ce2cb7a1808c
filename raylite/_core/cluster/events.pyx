"""What other parties tell a node, handed to who knows of it; and what the node has to say at the end of each event."""
from cython.operator cimport dereference as deref
from raylite._core.cluster.actor_log cimport commit_answered, log_arrived
from raylite._core.cluster.departures cimport forget_target, go_on, send_departures, take_answer, tell
from raylite._core.cluster.directory cimport shard_listed, value_answered
from raylite._core.cluster.exposure cimport task_committed
from raylite._core.cluster.groups cimport ask_for_groups, group_answered, groups_lost_node, hear_of_group, \
    on_group_placement
from raylite._core.cluster.guests cimport home_lost, on_function_gone, on_home_cancels, on_home_committed, on_task
from raylite._core.cluster.homes cimport adoption_answered, attempt_answered, copies_refused, done_refused, new_epoch, \
    on_rerun
from raylite._core.cluster.message cimport NODE_ANSWER, NODE_BUNDLES_BACK, NODE_CANCEL, NODE_CHUNK, NODE_COMMITTED, \
    NODE_FUNCTION_GONE, NODE_GROUP, NODE_ITEM, NODE_ITEM_HELD, NODE_NOT_HERE, NODE_PULL, NODE_QUERY, NODE_READ, \
    NODE_RESULT, NODE_RETURN, NODE_TASK, NODE_VALUE, RESULT_REFUSED
from raylite._core.cluster.queries cimport on_node_answer, on_node_query, questions_unanswered
from raylite._core.cluster.remote_actors cimport actors_lost_node, actors_of_node, name_claimed, name_found, \
    on_actor_end_entry, on_actor_entry
from raylite._core.cluster.remote_objects cimport forget_locations, hold_refused, hold_touched, on_free_entry, \
    on_object_entry
from raylite._core.cluster.remote_streams cimport on_item, on_item_held, on_read
from raylite._core.cluster.spill cimport ask_scheduler, on_placement, on_result, on_task_back, questions_lost, \
    spilled_lost
from raylite._core.cluster.table cimport Expected, PartyMessage, PEER_CLIENT
from raylite._core.cluster.transfers cimport on_chunk, on_not_here, on_pull, on_value, transfers_lost
from raylite._core.envelope cimport blob_data, blob_drop
from raylite._core.links.packet cimport SCHEDULER_ANSWER, SCHEDULER_ANSWER_GROUP
from raylite._core.node.references cimport client_gone
from raylite._core.store.message cimport AttemptHeader, END_KILLED, ENTRY_ACTOR, ENTRY_ACTOR_END, ENTRY_ANSWER, \
    ENTRY_FREE, ENTRY_OBJECT, ENTRY_RERUN, OP_ACTOR_ALIVE, OP_ADOPT, OP_ATTEMPT, OP_COMMIT, OP_DONE, OP_HOLD, \
    OP_KV_DELETE, OP_KV_LIST, OP_KV_PUT, OP_NAME_CLAIM, OP_NAME_FIND, OP_NAME_LIST, OP_WATCH, STORE_OK, STORE_UNKNOWN


cdef bint hear(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil:
    """Handle a message of another node or of a scheduler. False if it is malformed."""
    if m.kind == NODE_TASK:
        return on_task(n, source, m, payload)
    if m.kind == NODE_RESULT:
        return on_result(n, source, m, payload)
    if m.kind == NODE_PULL:
        return on_pull(n, source, m, payload)
    if m.kind == NODE_CHUNK:
        return on_chunk(n, source, m, payload)
    if m.kind == NODE_VALUE:
        return on_value(n, source, m, payload)
    if m.kind == NODE_ITEM:
        return on_item(n, source, m, payload)
    if m.kind == SCHEDULER_ANSWER:
        return on_placement(n, m, payload)
    if m.kind == SCHEDULER_ANSWER_GROUP:
        return on_group_placement(n, m, payload)
    if NODE_GROUP <= m.kind <= NODE_BUNDLES_BACK:
        return hear_of_group(n, source, m, payload)
    if m.kind == NODE_QUERY:
        return on_node_query(n, source, m, payload)
    if m.kind == NODE_COMMITTED:
        on_home_committed(n, source, m)
    elif m.kind == NODE_RETURN:
        on_task_back(n, source, m)
    elif m.kind == NODE_CANCEL:
        on_home_cancels(n, source, m)
    elif m.kind == NODE_ITEM_HELD:
        on_item_held(n, source, m)
    elif m.kind == NODE_READ:
        on_read(n, source, m)
    elif m.kind == NODE_FUNCTION_GONE:
        on_function_gone(n, source, m)
    elif m.kind == NODE_ANSWER:
        on_node_answer(n, source, m, payload)
    elif m.kind == NODE_NOT_HERE:
        on_not_here(n, source, m)
    else:
        return False
    return True


cdef void tell_refused(NodeState* n, const PartyMessage* unsaid) noexcept nogil:
    """The store knows another end of the guest's: its home is to ask for that one."""
    cdef Message* m = tell(n, unsaid.target, NODE_RESULT, NULL)
    m.object = unsaid.message.object
    m.attempt = unsaid.message.attempt
    m.flags = RESULT_REFUSED
    blob_drop(unsaid.payload)


cdef void on_answer(NodeState* n, uint16_t status, uint64_t token, const char* body, uint64_t size) noexcept nogil:
    """The store has done what it was asked, or says why not."""
    cdef Expected what
    cdef PartyMessage unsaid
    if not take_answer(n, token, &what):
        return
    if go_on(n, token, status == STORE_OK, &unsaid):
        done_refused(n, what.object.task, blob_data(unsaid.payload), unsaid.payload.size)
        tell_refused(n, &unsaid)
    elif what.kind == OP_DONE and status != STORE_OK:
        copies_refused(n, what.object.task)
    if group_answered(n, &what, token, status, body, size):
        pass
    elif what.kind == OP_COMMIT:
        if status == STORE_OK and size >= sizeof(AttemptHeader):
            new_epoch(n, what.object.task, (<const AttemptHeader*> body).epoch)
        task_committed(n, what.object.task)   # also if it was there: its parent has run before
        commit_answered(n, what.object.task, status)
    elif what.kind == OP_NAME_CLAIM:
        name_claimed(n, token, status)
    elif what.kind == OP_NAME_FIND:
        name_found(n, &what, status, body, size)
    elif what.kind == OP_NAME_LIST or what.kind == OP_KV_LIST:
        shard_listed(n, &what, body, size)
    elif OP_KV_PUT <= what.kind <= OP_KV_DELETE:
        value_answered(n, &what, status, body, size)
    elif what.kind == OP_ACTOR_ALIVE and status != STORE_OK:
        on_actor_end_entry(n, what.object.task, END_KILLED)   # it was ended while it was made
    elif what.kind == OP_ACTOR_ALIVE:
        log_arrived(n, what.object.task, body, size)
    elif what.kind == OP_ATTEMPT:
        attempt_answered(n, what.object.task, status)
    elif what.kind == OP_ADOPT:
        adoption_answered(n, what.object.task, status)
    elif (what.kind == OP_HOLD or what.kind == OP_WATCH) and status == STORE_UNKNOWN:
        hold_refused(n, what.object)


cdef bint hear_store(NodeState* n, uint16_t kind, uint16_t flags, uint64_t token, ObjectId object, const char* body,
                     uint64_t size) noexcept nogil:
    """Handle one entry of a shard's stream. False if it is malformed."""
    if kind == ENTRY_ANSWER:
        on_answer(n, flags, token, body, size)
    elif kind == ENTRY_OBJECT:
        return on_object_entry(n, object, body, size)
    elif kind == ENTRY_FREE:
        on_free_entry(n, object)
    elif kind == ENTRY_RERUN:
        return on_rerun(n, object.task, body, size)
    elif kind == ENTRY_ACTOR:
        return on_actor_entry(n, object.task, body, size)
    elif kind == ENTRY_ACTOR_END:
        on_actor_end_entry(n, object.task, flags)
    else:
        return False
    return True


cdef void reach_out(NodeState* n) noexcept nogil:
    """What the event has led to beyond this node."""
    hold_touched(n)
    ask_scheduler(n)
    ask_for_groups(n)
    send_departures(n)


# ---- who is there ----------------------------------------------------------------------------------------------

cdef void peer_came(NodeState* n, uint32_t address, uint32_t incarnation, const string* id) noexcept nogil:
    """Another node is part of the cluster."""
    if address != n.cluster.address:
        n.cluster.peers[address].id = id[0]
        if not id.empty():
            n.cluster.addresses[id[0]] = address
        n.cluster.peers[address].address = address
        n.cluster.peers[address].incarnation = incarnation
        actors_of_node(n, address)


cdef void peer_died(NodeState* n, uint32_t address, uint32_t incarnation) noexcept nogil:
    """A node was declared dead: its tasks that run here, ours that ran there, its copies, what was on its way."""
    it = n.cluster.peers.find(address)
    if it == n.cluster.peers.end() or deref(it).second.incarnation != incarnation:
        return
    n.cluster.addresses.erase(deref(it).second.id)
    n.cluster.peers.erase(address)
    forget_target(n, address)
    actors_lost_node(n, address)
    forget_locations(n, address)
    transfers_lost(n, address)
    groups_lost_node(n, address)
    questions_unanswered(n, address)
    spilled_lost(n, address)
    home_lost(n, address)
    client_gone(n, PEER_CLIENT | address)


cdef void scheduler_came(NodeState* n, uint32_t address) noexcept nogil:
    n.cluster.schedulers.insert(address)


cdef void scheduler_died(NodeState* n, uint32_t address) noexcept nogil:
    """Questions that it may have had are asked again."""
    if n.cluster.schedulers.erase(address):
        questions_lost(n)
