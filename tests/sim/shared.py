"""What all virtual processes share, as they live in one: the attributes of a module."""

from __future__ import annotations

import contextvars

log: list = []
token = contextvars.ContextVar("token", default="none")
