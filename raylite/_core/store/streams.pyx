"""The streams of a shard: numbered letters to each endpoint, kept until it has acknowledged them.

What a letter that is applied makes necessary for one endpoint, another shard too, is one letter to it. An answer that
promises something which other shards must know first waits for their acknowledgements (AnswerWait).
"""
from cython.operator cimport dereference as deref
from libc.stdint cimport uint32_t
from libcpp.map cimport map as ordered_map
from raylite._core.envelope cimport blob_drop
from raylite._core.links.packet cimport party, PARTY_SHARD
from raylite._core.planted cimport ANSWER_TOO_SOON, planted
from raylite._core.store.message cimport append_item, begin_item, ENTRY_ANSWER, ENTRY_FIRST_FORWARD, \
    ENTRY_SETTLED, party_key, seal_letter, shard_of, STORE_OK, StreamHeader
from raylite._core.store.state cimport AnswerWait, is_alive, is_shard, LetterWait


cdef Endpoint* find_endpoint(StoreState* s, uint64_t key) noexcept nogil:
    cdef ordered_map[uint64_t, Endpoint].iterator it = s.endpoints.find(key)
    return &deref(it).second if it != s.endpoints.end() else NULL


cdef Endpoint* add_endpoint(StoreState* s, uint64_t key) noexcept nogil:
    cdef Endpoint* e = &s.endpoints[key]
    e.key = key
    return e


cdef void drop_endpoint(StoreState* s, uint64_t key) noexcept nogil:
    """Forget the streams of an endpoint that is gone for good. Answers that it waits for stay until they are due."""
    cdef Endpoint* e = find_endpoint(s, key)
    cdef size_t i
    if e == NULL:
        return
    for i in range(e.letters.size()):
        blob_drop(e.letters[i])
    s.endpoints.erase(key)


cdef Endpoint* draft_of(StoreState* s, uint64_t key) noexcept nogil:
    """The endpoint, to write to it; NULL if it is gone. A node that is alive may not have spoken to this shard yet."""
    cdef Endpoint* e = find_endpoint(s, key)
    if e == NULL:
        if not is_shard(key) and not is_alive(s, key):
            return NULL
        e = add_endpoint(s, key)
    if e.n_drafted == 0:
        s.drafted.push_back(key)
    e.n_drafted += 1
    return e


cdef void put_out(StoreState* s, uint64_t endpoint, uint16_t kind, uint16_t flags, uint64_t token, ObjectId object,
                  const char* body, uint64_t size) noexcept nogil:
    """An entry for an endpoint; nothing if that is gone."""
    cdef Endpoint* e = draft_of(s, endpoint)
    if e != NULL:
        append_item(&e.draft, kind, flags, token, object, body, size)


cdef string* begin_out(StoreState* s, uint64_t endpoint, uint16_t kind, uint16_t flags, ObjectId object,
                       uint64_t* at) noexcept nogil:
    """As put_out, for a body in parts: append them, then end_item(the same, at). NULL if the endpoint is gone."""
    cdef Endpoint* e = draft_of(s, endpoint)
    if e == NULL:
        return NULL
    at[0] = begin_item(&e.draft, kind, flags, 0, object)
    return &e.draft


cdef void forward(StoreState* s, TaskId to, uint16_t op, ObjectId object, const char* body, uint64_t size,
                  bint awaited) noexcept nogil:
    """An operation for the shard of `to`, another one. If `awaited`, the answer to what caused it waits for that."""
    cdef uint64_t key = party_key(party(PARTY_SHARD, shard_of(to, s.n_shards)), 0)
    put_out(s, key, ENTRY_FIRST_FORWARD + op, 0, 0, object, body, size)
    if awaited and (s.awaited.empty() or s.awaited.back() != key):
        s.awaited.push_back(key)


# ---- answers ---------------------------------------------------------------------------------------------------

cdef void wait_for(StoreState* s, AnswerWait* wait, uint64_t number, uint64_t endpoint, uint64_t letter) noexcept nogil:
    cdef Endpoint* e = find_endpoint(s, endpoint)
    if e.acknowledged >= letter or not e.waits.empty() and e.waits.back().answer == number:
        return
    e.waits.push_back(LetterWait(letter, number))
    wait.n_missing += 1


