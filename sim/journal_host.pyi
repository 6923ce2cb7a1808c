from typing import Any

from raylite.sim.party_host import PartyHost

ARCHIVE: str

class JournalHost(PartyHost):
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def end(self, *args: Any, **kwargs: Any) -> Any: ...
    def written(self, *args: Any, **kwargs: Any) -> Any: ...
    disk: Any
    file: Any
    is_stuck: Any
    is_writing: Any

class ReplicaHost(JournalHost): ...
