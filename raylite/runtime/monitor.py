"""The driver's one Python thread: shows workers' output and the node's warnings, completes futures.

Nothing waits for it that could run without it: tasks go on while the driver's program holds the GIL.
"""

import select
import sys
from _thread import allocate_lock, start_new_thread

from raylite.runtime.output import OutputReader

CMD_UNSEGMENT, CMD_WARN = 72, 73
OUTPUT_PERIOD_MS = 100


class Monitor:
    """Args: host: the EmbeddedHost; client: the driver's; log_to_driver: show workers' output; restart_zygote: called
    when the zygote has died."""

    def __init__(self, host, client, log_to_driver, restart_zygote):
        self.host = host
        self.client = client
        self.output = OutputReader(log_to_driver)
        self.restart_zygote = restart_zygote
        self.stopping = False
        self.ended = allocate_lock()

    def start(self):
        self.ended.acquire()
        start_new_thread(self.run, ())

    def run(self):
        poll = select.poll()
        poll.register(self.host.notice_event(), select.POLLIN)
        timeout_ms = None
        try:
            while not self.stopping:
                poll.poll(timeout_ms)
                self.turn()
                timeout_ms = None if self.host.doze() else OUTPUT_PERIOD_MS
        finally:
            self.ended.release()

    def turn(self):
        """Do all there is to do now."""
        done, notices = self.client.collect()
        for callback, values, error in done:
            try:
                callback(values, error)
            except Exception:
                sys.excepthook(*sys.exc_info())
        for kind, _, _, object_id, text in notices:
            if kind == CMD_WARN:
                sys.stderr.write(f"raylite: {text.decode('utf-8', 'replace')}\n")
            elif kind == CMD_UNSEGMENT:
                self.client.drop_mapping(int.from_bytes(object_id[16:20], "little"))
        self.output.read(self.host.outputs())
        if self.host.zygote_lost() and not self.stopping:
            self.restart_zygote()

    def stop(self):
        """End the thread; what workers wrote up to now has been shown."""
        self.stopping = True
        self.host.wake_monitor()
        self.ended.acquire()
        self.output.read(self.host.outputs())