cdef AnswerWait* new_wait(StoreState* s, const StoreOp* op, uint16_t entry) noexcept nogil:
    cdef AnswerWait* wait
    s.last_answer += 1
    wait = &s.answers[s.last_answer]
    wait.endpoint = s.asking
    wait.token = op.token
    wait.entry = entry
    wait.object = op.object
    return wait


cdef void answer(StoreState* s, const StoreOp* op, uint16_t status, const char* body, uint64_t size) noexcept nogil:
    """Answer an operation: at once, or when the shards that it concerns have acknowledged what they were told."""
    cdef AnswerWait* wait
    cdef size_t i
    if status == STORE_OK and op.token == 0 or is_shard(s.asking):
        s.awaited.clear()
        return
    if s.awaited.empty() or status != STORE_OK or planted(ANSWER_TOO_SOON):
        s.awaited.clear()
        put_out(s, s.asking, ENTRY_ANSWER, status, op.token, op.object, body, size)
        return
    wait = new_wait(s, op, ENTRY_ANSWER)
    wait.body.assign(body, size)
    for i in range(s.awaited.size()):
        wait_for(s, wait, s.last_answer, s.awaited[i], find_endpoint(s, s.awaited[i]).sent + 1)
    s.awaited.clear()


cdef void await_all(StoreState* s, const StoreOp* op) noexcept nogil:
    """ENTRY_SETTLED as soon as every shard has acknowledged all that it was told so far."""
    cdef AnswerWait* wait = new_wait(s, op, ENTRY_SETTLED)
    for endpoint in s.endpoints:
        if is_shard(endpoint.first):
            wait_for(s, wait, s.last_answer, endpoint.first,
                     endpoint.second.sent + (endpoint.second.n_drafted != 0))
    if wait.n_missing == 0:
        put_out(s, s.asking, ENTRY_SETTLED, 0, op.token, op.object, NULL, 0)
        s.answers.erase(s.last_answer)


cdef void one_fewer(StoreState* s, uint64_t number) noexcept nogil:
    cdef ordered_map[uint64_t, AnswerWait].iterator it = s.answers.find(number)
    cdef AnswerWait* wait
    if it == s.answers.end():
        return
    wait = &deref(it).second
    wait.n_missing -= 1
    if wait.n_missing == 0:
        put_out(s, wait.endpoint, wait.entry, STORE_OK, wait.token, wait.object, wait.body.data(), wait.body.size())
        s.answers.erase(number)


cdef void acknowledge(StoreState* s, Endpoint* e, uint64_t number) noexcept nogil:
    """The endpoint has all letters up to this number."""
    while e.acknowledged < number and not e.letters.empty():
        blob_drop(e.letters.front())
        e.letters.pop_front()
        e.acknowledged += 1
    while not e.waits.empty() and e.waits.front().number <= e.acknowledged:
        one_fewer(s, e.waits.front().answer)
        e.waits.pop_front()


# ---- letters ---------------------------------------------------------------------------------------------------

cdef void seal_drafts(StoreState* s) noexcept nogil:
    """What was put out since becomes a letter to each endpoint concerned."""
    cdef StreamHeader head
    cdef Endpoint* e
    cdef size_t i
    for i in range(s.drafted.size()):
        e = find_endpoint(s, s.drafted[i])
        if e == NULL:
            continue              # it was declared dead in the same letter
        e.sent += 1
        head.endpoint = <uint32_t> (e.key >> 32)
        head.incarnation = <uint32_t> e.key
        head.shard = s.shard
        if is_shard(e.key):       # a request there
            head.endpoint = party(PARTY_SHARD, s.shard)
            head.shard = <uint32_t> (e.key >> 32) & 0xFFFFFF
        head.n_items = e.n_drafted
        head.sequence = e.sent
        head.acknowledged = e.applied
        e.letters.push_back(seal_letter(&head, &e.draft))
        e.draft.clear()
        e.n_drafted = 0
    s.drafted.clear()
