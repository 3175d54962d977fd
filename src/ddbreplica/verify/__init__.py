"""Compare the two tables, and repair what differs."""
