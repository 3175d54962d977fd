"""Connect to the two DynamoDB tables, describe, read, scan and write them, and read the source's stream."""
