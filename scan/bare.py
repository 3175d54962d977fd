"""The programs that read what others wrote get no credentials, no configuration and no directory of their user."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR")
TO_THE_NETWORK: Final = (
    *("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
)
"""What a program needs to reach a service from where it runs."""


def run(
    command: Sequence[str | Path], *, passed_on: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end in a bare environment with the variables `passed_on`, and return its output."""
    with _environment(os.environ, passed_on) as env:
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@contextmanager
def _environment(own: Mapping[str, str], passed_on: Sequence[str]) -> Iterator[Mapping[str, str]]:
    with TemporaryDirectory(prefix="ddbreplica-scan-") as home:
        yield {
            **{name: own[name] for name in (*_PASSED_ON, *passed_on) if name in own},
            "HOME": home,
            "PYTHONNOUSERSITE": "1",
        }
