"""The tests' own description of messages is the core's: constants and sizes are read from the `.pxd` files."""

from __future__ import annotations

import re

import pytest

from raylite.util.state import reports, waits
from tests.core import packets, placing, protocol
from tests.source.tree import ROOT

CORE = ROOT / "raylite/_core"
FILES = (
    "message.pxd",
    "envelope.pxd",
    "node/state.pxd",
    "ids.pxd",
    "node/arena.pxd",
    "node/resources.pxd",
    "node/local_scheduler.pxd",
)
FILES += (
    "node/actor_table.pxd",
    "node/placement_groups.pxd",
    "node/reports.pxd",
    "node/waits.pxd",
    "node/call_sites.pxd",
)
INTERNAL = {"CPU", "GPU", "MEMORY", "QUERY_TASKS", "QUERY_STORY", "EV_DESCRIPTOR"}  # tests need no name for these
INTERNAL |= {"ACTOR_PENDING", "ACTOR_ALIVE", "ACTOR_RESTARTING", "ACTOR_DEAD"}
INTERNAL_PREFIXES = ("ARENA_", "PLACE_", "RESOURCE_", "DOOM_", "REPORT_", "WAIT_", "STEP_", "CALL_SITE")
STRUCTS = {
    "SubmitHeader": protocol.SUBMIT_HEADER,
    "CallHeader": protocol.CALL_HEADER,
    "ActorHeader": protocol.ACTOR_HEADER,
    "FinishedHeader": protocol.FINISHED_HEADER,
    "Location": protocol.LOCATION,
    "ReadHeader": protocol.READ_HEADER,
    "ValueRecord": protocol.VALUE_RECORD,
    "RunHeader": protocol.RUN_HEADER,
    "EnvelopeHeader": protocol.ENVELOPE_HEADER,
    "BufferSpan": protocol.BUFFER_SPAN,
    "DemandHeader": protocol.DEMAND_HEADER,
    "DemandEntry": protocol.DEMAND_ENTRY,
    "MemoryHeader": protocol.MEMORY_HEADER,
    "MemoryUse": protocol.MEMORY_USE,
    "GroupHeader": protocol.GROUP_HEADER,
    "BundleHeader": protocol.BUNDLE_HEADER,
    "ReportQuery": reports.QUERY,
    "ReportHeader": reports.HEADER,
    "TaskReport": reports.TASK,
    "ActorReport": reports.ACTOR,
    "ObjectReport": reports.OBJECT,
    "ClientReport": reports.CLIENT,
    "WaitQuery": waits.QUERY,
    "WaitHeader": waits.HEADER,
    "StepReport": waits.STEP,
    "HolderReport": waits.HOLDER,
}
CODES = {"uint8_t": "B", "uint32_t": "I", "int32_t": "i", "uint64_t": "Q", "int64_t": "q"}
CODES |= {"ObjectId": "24s", "TaskId": "16s", "Location": "24s"}
TEXT = "".join((CORE / name).read_text() for name in FILES)
PARTY_FILES = (
    "links/packet.pxd",
    "links/link.pxd",
    "scheduler/loads.pxd",
    "scheduler/node_choice.pxd",
    "scheduler/message.pxd",
)
PARTY_TEXT = "".join((CORE / name).read_text() for name in PARTY_FILES)


def test_constants_are_the_cores():
    theirs = {name: int(value, 0) for name, value in re.findall(r"^    ([A-Z][A-Z_]+) = (-?\w+)\s", TEXT, re.MULTILINE)}
    ours = {name: value for name, value in vars(protocol).items() if name.isupper() and isinstance(value, int)}
    theirs = {name: value for name, value in theirs.items() if not name.startswith(INTERNAL_PREFIXES) or name in ours}
    assert {name: ours.get(name) for name in theirs if name not in INTERNAL} == {
        name: value for name, value in theirs.items() if name not in INTERNAL
    }
    assert set(ours) <= set(theirs)


@pytest.mark.parametrize("name", STRUCTS)
def test_layouts_are_the_cores(name):
    [body] = re.findall(rf"^cdef struct {name}:[^\n]*\n((?:    [^\n]+\n)+)", TEXT, re.MULTILINE)
    fields = re.findall(r"^    (\w+) \w+", body, re.MULTILINE)
    theirs = "<" + "".join(CODES[field] for field in fields)
    assert STRUCTS[name].format.replace("20sI", "24s") == theirs  # an object's id ends with padding
    assert STRUCTS[name].size % 8 == 0


def test_constants_of_parties_are_the_cores():
    theirs = {
        name: int(value) for name, value in re.findall(r"^    ([A-Z][A-Z_]+) = (\d+)\s", PARTY_TEXT, re.MULTILINE)
    }
    ours = {**vars(packets), **vars(placing)}
    for short in ("DEFAULT", "SPREAD", "ON_NODE", "NEAR_NODE", "FOUND", "INFEASIBLE", "NO_NODE", "EXCLUDED"):
        ours[f"PLACE_{short}"] = ours[short]
    ours["NODE_FIRST"], ours["NODE_LAST"] = packets.DATA, packets.LAST_KIND
    shared = sorted(theirs.keys() & ours.keys())
    assert len(shared) > 30
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def test_the_layout_of_packets_is_the_cores():
    [body] = re.findall(r"^cdef struct PacketHeader:\n((?:    [^\n]+\n)+)", PARTY_TEXT, re.MULTILINE)
    assert packets.HEADER.format == "<" + "".join(CODES[field] for field in re.findall(r"^    (\w+) \w+", body, re.M))
    assert packets.MESSAGE.size == 72
