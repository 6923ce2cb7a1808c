"""The same seed in two processes that hash strings differently: is it the same run, event for event?

What differs between them is what must not matter: the order of sets of strings, addresses, what else the process did.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HASH_SEEDS = ("1", "2")


class Different(AssertionError):
    """Two runs of one seed were not the same; the message says where they part."""


def check_repeats(arguments: list[str]) -> str:
    """Run `python -m raylite.sim` with these arguments, that of a single seed, in two processes; return the hash.

    Raises Different, naming the first event that differs; RuntimeError if a process ends without a result.
    """
    first, second = (in_another_process(arguments, hash_seed) for hash_seed in HASH_SEEDS)
    if first["trace_hash"] == second["trace_hash"] and first["came_to"] == second["came_to"]:
        return first["trace_hash"]
    raise Different(first_difference(first, second))


def in_another_process(arguments: list[str], hash_seed: str) -> dict[str, Any]:
    """What the same run has recorded in a process of its own, under this PYTHONHASHSEED."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        finished = subprocess.run(
            [sys.executable, "-m", "raylite.sim", *arguments, "--record-to", file.name],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        text = file.read()
    if not text:
        raise RuntimeError(f"the run ended without a result:\n{finished.stdout}")
    return json.loads(text)


def first_difference(first: dict[str, Any], second: dict[str, Any]) -> str:
    """Where two recorded runs part."""
    events = first["events"], second["events"]
    for number, (one, other) in enumerate(zip(*events, strict=False)):
        if one != other:
            return f"event {number} differs:\n  {event_text(one)}\n  {event_text(other, one)}"
    counts = len(events[0]), len(events[1])
    if counts[0] != counts[1]:
        next_event = event_text(max(events, key=len)[min(counts)])
        return f"after {min(counts)} equal events one run ends, and the other goes on:\n  {next_event}"
    return f"all {counts[0]} events are equal, and one run came to {first['came_to']}, the other to {second['came_to']}"


def event_text(event: dict[str, Any], other: dict[str, Any] | None = None) -> str:
    """An event in a line; fields that are as in another one are left out, but for time and kind."""
    from raylite.sim.trace_file import PACKETS
    from raylite.sim.victims import party_name

    always = ("time_ns", "kind", "source", "target", "sent_ns")
    fields = [
        f"{name}={value}"
        for name, value in event.items()
        if name not in always and value and (other is None or other[name] != value)
    ]
    names = PACKETS if event["source"] else EVENT_NAMES
    what = names.get(event["kind"], event["kind"])
    if event["source"]:
        what = f"{what} from {party_name(event['source'])} (sent at {event['sent_ns']} ns)"
    who = f"{party_name(event['target'])}: " if event["target"] else ""
    return f"at {event['time_ns']} ns: {who}{what} {' '.join(fields)}"


# As in message.pxd, whose kinds are numbers.
EVENT_NAMES = {
    1: "attach",
    2: "detach",
    3: "submit",
    4: "finished",
    5: "yielded",
    6: "get",
    7: "wait",
    8: "next",
    9: "forget",
    10: "put",
    11: "hold",
    12: "release",
    13: "unpin",
    14: "lease",
    15: "return",
    16: "function",
    17: "cancel",
    18: "recalled",
    19: "declined",
    20: "tick",
    21: "segment",
    22: "lost",
    23: "query",
    24: "keep",
    25: "expose",
    26: "committed",
    27: "kill",
    28: "await read",
    30: "environment",
    31: "find environment",
    32: "group",
    33: "ungroup",
    34: "groups",
}
