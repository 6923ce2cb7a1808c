"""Outside bytes are hostile (rule 7): what is malformed is rejected and changes nothing; nothing crashes the node."""

from __future__ import annotations

import pytest

from raylite._core.rng import Random
from tests.core import protocol as p
from tests.core.host import DRIVER, OTHER, Host

WORKER = 3
EVENTS = [*range(p.EV_ATTACH, p.EV_AWAIT_READ + 1), *range(p.EV_ENVIRONMENT, p.EV_RESTORED + 1)]
DAMAGES = 400


def busy_host() -> Host:
    """A node in the middle of things: tasks and actors in each state, a stream, values in the arena, requests, a lease."""
    host = Host({"CPU": 2, "GPU": 1}, object_store_bytes=1 << 24, segment_bytes=1 << 20)
    host.attach(OTHER, p.CLIENT_DRIVER)
    host.submit("a", n_returns=2, max_retries=1)
    host.attach(WORKER)
    host.submit("s", n_returns=p.STREAMING)
    host.give("s.1")
    host.put("root!1", host.in_arena(100))
    host.put("root!2", p.envelope(b"", refs=host.objects(["root!1"])))
    host.submit("b", refs=["a", "root!1"], nested=["root!2"])
    host.submit("ready")
    host.get("b", "ready")
    host.wait("a", "b", count=2)
    host.next("s.2")
    host.lease(100)
    host.make("A", max_restarts=1, groups=(1, 2))
    host.create("B", needs={"GPU": 3})
    for task, refs, group in (("c1", [], 0), ("c2", [], 0), ("d1", [], 1), ("c3", ["b"], 0), ("c4", [], 0)):
        host.call(task, "A", refs=refs, group=group, max_retries=1)
    host.call("e", "B")
    host.get("c4", "e")
    return host


def state_of(host):
    return host.node.sizes(), host.node.resources(), host.node.workers(), len(host.node.story())


def payloads(host):
    """A whole payload for each kind of event that has one, and the fields it is sent with."""
    worker = {"client": WORKER, "object": host.object("a")}
    arena = p.arena_value(p.Location(1, 0, 100), refs=host.objects(["root!1"]))
    full = p.envelope(b"pickle", refs=host.objects(["root!1"]), buffers=[b"buffer" * 20])
    args = p.envelope(b"args", kind=p.KIND_ARGUMENTS, refs=host.objects(["root!2"]))
    driver = {"client": DRIVER, "object": host.object("new!1"), "request": 99}
    submit = p.submit(host.object("f()"), refs=host.objects(["root!1", "a"]), demand=p.demand({"CPU": 1, "GPU": 0.5}),
                      name="a name", args=args)  # fmt: skip
    function = p.function_payload(p.envelope(b"g", kind=p.KIND_FUNCTION, refs=host.objects(["a"])), "name of g")
    item = {"client": host.runs["s"].client, "object": host.object("s.2")}
    return {
        "submit": (p.EV_SUBMIT, submit, {"client": DRIVER, "object": host.object("new")}),
        "finished": (p.EV_FINISHED, p.finished(p.inline_value(full), p.inline_value(p.envelope())), worker),
        "finished in the arena": (p.EV_FINISHED, p.finished(arena, p.inline_value(full)), worker),
        "yielded": (p.EV_YIELDED, p.inline_value(full), item),
        "yielded in the arena": (p.EV_YIELDED, arena, item),
        "put": (p.EV_PUT, p.inline_value(full), driver),
        "put in the arena": (p.EV_PUT, arena, driver),
        "function": (p.EV_FUNCTION, function, {"client": DRIVER, "object": host.object("g()")}),
        "group": (p.EV_GROUP, p.group([{"CPU": 1, "GPU": 0.5}, {"new": 2}], name="a name"), driver),
        "lease": (p.EV_LEASE, (100).to_bytes(8, "little"), driver),
        "return": (p.EV_RETURN, p.location(1, 0, 100), driver),
    }


NAMES = list(payloads(busy_host()))


@pytest.fixture
def host():
    host = busy_host()
    host.node.check_invariants()
    yield host
    host.node.check_invariants()


@pytest.mark.parametrize("name", NAMES)
def test_whole_it_is_accepted(host, name):
    kind, payload, fields = payloads(host)[name]
    assert not any(line.startswith("reject") for line in host.send(kind, payload=payload, **fields))


