"""raylite measured beside other libraries and beside the limits of the machine: `python -m benchmarks`.

Every row does the same work with each library, each in a process of its own, and the libraries take turns
(A B C A B C ...) so that a drift of the machine meets all of them alike. Ratios are taken turn by turn and their
median is shown: on a shared machine absolute figures move, ratios hold.

Where things are: `rows` says what is measured, `adapters` how each library does it, `limits` what the machine itself
can do, `measure` who is measured when, `bars` what must hold, `report` and `plot` how it is shown.
"""
