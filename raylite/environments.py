"""Runtime environments: what `runtime_env` says made plain, known to the node by a number, and entered by workers.

A description says all of an environment in plain data: variables, and the names of copies (packages) in the runtime's
folder. Its number is its hash, but for the job's own, which is 0. A task's environment is that of the process that
submits it, changed by its own `runtime_env`: variables are added, the rest takes the place of what was, as in Ray.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from raylite.runtime.client import Client

EV_ENVIRONMENT, EV_FIND_ENVIRONMENT = 30, 31
IN_PLACE = ""  # in place of the folder of packages: this process's folder and path are good enough (the simulator)


class Environment:
    """The environment that a process is in, and so what it submits.

    Args: number, description: of this environment; store: folder of the runtime's packages, or IN_PLACE; job: the
    description of the job's.
    """

    __slots__ = ("description", "job", "known", "number", "store")

    def __init__(self, number: int, description: dict[str, Any], store: str, job: dict[str, Any]) -> None:
        self.number = number
        self.description = description
        self.store = store
        self.job = job
        self.known: set[int] = set()  # numbers that the node has been told of


def describe(fields: Mapping[str, Any], base: Mapping[str, Any], store: str) -> dict[str, Any]:
    """The description of an environment that changes `base` by the (valid) fields of a runtime_env.

    Raises ValueError for a path that is none, RuntimeEnvSetupError if it cannot be copied.
    """
    description = dict(base)
    excludes = fields.get("excludes") or ()
    if fields.get("env_vars"):
        description["env_vars"] = {**base.get("env_vars", {}), **fields["env_vars"]}
    if store == IN_PLACE:
        return description
    if fields.get("working_dir") is not None:
        from raylite.packages import keep_working_dir

        description["working_dir"] = keep_working_dir(fields["working_dir"], excludes, store)
    if fields.get("py_modules") is not None:
        from raylite.packages import keep_module

        description["py_modules"] = [keep_module(module, excludes, store) for module in fields["py_modules"]]
    return description


def number_for(client: Client, fields: Mapping[str, Any]) -> int:
    """The number of the environment of what `client` submits with this runtime_env. Errors as describe."""
    own = client.environment
    if own is None:
        from raylite.exceptions import RuntimeEnvSetupError

        raise RuntimeEnvSetupError("a driver attached to another's runtime cannot give tasks an environment")
    description = describe(fields, own.description, own.store)
    if description == own.description:
        return own.number
    return 0 if description == own.job else known_number(client, description)


def known_number(client: Client, description: dict[str, Any]) -> int:
    """The number of an environment that is not the job's; the node knows what it stands for from here on."""
    from json import dumps

    from raylite._core.ids import content_hash

    text = dumps(description, sort_keys=True).encode()
    number = int.from_bytes(content_hash(text)[:8], "little") or 1
    if number not in client.environment.known:
        client.tell(EV_ENVIRONMENT, text, request=number)
        client.environment.known.add(number)
    return number


def find(client: Client, number: int, job: dict[str, Any]) -> dict[str, Any]:
    """What a number stands for. Raises RuntimeEnvSetupError if the node does not know."""
    if number == 0:
        return job
    _, text = client.question(EV_FIND_ENVIRONMENT, aux=number)
    if not text:
        from raylite.exceptions import RuntimeEnvSetupError

        raise RuntimeEnvSetupError(f"the node does not know the environment {number:016x}")
    from json import loads

    return loads(text)


def enter(description: Mapping[str, Any], store: str) -> None:
    """Make this process, a worker, what the description says. Raises RuntimeEnvSetupError."""
    set_variables(description.get("env_vars") or {})
    names = list(description.get("py_modules") or ())
    if description.get("working_dir"):
        names.insert(0, description["working_dir"])
    folders = [os.path.join(store, name) for name in names]
    try:
        for folder in folders:
            os.stat(folder)
        if description.get("working_dir"):
            os.chdir(folders[0])
    except OSError as error:
        from raylite.exceptions import RuntimeEnvSetupError

        raise RuntimeEnvSetupError(f"the copy of a folder that it names is not there: {error}") from error
    if folders:
        from raylite.functions import keep_first

        keep_first(folders)
        inherited = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([*folders, inherited] if inherited else folders)


def set_variables(variables: Mapping[str, str]) -> None:
    """Set variables; `${NAME}` in a value is what NAME was, or nothing, as in Ray."""
    for name, value in variables.items():
        if "$" in value:
            from re import sub

            value = sub(r"\$\{[A-Z0-9_]+\}", "", os.path.expandvars(value))
        os.environ[name] = value


def arrive(client: Client, number: int, settings: Mapping[str, Any]) -> Exception | None:
    """In a worker that starts: enter the environment that it was started for. The error with which its tasks fail."""
    job = settings["environment"]
    client.environment = Environment(number, job, settings["packages"], job)
    if number == 0 and not job:
        return None
    try:
        client.environment.description = find(client, number, job)
        enter(client.environment.description, settings["packages"])
    except Exception as error:
        return error
    return None
