"""The driver's one Python thread: shows workers' output and the node's warnings, watches memory, completes
futures.

Nothing waits for it that could run without it: tasks go on while the driver's program holds the GIL.
"""

import select
import sys
from _thread import allocate_lock, get_ident, start_new_thread

from raylite.runtime.output import OutputReader, write_lines

CMD_UNSEGMENT, CMD_WARN, CMD_REJECT = 72, 73, 74
OUTPUT_PERIOD_MS = 100
IDLE_PERIOD_MS = 1000  # while no task runs, only what tasks have left behind can write


class Monitor:
    """Args: host: the EmbeddedHost; client: the driver's; log_to_driver: show workers' output; memory: the
    MemoryMonitor; restart_zygote: called when the zygote has died."""

    def __init__(self, host, client, log_to_driver, memory, restart_zygote):
        self.host = host
        self.client = client
        self.output = OutputReader(log_to_driver)
        self.memory = memory
        self.restart_zygote = restart_zygote
        self.stopping = False
        self.thread = None
        self.ended = allocate_lock()

    def start(self):
        self.ended.acquire()
        try:
            start_new_thread(self.run, ())
        except BaseException:
            self.ended.release()
            raise

    def run(self):
        self.thread = get_ident()
        poll = select.poll()
        poll.register(self.host.notice_event(), select.POLLIN)
        timeout_ms = 0
        try:
            while not self.stopping:
                poll.poll(timeout_ms)
                self.turn()
                timeout_ms = OUTPUT_PERIOD_MS
                if not self.stopping and self.host.doze():
                    self.output.read(self.host.outputs())  # what came between the last look and the doze
                    timeout_ms = IDLE_PERIOD_MS
        finally:
            self.ended.release()

    def turn(self):
        """Do all there is to do now."""
        done, notices = self.client.collect()
        for callback, values, error in done:
            guarded(callback, values, error)
        for kind, _, aux, object_id, text in notices:
            if kind == CMD_REJECT:
                what = f"raylite: the node refused a message of kind {aux} as malformed; this is a bug in raylite\n"
                write_lines("stderr", [what])
            elif kind == CMD_WARN:
                write_lines("stderr", [f"raylite: {text.decode('utf-8', 'replace')}\n"])
            elif kind == CMD_UNSEGMENT:
                self.client.drop_mapping(int.from_bytes(object_id[16:20], "little"))
        if self.stopping:
            return
        self.output.read(self.host.outputs())
        guarded(self.memory.check)
        if self.host.zygote_lost():
            guarded(self.restart_zygote)

    def stop(self):
        """End the thread. What workers wrote up to now has been shown, and every future is done."""
        self.stopping = True
        self.host.wake_monitor()
        if self.thread != get_ident():  # else it is a future's callback that ends the runtime
            self.ended.acquire()
        self.turn()
        self.output.read(self.host.outputs(), last=True)


def guarded(call, *args):
    """Call something that may fail: that is shown, and the thread goes on."""
    try:
        call(*args)
    except BaseException:
        try:
            sys.excepthook(*sys.exc_info())
        except Exception:
            pass  # there is nobody to show it to
