"""botocore_private: it alone uses private parts of botocore and urllib3, with the versions that were tested."""

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ddbreplica.aws import botocore_private
from tests.support.modules import ROOT

MODULE = Path(botocore_private.__file__)
DOCUMENTED = {
    "boto3",
    "boto3.dynamodb.types",
    "boto3.s3.transfer",
    "botocore.awsrequest",
    "botocore.client",
    "botocore.config",
    "botocore.exceptions",
    "botocore.session",
    "urllib3",
    "urllib3.exceptions",
}
"""Modules that boto3, botocore and urllib3 describe in their documentation for users."""

PRIVATE_EVENTS = (
    "request-created",
    "before-call",
    "before-parse",
    "before-sign",
    "after-call",
    "needs-retry",
)
"""Events of botocore that its documentation and boto3's do not list."""

SOURCES = sorted(
    path
    for folder in ("src", "cli", "demo", "examples", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if path != MODULE
)


def pinned(lock: str, package: str) -> str:
    found = re.search(rf"^{package}==([0-9.]+)", (ROOT / lock).read_text(), re.MULTILINE)
    assert found, f"{lock} does not pin {package}"
    return found[1]


@pytest.mark.parametrize("package", ["boto3", "botocore", "urllib3"])
def test_the_tested_range_is_that_of_the_floors_and_the_lock(package: str) -> None:
    tested = pinned("requirements/floors.txt", package), pinned("src/requirements.txt", package)

    assert botocore_private.TESTED[package] == tested


def test_the_tested_range_has_no_other_package() -> None:
    assert botocore_private.TESTED.keys() == {"boto3", "botocore", "urllib3"}


def private_uses(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if _is_private(alias.name))
            case ast.ImportFrom(module=str(module)) if _is_private(module):
                yield module
            case ast.alias(name="AWSRequest"):  # a private name in a module whose other names are documented
                yield node.name
            case ast.Constant(value=str(text)) if text.startswith(PRIVATE_EVENTS):
                yield text
            case ast.Attribute(
                attr="register_first" | "register_last" | "emit" | "emit_until_response" as name
            ):
                yield name
            case ast.Attribute(
                attr="_request_signer" | "_endpoint" | "_manager" | "_get_conn" | "_put_conn" as name
            ):
                yield name


def _is_private(module: str) -> bool:
    return module.partition(".")[0] in ("botocore", "boto3", "urllib3") and module not in DOCUMENTED


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_module_uses_a_private_part(path: Path) -> None:
    assert list(private_uses(ast.parse(path.read_text()))) == []


def test_no_other_module_of_function_and_commands_uses_private_members() -> None:
    looking = [path for path in SOURCES if "SLF001" in path.read_text()]

    assert [path for path in looking if path.relative_to(ROOT).parts[0] in ("src", "cli")] == []


def test_the_module_says_why_it_uses_each_part() -> None:
    text = MODULE.read_text()
    described = ast.get_docstring(ast.parse(text)) or ""
    imported = re.findall(r"^    from (?:botocore|urllib3)[\w.]* import (\w+)", text, re.MULTILINE)
    attributes = re.findall(r"(?<!self)\.(_[a-z]\w+)", text)

    assert len(imported) == 6
    assert [name for name in {*imported, *attributes} if name not in described] == []


@pytest.mark.parametrize(
    "part",
    [
        "botocore.awsrequest.AWSRequest",
        "botocore.handlers.add_recursion_detection_header",
        "botocore.parsers.create_parser",
        "botocore.utils.get_environ_proxies",
        "urllib3.connectionpool.HTTPConnectionPool",
        "urllib3.connectionpool.HTTPConnectionPool._get_conn",
        "urllib3.connectionpool.HTTPConnectionPool._put_conn",
    ],
)
def test_a_module_that_lacks_a_part_can_be_imported_and_raises_for_a_client(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(part)

    lacking: Any = runpy.run_path(str(MODULE))

    with pytest.raises(lacking["MissingPartError"], match=part.rpartition(".")[2]):
        lacking["parts_of"](object())


def test_a_module_without_renewed_credentials_can_be_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("botocore.credentials.DeferredRefreshableCredentials")

    lacking = runpy.run_path(str(MODULE))

    assert "RenewedCredentials" not in lacking
    assert lacking["_missing"] is None
