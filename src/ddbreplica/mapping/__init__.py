"""Find the event source mapping that replicates the source, evaluate its filter, and refuse unsafe commands."""
