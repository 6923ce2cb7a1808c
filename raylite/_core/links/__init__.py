"""Parties of a cluster and what is between them: packets, and the ordered streams that links make of those."""
