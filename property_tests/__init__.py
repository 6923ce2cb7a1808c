"""Property tests: Hypothesis drives the core through what no literal test lists."""
