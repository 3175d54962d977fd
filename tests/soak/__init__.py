"""`python -m tests.soak`: run thousands of random histories through the function, with faults at each request."""
