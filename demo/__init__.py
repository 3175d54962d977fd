"""The demo: replicate a table on an embedded AWS, prove both equal, measure how far behind it is."""
