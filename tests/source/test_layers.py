"""Who may import whom: the core only itself, its hosts (the runtime, the simulator) the core, the API all of them.

The control plane decides by the events it is given and by nothing else, so that it runs unchanged in every host. What
could bring in a clock, a file, a socket, a thread or chance is therefore not listed below; to list more is a decision.
"""

from __future__ import annotations

import re

import pytest

from tests.source.tree import CYTHON, ROOT, imports_of, sources

CORE_MAY_IMPORT = """
    __future__ cython cython.operator raylite._core
    cpython.buffer cpython.bytearray cpython.bytes cpython.exc cpython.list cpython.mem cpython.object cpython.ref
    cpython.tuple cpython.unicode
    libc.limits libc.math libc.stddef libc.stdint libc.stdio.snprintf libc.string
    libc.stdlib.abort libc.stdlib.calloc libc.stdlib.free libc.stdlib.malloc libc.stdlib.realloc
    libcpp libcpp.algorithm libcpp.atomic libcpp.bit libcpp.deque libcpp.functional libcpp.limits libcpp.map
    libcpp.memory libcpp.numeric libcpp.optional libcpp.pair libcpp.queue libcpp.set libcpp.stack libcpp.string
    libcpp.unordered_map libcpp.unordered_set libcpp.utility libcpp.vector
""".split()
CORE_MAY_INCLUDE = set(
    """
    Python.h algorithm array atomic cassert climits cmath cstddef cstdint cstdlib cstring deque functional limits
    limits.h map memory new numeric optional queue set stddef.h stdint.h stdlib.h string string.h tuple type_traits
    unordered_map unordered_set utility vector
    """.split()
)
EFFECTS = re.compile(
    r"std::(chrono|this_thread|thread|mutex|random_device|cout|cerr|getenv)\b"
    r"|\b(clock_gettime|gettimeofday|getenv|s?rand|drand48|printf|fprintf|fopen|usleep|nanosleep|getpid)\s*\("
)
# What each host must leave to those above it. `raylite` itself is the API; the simulator has no processes or sockets, and
# takes of the other host only the clients' side, which is one for all (DESIGN 4.13).
RUNTIME_PROCESSES = tuple(
    f"raylite.runtime.{name}"
    for name in ("channel", "embedded", "host", "monitor", "peers", "ring_client", "zygote", "zygote_process")
)
API = ("raylite.api", "raylite.actor", "raylite.cli", "raylite.remote_function", "raylite.util")
REFUSED = {
    "raylite/runtime": (*API, "raylite.sim"),
    "sim": (*API, *RUNTIME_PROCESSES, "multiprocessing", "socket", "subprocess", "zmq"),
}
CORE = sources("raylite/_core", suffixes=(".py", *CYTHON, ".h", ".hpp"))
# The simulator's faces are programs above the API: they use all of it.
FACES = ("sim/determinism.py", "sim/graph.py", "sim/ledger.py", "sim/workloads.py")
HOSTS = [
    (path, refused)
    for folder, refused in REFUSED.items()
    for path in sources(folder, suffixes=(".py", *CYTHON))
    if str(path) not in FACES
]


def is_within(name, modules):
    """Whether a module is one of `modules`, or lies in one that is a package of ours."""
    return any(name == module or (module.startswith("raylite") and name.startswith(module + ".")) for module in modules)


@pytest.mark.parametrize("path", [path for path in CORE if path.suffix in (".py", *CYTHON)], ids=str)
def test_the_core_imports_itself_and_containers_only(path):
    assert {name for name in imports_of(path) if not is_within(name, CORE_MAY_IMPORT)} == set()


@pytest.mark.parametrize("path", CORE, ids=str)
def test_the_core_includes_headers_without_effects_only(path):
    text = (ROOT / path).read_text()
    headers = set(re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)|\bextern from ["<]+([^">]+)', text, re.MULTILINE))
    names = {included or declared for included, declared in headers}
    assert {name for name in names - CORE_MAY_INCLUDE if not (ROOT / path).with_name(name).is_file()} == set()


@pytest.mark.parametrize("path", CORE, ids=str)
def test_the_core_asks_nothing_of_the_world(path):
    code = re.sub(r"#.*|//.*", "", (ROOT / path).read_text())
    assert [match.group() for match in EFFECTS.finditer(code)] == []


@pytest.mark.parametrize(("path", "refused"), HOSTS, ids=[str(path) for path, _ in HOSTS])
def test_a_host_imports_nothing_above_it(path, refused):
    assert {name for name in imports_of(path) if name == "raylite" or is_within(name, refused)} == set()
