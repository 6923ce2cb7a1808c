"""`RuntimeEnv`: a runtime environment as an object, for programs that build theirs so."""

from __future__ import annotations

from raylite.options import check_runtime_env

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RuntimeEnv(dict):
    """A runtime_env, checked when it is made: a dict of its fields, for `init` and the option `runtime_env`.

    Args: env_vars: a dict of strings; working_dir: path of a folder or .zip file; py_modules: a list of paths and
    modules; excludes: a list of patterns. Raises TypeError or ValueError for a wrong field, or one not supported.
    """

    def __init__(self, **fields: Any) -> None:
        super().__init__(check_runtime_env(fields))
