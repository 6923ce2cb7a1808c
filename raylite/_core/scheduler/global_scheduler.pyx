"""The global scheduler: a party that is asked where tasks are to run, and answers.

It knows what the master publishes of nodes (MASTER_LOADS, MASTER_NODE, MASTER_NODE_DEAD) and what it has itself placed
since; it asks nobody and keeps nothing, so any number of them may be there, and one that dies loses only questions.
"""
from libc.stdint cimport uint32_t
from libc.string cimport memset
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob, blob_copy, blob_data
from raylite._core.links.packet cimport MASTER_LOADS, MASTER_NODE, MASTER_NODE_DEAD, party_kind, PARTY_NODE, \
    SCHEDULER_ANSWER, SCHEDULER_ANSWER_GROUP, SCHEDULER_ASK, SCHEDULER_ASK_GROUP
from raylite._core.message cimport Cursor, take, take_padded
from raylite._core.scheduler.loads cimport load_read, NodeLoad
from raylite._core.node.placement_groups cimport GROUP_STRICT_SPREAD
from raylite._core.scheduler.group_placement cimport AMOUNTS_AVAILABLE, AMOUNTS_TOTAL, group_place, \
    group_question_read, Need
from raylite._core.scheduler.message cimport GroupAnswer, GroupQuestion, PlaceAnswer
from raylite._core.scheduler.node_choice cimport board_choose, board_remove, board_report, board_set_aside, \
    board_setup, Question, question_read
from raylite._core.store.master_message cimport LoadNotice, NodeNotice, take_notice
from raylite._core.store.message cimport NodeRecord


cdef class GlobalScheduler(Enlisted):
    """A global scheduler.

    Args: address, incarnation: its own, ignores_locality: place tasks without a look at where their arguments are,
    master: its address, 0: it registers nowhere.
    """

    def __init__(self, uint32_t address, uint32_t incarnation, *, bint ignores_locality=False, uint32_t master=0):
        self.join(address, incarnation)
        self.master = master
        board_setup(&self.board, ignores_locality)

    cdef int deliver(self, uint64_t now_ns, uint32_t source, const Message* message, Blob* payload) except -1:
        cdef const char* data = blob_data(payload) if payload != NULL else NULL
        if message.kind == SCHEDULER_ASK:
            return self.on_ask(source, data, message.size)
        if message.kind == SCHEDULER_ASK_GROUP:
            return self.on_ask_group(source, data, message.size)
        if self.master and source != self.master:
            return 0
        if message.kind == MASTER_LOADS:
            return self.on_loads(data, message.size)
        if message.kind == MASTER_NODE:
            return self.on_node(data, message.size)
        if message.kind == MASTER_NODE_DEAD:
            return self.on_nodes_dead(data, message.size)
        if self.hear_enlisting(message, payload):
            return 0
        self.n_malformed += 1
        return 0

    cdef int on_ask(self, uint32_t source, const char* payload, uint64_t size) except -1:
        """Answer all questions of a message in one."""
        cdef Cursor c = Cursor(payload, size, False)
        cdef string answers
        cdef PlaceAnswer answer
        cdef Question question
        cdef Message m
        while c.left:
            if not question_read(&c, &question) or not board_choose(&self.board, &question, &answer):
                self.n_malformed += 1
                break
            answers.append(<const char*> &answer, sizeof(PlaceAnswer))
        if answers.empty():
            return 0
        memset(&m, 0, sizeof(Message))
        m.kind = SCHEDULER_ANSWER
        return self.send(source, &m, blob_copy(answers.data(), answers.size()))

    cdef int on_ask_group(self, uint32_t source, const char* payload, uint64_t size) except -1:
        """Answer where the bundles of a placement group go."""
        cdef GroupQuestion head
        cdef GroupAnswer answer
        cdef vector[vector[Need]] bundles
        cdef vector[uint32_t] kept, addresses
        cdef string out
        cdef Message m
        if not group_question_read(payload, size, &head, &kept, &bundles):
            self.n_malformed += 1
            return 0
        if head.strategy != GROUP_STRICT_SPREAD:
            kept.clear()          # another bundle may go there too
        memset(&answer, 0, sizeof(GroupAnswer))
        answer.token = head.token
        if group_place(&self.board.loads, head.strategy, &bundles, AMOUNTS_AVAILABLE, &kept, &addresses):
            answer.n_bundles = <uint32_t> addresses.size()
            answer.is_possible = True
            board_set_aside(&self.board, &bundles, &addresses)
            out.append(<const char*> addresses.data(), 4 * addresses.size())
        else:
            answer.is_possible = group_place(&self.board.loads, head.strategy, &bundles, AMOUNTS_TOTAL, &kept,
                                             &addresses)
        out.insert(0, <const char*> &answer, sizeof(GroupAnswer))
        memset(&m, 0, sizeof(Message))
        m.kind = SCHEDULER_ANSWER_GROUP
        return self.send(source, &m, blob_copy(out.data(), out.size()))

    cdef int on_loads(self, const char* payload, uint64_t size) except -1:
        """Nodes have reported."""
        cdef Cursor c = Cursor(payload, size, False)
        cdef const LoadNotice* notice
        cdef const char* report
        while c.left:
            notice = <const LoadNotice*> take(&c, sizeof(LoadNotice))
            report = take_padded(&c, notice.size) if notice != NULL else NULL
            if report == NULL:
                self.n_malformed += 1
                break
            self.on_report(report, notice.size)
        return 0

    cdef int on_report(self, const char* report, uint64_t size) except -1:
        cdef Cursor c = Cursor(report, size, False)
        cdef NodeLoad load
        if not load_read(&c, &load):
            self.n_malformed += 1
            return 0
        board_report(&self.board, &load)
        return 0

    cdef int on_node(self, const char* payload, uint64_t size) except -1:
        """Nodes are there; a suspect is as good as away."""
        cdef Cursor c = Cursor(payload, size, False)
        cdef const NodeNotice* notice
        cdef const char* about = NULL
        while c.left:
            notice = take_notice(&c, &about)
            if notice == NULL:
                self.n_malformed += 1
                break
            if party_kind(notice.address) != PARTY_NODE:
                continue
            self.know(notice.address, notice.incarnation)
            if notice.size:
                self.on_report(about, notice.size)
        return 0

    cdef int on_nodes_dead(self, const char* payload, uint64_t size) except -1:
        cdef Cursor c = Cursor(payload, size, False)
        cdef const NodeRecord* node
        while c.left:
            node = <const NodeRecord*> take(&c, sizeof(NodeRecord))
            if node == NULL:
                self.n_malformed += 1
                break
            board_remove(&self.board, node.address, node.incarnation)
            self.declare_dead(node.address, node.incarnation)
        return 0

    cdef int on_time(self, uint64_t now_ns) except -1:
        self.is_heartbeat_due(now_ns)
        return 0

    cdef uint64_t wants_time_ns(self) noexcept:
        return self.next_heartbeat_ns

    def nodes(self):
        """What it knows of nodes, by address: resources (total, available less what was placed), tasks, means."""
        cdef size_t i
        out = []
        for i in range(self.board.nodes.size()):
            c = &self.board.nodes[i]
            names = [self.board.resources.names[j].decode() for j in range(c.total.size())]
            out.append({
                "address": c.address, "waiting": c.n_waiting, "running": c.n_running,
                "task_ns": c.task_ns, "bandwidth": c.bandwidth,
                "resources": {name: (c.total[j], c.available[j]) for j, name in enumerate(names) if c.total[j]},
            })
        return out

    def functions(self):
        """Of how many functions it knows mean times."""
        return self.board.times.size()
