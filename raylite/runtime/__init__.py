"""Hosts of the node: who pumps its events and performs its commands on real processes and shared memory."""
