"""Why a reference is not ready: what waits for what, down to what runs, what lacks, or a circle.

The node says which steps there are (_core/node/waits.pyx); here they are put into words, with the Python stack of what
runs.
"""

from __future__ import annotations

from raylite import lifecycle
from raylite.runtime import client as clients

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from raylite.util.state.waits import Answer, Step

LINKS_SHOWN_MOST = 24  # of a long chain in text: the first and the last
FRAMES_SHOWN_MOST = 12  # the innermost


class Explanation:
    """What raylite.explain() found; as text it reads as sentences.

    Attributes: ready: whether the value is there; stuck: whether it will not come unless something else changes;
    reason: a word for what the chain ends with, as "runs", "resources" or "cycle"; chain: a list of Link, from the
    reference on; cycle: the links of the chain that wait for each other in a circle, or None; is_cut: whether there is
    more than was looked at.
    """

    def __init__(self, chain: list[Link], *, stuck: bool, back_to: int, is_cut: bool) -> None:
        self.chain = chain
        self.stuck = stuck
        self.is_cut = is_cut
        self.cycle = chain[back_to:] if back_to >= 0 else None
        self.reason = "cycle" if self.cycle else chain[-1].reason if chain else "unknown"
        self.ready = bool(chain) and chain[0].reason == "there"

    def __str__(self) -> str:
        shown = [*self.chain]
        lines = [link.sentence for link in shown]
        if len(lines) > LINKS_SHOWN_MOST:
            half = LINKS_SHOWN_MOST // 2
            lines[half:-half] = [f"... {len(lines) - 2 * half} more ..."]
        if self.cycle:
            members = list(dict.fromkeys(link.name for link in self.cycle if link.kind == "task"))
            lines.append(
                f"This is a circle: {' -> '.join([*members, members[0]])}. None of them can go on unless one is "
                "cancelled or killed, or its wait times out."
            )
        elif self.stuck:
            lines.append("It will not go on by itself.")
        if self.is_cut:
            lines.append("There is more that it waits for, which was not looked at.")
        text = "\n".join(f"{'  ' * min(i, 1)}{line}" for i, line in enumerate(lines))
        stack = self.chain[-1].stack if self.chain and not self.cycle else None
        if stack:
            text += "\n  Its Python stack, innermost call last:\n"
            text += "\n".join(f"    {frame}" for frame in stack[-FRAMES_SHOWN_MOST:])
        return text

    __repr__ = __str__


class Link:
    """One step of a chain: something that waits for the next.

    Attributes: kind: "object", "task", "actor", "group" (a placement group) or "request"; reason: why it waits; name:
    for people; sentence; id: hexadecimal; state: the node's number for it; since_s: for how long it has been so, in
    seconds, None if that is not known; attempt: from 0; pid, worker: of the process that runs it, 0 if none does;
    node: of another node that has it, 0 if this one; n_awaited: how many things it waits for; resource, asked,
    available, total: what lacks; holders: who has it, a list of Holder; size: of an object, in bytes; call_site: the
    line that made it, if those are recorded; stack: of what runs, lines of text, innermost last, None if it is not
    known.
    """

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    kind: str
    reason: str
    name: str
    sentence: str
    id: str
    state: int
    since_s: float | None
    attempt: int
    pid: int
    worker: int
    node: int
    n_awaited: int
    resource: str
    asked: float
    available: float
    total: float
    holders: list[Holder]
    size: int
    call_site: str
    stack: list[str] | None

    def __repr__(self) -> str:
        return f"Link({self.kind} {self.name}: {self.reason})"


class Holder:
    """Who has some of a resource. Attributes: kind: "task", "actor" or "group"; id; name; pid; amount."""

    def __init__(self, kind: str, id: str, name: str, pid: int, amount: float) -> None:
        self.kind, self.id, self.name, self.pid, self.amount = kind, id, name, pid, amount

    def __repr__(self) -> str:
        return f"Holder({self.kind} {self.name}: {self.amount:g})"


def explain(ref: Any) -> Explanation:
    """Why a reference is not ready, as an object that prints readably; also while all workers hang.

    Args: ref: an ObjectRef, an ObjectRefGenerator (its next item is meant), or the handle of an actor. Raises TypeError
    for anything else, RaySystemError without a runtime.
    """
    from raylite.api import connected_client

    object_id = object_of(ref)
    client = connected_client()
    return explanation(client, object_id)


def object_of(ref: Any) -> bytes:
    """The id of the object that is meant, 20 bytes."""
    from raylite.actor import ActorHandle
    from raylite.generator import ObjectRefGenerator

    if isinstance(ref, ObjectRefGenerator):
        return ref._ref.binary()[:16] + (ref._taken + 1).to_bytes(4, "little")
    if isinstance(ref, ActorHandle):
        ref = ref._ref
    if not isinstance(ref, clients.ObjectRef):
        raise TypeError(f"explain() takes an ObjectRef, an ObjectRefGenerator or an actor's handle, not {ref!r}")
    return ref.binary()


def explanation(client: Any, object_id: bytes = bytes(20), request: int = 0) -> Explanation:
    """What is known of an object, or of a request of this client's."""
    from raylite.util.state.waits import ask

    return told(client, ask(client, object_id, request))


def told(client: Any, answer: Answer) -> Explanation:
    """An answer of the node's in words."""
    links = [link_of(step, answer.now_ns) for step in answer.steps]
    if links and links[-1].reason in ("runs", "reader") and links[-1].pid:
        links[-1].stack = stack_of(links[-1].pid)
    return Explanation(links, stuck=answer.stuck, back_to=answer.back_to, is_cut=answer.is_cut)


