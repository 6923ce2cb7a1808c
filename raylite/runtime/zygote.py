"""The zygote: a small, single-threaded process that has imported what workers need, and forks them.

It is exec'd by the driver and never forked from it. Rules it keeps: it imports nothing of the user's and no numpy; it
adopts the orphans of its workers (child subreaper); no signal that can be ignored ends it; it ends, with everything
below it, when the driver does, however that happens: the driver's end is seen by a pidfd, which no forked child of the
driver's keeps open.
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
EXIT_1 = 1 << 8  # as waitpid gives it
IGNORED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT)


class Zygote:
    """Args: control: the socket to the driver; driver_end: its pidfd; settings: what every worker is told (see
    worker.main)."""

    def __init__(self, control, driver_end, settings):
        self.control = control
        self.settings = settings
        self.workers = {}  # process id -> client
        self.driver_end = driver_end
        self.wakeup, self.wakeup_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.process = os.getpid()
        self.inherited = {number: _signal.signal(number, _signal.SIG_IGN) for number in IGNORED}
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())  # the driver had them blocked for the time before

    def run(self):
        """Serve until the driver ends or hangs up."""
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        _signal.set_wakeup_fd(self.wakeup_writer)
        while True:
            readable = wait_readable(self.control.fileno(), self.driver_end, self.wakeup)
            if self.driver_end in readable:
                return
            if self.wakeup in readable:
                os.read(self.wakeup, 4096)
            if self.control.fileno() in readable and not self.take_order():
                return
            self.reap()

    def take_order(self):
        """Fork one worker. False if the driver has hung up."""
        data, fds = receive(self.control)
        if not data:
            return False
        _, client, environment, n_gpus = ORDER.unpack_from(data)
        gpus = Struct(f"={n_gpus}I").unpack_from(data, ORDER.size)
        try:
            if len(fds) != N_FDS:
                raise OSError("the system has no file descriptors left")
            pid = os.fork()
        except OSError as error:
            self.report(FAILED, client, 0, EXIT_1)
            sys.stderr.write(f"raylite: a worker could not be started: {error}\n")
            pid = -1
        if pid == 0:
            self.become_worker(client, fds, environment, gpus)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            self.workers[pid] = client
            self.report(STARTED, client, pid, 0)
        return True

    def become_worker(self, client, fds, environment, gpus):
        """In the child: leave everything of the zygote behind; never returns."""
        status = 1
        try:
            processes.die_with_parent()
            if os.getppid() != self.process or processes.wait_ended(self.driver_end, 0):
                os._exit(0)
            os.setpgid(0, 0)
            processes.name_process("raylite-worker")
            _signal.set_wakeup_fd(-1)
            _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
            for number, handler in self.inherited.items():
                _signal.signal(number, handler)
            for fd in (self.wakeup, self.wakeup_writer, self.driver_end):
                os.close(fd)
            self.control.close()
            status = worker.main(client, fds, environment, gpus, self.settings)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            worker.flush_output()
            os._exit(status)

    def reap(self):
        """Report the workers that ended; with one goes its process group, before its number can be anybody else's."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            client = self.workers.pop(ended.si_pid, None)
            if client is not None:
                kill(os.killpg, ended.si_pid)
            _, status = os.waitpid(ended.si_pid, 0)
            if client is not None:
                self.report(EXITED, client, ended.si_pid, status)

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
            found = children()
            killed = [pid for pid in found if kill(os.kill, pid)]
            if found and not killed:
                return  # another user's: not ours to kill, nor to wait for
            try:
                os.waitpid(-1, 0 if killed else os.WNOHANG)
            except ChildProcessError:
                return


def remove_packages(folder):
    """Remove what environments had copied. Nobody is left who uses it."""
    if os.path.isdir(folder):
        from shutil import rmtree

        rmtree(folder, ignore_errors=True)


def kill(how, pid):
    """SIGKILL by os.kill or os.killpg. False if we may not; what is gone already is fine."""
    try:
        how(pid, _signal.SIGKILL)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False
    return True


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


def receive(control):
    """One message and the descriptors that came with it; none once the driver has hung up or is gone."""
    try:
        data, ancillary, _, _ = control.recvmsg(4096, 4096, CMSG_CLOEXEC)
    except ConnectionResetError:  # it had not read all of ours
        return b"", []
    fds = []
    for level, kind, body in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            fds.extend(Struct(f"={len(body) // 4}i").unpack(body))
    return data, fds


def wait_readable(*descriptors):
    """Those of the descriptors that are readable, once any is."""
    poll = select.poll()
    for fd in descriptors:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll()]


def close_inherited():
    """Close what the driver let its children inherit: who waits for its pipes to close must not wait for us."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            if fd > CONTROL_FD and os.get_inheritable(fd):
                os.close(fd)
        except OSError:
            pass  # the one that listed the folder


def main():
    """Run as the zygote; descriptor 3 is the control socket, over which a file with the settings comes first.

    The driver's process id is the second argument."""
    processes.become_subreaper()
    processes.name_process("raylite-zygote")
    os.set_inheritable(CONTROL_FD, False)
    close_inherited()
    control = socket(fileno=CONTROL_FD)
    try:
        driver_end = processes.open_pidfd(int(sys.argv[2]))
    except ProcessLookupError:
        return
    if driver_end in wait_readable(control.fileno(), driver_end):
        return
    data, fds = receive(control)
    if not data:
        return
    with open(fds[0], "rb") as file:
        settings = marshal.load(file)
    zygote = Zygote(control, driver_end, settings)
    try:
        zygote.run()
    finally:
        zygote.end_all()
        remove_packages(settings["packages"])
