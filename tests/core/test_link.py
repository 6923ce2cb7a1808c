"""Links: literal packets in and out, at literal times."""

from __future__ import annotations

import pytest

from raylite._core.envelope import live_blobs
from raylite._core.links.packet import PacketError
from raylite._core.links.party import Recorder
from tests.core.packets import (
    ACK_DELAY_NS,
    ACK_EVERY,
    BULK_BYTES,
    BULK_WINDOW,
    DATA,
    FIRST_TIMEOUT_NS,
    LEAST_BYTE_NS,
    LEAST_TIMEOUT_NS,
    MOST_TIMEOUT_NS,
    PARTY_NODE,
    PEER_ACK,
    PEER_FENCED,
    WINDOW,
    Packet,
    party,
)

A, B = party(PARTY_NODE, 0), party(PARTY_NODE, 1)
HERE, THERE = (A, 3), (B, 5)  # address and incarnation: of the party under test, and of its peer
MS = 1_000_000


class Here(Recorder):
    """A party, with packets as tuples."""

    def __init__(self):
        super().__init__(*HERE)

    def take(self, now_ns, *packets):
        for packet in packets:
            self.take_in(now_ns, packet.pack())
        self.check_invariants()

    def sent(self):
        return [Packet.unpack(data) for data in self.take_packets()]

    def numbers(self):
        return [packet.sequence for packet in self.sent()]


def from_there(sequence=0, acknowledged=0, early=0, payload=b"", source=THERE, target=HERE, kind=None):
    kind = kind or (DATA if sequence else PEER_ACK)
    return Packet(source, target, sequence, acknowledged, early, kind, payload)


def from_here(sequence=0, acknowledged=0, early=0, payload=b"", target=THERE, kind=None):
    return from_there(sequence, acknowledged, early, payload, HERE, target, kind)


@pytest.fixture
def here():
    """A party that knows of nobody."""
    return Here()


@pytest.fixture
def linked(here):
    """A party that knows its peer's incarnation."""
    here.hear_of(0, *THERE)
    return here


def say(here, count, now_ns=0, payload=b"", **lane):
    for _ in range(count):
        here.say(now_ns, B, DATA, payload, **lane)


# ---- first contact ----


def test_who_knows_nobody_says_hello_before_it_sends_anything(here):
    here.say(10, B, DATA, b"one")
    here.say(20, B, DATA, b"two")
    assert here.sent() == [from_here(target=(B, 0))]
    assert here.deadline() == 10 + FIRST_TIMEOUT_NS
    here.take(30, from_there())
    assert here.sent() == [from_here(1, payload=b"one"), from_here(2, payload=b"two")]


def test_a_hello_is_said_again_until_it_is_answered(here):
    here.say(0, B, DATA, b"one")
    here.sent()
    here.pass_time(here.deadline())
    assert here.sent() == [from_here(target=(B, 0))]
    assert here.deadline() == FIRST_TIMEOUT_NS + 2 * FIRST_TIMEOUT_NS


def test_a_hello_is_answered_by_who_is_there(here):
    here.take(10, from_there(target=(A, 0)))
    assert here.sent() == [from_here()]
    assert here.take_told() == [] and here.deadline() == 0


def test_data_that_goes_there_anyway_answers_a_hello(here):
    here.say(0, B, DATA, b"one")
    here.sent()
    here.take(10, from_there(target=(A, 0)))
    assert here.sent() == [from_here(1, payload=b"one")]


def test_no_hello_if_somebody_said_who_is_there(linked):
    linked.say(10, B, DATA, b"one")
    assert linked.sent() == [from_here(1, payload=b"one")]


def test_a_party_may_talk_to_itself(here):
    here.say(0, A, DATA, b"note")
    for now_ns in (1, 2, 3):
        here.take(now_ns, *here.sent())
    assert here.take_told() == [("delivered", A, DATA, b"note")]


@pytest.mark.parametrize(("address", "incarnation"), [(0, 1), (A, 0)])
def test_a_party_has_an_address_and_an_incarnation(address, incarnation):
    with pytest.raises(ValueError, match="has an address and an incarnation"):
        Recorder(address, incarnation)


