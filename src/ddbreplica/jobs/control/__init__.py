"""Start, follow, list and stop jobs from outside their workers."""
