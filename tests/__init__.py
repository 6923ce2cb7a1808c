"""The tests, by purpose. The project's root is on the path: a helper is imported as `tests.<folder>.<module>`."""
