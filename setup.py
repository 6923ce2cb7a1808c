"""Builds raylite's Cython extensions as C++17, in one of three flavours that differ only in checks and symbols.

`RAYLITE_BUILD=release` (the default) is what people run. `RAYLITE_BUILD=debug` checks every index, lets the C++ library
assert, keeps frame pointers and symbols, and defines `RAYLITE_DEBUG`, on which the core checks its invariants after
every event. `RAYLITE_BUILD=sanitize` is the release with AddressSanitizer and UndefinedBehaviorSanitizer in it, which
loads only with libasan preloaded (`make sanitize`). Each flavour has a build folder of its own under `build/`, and only
what changed is built again: a source, a `.pxd` or header that it uses, the flags, the compiler or Cython.

Everything else about the package is said in `pyproject.toml`. `sim/` becomes `raylite.sim` by the link `raylite/sim`.
"""

import os
import platform
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

# Every compiled module. The source of `raylite.a.b` is `raylite/a/b.pyx`; one that is absent stops the build.
EXTENSIONS = (
    "raylite._core.ids",
    "raylite._core.rng",
    "raylite._core.envelope",
    "raylite._core.message",
    "raylite._core.links.packet",
    "raylite._core.links.link",
    "raylite._core.links.party",
    "raylite._core.links.enlisted",
    "raylite._core.node.resources",
    "raylite._core.scheduler.loads",
    "raylite._core.scheduler.node_choice",
    "raylite._core.scheduler.global_scheduler",
    "raylite._core.node.arena",
    "raylite._core.node.story",
    "raylite._core.node.objects",
    "raylite._core.node.task_table",
    "raylite._core.node.actor_table",
    "raylite._core.node.local_scheduler",
    "raylite._core.node.placement_groups",
    "raylite._core.node.history",
    "raylite._core.scheduler.group_placement",
    "raylite._core.node.state",
    "raylite._core.cluster.actor_log",
    "raylite._core.cluster.departures",
    "raylite._core.node.leases",
    "raylite._core.node.room",
    "raylite._core.cluster.specs",
    "raylite._core.cluster.exposure",
    "raylite._core.cluster.remote_objects",
    "raylite._core.cluster.transfers",
    "raylite._core.cluster.spill",
    "raylite._core.cluster.groups",
    "raylite._core.cluster.offers",
    "raylite._core.cluster.guests",
    "raylite._core.cluster.homes",
    "raylite._core.cluster.remote_actors",
    "raylite._core.cluster.directory",
    "raylite._core.cluster.queries",
    "raylite._core.cluster.remote_streams",
    "raylite._core.cluster.events",
    "raylite._core.node.environments",
    "raylite._core.node.group_events",
    "raylite._core.node.references",
    "raylite._core.node.requests",
    "raylite._core.node.execution",
    "raylite._core.node.actor_calls",
    "raylite._core.node.actors",
    "raylite._core.node.placement",
    "raylite._core.node.recovery",
    "raylite._core.node.retries",
    "raylite._core.node.memory",
    "raylite._core.node.replay",
    "raylite._core.node.lineage",
    "raylite._core.node.key_values",
    "raylite._core.node.waits",
    "raylite._core.node.call_sites",
    "raylite._core.node.reports",
    "raylite._core.cluster.invariants",
    "raylite._core.node.invariants",
    "raylite._core.node.node",
    "raylite._core.cluster.member",
    "raylite._core.store.message",
    "raylite._core.store.client",
    "raylite._core.store.state",
    "raylite._core.store.streams",
    "raylite._core.store.objects",
    "raylite._core.store.tasks",
    "raylite._core.store.actor_log",
    "raylite._core.store.actors",
    "raylite._core.store.directory",
    "raylite._core.store.nodes",
    "raylite._core.store.snapshot",
    "raylite._core.store.invariants",
    "raylite._core.store.shard",
    "raylite._core.store.chain",
    "raylite._core.store.replica",
    "raylite._core.store.master_state",
    "raylite._core.store.chain_plans",
    "raylite._core.store.deaths",
    "raylite._core.store.master",
    "raylite._core.store.endpoint",
    "raylite.serialization",
    "raylite.runtime.processes",
    "raylite.runtime.channel",
    "raylite.runtime.pump",
    "raylite.runtime.inbox",
    "raylite.runtime.task_context",
    "raylite.runtime.client",
    "raylite.runtime.ring_client",
    "raylite.runtime.peers",
    "raylite.runtime.spill_disk",
    "raylite.runtime.segments",
    "raylite.runtime.host",
    "raylite.sim.timeline",
    "raylite.sim.network",
    "raylite.sim.trace",
    "raylite.sim.thread_state",
    "raylite.sim.fault_draws",
    "raylite.sim.machine",
    "raylite.sim.losses",
    "raylite.sim.kernel",
    "raylite.sim.synthetic",
    "raylite.sim.memory",
    "raylite.sim.cluster_network",
    "raylite.sim.disk",
    "raylite.sim.party_host",
    "raylite.sim.journal_host",
    "raylite.sim.alarms",
    "raylite.sim.client",
    "raylite.sim.host",
    "raylite.sim.hooks",
    "raylite.sim.clock",
    "raylite.sim.locks",
    "raylite.sim.waits",
    "raylite.sim.progress",
)

