"""The embedded AWS starts on a free port, reports why it does not start, and leaves nothing behind."""

import os
import socket
from pathlib import Path

import pytest

from demo import embedded
from demo.embedded import embedded_aws
from demo.errors import EmbeddedAwsError


def test_another_port_is_used_if_the_first_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = iter([taken, embedded.free_port()])
        monkeypatch.setattr(embedded, "free_port", lambda: next(ports))

        with embedded_aws() as aws:
            assert not aws.endpoint_url.endswith(f":{taken}")
            assert aws.dynamodb.list_tables()["TableNames"] == []


def test_nothing_is_left_after_an_error_in_the_block() -> None:
    with pytest.raises(ZeroDivisionError), embedded_aws() as aws:
        raise ZeroDivisionError

    assert not aws.home.exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(aws.pid, 0)


def test_an_embedded_aws_that_ends_immediately_is_an_error_with_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "ministack"
    for program in (broken, broken.with_name("python")):
        program.write_text("#!/bin/sh\necho it is broken\nexit 3\n")
        program.chmod(0o755)
    monkeypatch.setattr(embedded, "MINISTACK", broken)

    with pytest.raises(EmbeddedAwsError, match="it is broken"), embedded_aws():
        pass


def test_a_missing_installation_is_an_error_with_the_command_to_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded, "MINISTACK", embedded.ROOT / "nowhere")

    with pytest.raises(EmbeddedAwsError, match="Try: make setup"), embedded_aws():
        pass
