"""Random programs on real processes, which are killed all the time: `make chaos`, or `python -m tests.chaos`."""
