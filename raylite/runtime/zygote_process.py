"""The zygote as its driver sees it: a process to start, to give orders to through a socket, and to end.

All below a zygote bears a mark in its environment. Should the zygote not get to end them, they are found by it.
"""

import marshal
import os
import sys
from _signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, pidfd_send_signal
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_SEQPACKET, SOL_SOCKET, socketpair

# _pickle wants of functools a function that _functools has: the rest takes as long to import as all that is ours.
CODE = """
import sys
sys.path[:] = [sys.argv[1], *filter(None, sys.path)]
if "functools" not in sys.modules:
    import _functools
    sys.modules["functools"] = _functools
    import _pickle
    del sys.modules["functools"]
from raylite.runtime.zygote import main
main()
"""
CONTROL_FD = 3
END_S = 1.5
MARK = "_RAYLITE_MARK"


class ZygoteProcess:
    """Starts a zygote. It is exec'd, in a process group of its own, so that a terminal's Ctrl-C is the driver's alone.

    Args: config: a Config. Raises OSError if it cannot be started.
    """

    def __init__(self, config):
        if not sys.executable:
            raise OSError("raylite starts workers with sys.executable, and this interpreter has none")
        self.root = os.urandom(16)  # the job's root task
        self.mark = os.urandom(12).hex()
        self.packages = os.path.join(temporary_folder(), f"raylite-{self.mark}")  # made by who first needs it
        self.environment = {"OMP_NUM_THREADS": "1", **os.environ, MARK: self.mark}
        try:
            self.settings = settings(config, self.root, self.packages)
            self.start()
        except BaseException:
            self.remove_packages()
            raise

    def start(self):
        """Start the process; again if it died: under the same settings. Raises OSError."""
        self.control, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        try:
            if theirs.fileno() == CONTROL_FD:
                theirs.set_inheritable(True)
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-c", CODE, package_parent(), str(os.getpid())],
                self.environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), CONTROL_FD), *standard_streams()],
                setpgroup=0,
                setsigmask=(SIGINT, SIGTERM, SIGHUP, SIGQUIT),  # until it ignores them
            )
        except BaseException:
            self.control.close()
            raise
        finally:
            theirs.close()
        from raylite.runtime.processes import open_pidfd

        self.pidfd = open_pidfd(self.pid)
        send_file(self.control, marshal.dumps(self.settings))

    def hand_over(self):
        """The socket and a pidfd, for the host to keep."""
        return self.control.detach(), os.dup(self.pidfd)

    def restart(self):
        """The process died, and what was below it is nobody's: end that, and start anew. Raises OSError."""
        self.reap()
        self.end_stragglers()
        self.start()

    def end(self):
        """Wait until the zygote, which has been hung up on, has ended all processes below it; else do it."""
        from raylite.runtime.processes import wait_ended

        self.control.close()
        if self.pidfd < 0:
            self.remove_packages()
            return
        in_time = wait_ended(self.pidfd, END_S)
        if not in_time:
            try:
                pidfd_send_signal(self.pidfd, SIGKILL)
            except ProcessLookupError:
                pass
        if not self.reap() or not in_time:
            self.end_stragglers()
        self.remove_packages()

    def remove_packages(self):
        """Remove what environments had copied, if the zygote did not get to do it."""
        if os.path.isdir(self.packages):
            from shutil import rmtree

            rmtree(self.packages, ignore_errors=True)

    def reap(self):
        """Wait for the end of the process. Whether it ended well, as far as is known."""
        try:
            ended = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        except ChildProcessError:  # a program that waits for any child has met it
            ended = None
        os.close(self.pidfd)
        self.pidfd = -1
        return ended is None or (ended.si_code == os.CLD_EXITED and ended.si_status == 0)

    def end_stragglers(self):
        """End what was below a zygote that did not get to do it."""
        from raylite.runtime.processes import wait_ended

        while ended := [pidfd for pidfd in marked(self.mark) if kill(pidfd)]:
            for pidfd in ended:
                wait_ended(pidfd, END_S)
                os.close(pidfd)


def settings(config, root, packages):
    """What the zygote and its workers are told (see worker.main). Errors as environments.describe."""
    from raylite._core.ids import content_hash

    cwd = working_folder()
    return {
        "path": [f"{path or cwd}" for path in sys.path if isinstance(path, str) and (path or cwd)],
        "cwd": cwd,
        "argv": [f"{argument}" for argument in sys.argv],
        "job": 1,
        "node_id": content_hash(root),
        "namespace": config.namespace,
        "labels": dict(config.labels),
        "gpu_ids": list(config.gpu_ids),
        "log_to_driver": config.log_to_driver,
        "packages": packages,
        "explain_after_s": config.explain_after_s,
        "record_call_sites": config.record_call_sites,
        "environment": job_environment(config, packages),
        "runtime_env": dict(config.runtime_env),
    }


def working_folder():
    """The current folder; empty if it has been deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def job_environment(config, packages):
    """The description of the job's environment; nothing is loaded if it has none."""
    if not config.runtime_env:
        return {}
    from raylite.environments import describe

    return describe(config.runtime_env, {}, packages)


def temporary_folder():
    """Where short-lived files go; `tempfile` knows more places, and takes long to import."""
    folder = os.environ.get("TMPDIR", "")
    return os.path.abspath(folder) if os.path.isdir(folder) else "/tmp"


def package_parent():
    """The folder that has the package raylite in it."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def standard_streams():
    """What posix_spawn is to do about descriptors 0, 1 and 2: there is no input; nothing else may come to lie there."""
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    for fd in (1, 2):
        try:
            os.fstat(fd)
            inherited = os.get_inheritable(fd)
        except OSError:
            inherited = False
        if not inherited:
            actions.append((os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0))
    return actions


def send_file(control, data):
    """Send any number of bytes, as a file in memory: they need not fit into the socket."""
    fd = os.memfd_create("raylite-settings")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        control.sendmsg([b"settings"], [(SOL_SOCKET, SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))])
    except BrokenPipeError:
        pass  # it has died already; its pidfd will say so
    finally:
        os.close(fd)


def marked(mark):
    """A pidfd of each living process that has the mark in the environment it was started with."""
    from raylite.runtime.processes import open_pidfd

    wanted = f"{MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            pidfd = open_pidfd(int(name))
        except OSError:
            continue
        if wanted in environment_of(name):  # read after the pidfd was opened, it is that process's
            found.append(pidfd)
        else:
            os.close(pidfd)
    return found


def environment_of(pid):
    """The variables that a process was started with; none if it has ended or is another user's."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def kill(pidfd):
    """Kill the process behind a pidfd. False (and the pidfd is closed) if it has ended or is not ours to kill."""
    try:
        pidfd_send_signal(pidfd, SIGKILL)
        return True
    except (ProcessLookupError, PermissionError):
        os.close(pidfd)
        return False
