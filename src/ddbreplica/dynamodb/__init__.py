"""The two DynamoDB tables: connected to, described, read, scanned and written within their capacity, and the stream."""
