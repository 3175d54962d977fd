"""Measure what the function costs, compared with the usual ways to write such a function."""
