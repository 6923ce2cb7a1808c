"""Kills workers of a driver, one after the other, in ways and at times drawn from a seed.

It is a process of its own, so that it strikes whatever the driver does. `python -m tests.chaos.killer DRIVER INTERVAL_S
SEED` kills until its input ends, and then prints how often it did, by the way. Where others use the machine too, it
takes its time in proportion: a worker that never lives to do anything would show nothing.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

WAYS = {"SIGKILL": 5, "SIGSEGV": 2, "SIGTERM": 1, "SIGSTOP, then SIGKILL": 2}  # how often each, of ten
STOPPED_S = 0.05  # at most
OWN_LOAD = 2  # processes that want each CPU while a campaign runs and nothing else


def main(driver: int, interval_s: float, seed: int) -> None:
    """Kill until the input ends."""
    draw = random.Random(seed)
    killed = dict.fromkeys(WAYS, 0)
    while not select.select([sys.stdin], [], [], draw.expovariate(1 / interval_s) * slowness())[0]:
        workers = sorted(workers_of(driver))
        if workers:
            way = draw.choices(list(WAYS), list(WAYS.values()))[0]
            killed[way] += kill(draw.choice(workers), way, draw.uniform(0, STOPPED_S))
    print(json.dumps(killed))


def slowness() -> float:
    """How many times as long as on a machine of its own everything takes here, roughly."""
    return max(1.0, os.getloadavg()[0] / (OWN_LOAD * len(os.sched_getaffinity(0))))


def workers_of(driver: int) -> set[int]:
    """The processes that the driver's zygote has forked."""
    return {worker for zygote in children(driver) if is_zygote(zygote) for worker in children(zygote)}


def kill(pid: int, way: str, stopped_s: float) -> bool:
    """End a process in one of the ways. Whether it was there."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_worker(pid):
            return False  # its number is another's by now
        if way.startswith("SIGSTOP"):
            signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
            time.sleep(stopped_s)
        signal.pidfd_send_signal(pidfd, getattr(signal, "SIGKILL" if way.startswith("SIGSTOP") else way))
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)


def is_worker(pid: int) -> bool:
    return is_zygote(parent_of(pid))


def is_zygote(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "raylite-zygote"
    except OSError:
        return False


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def children(pid: int) -> list[int]:
    try:
        return [int(child) for task in os.listdir(f"/proc/{pid}/task")
                for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]  # fmt: skip
    except OSError:
        return []


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
