"""What the run ran on: the machine, the interpreter, the versions, and who else was using the CPUs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def describe(cpus: Sequence[int], distributions: Sequence[str]) -> dict:
    """Facts that a reader needs to judge the figures; for the `machine` part of the JSON file."""
    return {
        "cpu_model": cpu_model(),
        "cores": os.cpu_count(),
        "cpus_used": list(cpus),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "virtual": _has_flag("hypervisor"),
        "python": platform.python_version(),
        "python_implementation": sys.implementation.name,
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "versions": versions(distributions),
    }


def versions(distributions: Sequence[str]) -> dict[str, str]:
    """The installed version of each of these distributions that is installed."""
    found = {}
    for name in distributions:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def cpu_model() -> str:
    with suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def busy_and_stolen_s(cpus: Sequence[int]) -> tuple[float, float]:
    """Seconds that these CPUs have run anything so far, and seconds that the hypervisor kept from them."""
    busy = stolen = 0
    with open("/proc/stat") as file:
        for line in file:
            name, *ticks = line.split()
            if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cpus:
                user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, ticks)
                busy += user + nice + system + irq + softirq
                stolen += steal
    return busy * _TICK_S, stolen * _TICK_S


def _has_flag(flag: str) -> bool:
    with suppress(OSError), open("/proc/cpuinfo") as file:
        return any(line.startswith("flags") and flag in line.split() for line in file)
    return False
