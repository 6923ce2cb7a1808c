"""How much Hypothesis tries: a fixed set of examples, the same each time; or, with PROPERTY_TEST_EXAMPLES=N, N new ones."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
settings.register_profile("quick", derandomize=True, max_examples=200, stateful_step_count=50, database=None, **COMMON)
if examples := os.environ.get("PROPERTY_TEST_EXAMPLES"):
    settings.register_profile("long", max_examples=int(examples), stateful_step_count=100, **COMMON)
    settings.load_profile("long")
else:
    settings.load_profile("quick")
