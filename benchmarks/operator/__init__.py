"""What the operator's commands take, beside the loops that people write in their place."""
