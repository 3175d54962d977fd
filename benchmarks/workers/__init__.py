"""Measure workers, which do bulk work inside AWS, beside the commands that do the same on one machine."""
