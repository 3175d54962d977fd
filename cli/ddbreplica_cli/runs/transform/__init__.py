"""Check a transform, and show what it makes of items."""
