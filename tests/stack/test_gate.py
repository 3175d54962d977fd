"""The embedded AWS rejects each request without its run's credentials, from other users and from web pages."""

import io
import json
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, EndpointConnectionError

from demo import embedded
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import wait_until

ROLE: Final = "arn:aws:iam::000000000000:role/asking"
TRUST: Final = {
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ]
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a service, and its signature, if it has one."""

    service: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    method: str = "POST"


def create_table() -> Call:
    request = {
        "TableName": "planted",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "DynamoDB_20120810.CreateTable",
    }
    return Call("dynamodb", "/", json.dumps(request).encode(), headers)


def create_function() -> Call:
    request = {
        "FunctionName": "planted",
        "Runtime": "python3.13",
        "Role": ROLE,
        "Handler": "planted.handler",
        "Code": {"ZipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="},
    }
    return Call(
        "lambda", "/2015-03-31/functions", json.dumps(request).encode(), {"Content-Type": "application/json"}
    )


def reset() -> Call:
    return Call("s3", "/_ministack/reset", b"", {})


Change: TypeAlias = Callable[[EmbeddedAws, Call], Call]


def unsigned(_: EmbeddedAws, call: Call) -> Call:
    return call


def simple(_: EmbeddedAws, call: Call) -> Call:
    """Return a simple request, which a web page may send to any host without a preflight."""
    sent = {**call.headers, "Content-Type": "text/plain", "Origin": "https://attacker.example"}
    return replace(call, headers=sent)


def signed(aws: EmbeddedAws, call: Call, **headers: str) -> Call:
    url = f"http://{headers.get('Host', urlsplit(aws.endpoint_url).netloc)}{call.path}"
    request = AWSRequest(call.method, url, data=call.body, headers={**call.headers, **headers})
    credentials = Credentials(aws.account, aws.secret)
    SigV4Auth(credentials, call.service, aws.region).add_auth(request)
    return replace(call, headers=dict(request.headers))


def of_another_run(aws: EmbeddedAws, call: Call) -> Call:
    return signed(replace(aws, secret="0" * 64), call)


def of_no_secret(aws: EmbeddedAws, call: Call) -> Call:
    """Return a request signed with ministack's well-known default credentials."""
    return signed(replace(aws, account="test", secret="test"), call)


def of_an_unknown_key(aws: EmbeddedAws, call: Call) -> Call:
    return signed(replace(aws, account="AKIAIOSFODNN7EXAMPLE"), call)


def of_another_body(aws: EmbeddedAws, call: Call) -> Call:
    return replace(signed(aws, call), body=call.body + b" ")


def of_another_path(aws: EmbeddedAws, call: Call) -> Call:
    return replace(signed(aws, replace(call, path="/somewhere")), path=call.path)


def for_another_host(aws: EmbeddedAws, call: Call) -> Call:
    """Return a request to a name that a web page resolves to this machine, signed with the right credentials."""
    return signed(aws, call, Host=f"attacker.example:{urlsplit(aws.endpoint_url).port}")


def for_a_name_of_this_machine(aws: EmbeddedAws, call: Call) -> Call:
    return signed(aws, call, Host=f"localhost:{urlsplit(aws.endpoint_url).port}")


def from_a_page(aws: EmbeddedAws, call: Call) -> Call:
    return signed(aws, call, Origin="https://attacker.example")


def from_a_page_of_its_own(aws: EmbeddedAws, call: Call) -> Call:
    return signed(aws, call, **{"Sec-Fetch-Site": "same-origin"})


REFUSED: Final = (
    unsigned,
    simple,
    of_another_run,
    of_no_secret,
    of_an_unknown_key,
    of_another_body,
    of_another_path,
    for_another_host,
    for_a_name_of_this_machine,
    from_a_page,
    from_a_page_of_its_own,
)


@pytest.fixture(scope="module", params=[False, True], ids=["whoever", "roles enforced"])
def aws(request: pytest.FixtureRequest) -> Iterator[EmbeddedAws]:
    with embedded_aws(enforce_roles=request.param) as running:
        yield running


@pytest.fixture
def bucket(aws: EmbeddedAws) -> Iterator[str]:
    """A bucket, which a reset of the embedded AWS would delete."""
    aws.s3.create_bucket(Bucket="kept")
    yield "kept"
    aws.s3.delete_bucket(Bucket="kept")


