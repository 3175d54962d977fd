"""Compare the scans of both tables, and collect the keys that look different."""