# ---- order ----


def test_data_is_delivered_in_order(linked):
    linked.take(1, from_there(1, payload=b"one"), from_there(2, payload=b""))
    assert linked.take_told() == [("delivered", B, DATA, b"one"), ("delivered", B, DATA, b"")]


def test_what_comes_early_waits_for_what_is_missing(linked):
    linked.take(1, from_there(3, payload=b"three"), from_there(2, payload=b"two"))
    assert linked.take_told() == []
    linked.take(2, from_there(1, payload=b"one"))
    assert [body for *_, body in linked.take_told()] == [b"one", b"two", b"three"]


def test_what_comes_twice_is_delivered_once_and_acknowledged_at_once(linked):
    linked.take(1, from_there(1), from_there(3))
    linked.sent()
    linked.take(2, from_there(1))
    assert linked.sent() == [from_here(acknowledged=1, early=1)]
    linked.take(3, from_there(3), from_there(2), from_there(3))
    assert len(linked.take_told()) == 3


def test_more_than_a_window_ahead_is_not_kept(linked):
    linked.take(1, from_there(WINDOW + 1))
    linked.take(2, *[from_there(n) for n in range(1, WINDOW + 1)])
    assert len(linked.take_told()) == WINDOW
    linked.take(3, from_there(2 * WINDOW), from_there(WINDOW + 1))
    assert len(linked.take_told()) == 1


# ---- acknowledgements ----


def test_an_acknowledgement_goes_alone_after_a_while(linked):
    linked.take(7, from_there(1))
    linked.take(9, from_there(2))
    assert linked.sent() == [] and linked.deadline() == 7 + ACK_DELAY_NS
    linked.pass_time(7 + ACK_DELAY_NS)
    assert linked.sent() == [from_here(acknowledged=2)]
    assert linked.deadline() == 0


def test_or_rides_on_data(linked):
    linked.take(7, from_there(1))
    linked.say(8, B, DATA, b"answer")
    assert linked.sent() == [from_here(1, acknowledged=1, payload=b"answer")]
    linked.pass_time(linked.deadline())
    assert linked.sent() == []


def test_or_goes_at_once_for_many(linked):
    linked.take(1, *[from_there(n) for n in range(1, ACK_EVERY + 1)])
    assert linked.sent() == [from_here(acknowledged=ACK_EVERY)]


def test_what_came_early_is_acknowledged_by_bits(linked):
    linked.take(1, from_there(2))
    assert linked.sent() == [from_here(early=0b1)]
    linked.take(1, from_there(4))
    assert linked.sent() == [from_here(early=0b101)]
    linked.take(1, from_there(66))  # the bits reach no further
    assert linked.sent() == [from_here(early=0b101)]
    linked.take(1, from_there(65))
    assert linked.sent() == [from_here(early=1 << 63 | 0b101)]


def test_an_acknowledgement_of_what_was_never_sent_changes_nothing(linked):
    say(linked, 2)
    linked.take(1, from_there(acknowledged=3))
    assert linked.unacknowledged(B) == 2
    linked.take(1, from_there(acknowledged=2))
    assert linked.unacknowledged(B) == 0


# ---- sending again ----


def test_what_is_not_acknowledged_is_sent_again_after_a_time_that_doubles(linked):
    linked.say(0, B, DATA, b"one")
    wait_ns, now_ns = FIRST_TIMEOUT_NS, 0
    for _ in range(6):
        assert linked.sent() == [from_here(1, payload=b"one")]
        assert linked.deadline() == now_ns + wait_ns
        now_ns += wait_ns
        linked.pass_time(now_ns - 1)
        assert linked.sent() == []
        linked.pass_time(now_ns)
        wait_ns = min(2 * wait_ns, MOST_TIMEOUT_NS)


