"""An envelope is whole or refused: header, lists, pickle and aligned buffers follow each other and fill it exactly."""

from __future__ import annotations

import struct

import pytest

from raylite._core.envelope import is_valid
from tests.core import protocol as p

REF, ACTOR = p.object_id(p.named_task("ref")), p.object_id(p.named_task("actor"))
PICKLE = b"p" * 40  # ends where a buffer may begin
FULL = p.envelope(PICKLE, flags=p.ENVELOPE_RETRYABLE, refs=[REF, REF], actors=[ACTOR], buffers=[b"b" * 100, b"", b"c"])
SPANS = p.ENVELOPE_HEADER.size + 3 * p.OBJECT_ID.size
VALID = {
    "empty": p.envelope(),
    "pickle": p.envelope(b"pickle"),
    "full": FULL,
    "empty buffer at the end": p.envelope(b"pickle", buffers=[b""]),
    **{f"kind {kind}": p.envelope(b"x", kind=kind) for kind in range(6)},
}
FIELDS = {  # name: offset, layout, values that are wrong there
    "version": (0, "B", [0, 2, 255]),
    "kind": (1, "B", [6, 255]),
    "flags": (2, "B", [2, 3, 255]),
    "unused": (3, "B", [1, 255]),
    "n_refs": (4, "I", [0, 1, 3, 2**31, 2**32 - 1]),
    "n_actors": (8, "I", [0, 2, 2**32 - 1]),
    "n_buffers": (12, "I", [0, 2, 4, 2**32 - 1]),
    "pickle_size": (16, "Q", [41, 104, len(FULL), 2**63, 2**64 - 1]),
    "size": (24, "Q", [0, len(FULL) - 1, len(FULL) + 1, 2**64 - 1]),
    "offset of a buffer": (SPANS, "Q", [0, 1, 64, 2**63, 2**64 - 1]),
    "size of a buffer": (SPANS + 8, "Q", [0, 10, 2**63, 2**64 - 1]),
    "offset of the last buffer": (SPANS + 32, "Q", [0, len(FULL), 2**64 - 1]),
    "size of the last buffer": (SPANS + 40, "Q", [0, 2, 2**64 - 1]),
}
CORRUPTED = [(name, value) for name, (_, _, values) in FIELDS.items() for value in values]


@pytest.mark.parametrize("name", VALID)
def test_whole_envelopes_are_accepted(name):
    assert is_valid(VALID[name])


@pytest.mark.parametrize(("field", "value"), CORRUPTED)
def test_each_field_is_checked(field, value):
    offset, layout, _ = FIELDS[field]
    data = bytearray(FULL)
    assert struct.unpack_from("<" + layout, data, offset)[0] != value
    struct.pack_into("<" + layout, data, offset, value)
    assert not is_valid(bytes(data))


@pytest.mark.parametrize("size", [0, 39, 41])
def test_without_buffers_the_pickle_ends_the_envelope(size):
    data = bytearray(p.envelope(PICKLE))
    struct.pack_into("<Q", data, 16, size)
    assert not is_valid(bytes(data))


def test_the_wrong_values_cover_the_whole_header():
    covered = {at for offset, layout, _ in FIELDS.values() for at in range(offset, offset + struct.calcsize(layout))}
    assert set(range(p.ENVELOPE_HEADER.size)) <= covered


@pytest.mark.parametrize("name", VALID)
def test_cut_anywhere_it_is_refused(name):
    assert not any(is_valid(VALID[name][:size]) for size in range(len(VALID[name])))


@pytest.mark.parametrize("name", VALID)
def test_with_more_behind_it_is_refused(name):
    assert not is_valid(VALID[name] + b"\0")