def send(aws: EmbeddedAws, call: Call) -> tuple[int, str]:
    connection = HTTPConnection(urlsplit(aws.endpoint_url).netloc, timeout=30)
    try:
        connection.request(call.method, call.path, call.body, dict(call.headers))
        response = connection.getresponse()
        assert "Access-Control-Allow-Origin" not in response.headers or response.status != 403
        return response.status, response.read().decode()
    finally:
        connection.close()


def planted(aws: EmbeddedAws) -> tuple[list[str], list[str]]:
    functions = aws.lambda_.list_functions()["Functions"]
    return aws.dynamodb.list_tables()["TableNames"], [each["FunctionName"] for each in functions]


@pytest.mark.parametrize("change", REFUSED)
@pytest.mark.parametrize("call", [create_table, create_function, reset])
def test_a_request_without_the_credentials_of_the_run_is_refused_and_has_no_effect(
    aws: EmbeddedAws, bucket: str, call: Callable[[], Call], change: Change
) -> None:
    status, said = send(aws, change(aws, call()))

    assert status == 403
    assert said.startswith("Refused: ")
    assert aws.secret not in said
    assert planted(aws) == ([], [])
    aws.s3.head_bucket(Bucket=bucket)


@pytest.mark.parametrize(
    "path", ["/_ministack/health", "/_ministack/ready", "/_localstack/health", "/health"]
)
def test_the_health_page_is_refused_without_credentials(aws: EmbeddedAws, path: str) -> None:
    assert send(aws, Call("s3", path, b"", {}, method="GET"))[0] == 403


def test_a_preflight_request_is_refused(aws: EmbeddedAws) -> None:
    asks = {"Origin": "https://attacker.example", "Access-Control-Request-Method": "POST"}

    assert send(aws, Call("s3", "/", b"", asks, method="OPTIONS"))[0] == 403


def test_a_web_socket_is_refused(aws: EmbeddedAws) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Host": "api.appsync-realtime-api.example",
    }

    assert send(aws, Call("s3", "/", b"", upgrade, method="GET"))[0] == 403


def test_a_signed_request_is_performed(aws: EmbeddedAws) -> None:
    assert send(aws, signed(aws, create_table()))[0] == 200
    assert planted(aws)[0] == ["planted"]

    aws.dynamodb.delete_table(TableName="planted")


