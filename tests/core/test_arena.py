"""The arena: who may write where, best fit, merging, segments made and given back, and what a dead client leaves."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.host import DRIVER

BLOCK = p.BLOCK_ALIGNMENT
SEGMENT = 64 * BLOCK
OTHER = 9
PATIENCE_NS = 500_000_000  # see test_room


@pytest.fixture
def arena(make_host):
    """A host whose arena has segments of 64 blocks, room for 256, and two clients: 1 and 9."""
    host = make_host(object_store_bytes=4 * SEGMENT, segment_bytes=SEGMENT)
    host.attach(OTHER, p.CLIENT_DRIVER)
    return host


def fill(host, *blocks, client=DRIVER, begin=1):
    """Put values of so many blocks each, named root!1, root!2 ..."""
    for number, n_blocks in enumerate(blocks, begin):
        host.put(f"root!{number}", host.in_arena(n_blocks * BLOCK, client), client)


def place(host, name, client=DRIVER):
    """Where a value lies, as get says (and gives the pin back)."""
    [line] = host.get(name, client=client)
    host.unpin(name, client)
    return line.partition(": ")[2]


def test_the_first_lease_has_a_segment_made_and_waits_for_it(arena):
    assert arena.lease(100) == [f"make segment 1 of {SEGMENT} for 1"]
    assert arena.node.sizes()["leases"] == 1
    assert arena.segment(1) == ["leased 1 1+0"]
    assert arena.last(p.CMD_LEASED).request == 1
    assert p.read_location(arena.last(p.CMD_LEASED).payload).size == 100
    assert arena.node.sizes()["arena_bytes"] == BLOCK
    assert arena.node.sizes()["leases"] == 0


def test_leases_follow_each_other_in_whole_blocks(arena):
    arena.in_arena(1)
    assert arena.lease(BLOCK) == [f"leased 1 1+{BLOCK}"]
    assert arena.lease(BLOCK + 1) == [f"leased 1 1+{2 * BLOCK}"]
    assert arena.lease(1) == [f"leased 1 1+{4 * BLOCK}"]
    assert arena.node.sizes()["arena_bytes"] == 5 * BLOCK


def test_a_value_lies_where_it_was_leased(arena):
    fill(arena, 1, 2)
    assert arena.get("root!2") == [f"1 gets root!2: 1+{BLOCK}"]
    assert p.read_location(arena.last(p.CMD_VALUE).payload) == (1, BLOCK, 2 * BLOCK)


def test_each_client_writes_in_segments_of_its_own(arena):
    arena.in_arena(BLOCK, DRIVER)
    assert arena.lease(BLOCK, OTHER) == [f"make segment 2 of {SEGMENT} for 9"]
    assert arena.segment(2) == ["leased 9 2+0"]
    assert arena.lease(BLOCK, DRIVER) == [f"leased 1 1+{BLOCK}"]


def test_a_large_value_gets_a_segment_of_its_size(arena):
    arena.in_arena(BLOCK)
    assert arena.lease(63 * BLOCK) == [f"leased 1 1+{BLOCK}"]
    assert arena.lease(17 * BLOCK) == [f"make segment 2 of {17 * BLOCK} for 1"]
    assert arena.lease(16 * BLOCK) == [f"make segment 3 of {SEGMENT} for 1"]
    assert arena.segment(2) == ["leased 1 2+0"]
    assert arena.segment(3) == ["leased 1 3+0"]


def test_freed_space_is_found_by_best_fit(arena):
    fill(arena, 3, 1, 2, 1, 4, 1)
    arena.release("root!1", "root!3", "root!5")
    assert arena.lease(2 * BLOCK) == [f"leased 1 1+{4 * BLOCK}"]
    assert arena.lease(2 * BLOCK) == ["leased 1 1+0"]
    assert arena.lease(4 * BLOCK) == [f"leased 1 1+{7 * BLOCK}"]
    assert arena.lease(1 * BLOCK) == [f"leased 1 1+{2 * BLOCK}"]


def test_equal_pieces_go_lowest_first(arena):
    fill(arena, 2, 1, 2, 1, 2, 1)
    arena.release("root!5", "root!1", "root!3")
    assert [arena.lease(2 * BLOCK) for _ in range(3)] == [[f"leased 1 1+{at * BLOCK}"] for at in (0, 3, 6)]


@pytest.mark.parametrize("order", ["123", "132", "213", "231", "312", "321"])
def test_neighbours_merge_in_whatever_order_they_are_freed(arena, order):
    fill(arena, 1, 1, 1, 61)
    arena.release(*(f"root!{number}" for number in order))
    assert arena.lease(3 * BLOCK) == ["leased 1 1+0"]


def test_the_best_fit_is_sought_in_all_segments_of_the_client(arena):
    """So a value of the size of one that was freed comes back to pages that have been touched."""
    fill(arena, 1)
    fill(arena, 63, 20, begin=2)
    arena.release("root!2")
    assert place(arena, "root!3") == "2+0"
    arena.release("root!3")
    assert arena.lease(20 * BLOCK) == ["leased 1 2+0"]


def test_an_empty_segment_serves_another_client(arena):
    fill(arena, 1)
    arena.release("root!1")
    assert arena.lease(BLOCK, OTHER) == ["leased 9 1+0"]
    assert arena.lease(BLOCK, DRIVER) == [f"make segment 2 of {SEGMENT} for 1"]


def test_a_full_store_says_so_and_has_room_again_after_a_free(arena):
    fill(arena, 64, 64, 64, 63)
    arena.now_ns = 1
    assert arena.lease(2 * BLOCK) == []
    assert arena.tick(PATIENCE_NS) == ["full for 1"]
    assert p.read_location(arena.last(p.CMD_LEASED).payload) == (0, 255 * BLOCK, 0)
    arena.release("root!2")
    assert arena.lease(2 * BLOCK) == ["leased 1 2+0"]


@pytest.mark.parametrize("size", [4 * SEGMENT + 1, 2**63, 2**64 - 1])
def test_what_can_never_fit_is_refused_at_once(arena, size):
    assert arena.lease(size) == ["full for 1"]
    assert arena.node.sizes()["arena_bytes"] == 0


def test_a_value_of_the_whole_capacity_fits(arena):
    assert arena.lease(4 * SEGMENT) == [f"make segment 1 of {4 * SEGMENT} for 1"]
    assert arena.segment(1) == ["leased 1 1+0"]
    arena.now_ns = 1
    assert arena.lease(1) == []
    assert arena.tick(PATIENCE_NS) == ["full for 1"]


def test_a_segment_that_cannot_be_made_answers_the_lease(arena):
    arena.lease(1)
    assert arena.segment(1, errno=12) == ["full for 1"]
    assert arena.lease(1) == [f"make segment 2 of {SEGMENT} for 1"]
    assert arena.segment(2) == ["leased 1 2+0"]


def test_news_of_a_segment_that_is_there_already_changes_nothing(arena):
    fill(arena, 1)
    assert arena.segment(1) == []
    assert arena.segment(1, errno=12) == []
    assert arena.segment(55, errno=12) == []
    assert place(arena, "root!1") == "1+0"


def test_a_returned_lease_is_free_again(arena):
    arena.in_arena(BLOCK)
    where = p.read_location(arena.last(p.CMD_LEASED).payload)
    assert arena.give_back(where) == []
    assert arena.node.sizes()["arena_bytes"] == 0
    assert arena.give_back(where) == []
    assert arena.lease(BLOCK) == ["leased 1 1+0"]


def test_only_the_lessee_returns_or_seals(arena):
    record = arena.in_arena(BLOCK, DRIVER)
    arena.give_back(p.read_location(arena.last(p.CMD_LEASED).payload), OTHER)
    arena.put("root!1", record, OTHER)
    assert arena.get("root!1", client=OTHER) == ["9 gets root!1: lost!"]
    arena.put("root!2", record, DRIVER)
    assert place(arena, "root!2") == "1+0"


def test_a_block_is_sealed_once(arena):
    record = arena.in_arena(BLOCK)
    arena.put("root!1", record)
    arena.put("root!2", record)
    assert arena.get("root!2") == ["1 gets root!2: lost!"]
    assert place(arena, "root!1") == "1+0"


def test_a_sealed_value_is_not_a_lease_to_return(arena):
    fill(arena, 1)
    arena.give_back(p.Location(1, 0, BLOCK))
    assert place(arena, "root!1") == "1+0"
    assert arena.node.sizes()["arena_bytes"] == BLOCK


@pytest.mark.parametrize(
    "where", [(1, 0, BLOCK + 1), (1, 0, 2**64 - 1), (1, 1, 1), (1, BLOCK, 1), (2, 0, 1), (2**32 - 1, 2**64 - 1, 0)]
)
def test_a_value_outside_its_lease_becomes_an_error(arena, where):
    arena.in_arena(BLOCK)
    arena.send(p.EV_PUT, DRIVER, object=arena.object("root!1"), payload=p.arena_value(p.Location(*where)))
    assert arena.get("root!1") == ["1 gets root!1: lost!"]


def test_a_value_may_be_smaller_than_its_lease(arena):
    arena.in_arena(3 * BLOCK)
    record = p.arena_value(p.Location(1, 0, 17))
    arena.send(p.EV_PUT, DRIVER, object=arena.object("root!1"), payload=record)
    arena.get("root!1")
    assert p.read_location(arena.last(p.CMD_VALUE).payload) == (1, 0, 17)
    arena.unpin("root!1")
    arena.release("root!1")
    assert arena.node.sizes()["arena_bytes"] == 0


def test_a_put_of_a_known_object_gives_the_second_block_back(arena):
    fill(arena, 1)
    arena.put("root!1", arena.in_arena(BLOCK))
    assert arena.node.sizes()["arena_bytes"] == BLOCK
    assert place(arena, "root!1") == "1+0"


def test_what_a_dead_client_was_writing_is_freed_and_what_others_hold_stays(arena):
    arena.put("root!1", arena.in_arena(BLOCK, OTHER), OTHER)
    arena.hold("root!1", DRIVER)
    arena.in_arena(5 * BLOCK, OTHER)
    assert arena.detach(OTHER) == []
    assert arena.node.sizes()["arena_bytes"] == BLOCK
    assert place(arena, "root!1") == "1+0"


def test_a_dead_clients_segment_is_written_by_nobody_until_it_is_empty(arena):
    arena.put("root!1", arena.in_arena(BLOCK, OTHER), OTHER)
    arena.hold("root!1", DRIVER)
    arena.detach(OTHER)
    assert arena.lease(BLOCK) == [f"make segment 2 of {SEGMENT} for 1"]
    arena.segment(2)
    arena.release("root!1")
    arena.attach(OTHER, p.CLIENT_DRIVER)
    assert arena.lease(BLOCK, OTHER) == ["leased 9 1+0"]


def test_a_client_that_dies_while_its_segment_is_made_leases_nothing(arena):
    arena.lease(BLOCK, OTHER)
    arena.detach(OTHER)
    assert arena.segment(1) == []
    assert arena.node.sizes()["arena_bytes"] == arena.node.sizes()["leases"] == 0
    assert arena.lease(BLOCK) == ["leased 1 1+0"]


def test_empty_segments_beyond_the_capacity_and_one_more_are_given_back(make_host):
    host = make_host(object_store_bytes=2 * SEGMENT, segment_bytes=SEGMENT)
    for client in (1, 2, 3):
        host.attach(client, p.CLIENT_DRIVER)
        host.put(f"root!{client}", host.in_arena(2, client), client)
    assert host.lease(SEGMENT, 4) == [f"make segment 4 of {SEGMENT} for 4"]
    assert host.segment(4) == ["leased 4 4+0"]
    assert host.release("root!2", client=2) == ["drop segment 2"]
    assert host.release("root!1", client=1) == []
    assert host.lease(1, 5) == ["leased 5 1+0"]
    assert host.lease(1, 6) == [f"make segment 5 of {SEGMENT} for 6"]


def test_a_returned_lease_may_leave_a_surplus_segment(make_host):
    host = make_host(object_store_bytes=2 * SEGMENT, segment_bytes=SEGMENT)
    for client in (1, 2, 3, 4):
        host.attach(client, p.CLIENT_DRIVER)
        host.in_arena(1, client)
    assert host.give_back(p.Location(3, 0, 1), 3) == ["drop segment 3"]
    assert host.detach(2) == []


@pytest.mark.parametrize("payload", [b"", b"1234567", b"123456789", bytes(8)])
def test_a_malformed_lease_or_one_of_nothing_is_rejected(arena, payload):
    assert arena.send(p.EV_LEASE, DRIVER, request=1, payload=payload) == [f"reject {p.EV_LEASE} from 1"]
    assert arena.node.sizes()["leases"] == 0