@pytest.mark.parametrize(("trip_ns", "timeout_ns"), [(MS, LEAST_TIMEOUT_NS), (200 * MS, 600 * MS)])
def test_the_time_is_learned_from_round_trips(linked, trip_ns, timeout_ns):
    linked.say(0, B, DATA)
    if linked.deadline() < trip_ns:
        trip_ns = trip_ns // 4  # below the first time-out
        timeout_ns = max(LEAST_TIMEOUT_NS, 3 * trip_ns)  # the trip, and four times half of it
    linked.take(trip_ns, from_there(acknowledged=1))
    linked.pass_time(linked.deadline() or trip_ns)
    linked.say(10**10, B, DATA)
    assert linked.deadline() == 10**10 + timeout_ns


def test_the_round_trip_of_what_was_sent_twice_is_not_known(linked):
    linked.say(0, B, DATA)
    linked.pass_time(FIRST_TIMEOUT_NS)
    linked.take(FIRST_TIMEOUT_NS + 1, from_there(acknowledged=1))
    linked.pass_time(10**10)
    linked.say(10**10, B, DATA)
    assert linked.deadline() == 10**10 + 2 * FIRST_TIMEOUT_NS


def test_what_three_have_overtaken_is_sent_again_at_once(linked):
    say(linked, 6)
    assert linked.numbers() == [1, 2, 3, 4, 5, 6]
    linked.take(MS, from_there(acknowledged=0, early=0b001))
    linked.take(MS, from_there(acknowledged=0, early=0b011))
    assert linked.numbers() == []
    linked.take(MS, from_there(acknowledged=0, early=0b111))
    assert linked.numbers() == [1]
    linked.take(MS, from_there(acknowledged=0, early=0b1111))  # and once in a round trip
    assert linked.numbers() == []


def test_after_a_time_out_a_burst_is_sent_again_that_grows_as_it_is_acknowledged(linked):
    say(linked, 100)
    linked.sent()
    linked.pass_time(FIRST_TIMEOUT_NS)
    assert linked.numbers() == [*range(1, 9)]
    linked.take(FIRST_TIMEOUT_NS + 1, from_there(acknowledged=4))
    assert linked.numbers() == [*range(9, 17)]
    linked.take(FIRST_TIMEOUT_NS + 1, from_there(acknowledged=16))
    assert linked.numbers() == [*range(17, 41)]
    linked.take(FIRST_TIMEOUT_NS + 1, from_there(acknowledged=90))
    assert linked.numbers() == [*range(91, 101)]


def test_what_came_early_is_not_sent_again(linked):
    say(linked, 3)
    linked.sent()
    linked.take(1, from_there(early=0b1))
    linked.pass_time(FIRST_TIMEOUT_NS)
    assert linked.numbers() == [1, 3]


# ---- the window ----


def test_what_does_not_fit_into_the_window_waits(linked):
    say(linked, WINDOW + 3)
    assert linked.numbers() == [*range(1, WINDOW + 1)]
    linked.take(1, from_there(acknowledged=2))
    assert linked.numbers() == [WINDOW + 1, WINDOW + 2]
    assert linked.unacknowledged(B) == WINDOW + 1


def test_bulk_that_waits_lets_others_pass(linked):
    say(linked, BULK_WINDOW + 1, payload=b"chunk", bulk=True)
    linked.say(0, B, DATA, b"word")
    packets = linked.sent()
    assert len(packets) == BULK_WINDOW + 1 and packets[-1].payload == b"word"
    linked.take(1, from_there(acknowledged=1))
    assert linked.sent()[0].payload == b"chunk"


