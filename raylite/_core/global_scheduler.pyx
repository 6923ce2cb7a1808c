"""The global scheduler: a party that is asked where tasks are to run, and answers.

It knows what the master publishes of nodes (MASTER_LOADS, MASTER_NODE, MASTER_NODE_DEAD) and what it has itself placed
since; it asks nobody and keeps nothing, so any number of them may be there, and one that dies loses only questions.
"""
from libc.stdint cimport uint32_t
from libc.string cimport memset
from libcpp.string cimport string
from raylite._core.envelope cimport Blob, blob_copy, blob_data
from raylite._core.loads cimport load_read, NodeLoad
from raylite._core.message cimport Cursor, take
from raylite._core.node_choice cimport board_choose, board_remove, board_report, board_setup, Question, question_read
from raylite._core.packet cimport MASTER_LOADS, MASTER_NODE, MASTER_NODE_DEAD, SCHEDULER_ANSWER, SCHEDULER_ASK
from raylite._core.scheduler_message cimport PlaceAnswer
from raylite._core.store_message cimport NodeRecord


cdef class GlobalScheduler(Party):
    """A global scheduler.

    Args: address, incarnation: its own, ignores_locality: place tasks without a look at where their arguments are.
    """

    def __init__(self, uint32_t address, uint32_t incarnation, *, bint ignores_locality=False):
        self.join(address, incarnation)
        board_setup(&self.board, ignores_locality)

    cdef int deliver(self, uint64_t now_ns, uint32_t source, const Message* message, Blob* payload) except -1:
        cdef const char* data = blob_data(payload) if payload != NULL else NULL
        if message.kind == SCHEDULER_ASK:
            return self.on_ask(source, data, message.size)
        if message.kind == MASTER_LOADS:
            return self.on_loads(data, message.size)
        if message.kind == MASTER_NODE or message.kind == MASTER_NODE_DEAD:
            return self.on_nodes(message, data, message.size)
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

    cdef int on_loads(self, const char* payload, uint64_t size) except -1:
        cdef Cursor c = Cursor(payload, size, False)
        cdef NodeLoad load
        while c.left:
            if not load_read(&c, &load):
                self.n_malformed += 1
                break
            board_report(&self.board, &load)
        return 0

    cdef int on_nodes(self, const Message* message, const char* payload, uint64_t size) except -1:
        """Nodes have come, or are dead."""
        cdef Cursor c = Cursor(payload, size, False)
        cdef const NodeRecord* node
        while c.left:
            node = <const NodeRecord*> take(&c, sizeof(NodeRecord))
            if node == NULL:
                self.n_malformed += 1
                break
            if message.kind == MASTER_NODE:
                self.know(node.address, node.incarnation)
            else:
                board_remove(&self.board, node.address, node.incarnation)
                self.declare_dead(node.address, node.incarnation)
        return 0

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
