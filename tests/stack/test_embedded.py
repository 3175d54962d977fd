"""The embedded AWS comes up beside others, says why it does not, and leaves nothing behind."""

import os
import socket
from pathlib import Path

import pytest

from demo import embedded
from demo.embedded import embedded_aws
from demo.errors import EmbeddedAwsError


def test_another_port_is_picked_where_the_first_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = iter([taken, embedded.free_port()])
        monkeypatch.setattr(embedded, "free_port", lambda: next(ports))

        with embedded_aws() as aws:
            assert not aws.endpoint_url.endswith(f":{taken}")
            assert aws.dynamodb.list_tables()["TableNames"] == []


def test_nothing_is_left_when_the_block_ends_by_an_error() -> None:
    with pytest.raises(ZeroDivisionError), embedded_aws() as aws:
        raise ZeroDivisionError

    assert not aws.home.exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(aws.pid, 0)


def test_one_that_ends_at_once_is_an_error_with_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "ministack"
    for program in (broken, broken.with_name("python")):
        program.write_text("#!/bin/sh\necho it is broken\nexit 3\n")
        program.chmod(0o755)
    monkeypatch.setattr(embedded, "MINISTACK", broken)

    with pytest.raises(EmbeddedAwsError, match="it is broken"), embedded_aws():
        pass


def test_one_that_is_not_installed_is_an_error_that_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded, "MINISTACK", embedded.ROOT / "nowhere")

    with pytest.raises(EmbeddedAwsError, match="Try: make setup"), embedded_aws():
        pass
