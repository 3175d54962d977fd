"""What the function costs, beside the ways in which such a function is usually written."""
