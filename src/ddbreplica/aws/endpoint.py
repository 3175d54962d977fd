"""Check the URL of an endpoint: whether the AWS SDK can use it, and whether a network can read the traffic."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_LABEL = r"(?!-)[a-zA-Z0-9-]{1,63}(?<!-)"
_ENDPOINT = re.compile(rf"https?://(({_LABEL}\.)*{_LABEL}\.?|\[[0-9a-fA-F:.]+])(:[0-9]+)?(/\S*)?")

LOCAL_HOSTS: Final = frozenset({"localhost", "host.docker.internal", "localhost.localstack.cloud"})
"""Names of this machine: its own name, and the names by which a container reaches it or LocalStack."""


def is_endpoint(url: str) -> bool:
    """Return whether a URL is HTTP or HTTPS with a host, and with a valid port if it has one."""
    try:
        _ = urlsplit(url).port  # raises ValueError unless it is a valid port
    except ValueError:
        return False
    return _ENDPOINT.fullmatch(url) is not None


def is_private(url: str) -> bool:
    """Return whether no other machine can read the traffic: it is encrypted, or it does not leave this machine.

    An unusual http:// URL is not private, since urlsplit and the SDK may read different hosts from it.
    """
    parts = urlsplit(url)
    return parts.scheme != "http" or (is_endpoint(url) and _is_local(parts.hostname or ""))


def _is_local(host: str) -> bool:
    if host in LOCAL_HOSTS or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
