"""Ring and pump as native threads of one process, under ThreadSanitizer: a part of `make sanitize`."""
