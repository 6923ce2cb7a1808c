"""The control plane as sans-I/O state machines: events in, commands out.

Nothing in this package reads a clock, a file, a socket, the environment or a random source; nothing in it imports
anything of raylite outside this package. Time and seeds are arguments.
"""
