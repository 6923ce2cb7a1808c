"""The zygote: a small, single-threaded process that has imported what workers need, and forks them.

It is exec'd by the driver and never forked from it. Rules it keeps: it imports nothing of the user's and no numpy; it
adopts the orphans of its workers (child subreaper); it ends, with everything below it, when the driver does, however
that happens: the driver's end is seen by a pidfd, which no forked child of the driver's keeps open.
"""

import _signal
import marshal
import os
import select
import sys
from _socket import SCM_RIGHTS, SOL_SOCKET, socket
from _struct import Struct

from raylite.runtime import processes, worker

CONTROL_FD = 3
CMSG_CLOEXEC = 0x40000000
ORDER = Struct("=IIQI")  # kind, client, environment, number of GPUs; then the GPUs' numbers
REPORT = Struct("=IIii")  # kind, client, process id, status
STARTED, EXITED, FAILED = 2, 3, 4
N_FDS = 10


class Zygote:
    """Args: control: the socket to the driver; settings: what every worker is told (see worker.main)."""

    def __init__(self, control, settings):
        self.control = control
        self.settings = settings
        self.workers = {}  # process id -> client
        self.driver_end = processes.open_pidfd(settings["driver"])
        self.wakeup, self.wakeup_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self):
        """Serve until the driver ends or hangs up."""
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        _signal.set_wakeup_fd(self.wakeup_writer)
        poll = select.poll()
        for fd in (self.control.fileno(), self.driver_end, self.wakeup):
            poll.register(fd, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self.driver_end:
                    return
                if fd == self.wakeup:
                    os.read(self.wakeup, 4096)
                elif not self.take_order():
                    return
            self.reap()

    def take_order(self):
        """Fork one worker. False if the driver has hung up."""
        data, control, _, _ = self.control.recvmsg(4096, 4096, CMSG_CLOEXEC)
        if not data:
            return False
        fds = []
        for level, kind, body in control:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                fds.extend(Struct(f"={len(body) // 4}i").unpack(body))
        _, client, _, n_gpus = ORDER.unpack_from(data)
        gpus = Struct(f"={n_gpus}I").unpack_from(data, ORDER.size)
        try:
            pid = os.fork()
        except OSError as error:
            self.report(FAILED, client, 0, 1 << 8)
            sys.stderr.write(f"raylite: a worker could not be started: {error}\n")
            pid = -1
        if pid == 0:
            self.become_worker(client, fds, gpus)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            self.workers[pid] = client
            self.report(STARTED, client, pid, 0)
        return True

    def become_worker(self, client, fds, gpus):
        """In the child: leave everything of the zygote behind; never returns."""
        status = 1
        try:
            processes.die_with_parent()
            if processes.wait_ended(self.driver_end, 0):
                os._exit(0)
            os.setpgid(0, 0)
            _signal.set_wakeup_fd(-1)
            _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
            for fd in (self.wakeup, self.wakeup_writer, self.driver_end):
                os.close(fd)
            self.control.close()
            status = worker.main(client, fds, gpus, self.settings)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            worker.flush_output()
            os._exit(status)

    def reap(self):
        """Report the workers that ended; with one goes its process group."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            client = self.workers.pop(pid, None)
            if client is not None:
                kill(os.killpg, pid)
                self.report(EXITED, client, pid, status)

    def report(self, kind, client, pid, status):
        try:
            self.control.send(REPORT.pack(kind, client, pid, status))
        except OSError:
            pass  # the driver is gone; the poll will say so

    def end_all(self):
        """Kill every descendant: the workers with their groups, then orphans as they are handed to us."""
        for pid in self.workers:
            kill(os.killpg, pid)
        while True:
            for pid in children():
                kill(os.kill, pid)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return


def kill(how, pid):
    """SIGKILL by os.kill or os.killpg; what is gone already is fine."""
    try:
        how(pid, _signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def children():
    """The process ids of this process's children."""
    me = os.getpid()
    try:
        with open(f"/proc/self/task/{me}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent_of(pid) == me]


def parent_of(pid):
    """The parent of a process, or 0."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def main():
    """Run as the zygote; descriptor 3 is the control socket, over which the settings come first."""
    control = socket(fileno=CONTROL_FD)
    os.set_inheritable(CONTROL_FD, False)
    processes.become_subreaper()
    settings = marshal.loads(control.recv(1 << 20))
    try:
        zygote = Zygote(control, settings)
    except ProcessLookupError:
        return
    try:
        zygote.run()
    finally:
        zygote.end_all()
