"""The URL of an endpoint → whether the AWS SDK can use it, and whether a network can read what is sent there. Pure."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_LABEL = r"(?!-)[a-zA-Z0-9-]{1,63}(?<!-)"
_ENDPOINT = re.compile(rf"https?://(({_LABEL}\.)*{_LABEL}\.?|\[[0-9a-fA-F:.]+])(:[0-9]+)?(/\S*)?")

LOCAL_HOSTS: Final = frozenset({"localhost", "host.docker.internal", "localhost.localstack.cloud"})
"""Names of this machine: its own, and those under which a container reaches it or LocalStack."""


def is_endpoint(url: str) -> bool:
    """Whether it is a URL of HTTP or HTTPS, with a host, and with a port that is one if there is any."""
    try:
        _ = urlsplit(url).port  # raises where it is no port
    except ValueError:
        return False
    return _ENDPOINT.fullmatch(url) is not None


def is_private(url: str) -> bool:
    """Whether nobody on a network can read what is sent there: it is encrypted, or it does not leave this machine.

    A URL that is not a plain one is not private: urlsplit and the SDK may find another host in it each.
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
