"""Thousands of histories through the function, with faults at every seam: `python -m tests.soak`."""
