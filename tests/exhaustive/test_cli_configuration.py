"""Errors in AWS configuration files: one `Error:` line, one `Try:` line, exit status 2, no traceback."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
import trustme
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from ddbreplica.aws.clients.sign_in import SignInSession
from ddbreplica.aws.hints import CONFIGURATION, hint_for
from ddbreplica.model import Refusal, RefusalKind
from tests.support.cli import invoke
from tests.support.server import certified, serving

COMMANDS = (
    ("backfill", "--without-mapping", "--transform", "none"),
    ("status",),
    ("status", "--all"),
    ("tail",),
    ("verify",),
)
NOBODY = "http://127.0.0.1:9"
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
ROLE = "role_arn=arn:aws:iam::123456789012:role/operator"
SSO = "sso_account_id=123456789012\nsso_role_name=operator"
START = "sso_region=us-east-1\nsso_start_url=https://example.awsapps.com/start"


@dataclass(frozen=True)
class Case:
    """The default profile, the other sections, the credentials file, and the environment."""

    profile: str = ""
    more: str = ""
    credentials: str | bytes = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    config: bytes | None = None

    def write(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config, credentials = directory / "config", directory / "credentials"
        text = f"[default]\nregion=us-east-1\n{self.profile}\n{self.more}\n"
        config.write_bytes(text.encode() if self.config is None else self.config)
        content = self.credentials
        credentials.write_bytes(content.encode() if isinstance(content, str) else content)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_CONFIG_FILE", self.environment.get("AWS_CONFIG_FILE", str(config)))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))


def process(output: Any) -> Case:
    """Return a credential_process that prints this."""
    text = output if isinstance(output, str) else json.dumps(output)
    return Case(f"credential_process=printf %s {json.dumps(text)}")


def with_keys(profile: str = "", **environment: str) -> Case:
    return Case(profile, environment={**KEYS, **environment})


CASES = {
    "a role that assumes itself": Case(f"{ROLE}\nsource_profile=default"),
    "roles in a circle": Case(
        f"{ROLE}\nsource_profile=other", f"[profile other]\n{ROLE}\nsource_profile=default"
    ),
    "a role of a profile that does not exist": Case(f"{ROLE}\nsource_profile=nobody"),
    "a role of a profile without credentials": Case(f"{ROLE}\nsource_profile=other", "[profile other]\na=b"),
    "a role without a source of credentials": Case(ROLE),
    "a role of two sources": Case(f"{ROLE}\nsource_profile=default\ncredential_source=Environment"),
    "a source of credentials that is none": Case(f"{ROLE}\ncredential_source=Cloud"),
    "a source of credentials without any": Case(f"{ROLE}\ncredential_source=Environment"),
    "a role's ARN that is none": Case(
        "role_arn=operator\nsource_profile=other",
        "[profile other]\naws_access_key_id=id\naws_secret_access_key=secret",
    ),
    "a process that prints no JSON": process("hello"),
    "a process that prints nothing": Case("credential_process=true"),
    "a process that prints a list": process([]),
    "a process that prints null": process(None),
    "a process that prints a number": process(5),
    "a process that prints no keys": process({"Version": 1}),
    "a process of another version": process({"Version": 2}),
    "a process that prints keys that are no text": process(
        {"Version": 1, "AccessKeyId": 5, "SecretAccessKey": []}
    ),
    "a process with a time that is none": process(
        {"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c", "Expiration": "soon"}
    ),
    "a process with what has expired": process(
        {
            "Version": 1,
            "AccessKeyId": "a",
            "SecretAccessKey": "b",
            "SessionToken": "c",
            "Expiration": "2020-01-01T00:00:00Z",
        }
    ),
    "a process that prints no text": Case("credential_process=head -c 64 /bin/sh"),
    "a process that fails": Case("credential_process=false"),
    "a process that is not there": Case("credential_process=/nowhere/credentials"),
    "a process with an open quote": Case("credential_process=echo 'unclosed"),
    "a token file that is not there": Case(f"{ROLE}\nweb_identity_token_file=/nowhere/token"),
    "a token file in the environment that is not there": Case(
        environment={
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/operator",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token",
        }
    ),
    "a token file that is a directory": Case(f"{ROLE}\nweb_identity_token_file=/"),
    "a token file that is no text": Case(f"{ROLE}\nweb_identity_token_file=/bin/sh"),
    "a login without a sign-in": Case("login_session=arn:aws:iam::123456789012:user/me"),
    "an SSO session that does not exist": Case(f"sso_session=nothing\n{SSO}"),
    "an SSO session without a sign-in": Case(f"sso_session=x\n{SSO}", f"[sso-session x]\n{START}"),
    "an SSO profile without a sign-in": Case(f"{SSO}\n{START}"),
    "an SSO profile that lacks a part": Case("sso_account_id=123456789012"),
    "an SSO session that contradicts its profile": Case(
        f"sso_session=x\nsso_region=eu-west-1\n{SSO}", f"[sso-session x]\n{START}"
    ),
    "a file that is not UTF-8": Case(config=b"[default]\nregion=us-east-1\n\xff=x\n"),
    "a file that cannot be parsed": Case(config=b"[default\nregion=us-east-1\n"),
    "a file with a duplicate setting": Case(config=b"[default]\nregion=us-east-1\nregion=us-east-1\n"),
    "a directory in place of a file": Case(environment={"AWS_CONFIG_FILE": "/"}),
    "credentials that are not UTF-8": Case(credentials=b"[default]\naws_access_key_id=\xff\n"),
    "credentials that cannot be parsed": Case(credentials="aws_access_key_id=id"),
    "half of the credentials": Case(credentials="[default]\naws_access_key_id=id\n"),
    "half of the credentials in the environment": Case(environment={"AWS_ACCESS_KEY_ID": "id"}),
    "credentials of two lines": with_keys(AWS_ACCESS_KEY_ID="id\nid"),
    "credentials that are not ASCII": with_keys(AWS_ACCESS_KEY_ID="clé"),
    "a session token of two lines": with_keys(AWS_SESSION_TOKEN="token\n"),
    "no credentials": Case(),
    "a profile that does not exist": Case(environment={"AWS_PROFILE": "nobody"}),
    "a Region that cannot be": Case(environment={**KEYS, "AWS_DEFAULT_REGION": "us east 1"}),
    "a Region that does not exist": with_keys(AWS_DEFAULT_REGION="mars-north-1", AWS_ENDPOINT_URL=NOBODY),
    "a retry mode that is none": with_keys("retry_mode=often", AWS_ENDPOINT_URL=NOBODY),
    "attempts that are no number": with_keys(AWS_MAX_ATTEMPTS="many", AWS_ENDPOINT_URL=NOBODY),
    "certificates that are not there": with_keys(
        AWS_CA_BUNDLE="/nowhere/ca.pem", AWS_ENDPOINT_URL="https://127.0.0.1:9"
    ),
    "an endpoint without a scheme": with_keys("endpoint_url=localhost"),
    "an endpoint with a port that is none": with_keys(AWS_ENDPOINT_URL="http://localhost:port"),
    "an endpoint that is half an address": with_keys(AWS_ENDPOINT_URL="http://[::1"),
    "an endpoint where nothing listens": with_keys(AWS_ENDPOINT_URL=NOBODY),
    "services that do not exist": with_keys("services=nothing"),
    "services that are no section": Case(
        "services=x", "[services x]\ndynamodb=5\nlambda=5\nresource_groups_tagging_api=5", environment=KEYS
    ),
    "a proxy that is none": with_keys(HTTPS_PROXY="http://127.0.0.1:port"),
    "a proxy where nothing listens": with_keys(HTTPS_PROXY=NOBODY),
    "defaults that do not exist": with_keys("defaults_mode=fast"),
    "a container that may not be asked": Case(
        environment={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/credentials"}
    ),
    "a number of attempts that is none": Case("metadata_service_num_attempts=many"),
}


def named(*begins: str) -> frozenset[str]:
    return frozenset(name for name in CASES if name.startswith(begins))


# A part of each hint that no other hint contains.
HINTS = {
    "Try: sign in again, or check how the profile": named(
        "a process",
        "a token file",
        "a source of credentials without",
        "credentials of",
        "credentials that are not ASCII",
        "a session token",
        "a container",
        "a number of attempts",
    ),
    "--endpoint-url": named(
        "an endpoint",
        "a Region that does not exist",
        "a retry mode",
        "attempts",
        "certificates",
        "a proxy that is none",
    ),
    "HTTPS_PROXY": named("a proxy"),
}


@pytest.mark.loopback
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_error_has_two_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], case: str
) -> None:
    CASES[case].write(tmp_path, monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    result = invoke(*command)

    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    said = [line for line in result.stderr.splitlines() if line.startswith(("Error: ", "Try: "))]
    assert [line.partition(":")[0] for line in said] == ["Error", "Try"]
    assert result.stderr.splitlines()[-1] == said[-1]
    assert "UnreadableResponse" not in said[0]
    wrong = [hint for hint, of in HINTS.items() if (hint in said[1]) != (case in of)]
    assert wrong == [], said


@pytest.mark.loopback
@pytest.mark.parametrize("bundle", ["missing.pem", "text.pem", "of-others.pem"])
def test_an_untrusted_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: str) -> None:
    (tmp_path / "text.pem").write_text("certificate")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "of-others.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / bundle))

    with serving(tls=certified(trustme.CA())) as server:
        result = invoke("verify", "--endpoint-url", server.url)

    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 2
    assert result.stderr.startswith("Error: the table logfile cannot be described: ")
    assert "Try: check the trusted certificates: AWS_CA_BUNDLE" in result.stderr


def test_a_failed_renewal_of_credentials_is_an_error_of_botocore() -> None:
    def renew() -> Any:
        raise KeyError("AccessKeyId")

    session = SignInSession()
    old = datetime.now(UTC) - timedelta(minutes=1)
    inner: Any = session
    inner._credentials = RefreshableCredentials("id", "secret", "token", old, renew, "custom-process")
    credentials = session.get_credentials()

    with pytest.raises(CredentialRetrievalError, match="from custom-process: KeyError: 'AccessKeyId'"):
        credentials.get_frozen_credentials()
    with pytest.raises(CredentialRetrievalError, match="from custom-process: KeyError: 'AccessKeyId'"):
        credentials.get_deferred_property("account_id")()
    with pytest.raises(CredentialRetrievalError):
        _ = credentials.access_key


ALL = [
    name
    for name, each in vars(botocore.exceptions).items()
    if isinstance(each, type) and issubclass(each, botocore.exceptions.BotoCoreError)
]


@pytest.mark.parametrize("name", ALL)
def test_each_exception_of_botocore_has_a_hint_of_its_family(name: str) -> None:
    assert hint_for(Refusal(RefusalKind.FAULT, name, "why")) != hint_for(
        Refusal(RefusalKind.FAULT, "Anything", "why")
    )


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("InfiniteLoopConfigError", CONFIGURATION),
        ("SSOTokenLoadError", hint_for(Refusal(RefusalKind.FAULT, "UnauthorizedSSOTokenError", ""))),
        ("EndpointConnectionError", hint_for(Refusal(RefusalKind.TRANSIENT, "ConnectTimeoutError", ""))),
        ("RequestTimeTooSkewed", "set the clock of this machine, and run the same command again."),
        ("InvalidSignatureException", "check the clock of this machine, then the credentials (--profile)."),
        ("SomethingNew", "check the table, the Region and the credentials."),
    ],
)
def test_hints(code: str, hint: str) -> None:
    assert hint_for(Refusal(RefusalKind.FAULT, code, "why")) == hint
