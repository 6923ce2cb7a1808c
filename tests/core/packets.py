"""Packets of parties, written a second time: kinds, and bytes packed with struct (see raylite/_core/links/packet.pxd)."""

from __future__ import annotations

import struct
from typing import NamedTuple

PARTY_NODE, PARTY_REPLICA, PARTY_MASTER, PARTY_SCHEDULER = range(1, 5)
PEER_ACK, PEER_FENCED = 128, 129
DATA, LAST_KIND = 170, 219  # what nodes say to each other, here without meaning
WINDOW, BULK_WINDOW, BULK_BYTES = 1024, 256, 8 << 20
ACK_EVERY, ACK_DELAY_NS = 64, 5_000_000
FIRST_TIMEOUT_NS, LEAST_TIMEOUT_NS, MOST_TIMEOUT_NS = 100_000_000, 20_000_000, 1_000_000_000
LEAST_BYTE_NS = 100
HEADER = struct.Struct("<IIIIQQQ")
MESSAGE = struct.Struct("<BBHIIIIIQQQQIIQ")


class Packet(NamedTuple):
    """A packet; of the message only its kind."""

    source: tuple[int, int]  # address, incarnation
    target: tuple[int, int]
    sequence: int = 0
    acknowledged: int = 0
    early: int = 0
    kind: int = PEER_ACK
    payload: bytes = b""

    def pack(self) -> bytes:
        head = HEADER.pack(self.source[0], self.target[0], self.source[1], self.target[1], *self[2:5])
        message = MESSAGE.pack(1, self.kind, 0, len(self.payload), *[0] * 11)
        return head + message + self.payload

    @classmethod
    def unpack(cls, data: bytes) -> Packet:
        source, target, source_incarnation, target_incarnation, *numbers = HEADER.unpack_from(data)
        kind = MESSAGE.unpack_from(data, HEADER.size)[1]
        payload = data[HEADER.size + MESSAGE.size :]
        return cls((source, source_incarnation), (target, target_incarnation), *numbers, kind, payload)


def party(kind: int, number: int) -> int:
    return kind << 24 | number
