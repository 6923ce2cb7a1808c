"""Messages under way: each takes a small seeded time; those of one process, in one direction, stay in order."""
from libc.string cimport memset
from raylite._core.envelope cimport blob_copy
from raylite._core.message cimport EV_DETACH, MESSAGE_VERSION
from raylite._core.rng cimport rng_below, rng_next
from raylite.sim.machine cimport FULL_SPEED
from raylite.sim.timeline cimport Event, timeline_plan

cdef enum:
    DELAY_LEAST_NS = 2000
    DELAY_SPREAD_NS = 40000
    SLOW_NS = 5000000             # one message in 64 takes up to so much longer
    FLUSH_NS = 2000000            # how long a release may wait for the next message to go with it


cdef uint64_t delay_ns(Rng* delays) noexcept nogil:
    cdef uint64_t draw = rng_next(delays)
    cdef uint64_t delay = DELAY_LEAST_NS + draw % DELAY_SPREAD_NS
    if draw >> 58 == 0:
        delay += rng_below(delays, SLOW_NS)
    return delay


cdef uint64_t arrival(Link* way, uint64_t* last_ns) noexcept nogil:
    cdef uint64_t when = way.timeline.now_ns + delay_ns(way.delays) * way.slowness[0] // FULL_SPEED
    if when > last_ns[0]:
        last_ns[0] = when
    return last_ns[0]


cdef void plan_at_node(Link* way, uint64_t when_ns, const Message* m, const char* payload) noexcept nogil:
    cdef Event event
    memset(&event, 0, sizeof(Event))
    event.handle = way.at_node
    event.target = way.host
    event.message = m[0]
    event.message.time_ns = way.timeline.now_ns
    event.message.version = MESSAGE_VERSION
    event.message.client = way.client
    event.payload = blob_copy(payload, m.size) if m.size else NULL
    timeline_plan(way.timeline, when_ns, &event)


cdef bint link_to_node(void* link, const Message* m, const char* payload, bint may_wait) noexcept nogil:
    """Inbox.send of a virtual process."""
    cdef Link* way = <Link*> link
    plan_at_node(way, arrival(way, &way.node_ns), m, payload)
    return True


cdef void link_report(Link* way, const Message* m, const char* payload) noexcept nogil:
    """What the host tells the node of the process: by another way, but that it ended comes after all that it sent."""
    if m.kind == EV_DETACH and way.report_ns < way.node_ns:
        way.report_ns = way.node_ns
    plan_at_node(way, arrival(way, &way.report_ns), m, payload)


cdef void link_to_client(Link* way, const Message* m, Blob* payload) noexcept nogil:
    """A command of the node's for the process; the event takes over the caller's hold of the payload."""
    cdef Event event
    memset(&event, 0, sizeof(Event))
    event.handle = way.at_client
    event.target = way.host
    event.message = m[0]
    event.message.time_ns = way.timeline.now_ns
    event.payload = payload
    timeline_plan(way.timeline, arrival(way, &way.client_ns), &event)


cdef void link_flush_soon(void* link) noexcept nogil:
    """Inbox.wake of a virtual process: a destructor released something."""
    cdef Link* way = <Link*> link
    cdef Event event
    if way.flush_planned:
        return
    way.flush_planned = True
    memset(&event, 0, sizeof(Event))
    event.handle = way.at_flush
    event.target = way.host
    event.message.client = way.client
    timeline_plan(way.timeline, way.timeline.now_ns + FLUSH_NS, &event)
