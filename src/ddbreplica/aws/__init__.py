"""How requests to AWS are made, by which parts of botocore, and what a response or a refusal means."""
