"""The demo: replicate a table on an embedded AWS, compare both tables, and measure the lag."""