def stack_of(pid: int) -> list[str] | None:
    """The current stack of what runs in a process, without raylite's own frames; None if it cannot be had."""
    simulated = getattr(lifecycle.runtime(), "stack_of", None)
    if simulated is not None:
        return simulated(pid)
    from raylite.runtime.stacks import stacks_of

    found = stacks_of(pid)
    return found[0].user_lines() if found else None


def link_of(step: Step, now_ns: int) -> Link:
    """A step as a link, with its sentence."""
    link = Link(
        kind=step.kind,
        reason=step.reason,
        id=step.object.hex() if step.kind == "object" else step.object[:16].hex(),
        name=name_of(step),
        state=step.state,
        since_s=max(now_ns - step.since_ns, 0) / 1e9 if step.since_ns else None,
        attempt=step.attempt,
        pid=step.process,
        worker=step.worker,
        node=step.node,
        n_awaited=step.n_awaited,
        resource=step.resource,
        asked=step.asked,
        available=step.available,
        total=step.total,
        holders=[Holder(h.kind, h.id.hex(), h.name, h.process, h.amount) for h in step.holders],
        size=step.size,
        call_site=step.call_site,
        stack=None,
    )
    link.sentence = sentence(link, step)
    return link


def name_of(step: Step) -> str:
    """What people call it."""
    if step.kind == "object":
        return f"object {step.object.hex()}"
    if step.kind == "request":
        return "this call"
    if step.kind == "group":
        return f"placement group {step.name.rpartition(chr(31))[2] or step.object[:16].hex()}"
    if step.kind == "actor":
        return f"actor {step.function or step.object[:16].hex()}"
    return step.name or step.function or f"task {step.object[:16].hex()}"


# ---- sentences -------------------------------------------------------------------------------------------------


def sentence(link: Link, step: Step) -> str:
    """One link in words."""
    words = SENTENCES[link.reason]
    if link.kind == "object":
        words = OBJECT_SENTENCES.get(link.reason, words)
    elif link.kind == "actor":
        words = ACTOR_SENTENCES.get(link.reason, words)
    text = words.format(
        name=link.name + (f" (attempt {link.attempt})" if link.kind == "task" and link.attempt else ""),
        count=counted(link.n_awaited),
        lasting=f" for {lasting(link.since_s)}" if link.since_s is not None else "",
        where=f" in process {link.pid}" if link.pid else "",
        asked=f"{link.asked:g}",
        workers=f"{step.asked_units}",
        resource=link.resource or "resources",
        available=f"{max(link.available, 0):g}",
        total=f"{link.total:g}",
        holders=holders_text(link),
        node=link.node,
        size=f"{link.size:,}",
        place=PLACES.get(link.state, "known"),
    )
    return text + (f" (made at {link.call_site})" if link.call_site else "")


def counted(count: int) -> str:
    """How the objects that one link stands for are called."""
    return "one object" if count == 1 else f"{count} objects, of which the first to be explained is"


def holders_text(link: Link) -> str:
    """Who has what the link waits for; empty if that is nobody."""
    if not link.holders:
        return ""
    parts = [f"{h.amount:g} by {h.name or h.id}{f' in process {h.pid}' if h.pid else ''}" for h in link.holders]
    return f"; held: {', '.join(parts)}"


def lasting(seconds: float) -> str:
    """A time as one says it."""
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


PLACES = {1: "small, kept by the node", 2: "in shared memory of this node", 4: "on other nodes"}
OBJECT_SENTENCES = {
    "there": "The {name} is ready: {size} bytes, {place}.",
    "gone": "The {name} is not known: it was freed, or never existed; get raises ObjectLostError.",
    "made": "The {name} is not ready: its task has not ended.",
    "fetched": "The {name} is on another node, or made there, and is being waited for from it.",
}
ACTOR_SENTENCES = {
    "there": "The {name} is there{where}.",
    "made": "The {name} is being made.",
    "gone": "The {name} is not known any more.",
}
SENTENCES = {
    "there": "{name} has ended.",
    "gone": "{name} is not known any more.",
    "made": "{name} is being made.",
    "fetched": "{name} comes from another node.",
    "arguments": "{name} waits{lasting} for its arguments: {count}:",
    "resources": "{name} waits{lasting} for {asked} {resource}, of {total} {available} are available{holders}.",
    "too much": "{name} waits{lasting} for {asked} {resource}, and there are {total} in all: more than there is.",
    "in group": "{name} waits{lasting} for its placement group:",
    "process": "{name} waits{lasting} for a worker process: there may be {workers}, and all are taken.",
    "queued": "{name} is queued{where}, behind:",
    "runs": "{name} has been running{lasting}{where}.",
    "starts": "{name} waits{lasting} for its worker process to start.",
    "gets": "{name} has been running{lasting}{where}, and waits in get for {count}:",
    "waits": "{name} has been running{lasting}{where}, and waits in wait for {count}:",
    "next": "{name} has been running{lasting}{where}, and waits for the next item of a stream:",
    "reader": "{name} has been running{lasting}{where}; it waits until the reader of its stream has taken item "
    "{workers} (backpressure).",
    "actor away": "The call {name} waits{lasting} for its actor:",
    "turn": "The call {name} waits{lasting} for its caller's call before it:",
    "busy": "The call {name} waits{lasting} until its actor is free ({workers} more calls are before it); it runs:",
    "placing": "{name} waits{lasting}; no node with room for it has been found yet.",
    "elsewhere": "{name} is at node {node}.",
    "replays": "The call {name} waits{lasting} for calls that its actor runs again first:",
    "later": "{name} was not looked at.",
}
