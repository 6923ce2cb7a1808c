"""A runtime on this machine: node, zygote, workers and monitor, brought up and taken down together."""

import marshal
import os
import sys
from _socket import AF_UNIX, SOCK_SEQPACKET, socketpair

ZYGOTE_CODE = "import sys; sys.path.insert(0, sys.argv[1]); from raylite.runtime.zygote import main; main()"
ZYGOTE_END_S = 1.0
KEPT_IDLE_MOST = 64


class EmbeddedRuntime:
    """Args: config: a Config. Raises OSError if the system refuses what it takes."""

    def __init__(self, config):
        self.config = config
        self.zygote_pid = 0
        self.control = self.start_zygote()  # first: it starts up while we do
        from raylite._core.node import Node
        from raylite.runtime.host import EmbeddedHost

        n_workers = min(config.num_cpus, KEPT_IDLE_MOST)
        self.node = Node(
            config.node_resources(),
            object_store_bytes=config.object_store_memory,
            worker_cap=config.worker_cap,
            kept_idle=n_workers,
        )
        self.host = EmbeddedHost(self.node)
        self.job = 1
        self.client = self.host.connect(os.urandom(16), self.job)
        self.hand_over_zygote()
        self.host.start_workers(n_workers)
        from raylite.runtime.monitor import Monitor

        self.monitor = Monitor(self.host, self.client, config.log_to_driver, self.restart_zygote)
        self.monitor.start()

    # ---- zygote ----

    def start_zygote(self):
        """Exec the zygote; returns our end of its control socket."""
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        environment = dict(os.environ)
        environment.setdefault("OMP_NUM_THREADS", "1")
        package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        if not sys.executable:
            raise OSError("raylite starts workers with sys.executable, and this interpreter has none")
        self.zygote_pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", ZYGOTE_CODE, package_parent],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
            ],
            setpgroup=0,
            setsigmask=(),
        )
        theirs.close()
        ours.send(marshal.dumps(self.worker_settings()))
        return ours

    def worker_settings(self):
        """What workers are told (see worker.main)."""
        return {
            "driver": os.getpid(),
            "path": [p if p else os.getcwd() for p in sys.path if isinstance(p, str)],
            "cwd": os.getcwd(),
            "argv": [str(a) for a in sys.argv],
            "job": 1,
            "gpu_ids": list(self.config.gpu_ids),
            "log_to_driver": self.config.log_to_driver,
            "variables": dict(self.config.runtime_env.get("env_vars") or {}),
        }

    def hand_over_zygote(self):
        from raylite.runtime.processes import open_pidfd

        self.host.adopt_zygote(self.control.detach(), open_pidfd(self.zygote_pid))

    def restart_zygote(self):
        """The zygote died (somebody killed it): reap it and start another; its workers' tasks are retried."""
        try:
            os.waitpid(self.zygote_pid, 0)
        except ChildProcessError:
            pass
        self.control = self.start_zygote()
        self.hand_over_zygote()

    # ---- reports ----

    def sizes(self):
        """The sizes of the node's tables, by name."""
        return self.host.sizes()

    def workers(self):
        """The workers: dicts with client number, pid, running and queued tasks."""
        return self.host.workers()

    def story(self):
        """The node's remembered transitions: dicts, oldest first."""
        return self.host.story()

    # ---- end ----

    def stop(self):
        """End every process and free everything. Calls under way raise RaySystemError."""
        self.host.close_calls()
        self.host.hang_up()
        self.end_zygote()
        self.monitor.stop()
        self.host.stop()

    def end_zygote(self):
        """Wait for the zygote, which ends all processes below it; kill it if it does not get there."""
        from raylite.runtime.processes import open_pidfd, wait_ended

        try:
            end = open_pidfd(self.zygote_pid)
        except ProcessLookupError:
            end = -1
        if end >= 0 and not wait_ended(end, ZYGOTE_END_S):
            os.kill(self.zygote_pid, 9)
        if end >= 0:
            os.close(end)
        try:
            os.waitpid(self.zygote_pid, 0)
        except ChildProcessError:
            pass
