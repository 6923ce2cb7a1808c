"""Functions and classes of Ray's that are here to say why they do not work: when called, and not when looked up.

The reasons are in raylite.absent.
"""

from __future__ import annotations

from raylite.absent import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def java_function(class_name: str, function_name: str) -> NoReturn:
    """Raises NotImplementedError."""
    raise refuse("raylite.java_function")


def java_actor_class(class_name: str) -> NoReturn:
    """Raises NotImplementedError."""
    raise refuse("raylite.java_actor_class")


def cpp_function(function_name: str) -> NoReturn:
    """Raises NotImplementedError."""
    raise refuse("raylite.cpp_function")


def client(address: str | None = None, _deprecation_warn_enabled: bool = True) -> NoReturn:
    """Raises NotImplementedError."""
    raise refuse("raylite.client")


class ClientBuilder:
    """Cannot be made: raises NotImplementedError."""

    def __init__(self, address: str | None = None) -> None:
        raise refuse("raylite.ClientBuilder")


class LoggingConfig:
    """Cannot be made: raises NotImplementedError."""

    def __init__(
        self, encoding: str = "TEXT", log_level: str = "INFO", additional_log_standard_attrs: Any = None
    ) -> None:
        raise refuse("raylite.LoggingConfig")


def connect(*args: Any, **options: Any) -> NoReturn:
    """Raises NotImplementedError."""
    raise refuse("raylite.util.connect")


def disconnect() -> NoReturn:
    """Raises NotImplementedError."""
    raise refuse("raylite.util.disconnect")


class StateApiClient:
    """Cannot be made: raises NotImplementedError."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise refuse("raylite.util.state.StateApiClient")


def get_log(*args: Any, **options: Any) -> NoReturn:
    """Raises NotImplementedError."""
    raise refuse("raylite.util.state.get_log")


def list_logs(*args: Any, **options: Any) -> NoReturn:
    """Raises NotImplementedError."""
    raise refuse("raylite.util.state.list_logs")


def list_runtime_envs(*args: Any, **options: Any) -> NoReturn:
    """Raises NotImplementedError."""
    raise refuse("raylite.util.state.list_runtime_envs")


def list_cluster_events(*args: Any, **options: Any) -> NoReturn:
    """Raises NotImplementedError."""
    raise refuse("raylite.util.state.list_cluster_events")
