"""Check whether others can reach a program that listens on all interfaces. DynamoDB Local has no option for an address.

`python -m benchmarks.operator.network` exits with 1 and prints a line on stderr if they can.
"""

import os
import socket
import struct
import sys

from benchmarks.processes import BenchmarkError

ALLOWED = "DDBREPLICA_ALLOW_OPEN"
"""Set to 1 by `make … ALLOW_OPEN=1`."""

REFUSAL = (
    "DynamoDB Local was not started: it listens on all interfaces without authentication, and this process has no"
    " network of its own (Linux, `unshare -rn`). To start it nevertheless, add ALLOW_OPEN=1 to the make command."
)

_GET_FLAGS = 0x8913  # SIOCGIFFLAGS of Linux
_UP = 1
_NAME_LENGTH = 16


def refuse_open_network() -> None:
    """Raise BenchmarkError unless this process has its own network namespace or the user has allowed an open one."""
    if not has_own_network() and os.environ.get(ALLOWED) != "1":
        raise BenchmarkError(REFUSAL)


def has_own_network() -> bool:
    """Return whether only the loopback interface is up. False if that is unknown."""
    if sys.platform != "linux":
        return False
    return all(name == "lo" or not _is_up(name) for _, name in socket.if_nameindex())


def _is_up(name: str) -> bool:
    import fcntl  # noqa: PLC0415  not on every system

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        request = struct.pack("256s", name.encode()[: _NAME_LENGTH - 1])
        answer = fcntl.ioctl(asking.fileno(), _GET_FLAGS, request)
    flags: int = struct.unpack_from("H", answer, _NAME_LENGTH)[0]
    return bool(flags & _UP)


if __name__ == "__main__":
    try:
        refuse_open_network()
    except BenchmarkError as error:
        sys.exit(str(error))
