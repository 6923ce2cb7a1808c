"""The tests' own description of the store's messages is the core's: constants and sizes are read from the `.pxd` files."""

from __future__ import annotations

import re

import pytest

from tests.core import store_protocol as sp
from tests.source.tree import ROOT

TEXT = "".join((ROOT / "raylite/_core" / name).read_text() for name in ("store/message.pxd", "store/shard.pxd"))
STRUCTS = {
    "StreamHeader": sp.STREAM_HEADER,
    "StoreOp": sp.STORE_OP,
    "StoreEntry": sp.STORE_OP,
    "Holder": sp.HOLDER,
    "CommitHeader": sp.COMMIT_HEADER,
    "DoneHeader": sp.DONE_HEADER,
    "StoreValue": sp.STORE_VALUE,
    "AttemptHeader": sp.ATTEMPT_HEADER,
    "ObjectNotice": sp.OBJECT_NOTICE,
    "ActorRecord": sp.ACTOR_RECORD,
    "ActorNotice": sp.ACTOR_NOTICE,
    "LogHeader": sp.LOG_HEADER,
    "SavedHeader": sp.SAVED_HEADER,
    "NodeRecord": sp.NODE_RECORD,
    "ChainHeader": sp.CHAIN_HEADER,
}
CODES = {"uint8_t": "B", "uint16_t": "H", "uint32_t": "I", "int32_t": "i", "uint64_t": "Q"}
CODES |= {"ObjectId": "24s", "TaskId": "16s"}


def test_constants_are_the_cores():
    theirs = {name: int(value) for name, value in re.findall(r"^    ([A-Z][A-Z_]+) = (\d+)\s", TEXT, re.MULTILINE)}
    ours = {name: value for name, value in vars(sp).items() if name.isupper() and isinstance(value, int)}
    assert {name: ours.get(name) for name in theirs} == theirs
    assert {name for name in set(ours) - set(theirs) if not name.startswith("PARTY_")} == {"MASTER"}


@pytest.mark.parametrize("name", STRUCTS)
def test_layouts_are_the_cores(name):
    [body] = re.findall(rf"^cdef struct {name}:[^\n]*\n((?:    [^\n]+\n)+)", TEXT, re.MULTILINE)
    fields = re.findall(r"^    (\w+) \w+", body, re.MULTILINE)
    assert STRUCTS[name].format == "<" + "".join(CODES[field] for field in fields)
    assert STRUCTS[name].size % 8 == 0
