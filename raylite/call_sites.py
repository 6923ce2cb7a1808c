"""Which line of the program makes an object or submits a task, where the program wants that recorded."""

from __future__ import annotations

from sys import _getframe

from raylite._core.ids import content_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from raylite.runtime.client import Client

EV_CALL_SITE = 40
TEXT_BYTES_MOST = 1000


def note_call_site(client: Client) -> int:
    """The hash of the line of the program that calls; the node knows it from now on."""
    text = line_of_program().encode("utf-8", "replace")[:TEXT_BYTES_MOST]
    hash = int.from_bytes(content_hash(text)[:8], "little") or 1
    if client.call_sites is not None and hash not in client.call_sites:
        client.call_sites.add(hash)
        client.tell(EV_CALL_SITE, text, request=hash)
    return hash


def line_of_program() -> str:
    """Where in the program, outside this library, the caller is."""
    frame = _getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("raylite."):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