FLAVOUR = os.environ.get("RAYLITE_BUILD", "release")

if FLAVOUR not in ("release", "debug", "sanitize"):
    sys.exit(f"RAYLITE_BUILD is {FLAVOUR!r}; it must be 'release', 'debug' or 'sanitize'.")
if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64", "arm64") or sys.maxsize < 2**32:
    sys.exit(
        "raylite runs on 64-bit Linux on x86-64 and arm64 only: it is built on memfd, eventfd and pidfd. "
        f"This is {platform.system()} on {platform.machine()}."
    )
if sys.version_info < (3, 10) or sys.implementation.name != "cpython":
    sys.exit(f"raylite needs CPython 3.10 or newer; this is {sys.implementation.name} {platform.python_version()}.")

import Cython  # noqa: E402  (the checks above must speak before an import can fail)
from Cython.Build import cythonize  # noqa: E402
from setuptools import Extension, setup  # noqa: E402
from setuptools.command.build_ext import build_ext  # noqa: E402
from setuptools.modified import newer_group  # noqa: E402

DEBUG = FLAVOUR == "debug"
BUILD = Path("build", FLAVOUR)
CPUS = len(os.sched_getaffinity(0))

# A directive that changes what code means, and not only what is checked, is the same in both flavours.
DIRECTIVES = {
    "language_level": "3",
    "binding": True,
    "embedsignature": True,
    "auto_pickle": False,  # a state machine that pickles by accident is a fault
    "cdivision": True,  # C's meaning: `//` truncates, and no GIL is taken to raise ZeroDivisionError
    "wraparound": True,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
}
COMMON_FLAGS = ["-std=c++17", "-pthread", "-fvisibility=hidden", "-Wno-unused-function"]
RELEASE_FLAGS = ["-O2", "-g0", "-DNDEBUG"]
DEBUG_FLAGS = ["-O1", "-g", "-UNDEBUG", "-DRAYLITE_DEBUG=1", "-D_GLIBCXX_ASSERTIONS", "-fno-omit-frame-pointer"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize=vptr", "-fno-sanitize-recover=undefined"]
SANITIZE_FLAGS = ["-O1", "-g", "-UNDEBUG", "-D_GLIBCXX_ASSERTIONS", "-fno-omit-frame-pointer", *SANITIZERS]
COMPILE_FLAGS = COMMON_FLAGS + {"release": RELEASE_FLAGS, "debug": DEBUG_FLAGS, "sanitize": SANITIZE_FLAGS}[FLAVOUR]
LINK_FLAGS = ["-pthread", *(SANITIZERS if FLAVOUR == "sanitize" else ())]


def source_of(module):
    return module.replace(".", "/") + ".pyx"


def extension(module):
    source = source_of(module)
    return Extension(
        module,
        [source],
        language="c++",
        include_dirs=[os.path.dirname(source)],  # for headers beside the source; the generated C++ lies elsewhere
        extra_compile_args=COMPILE_FLAGS,
        extra_link_args=LINK_FLAGS,
    )


def forget_if_changed(folder, settings):
    """Empty a build folder that was filled under other settings; whether that was so."""
    note = Path(folder, "built-with")
    if note.is_file() and note.read_text() == settings:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    note.parent.mkdir(parents=True)
    note.write_text(settings)
    return True


def require_sources():
    missing = [source_of(module) for module in EXTENSIONS if not Path(source_of(module)).is_file()]
    if missing:
        sys.exit(f"setup.py lists extensions whose source is absent: {', '.join(missing)}")


def require_compiler():
    compiler = shlex.split(os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++")[0]
    if not shutil.which(compiler):
        sys.exit(f"raylite is compiled from C++; there is no {compiler} here (Debian, Ubuntu: apt-get install g++).")


class BuildExtensions(build_ext):
    """Translates and compiles what changed, in parallel, in the folder of the flavour."""

    def finalize_options(self):
        if self.inplace or self.editable_mode:  # an editable install would build all anew in a temporary folder
            tag = f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
            self.build_lib = str(BUILD / f"lib.{tag}")
            self.build_temp = str(BUILD / f"temp.{tag}")
        self.parallel = self.parallel or CPUS
        super().finalize_options()

    def run(self):
        require_sources()
        require_compiler()
        self.translate()
        environment = [os.environ.get(name) for name in ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS")]
        if forget_if_changed(self.build_temp, repr((COMPILE_FLAGS, LINK_FLAGS, environment))):
            self.force = True
        super().run()
        self.remove_orphans()

    def translate(self):
        """Turn every .pyx that changed, or whose .pxd did, into C++."""
        folder = str(BUILD / "cython")
        forget_if_changed(folder, repr((Cython.__version__, DIRECTIVES)))
        translated = cythonize(
            [extension(module) for module in EXTENSIONS],
            build_dir=folder,
            compiler_directives=DIRECTIVES,
            nthreads=CPUS,
        )
        by_name = {each.name: each for each in translated}
        for each in self.extensions:
            each.sources = by_name[each.name].sources
            each.depends = by_name[each.name].depends

    def build_extension(self, ext):
        if self.force or newer_group(ext.sources + ext.depends, self.get_ext_fullpath(ext.name), "newer"):
            print(f"Building {ext.name} ({FLAVOUR})\n", end="", flush=True)  # in one piece: other threads print too
            super().build_extension(ext)

    def copy_extensions_to_source(self):
        """Put each where its source is, unless it is there: by rename, as processes may be running the old one."""
        for ext in self.extensions:
            target = Path(self.get_ext_filename(ext.name))
            built = Path(self.build_lib, target)
            if not target.is_file() or target.stat().st_mtime_ns != built.stat().st_mtime_ns:
                shutil.copy2(built, f"{target}.new")
                os.replace(f"{target}.new", target)

    def remove_orphans(self):
        """Delete the compiled form of modules that are no longer listed, which would still be imported."""
        listed = {Path(self.get_ext_filename(module)) for module in EXTENSIONS}
        for root in [Path(self.build_lib)] + ([Path()] if self.inplace else []):
            for folder in ("raylite", "sim"):
                for compiled in (root / folder).rglob("*" + sysconfig.get_config_var("EXT_SUFFIX")):
                    module_file = compiled.relative_to(root)
                    if folder == "sim":
                        module_file = Path("raylite", module_file)
                    if module_file not in listed:
                        compiled.unlink()


if __name__ == "__main__":
    setup(
        ext_modules=[extension(module) for module in EXTENSIONS],
        cmdclass={"build_ext": BuildExtensions},
        options={"build": {"build_base": str(BUILD)}},
    )
