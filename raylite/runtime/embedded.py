"""A runtime on this machine: node, zygote, workers and monitor, brought up and taken down together."""

import os
from _thread import allocate_lock

from raylite._core.node.node import Node
from raylite.environments import Environment
from raylite.runtime.host import EmbeddedHost
from raylite.runtime.memory_monitor import MemoryMonitor
from raylite.runtime.monitor import Monitor
from raylite.runtime.stacks import Answerable

JOB = 1
KEPT_IDLE_MOST = 64
OVERFLOW_UID = 65534  # what every user is to a user namespace that does not know it: it proves nothing


def check_folder(path):
    """Make the folder that objects are to spill to, if it is not there. Raises OSError if nothing can be written."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(f"spill_dir: nothing can be written to {path}")


class EmbeddedRuntime:
    """Args: config: a Config; zygote: a ZygoteProcess, started for this runtime; version: of raylite.

    Raises OSError if the system refuses what it takes.
    """

    def __init__(self, config, zygote, version):
        self.config = config
        self.zygote = zygote
        self.zygote_changes = allocate_lock()
        self.stopping = False
        self.process = os.getpid()
        folder = config.spill_folder
        if folder is not None:
            check_folder(folder)
        n_workers = min(config.num_cpus, KEPT_IDLE_MOST, config.worker_cap)
        node = Node(
            config.node_resources(),
            object_store_bytes=config.object_store_memory,
            worker_cap=config.worker_cap,
            kept_idle=n_workers,
            spills=folder is not None,
        )
        self.host = EmbeddedHost(node)
        if folder is not None:
            self.host.spill_to(os.fsencode(folder))
        self.client = self.host.connect(zygote.root, JOB)
        self.client.patience_ns = int(config.explain_after_s * 1e9)
        self.client.call_sites = set() if config.record_call_sites else None
        self.answerable = Answerable()
        job = zygote.settings["environment"]
        self.client.environment = Environment(0, job, zygote.packages, job)
        memory = MemoryMonitor(self.host, config.memory_usage_threshold, config.memory_monitor_refresh_ms)
        self.monitor = Monitor(self.host, self.client, config.log_to_driver, memory, self.restart_zygote)
        try:
            self.host.adopt_zygote(*zygote.hand_over())
            self.host.start_workers(n_workers)
            self.monitor.start()
            if config.attachable:
                self.open_door(version)
        except BaseException:
            self.stop()
            raise

    def open_door(self, version):
        """Let processes of this user attach themselves (see attach), where the system has what that takes."""
        user = os.geteuid()
        if user != OVERFLOW_UID:
            name = f"raylite/{user}/{self.process}/{os.urandom(6).hex()}"
            card = f"{version}\n{JOB}\n{self.client.node_id().hex()}\n{self.config.namespace or 'anonymous'}"
            self.host.open_door(name.encode(), card.encode())

    def leave_to_parent(self):
        """In a forked child: what would be answered for the parent here is closed."""
        self.host.leave_door()

    def restart_zygote(self):
        """The zygote died (somebody killed it): start another; its workers' tasks are retried. Raises OSError."""
        with self.zygote_changes:
            if not self.stopping:
                try:
                    self.zygote.restart()
                except OSError:
                    self.host.refuse_workers()
                    raise
                self.host.adopt_zygote(*self.zygote.hand_over())

    def sizes(self):
        """The sizes of the node's tables, by name."""
        return self.host.sizes()

    def workers(self):
        """The workers: dicts with client number, pid, running and queued tasks."""
        return self.host.workers()

    def story(self):
        """The node's remembered transitions: dicts, oldest first."""
        return self.host.story()

    def stop(self):
        """End every process and free everything. Calls under way raise RaySystemError."""
        if os.getpid() != self.process:
            return  # a fork of the driver's, made behind Python's back: nothing of this is its own
        self.stopping = True
        try:
            self.host.close_calls()
        finally:  # a Ctrl-C now must not leave processes behind
            with self.zygote_changes:
                self.host.hang_up()
                self.zygote.end()
                self.host.hear_zygote()  # else what a worker wrote that was just started would be nobody's
        self.monitor.stop()
        self.answerable.stop()
        self.client.drop_mappings()
        self.host.stop()
