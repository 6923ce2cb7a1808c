"""Loops over parts of the core without Python in them; built and run by core_loops.py."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from raylite._core.envelope cimport Blob, blob_copy, blob_drop
from raylite._core.scheduler.loads cimport load_read, NodeLoad
from raylite._core.message cimport Cursor, Message
from raylite._core.scheduler.node_choice cimport Board, board_choose, board_report, board_setup, Question, question_read
from raylite._core.links.packet cimport NODE_FIRST
from raylite._core.links.party cimport Party
from raylite._core.scheduler.message cimport PlaceAnswer


cdef class Counter(Party):
    cdef uint64_t n_delivered
    cdef uint32_t answers         # the address to which each message is answered, or 0

    def __init__(self, uint32_t address):
        self.join(address, 1)

    cdef int deliver(self, uint64_t now_ns, uint32_t source, const Message* message, Blob* payload) except -1:
        cdef Message m
        self.n_delivered += 1
        if self.answers:
            memset(&m, 0, sizeof(Message))
            m.kind = NODE_FIRST
            self.send(self.answers, &m, NULL)
        return 0


cdef carry(Counter source, Counter target, uint64_t now_ns):
    cdef size_t i
    for i in range(source.out.size()):
        target.receive(now_ns, &source.out[i])
        blob_drop(source.out[i].payload)
    source.out.clear()


def packets(uint64_t count, bytes payload not None, bint both_ways):
    """Send packets between two parties, 32 at a time; returns how many were delivered."""
    cdef Counter a = Counter(1), b = Counter(2)
    cdef Message m
    cdef uint64_t now_ns = 1, n = 0
    memset(&m, 0, sizeof(Message))
    m.kind = NODE_FIRST
    b.answers = 1 if both_ways else 0
    while n < count:
        for _ in range(32):
            a.send(2, &m, blob_copy(payload, len(payload)) if payload else NULL)
        n += 32
        now_ns += 1000
        carry(a, b, now_ns)
        carry(b, a, now_ns)
        for party in (a, b):
            if 0 < (<Counter> party).deadline_ns() <= now_ns:
                (<Counter> party).tick(now_ns)
    return a.n_delivered + b.n_delivered


def decisions(uint64_t count, bytes reports not None, bytes questions not None):
    """Ask the same questions again and again, with new reports every 2,000; returns how many were answered."""
    cdef Board board
    cdef Cursor c
    cdef NodeLoad load
    cdef Question question
    cdef PlaceAnswer answer
    cdef uint64_t n = 0, number = 0, next_report = 0
    board_setup(&board, False)
    while n < count:
        if n >= next_report:
            next_report += 2000
            number += 1
            c = Cursor(reports, len(reports), False)
            while c.left and load_read(&c, &load):
                load.head.number = number
                board_report(&board, &load)
        c = Cursor(questions, len(questions), False)
        while c.left and question_read(&c, &question) and board_choose(&board, &question, &answer):
            n += 1
    return n
