"""Make the replica's item of a source's item by rules: hash, concat, set, keep or drop, and rename (pure)."""
