"""The process of one contestant, seen from outside.

It is asked, waited for with a time limit, and ended with all that it started.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import processes
from benchmarks.plan import Plan

_ROOT = Path(__file__).resolve().parent.parent
_ANSWER_TIMEOUT_S = 180
_EXIT_TIMEOUT_S = 20
_LOG_LINES_SHOWN = 5


class PeerFailed(Exception):
    """A contestant could not do what it was asked to; the message says what it said."""


class Peer:
    """A running `benchmarks.peer`. Whoever makes one closes it."""

    def __init__(self, contestant: str, workload_name: str, plan: Plan, folder: Path) -> None:
        """Start the process; logs and the libraries' own temporary files go to `folder`."""
        self.contestant = contestant
        self._log = folder / f"{contestant.replace(':', '-')}.log"
        self._requests: int | None
        requests_end, self._requests = os.pipe()
        self._replies, replies_end = os.pipe()
        command = [sys.executable, "-m", "benchmarks.peer", "--contestant", contestant, "--workload", workload_name]
        command += ["--plan", json.dumps(plan.as_dict())]
        command += ["--requests", str(requests_end), "--replies", str(replies_end)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=_ROOT,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(requests_end, replies_end),
                start_new_session=True,
            )
        os.close(requests_end)
        os.close(replies_end)
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._unread = b""

    def ask(self, request: str):
        """Send one request and wait for its result. PeerFailed if it errs, ends, or takes too long."""
        try:
            os.write(self._requests, json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise PeerFailed(self._story("ended")) from None
        reply = json.loads(self._reply_line(request))
        if "error" in reply:
            raise PeerFailed(reply["error"])
        return reply["result"]

    def dismiss(self) -> None:
        """Tell the process that there are no more requests, so that it stops its library and exits."""
        if self._requests is not None:
            os.close(self._requests)
            self._requests = None

    def close(self, patience_s: float = _EXIT_TIMEOUT_S) -> str | None:
        """Dismiss the process and wait for its exit; one that takes too long is ended with all that it started.

        Returns what went wrong at its end, None where nothing did.
        """
        self.dismiss()
        try:
            status = self._process.wait(patience_s)
            trouble = self._story(f"stopped with exit status {status}") if status else None
        except subprocess.TimeoutExpired:
            processes.end_tree(self.pid)
            self._process.wait()
            trouble = self._story(f"did not stop within {patience_s} s")
        os.close(self._replies)
        os.close(self._pidfd)
        return trouble

    def _reply_line(self, request: str) -> bytes:
        deadline = time.monotonic() + _ANSWER_TIMEOUT_S
        while b"\n" not in self._unread:
            # The pidfd tells of its end even while its workers still hold the pipe open.
            ready, _, _ = select.select([self._replies, self._pidfd], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise PeerFailed(self._story(f"gave no answer to {request!r} for {_ANSWER_TIMEOUT_S} s"))
            data = os.read(self._replies, 65536) if self._replies in ready else b""
            if not data:
                raise PeerFailed(self._story(f"ended at {request!r}"))
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _story(self, what: str) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()[-_LOG_LINES_SHOWN:]
        return "; ".join([what, *lines])


def _environment(folder: Path) -> dict[str, str]:
    """Ours, so that workers can import this package and no library leaves files or reports behind."""
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])),
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "DASK_TEMPORARY_DIRECTORY": str(folder),
    }
    return {**os.environ, **own}
