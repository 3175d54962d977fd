"""A boto3 client without the private parts of botocore, which a later version may not have."""

from typing import Any, cast

from botocore.client import BaseClient


class _Public:
    def __init__(self, client: BaseClient) -> None:
        self.__client = client

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.__client, name)


def public(client: Any) -> Any:
    """Return the client with its documented parts only."""
    return cast("Any", _Public(client))
