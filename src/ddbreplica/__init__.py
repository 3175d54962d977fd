"""Keeps a second DynamoDB table equal to a first one, change by change, from the first one's stream."""
