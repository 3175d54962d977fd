"""One DynamoDB table: described, read, scanned, written, and its stream followed, within its capacity."""
