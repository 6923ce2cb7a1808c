"""What a process forked by the user's program, in the driver or in a task, keeps of its parent's runtime.

Nothing but the arrays it can see: it may start a runtime of its own, and must not keep its parent's memory from being
given back.
"""

import os

from raylite.runtime import client as clients


def forget_parent(runtime=None):
    """In the child, right after the fork. Args: runtime: the one that the parent started."""
    clients.reset_after_fork()
    if runtime is not None:
        runtime.leave_to_parent()
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            if fd > 2 and os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:raylite-"):
                os.close(fd)
        except OSError:
            pass  # the one that listed the folder
