"""Look at a replication, or at all of a Region, and say what is wrong with it."""
