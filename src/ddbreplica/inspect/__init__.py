"""Inspect one replication, or all replications of a Region, and find problems."""
