"""A botocore without a private part: the error names the versions that have it."""

import pytest

from ddbreplica.aws import botocore_private
from tests.support.cli import Tables, run

ARGS = ("--source", "orders", "--replica", "orders_copy", "--without-mapping", "--transform", "none")


@pytest.mark.parametrize(
    "args",
    [("verify", *ARGS), ("backfill", *ARGS), ("load", "--source", "orders", "--generate", "5")],
    ids=" ".join,
)
def test_an_error_names_the_versions_that_have_the_part(
    tables: Tables, args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("orders", "orders_copy"):
        tables.create(name, {"PK": "S"})
    monkeypatch.setattr(botocore_private, "_missing", ImportError("cannot import name 'a_part'"))

    ended = run(*args)

    lowest, highest = botocore_private.TESTED["boto3"]
    assert ended.exit_code == 2
    assert ended.stderr.splitlines() == [
        "Error: a private part of botocore or urllib3 is missing: cannot import name 'a_part'.",
        f"Try: install boto3 {highest}, or another version from {lowest} on, with the urllib3 that it needs.",
    ]
