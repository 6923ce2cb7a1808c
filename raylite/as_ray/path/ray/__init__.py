"""What `import ray` finds in a program that `raylite run` has started: it puts raylite in its own place."""

import sys

try:
    import raylite
except ModuleNotFoundError as error:
    if error.name != "raylite":
        raise
    from os.path import abspath, dirname

    folder = abspath(__file__)
    for _ in range(5):  # up from raylite/as_ray/path/ray/__init__.py: raylite was found through the working folder
        folder = dirname(folder)
    sys.path.append(folder)
    import raylite

from raylite.as_ray import finder, notes

finder.install()
notes.begin()
sys.modules["ray"] = raylite