@pytest.mark.parametrize("name", NAMES)
def test_cut_at_any_byte_it_is_rejected_and_changes_nothing(host, name):
    kind, payload, fields = payloads(host)[name]
    before = state_of(host)
    for size in range(len(payload)):
        said = host.send(kind, payload=payload[:size], **fields)
        assert said == [f"reject {kind} from {fields['client']}"], f"cut at {size} of {len(payload)}"
        assert state_of(host) == before
    assert host.node.function_name(host.object("g()")) == host.object("g()").hex()[:12]


@pytest.mark.parametrize("name", NAMES)
def test_with_damaged_bytes_nothing_crashes_and_what_is_rejected_changes_nothing(name):
    random = Random(NAMES.index(name))
    for _ in range(DAMAGES):
        host = busy_host()
        kind, payload, fields = payloads(host)[name]
        damaged = bytearray(payload)
        for _ in range(1 + random.below(3)):
            damaged[random.below(len(damaged))] ^= 1 << random.below(8)
        before = state_of(host)
        try:
            said = host.send(kind, payload=bytes(damaged), **fields)
        except KeyError:
            said = []  # it tells of an object whose id no name has
        if any(line.startswith("reject") for line in said):
            assert state_of(host) == before
        host.node.check_invariants()


@pytest.mark.parametrize("kind", EVENTS)
def test_random_bytes_do_not_crash_it(kind):
    random = Random(kind)
    host = busy_host()
    ids = host.objects(["a", "a.1", "s", "s.1", "s.9", "b", "ready", "root!1", "root!2", "f()", "unknown"])
    ids += host.objects(["A@", "B@", "c1", "c2", "d1", "c3", "c4", "e"])
    for _ in range(DAMAGES):
        payload = b"".join(random.next().to_bytes(8, "little") for _ in range(random.below(40)))
        host.node.handle(
            0, kind, 1 + random.below(6), payload=payload[: random.below(len(payload) + 1)],
            object=ids[random.below(len(ids))], request=random.below(4), aux=random.below(3), flags=random.below(8),
            attempt=random.below(2),
        )  # fmt: skip
        host.node.check_invariants()


@pytest.mark.parametrize("kind", [kind for kind in range(256) if kind not in EVENTS])
def test_what_is_no_event_is_rejected(host, kind):
    before = state_of(host)
    assert host.send(kind, DRIVER, object=host.object("a"), payload=bytes(64)) == [f"reject {kind} from 1"]
    assert state_of(host) == before


@pytest.mark.parametrize("kind", EVENTS)
def test_another_version_is_rejected(host, kind):
    before = state_of(host)
    for version in (0, p.MESSAGE_VERSION + 1, 255):
        assert host.send(kind, DRIVER, object=host.object("a"), version=version) == [f"reject {kind} from 1"]
    assert state_of(host) == before


def test_a_value_of_a_kind_there_is_not_is_rejected(host):
    before = state_of(host)
    record = p.arena_value(p.Location(1, 0, 100), kind=p.KIND_CHECKPOINT + 1)
    assert host.send(p.EV_PUT, DRIVER, object=host.object("new!1"), payload=record) == [f"reject {p.EV_PUT} from 1"]
    assert state_of(host) == before


@pytest.mark.parametrize("field", ["n_refs", "demand_size", "name_size", "args_size"], ids=lambda field: field)
def test_sizes_beyond_the_payload_are_rejected(host, field):
    """Also those whose sum with another would wrap around."""
    before = state_of(host)
    largest = {"n_refs": 2**32 - 1, "demand_size": 2**32 - 1, "name_size": 2**32 - 1, "args_size": 2**64 - 1}
    for value in (largest[field], largest[field] - 7, largest[field] // 2 + 1, 1 << 20):
        sizes = {"n_refs": 0, "demand_size": 32, "name_size": 0, "args_size": 0, field: value}
        header = p.SUBMIT_HEADER.pack(p.on_wire(host.object("f()")), p.ROOT, 0, 1, 0, 0, *sizes.values(), 0, 0, 0, 0)
        said = host.send(p.EV_SUBMIT, DRIVER, object=host.object("new"), payload=header + p.demand())
        assert said == [f"reject {p.EV_SUBMIT} from 1"]
    assert state_of(host) == before


def test_an_argument_block_flag_without_a_reference_is_rejected(host):
    before = state_of(host)
    assert host.submit("new", flags=p.SUBMIT_ARGS_OBJECT) == [f"reject {p.EV_SUBMIT} from 1"]
    assert state_of(host) == before


def test_arguments_that_are_no_envelope_are_rejected(host):
    before = state_of(host)
    assert host.submit("new", args=b"not an envelope") == [f"reject {p.EV_SUBMIT} from 1"]
    assert state_of(host) == before
