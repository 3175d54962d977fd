"""endpoint: whether the AWS SDK can use a URL, and whether a network can read the traffic."""

import pytest

from ddbreplica.aws.endpoint import is_endpoint, is_private
from tests.support.endpoints import IN_THE_CLEAR, LOCAL


@pytest.mark.parametrize(
    "url", [*LOCAL, "https://vpce-1.s3.eu-west-1.vpce.amazonaws.com", "https://[::1]:1/a"]
)
def test_a_url_with_a_host_is_an_endpoint(url: str) -> None:
    assert is_endpoint(url)


@pytest.mark.parametrize(
    "url", ["", "localhost", "http://", "https://[", "http://a:b", "http://a b", "ftp://a"]
)
def test_anything_else_is_not_an_endpoint(url: str) -> None:
    assert not is_endpoint(url)


@pytest.mark.parametrize("url", [*LOCAL, "https://10.0.0.1", "https://dynamodb.eu-west-1.amazonaws.com"])
def test_an_encrypted_or_local_endpoint_is_private(url: str) -> None:
    assert is_private(url)


@pytest.mark.parametrize("url", IN_THE_CLEAR)
def test_an_endpoint_that_the_network_can_read_is_not_private(url: str) -> None:
    assert not is_private(url)
