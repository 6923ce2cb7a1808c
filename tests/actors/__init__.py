"""Actors: calls, life, concurrency, names, bad input."""
