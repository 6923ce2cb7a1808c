"""How a worker says in its output whose lines follow: the mark, the task's name, a line feed."""

NAME_MARK = b"\x1eraylite "
