"""What is said of a call that waits for long while nothing goes on: why, once.

A client makes one of these a second after a call began to wait, so nothing of this costs anything where calls are
answered. Of what simply runs, each process speaks once for each function; of any other end of a chain, whoever is first
in the whole runtime.
"""

from __future__ import annotations

from time import monotonic

from raylite import lifecycle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_said: set[str] = set()  # functions that run for long


def look_why(client: Any, request: int, patience: Patience | None) -> Patience:
    """A call has waited for a second, or for one more. Args: patience: what this returned the last time, or None."""
    if patience is None:
        patience = Patience(client, request, client.patience_ns / 1e9)
    patience.look()
    return patience


class Patience:
    """Args: client; request: the number of the call, at the node; patience_s: how long it may wait without a word."""

    def __init__(self, client: Any, request: int, patience_s: float) -> None:
        self.client = client
        self.request = request
        self.patience_s = patience_s
        self.began_s = monotonic()
        self.next_s = self.began_s  # when to look again
        self.signature = -1
        self.said = False

    def look(self) -> None:
        """Say why, if the time has come, and nothing has gone on since the last look."""
        now_s = monotonic()
        if self.said or now_s < self.next_s:
            return
        try:
            self.look_now(now_s)
        except Exception:  # the wait itself goes on, or says what is wrong
            self.said = True

    def look_now(self, now_s: float) -> None:
        from raylite.util.state.waits import TELL_ONCE, ask

        answer = ask(self.client, request=self.request)
        if answer.signature != self.signature or not answer.steps:
            self.signature = answer.signature
            self.next_s = now_s + self.patience_s - min(1.0, self.patience_s / 10)
            return
        self.said = True
        last = answer.steps[-1]
        if answer.back_to < 0 and last.reason == "runs":
            name = last.name or last.function
            if name in _said:
                return
            _said.add(name)
        elif ask(self.client, request=self.request, flags=TELL_ONCE).was_told:
            return
        from raylite.explanation import told

        say(
            f"a call has waited for {now_s - self.began_s + 1:.0f} s, and nothing goes on:\n{told(self.client, answer)}"
        )


def say(text: str) -> None:
    """On stderr, as raylite's other warnings."""
    if lifecycle.in_worker():
        import sys

        sys.stderr.write(f"raylite: {text}\n")
    else:
        from raylite.runtime.output import write_lines

        write_lines("stderr", [f"raylite: {text}\n"])
