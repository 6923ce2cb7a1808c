"""cloudpickle, under the name that Ray has its copy by."""

from cloudpickle import *  # noqa: F403
from cloudpickle import __version__ as __version__
