"""Verify two tables as a job: compare segments, gather what looks different, confirm it, and report."""
