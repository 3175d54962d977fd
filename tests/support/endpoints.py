"""URLs of HTTP endpoints on this machine, and of endpoints whose traffic a network can read."""

LOCAL = (
    "http://127.0.0.1:4566",
    "http://127.9.9.9",
    "http://[::1]:4566/a",
    "http://LOCALHOST:8000",
    "http://s3.localhost",
    "http://host.docker.internal:8000",
    "http://localhost.localstack.cloud:4566",
)
IN_THE_CLEAR = (
    "http://dynamodb.eu-west-1.amazonaws.com",
    "http://10.0.0.1",
    "http://[fe80::1]",
    "http://localhost.example.com",
    "http://localhost@example.com",
    "http://127.0.0.1.example.com",
    "http://notlocalhost",
    "HTTP://example.com",
    "http://example.com\\@localhost/",
    "http://example.com\\.localhost",
    "http://10.0.0.1\\@127.0.0.1:8000",
)
