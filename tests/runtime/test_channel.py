"""The ring between two processes: messages of any size, whole and in order, and no trust in the other side's words."""

from __future__ import annotations

import os
import random
import struct

import pytest

from raylite.runtime.channel import Loopback

RING = 1 << 20
RECORD = RING // 4
HEADER = 8  # of a record
MESSAGE = 72  # the message's own header, which is part of its first record


@pytest.fixture(params=[True, False], ids=["from node", "from client"])
def ring(request):
    loopback = Loopback(request.param)
    yield loopback
    loopback.close()


def record(size, more, body=b""):
    return struct.pack("=II", size, more) + body


def message(size):
    """The header of a message with a payload of `size` bytes."""
    return struct.pack("=BBHI", 1, 0, 0, size).ljust(MESSAGE, b"\0")


def pass_through(ring, payload):
    """Write and read in turn until the message has come through."""
    whole = ring.write(payload)
    while (got := ring.read()) is None:
        assert not whole
        whole = ring.write_rest()
    assert whole
    return got


def boundaries():
    """Sizes around those at which a message begins to need another record, or more than the ring."""
    sizes = {0, 1, 7, 8, 9, 63, 64, 65, 3_000_000}
    for base in (RECORD, 2 * RECORD, 3 * RECORD, 4 * RECORD, RING - 4 * HEADER, RING, 2 * RING, 11 * RECORD):
        for header in (0, MESSAGE, MESSAGE + HEADER):
            sizes.update(base - header + delta for delta in (-9, -8, -7, -1, 0, 1, 7, 8, 9))
    return sorted(size for size in sizes if size >= 0)


def test_the_message_header_is_as_large_as_this_test_assumes(ring):
    ring.write(b"")
    assert ring.used() == HEADER + MESSAGE


def test_messages_of_every_size_at_a_boundary(ring):
    source = os.urandom(max(boundaries()))
    for size in boundaries():
        assert pass_through(ring, source[:size]) == source[:size]
        assert ring.used() == 0


def test_messages_of_all_sizes_up_to_3_mb_from_every_place_in_the_ring(ring):
    """Each begins where the one before ended, so that none is split in the same place as another."""
    draw = random.Random(1)
    source = os.urandom(3_000_000)
    for _ in range(300):
        size = int(3_000_000 ** draw.random())
        assert pass_through(ring, source[:size]) == source[:size]


def test_many_messages_in_flight_come_in_order(ring):
    draw = random.Random(2)
    sent, received, n_sent = [], [], 0
    while len(received) < 3000:
        payload = struct.pack("=I", n_sent) * draw.randrange(3000)
        if ring.write(payload):
            sent.append(payload)
        else:
            while not ring.write_rest():
                received.append(ring.read())
            sent.append(payload)
        n_sent += 1
        while draw.random() < 0.4 and (got := ring.read()) is not None:
            received.append(got)
    while (got := ring.read()) is not None:
        received.append(got)
    assert received == sent


def test_a_ring_is_filled_to_the_last_byte(ring):
    """The records that fill it exactly fit; a byte more does not."""
    room = RING - HEADER - MESSAGE
    exact = RING - 4 * HEADER - MESSAGE  # four records
    assert ring.write(bytes(exact)) and ring.used() == RING
    assert not ring.write(b"") and ring.used() == RING
    assert len(ring.read()) == exact and ring.write_rest() and ring.read() == b""
    assert not ring.write(bytes(room)) and ring.read() is None and ring.write_rest() and len(ring.read()) == room
    assert ring.used() == 0


def test_nothing_is_there_before_it_is_written(ring):
    assert ring.read() is None and ring.read() is None


@pytest.mark.parametrize(
    ("data", "tail"),
    [
        (b"", 1),  # less than a record's header
        (b"", RING + 8),  # more than the ring holds
        (b"", (1 << 64) - 8),
        (record(RECORD + 1, 0), RING),  # a record that is larger than any
        (record(0xFFFFFFFF, 0), RING),
        (record(64, 0), 16),  # one that is not there in full
        (record(0, 0), HEADER),  # a message without a header
        (record(MESSAGE - 1, 0, bytes(MESSAGE)), HEADER + MESSAGE),
        (record(MESSAGE, 0, message(1)), HEADER + MESSAGE),  # less, and more, than it says
        (record(MESSAGE + 8, 0, message(0)), HEADER + MESSAGE + 8),
        (record(MESSAGE + 8, 1, message(0)), HEADER + MESSAGE + 8),
    ],
)
def test_wrong_words_break_the_channel_and_nothing_else(ring, data, tail):
    ring.forge(0, data, tail)
    for _ in range(2):
        with pytest.raises(ValueError):
            ring.read()


def test_random_bytes_break_the_channel_or_are_refused():
    draw = random.Random(3)
    for _ in range(300):
        other = Loopback(draw.random() < 0.5)
        other.forge(0, draw.randbytes(4096), draw.choice([8, 88, 4096, draw.randrange(RING), draw.getrandbits(64)]))
        try:
            while other.read() is not None:  # whole messages may be among them
                pass
        except ValueError:
            pass
        finally:
            other.close()
