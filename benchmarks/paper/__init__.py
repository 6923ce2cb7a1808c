"""The system experiments of the Ray paper (Moritz et al., OSDI 2018), repeated on a virtual cluster in virtual time.

`python -m benchmarks.paper [EXPERIMENT ...]` runs them; README.md beside this file says what came of it, and why that
differs from the paper.
"""
