"""The identifiers that programs see: bytes with a type and a hexadecimal form."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class BaseID:
    """An identifier of `SIZE` bytes; equal if of one type and one value."""

    SIZE = 16
    __slots__ = ("_bytes",)

    def __init__(self, data: bytes) -> None:
        if not isinstance(data, bytes) or len(data) != self.SIZE:
            raise ValueError(f"a {type(self).__name__} has {self.SIZE} bytes, got {data!r}")
        self._bytes = data

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """The identifier with this hexadecimal form. Raises ValueError if it is none."""
        return cls(bytes.fromhex(text))

    @classmethod
    def from_binary(cls, data: bytes) -> Self:
        """The identifier with these bytes. Raises ValueError if it cannot have them."""
        return cls(data)

    @classmethod
    def nil(cls) -> Self:
        """The identifier that belongs to nothing."""
        return cls(b"\xff" * cls.SIZE)

    @classmethod
    def size(cls) -> int:
        """Its number of bytes."""
        return cls.SIZE

    def binary(self) -> bytes:
        """Its bytes."""
        return self._bytes

    def hex(self) -> str:
        """Its hexadecimal form."""
        return self._bytes.hex()

    def is_nil(self) -> bool:
        """Whether it belongs to nothing."""
        return self._bytes == b"\xff" * self.SIZE

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._bytes == self._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"

    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]:
        return type(self), (self._bytes,)


def job_of_this_process() -> JobID:
    """The job that this process works for. Raises RaySystemError without a runtime."""
    from raylite.api import connected_client

    return JobID.from_int(connected_client().job_number())


class RandomID(BaseID):
    """An identifier that a program may also draw."""

    __slots__ = ()

    @classmethod
    def from_random(cls) -> Self:
        """An identifier that nothing else has."""
        from os import urandom

        return cls(urandom(cls.SIZE))


class TaskID(BaseID):
    """Of a task: derived from its parent's and its place among the parent's submissions."""

    __slots__ = ()

    def job_id(self) -> JobID:
        """The id of the job that the task belongs to: this process's own."""
        return job_of_this_process()


class ActorID(RandomID):
    """Of an actor: that of the task which created it."""

    __slots__ = ()

    @property
    def job_id(self) -> JobID:
        """The id of the job that the actor belongs to: this process's own."""
        return job_of_this_process()


class PlacementGroupID(RandomID):
    """Of a placement group."""

    __slots__ = ()


class UniqueID(RandomID):
    """Of anything else."""

    __slots__ = ()


class WorkerID(UniqueID):
    """Of a process that talks to a node."""

    __slots__ = ()


def worker_of(node: bytes, number: int) -> WorkerID:
    """A process's id in all of a cluster. node: the node's id, 16 bytes; number: that of its client there."""
    return WorkerID(node[:12] + number.to_bytes(4, "big"))


def client_number(worker: bytes, node: bytes) -> int:
    """The number of the client with this process id, if it is one of this node's; else 0."""
    return int.from_bytes(worker[12:], "big") if worker[:12] == node[:12] else 0


class NodeID(UniqueID):
    """Of a node."""

    __slots__ = ()


class FunctionID(UniqueID):
    """Of a remote function."""

    __slots__ = ()


class ActorClassID(UniqueID):
    """Of the class of actors."""

    __slots__ = ()


class JobID(BaseID):
    """Of a job: one run of a driver."""

    SIZE = 4
    __slots__ = ()

    @classmethod
    def from_int(cls, number: int) -> JobID:
        """The identifier of the job with this number."""
        return cls(number.to_bytes(4, "big"))

    def int(self) -> int:
        """Its number."""
        return int.from_bytes(self._bytes, "big")