def test_a_presigned_url_is_valid_only_for_its_object(aws: EmbeddedAws, bucket: str) -> None:
    aws.s3.put_object(Bucket=bucket, Key="a b/ä", Body=b"content")
    asked = {"Bucket": bucket, "Key": "a b/ä"}
    client = boto3.client(
        "s3",
        endpoint_url=aws.endpoint_url,
        region_name=aws.region,
        aws_access_key_id=aws.account,
        aws_secret_access_key=aws.secret,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    url = urlsplit(client.generate_presigned_url("get_object", Params=asked))
    aimed = Call("s3", f"{url.path}?{url.query}", b"", {}, method="GET")
    elsewhere = replace(aimed, path=f"/other{aimed.path}")

    assert send(aws, aimed) == (200, "content")
    assert send(aws, elsewhere)[0] == 403
    aws.s3.delete_object(Bucket=bucket, Key="a b/ä")


def test_two_runs_have_different_credentials_and_directories(aws: EmbeddedAws) -> None:
    with embedded_aws() as other:
        assert other.secret != aws.secret
        assert send(other, signed(replace(other, secret=aws.secret), create_table()))[0] == 403


def test_an_iam_users_access_key_is_accepted_only_with_its_secret() -> None:
    with embedded_aws(enforce_roles=True) as aws:
        aws.iam.create_user(UserName="operator")
        document = {"Statement": [{"Effect": "Allow", "Action": "dynamodb:ListTables", "Resource": "*"}]}
        aws.iam.put_user_policy(UserName="operator", PolicyName="lists", PolicyDocument=json.dumps(document))
        key = aws.iam.create_access_key(UserName="operator")["AccessKey"]
        user = replace(aws, account=key["AccessKeyId"], secret=key["SecretAccessKey"])

        assert user.dynamodb.list_tables()["TableNames"] == []
        with pytest.raises(ClientError, match="403"):
            replace(user, secret="0" * 40).dynamodb.list_tables()


@pytest.fixture
def function(aws: EmbeddedAws) -> Iterator[str]:
    """The ARN of a function that returns the account of its credentials."""
    code = "import boto3\ndef handler(event, _):\n    return boto3.client('sts').get_caller_identity()['Account']\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("asking.py", code)
    aws.iam.create_role(RoleName="asking", AssumeRolePolicyDocument=json.dumps(TRUST))
    made = aws.lambda_.create_function(
        FunctionName="asking",
        Runtime="python3.13",
        Handler="asking.handler",
        Role=ROLE,
        Code={"ZipFile": packed.getvalue()},
    )
    yield made["FunctionArn"]
    aws.lambda_.delete_function(FunctionName="asking")
    aws.iam.delete_role(RoleName="asking")


def test_a_functions_credentials_cannot_be_guessed(aws: EmbeddedAws, function: str) -> None:
    answer = aws.lambda_.invoke(FunctionName=function)
    assert json.loads(answer["Payload"].read()) == aws.account

    # These are ministack's own credentials if it enforces roles.
    digest = sha256(f"{function}:{ROLE}".encode()).hexdigest()
    client = boto3.client(
        "dynamodb",
        endpoint_url=aws.endpoint_url,
        region_name=aws.region,
        aws_access_key_id=f"ASIA{digest[:16].upper()}",
        aws_secret_access_key=sha256(f"secret:{digest}".encode()).hexdigest(),
        aws_session_token=sha256(f"token:{digest}".encode()).hexdigest(),
    )
    with pytest.raises(ClientError, match="403"):
        client.list_tables()


def test_only_its_user_can_read_its_directory_and_its_settings(aws: EmbeddedAws) -> None:
    settings = aws.write_settings()

    assert stat.S_IMODE(aws.home.stat().st_mode) == 0o700
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    assert settings.read_text().splitlines() == [
        f"export AWS_ACCESS_KEY_ID={aws.account}",
        f"export AWS_SECRET_ACCESS_KEY={aws.secret}",
        f"export AWS_REGION={aws.region}",
        f"export AWS_DEFAULT_REGION={aws.region}",
    ]
    settings.unlink()


def test_its_secret_is_in_no_log_and_no_command_line(aws: EmbeddedAws) -> None:
    aws.dynamodb.list_tables()
    command = Path(f"/proc/{aws.pid}/cmdline")

    assert aws.secret not in aws.log.read_text()
    assert aws.secret not in repr(aws)
    assert not command.exists() or aws.secret not in command.read_text()


def started(script: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script]
    return subprocess.Popen(command, cwd=embedded.ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603


def running(process: "subprocess.Popen[str]") -> EmbeddedAws:
    """Return the embedded AWS that a script has printed."""
    assert process.stdout
    url, home, pid, secret = process.stdout.readline().split()
    aws = EmbeddedAws(url, Path(home), int(pid), secret)
    assert aws.dynamodb.list_tables()["TableNames"] == []
    return aws


def check_that_it_ends(aws: EmbeddedAws) -> None:
    wait_until(lambda: not aws.home.exists(), "It ends by itself", within=20)
    with pytest.raises(EndpointConnectionError):
        aws.dynamodb.list_tables()


SHOWN: Final = "print(aws.endpoint_url, aws.home, aws.pid, aws.secret, flush=True)"


def test_a_kept_embedded_aws_ends_after_its_lifetime_and_leaves_nothing() -> None:
    script = f"""
from demo import embedded
embedded.KEPT_SECONDS = 4.0
with embedded.embedded_aws(keep=True) as aws:
    {SHOWN}
"""
    with started(script) as process:
        aws = running(process)
        assert process.wait(30) == 0

    check_that_it_ends(aws)


def test_an_embedded_aws_ends_after_its_parent_is_killed_and_leaves_nothing() -> None:
    script = f"""
import time
from demo.embedded import embedded_aws
with embedded_aws() as aws:
    {SHOWN}
    time.sleep(60)
"""
    with started(script) as process:
        aws = running(process)
        process.kill()

    check_that_it_ends(aws)
