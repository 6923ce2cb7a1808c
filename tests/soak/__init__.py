"""Millions of tasks, puts and calls, and what the processes hold while they pass: `make soak`."""
