"""What the simulator raises."""

from raylite.exceptions import RayError


class DeadlockError(RayError):
    """Nothing can happen any more, and the program still waits: the message says who waits for what."""


class NoProgressError(RayError):
    """Faults have stopped, things go on happening, and nothing comes of it: the message says who waits for what."""


class DriverLostError(RayError):
    """The node died on which the program itself runs: nothing of raylite can be called any more."""


class ProcessEnded(SystemExit):
    """Raised in a task whose virtual process has ended, at each of its calls from then on.

    It is a SystemExit, as the process is gone for the task as it is for the node: `except Exception` lets it pass, and
    every `finally` runs.
    """
