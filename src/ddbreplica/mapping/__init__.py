"""The event source mapping that replicates the source, what its filter lets pass, and what it allows to be done."""
