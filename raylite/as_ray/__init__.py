"""raylite under the name of Ray, for programs that are started by `raylite run`.

`path` is a folder to be searched for modules, with nothing in it but a package `ray`. Whoever imports that gets
raylite, the same module object, and so for every module below it (`finder`). What such a program asks for that raylite
does not have is noted (`notes`), and said when it ends.
"""

from __future__ import annotations

import os


def environment() -> dict[str, str]:
    """The environment of this process, such that a Python started in it finds raylite as `ray`."""
    from raylite.config import with_module_path

    return with_module_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "path"))