def test_bulk_is_limited_in_bytes_unless_it_is_one_packet(linked):
    say(linked, 1, payload=bytes(BULK_BYTES + 1), bulk=True)
    say(linked, 3, payload=bytes(BULK_BYTES // 2), bulk=True)
    assert linked.numbers() == [1]
    linked.take(1, from_there(acknowledged=1))
    assert linked.numbers() == [2, 3]


def test_a_time_out_allows_for_the_time_that_bulk_takes(linked):
    linked.say(0, B, DATA, bytes(1_000_000), bulk=True)
    assert linked.deadline() == FIRST_TIMEOUT_NS + 1_000_000 * LEAST_BYTE_NS


def test_after_a_time_out_one_packet_of_bulk_is_sent_again_and_half_as_much_is_under_way(linked):
    size = BULK_BYTES // 8
    say(linked, 12, payload=bytes(size), bulk=True)
    assert linked.numbers() == [*range(1, 9)]
    linked.pass_time(linked.deadline())
    assert linked.numbers() == [1]
    linked.take(10**10, from_there(acknowledged=4))
    assert linked.numbers() == [5]  # which is sent again; four are under way, and no more may be
    linked.take(10**10, from_there(acknowledged=5))
    assert linked.numbers() == [6, 9, 10]  # a window was acknowledged: now it may be five


def test_bulk_grows_by_a_packet_for_each_window_that_is_acknowledged(linked):
    size = BULK_BYTES // 8
    say(linked, 40, payload=bytes(size), bulk=True)
    linked.pass_time(linked.deadline())
    linked.sent()
    linked.take(10**10, from_there(acknowledged=8))
    under_way = [linked.numbers()]
    while len(under_way) < 4:
        linked.take(10**10 + len(under_way), from_there(acknowledged=under_way[-1][-1]))
        under_way.append(linked.numbers())
    assert [len(each) for each in under_way] == [5, 6, 7, 8]


# ---- incarnations ----


def test_who_is_older_than_the_latest_is_told_that_it_is_dead(linked):
    linked.take(1, from_there(1, source=(B, 4)))
    assert linked.sent() == [from_here(target=(B, 4), kind=PEER_FENCED)]
    assert linked.take_told() == []


def test_who_was_declared_dead_is_told_so(linked):
    linked.hear_death(1, *THERE)
    linked.pass_time(linked.deadline())
    assert linked.take_told() == [("gone", *THERE)]
    linked.take(2, from_there(1))
    assert linked.sent() == [from_here(kind=PEER_FENCED)]
    assert linked.take_told() == []


def test_that_one_is_dead_is_not_answered(linked):
    linked.take(1, from_there(source=(B, 4), kind=PEER_FENCED))
    assert linked.sent() == [] and not linked.fenced


def test_who_is_told_of_its_own_death_stops(linked):
    say(linked, 3)
    linked.sent()
    linked.take(1, from_there(kind=PEER_FENCED))
    assert linked.fenced and linked.take_told() == [("fenced",)] and linked.deadline() == 0
    linked.take(2, from_there(1))
    say(linked, 1)
    linked.pass_time(10**10)
    assert linked.sent() == [] and linked.take_told() == []


def test_that_another_incarnation_of_it_is_dead_changes_nothing(linked):
    linked.take(1, from_there(target=(A, 2), kind=PEER_FENCED))
    assert not linked.fenced


def test_that_one_is_dead_oneself_may_be_said_by_others(linked):
    linked.hear_death(1, *HERE)
    assert linked.deadline() == 1
    linked.pass_time(1)
    assert linked.fenced and linked.take_told() == [("fenced",)]


def test_what_was_meant_for_another_incarnation_is_answered_and_ignored(linked):
    linked.take(1, from_there(1, target=(A, 2)))
    assert linked.sent() == [from_here()]
    assert linked.take_told() == []


def test_what_an_incarnation_did_not_acknowledge_is_given_back_when_there_is_a_newer_one(linked):
    for body in (b"one", b"two", b"three"):
        linked.say(0, B, DATA, body)
    linked.take(1, from_there(2, acknowledged=1))
    linked.sent()
    linked.take(2, from_there(1, source=(B, 6), payload=b"new"))
    assert linked.take_told() == [
        ("returned", *THERE, DATA, b"two"),
        ("returned", *THERE, DATA, b"three"),
        ("gone", *THERE),
        ("delivered", B, DATA, b"new"),
    ]
    linked.say(3, B, DATA, b"four")
    assert linked.sent() == [from_here(1, acknowledged=1, payload=b"four", target=(B, 6))]


def test_it_is_given_back_lane_by_lane_after_what_had_a_number(here):
    here.say(0, B, DATA, b"chunk", bulk=True)
    here.say(0, B, DATA, b"word")
    here.hear_death(1, *THERE)
    here.pass_time(here.deadline())
    assert [body for *_, body in here.take_told()] == [b"word", b"chunk"]


def test_of_a_party_that_is_dead_all_comes_back(here):
    here.say(0, B, DATA, b"one")
    here.hear_death(1, *THERE)
    here.pass_time(here.deadline())
    assert here.take_told() == [("returned", *THERE, DATA, b"one")]
    here.say(2, B, DATA, b"two")
    assert here.deadline() == 1
    here.pass_time(3)
    assert here.take_told() == [("returned", *THERE, DATA, b"two")]
    assert here.sent() == [from_here(target=(B, 0))] and here.deadline() == 0


def test_until_its_next_incarnation_is_heard_of(linked):
    linked.hear_death(1, *THERE)
    linked.hear_of(2, *THERE)  # old news
    linked.say(2, B, DATA, b"late")
    linked.pass_time(2)
    assert linked.take_told() == [("returned", *THERE, DATA, b"late"), ("gone", *THERE)]
    linked.hear_of(2, B, 6)
    linked.say(3, B, DATA, b"one")
    assert linked.sent() == [from_here(1, payload=b"one", target=(B, 6))]


def test_the_death_of_an_older_incarnation_is_no_news(linked):
    linked.hear_death(1, B, 4)
    say(linked, 1)
    assert linked.numbers() == [1] and linked.take_told() == []


def test_who_is_dead_stays_dead(linked):
    linked.hear_death(1, *THERE)
    linked.hear_death(2, B, 4)
    linked.pass_time(3)
    linked.take(4, from_there(1))
    assert linked.sent() == [from_here(kind=PEER_FENCED)]


# ---- bytes ----


def test_a_packet_as_bytes():
    here = Here()
    here.hear_of(0, *THERE)
    here.say(0, B, DATA, b"body")
    assert here.take_packets()[0].hex() == (
        "0000000101000001030000000500000001000000000000000000000000000000000000000000000001aa000004000000"
        + 64 * "00"
        + b"body".hex()
    )


GOOD = from_there(1, payload=b"body").pack()


def changed(offset, *values):
    return GOOD[:offset] + bytes(values) + GOOD[offset + len(values) :]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD[:111],
        GOOD[:-1],
        GOOD + b"x",
        changed(40, 2),  # the version
        changed(41, PEER_ACK),  # which has no number
        changed(41, PEER_ACK - 1),
        changed(41, 255),
        changed(16, 0),  # data without a number
        changed(44, 5),  # the size
        changed(0, 0, 0, 0, 0),  # from nobody
        changed(8, 0),  # of no incarnation
        changed(4, 0, 0, 0, 0),  # to nobody
        from_there(payload=b"body").pack(),  # an acknowledgement has no payload
    ],
)
def test_bytes_that_are_no_packet_are_refused(linked, data):
    with pytest.raises(PacketError, match=f"{len(data)} bytes that are no packet"):
        linked.take_in(1, data)
    assert linked.take_told() == []


def test_a_packet_for_somebody_else_is_ignored(linked):
    linked.take(1, from_there(1, target=(B, 1)))
    assert linked.take_told() == [] and linked.sent() == []


@pytest.mark.skipif(live_blobs() is None, reason="blobs are counted in debug builds")
@pytest.mark.parametrize("end", [(), (from_there(kind=PEER_FENCED),), (from_there(source=(B, 6)),)], ids=len)
def test_no_payload_outlives_its_party(end):
    before = live_blobs()
    here = Here()
    here.hear_of(0, *THERE)
    say(here, WINDOW + 5, payload=b"body")
    say(here, 5, payload=b"chunk", bulk=True)
    early = from_there(3, payload=b"three")
    here.take(
        1, from_there(1, payload=b"one"), early, early, from_there(1, payload=b"one"), from_there(acknowledged=7), *end
    )
    here.pass_time(10**9)
    del here
    assert live_blobs() == before
