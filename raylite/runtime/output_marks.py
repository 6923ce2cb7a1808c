"""What a worker says in its output beside its lines: a mark, what it says, a line feed.

After NAME_MARK comes the name of the task whose lines follow; after BAR_MARK how far a progress bar is, as JSON (the
keys are those of `bar_state` in raylite.util.tqdm).
"""

NAME_MARK = b"\x1eraylite "
BAR_MARK = b"\x1eraylite-bar "
