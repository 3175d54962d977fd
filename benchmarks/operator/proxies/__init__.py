"""Proxies between a command and a service with the API of DynamoDB."""
