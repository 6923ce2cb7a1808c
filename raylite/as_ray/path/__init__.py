"""A folder for PYTHONPATH: nothing may lie in here but the package `ray`."""
