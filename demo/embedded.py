"""Run an embedded AWS on the loopback interface during a `with` block.

It is ministack, in a virtual environment of its own (.venv-stack), since it pins botocore. It delivers the stream to
the deployed function as Lambda does, but it ignores reported failures, retries no part of a batch, and has one
shard. Other tests cover these.

It runs the code of everyone who can call it. Therefore it accepts only requests that are signed with the run's
credentials, which are new in each run (`ministack_main.py`). Environment variables pass the credentials on, and files
that only their user can read.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore.session
from botocore.config import Config

from ddbreplica.aws.region import variables
from demo.errors import EmbeddedAwsError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client

ROOT: Final = Path(__file__).parents[1]
MINISTACK: Final = ROOT / ".venv-stack" / "bin" / "ministack"
_GATED: Final = ROOT / "demo" / "ministack_main.py"
REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"
KEPT_SECONDS: Final = 3600.0
"""The lifetime of an embedded AWS that is started with `keep`."""

_SECONDS_TO_COME_UP: Final = 30.0
_PORTS_TO_TRY: Final = 3
_LOG_LINES: Final = 15
_COMPLAINTS: Final = 3
_LINE_LENGTH: Final = 400
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TERM")


@dataclass(frozen=True)
class EmbeddedAws:
    """A running embedded AWS, seen from one Region and account. Use `dataclasses.replace` for another one.

    `home` is its temporary directory; `pid` is the leader of the process group of all its processes. `secret` is the
    secret access key of this run, the same in each account.
    """

    endpoint_url: str
    home: Path
    pid: int
    secret: str = field(repr=False)
    region: str = REGION
    account: str = ACCOUNT

    @property
    def env(self) -> Mapping[str, str]:
        """Return the whole environment for a child process that uses only this AWS."""
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        files = {"AWS_CONFIG_FILE": os.devnull}
        return {**passed_on, **self.credentials, **variables(self.region), **files}

    def write_settings(self) -> Path:
        """Write credentials and Region to a file that a shell can source and only its user can read."""
        settings = {**self.credentials, **variables(self.region)}
        path = self.home / "env"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"export {name}={value}\n" for name, value in settings.items())
        return path

    @property
    def credentials(self) -> Mapping[str, str]:
        """Return the credentials of the account's root: its access key is the number of the account."""
        return {"AWS_ACCESS_KEY_ID": self.account, "AWS_SECRET_ACCESS_KEY": self.secret}

    @property
    def log(self) -> Path:
        """Return the path of its log, which includes the functions' output."""
        return _log(self.home)

    def complaints(self) -> str:
        """Return the last warnings and errors of its log, including those of the functions."""
        lines = self.log.read_text(errors="replace").splitlines()
        found = [line[:_LINE_LENGTH] for line in lines if " WARNING " in line or " ERROR " in line]
        return "\n".join(found[-_COMPLAINTS:]) or "(nothing)"

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """A CloudFormation client."""
        return self._session.client("cloudformation", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """A DynamoDB client; it may be used from several threads."""
        return self._session.client("dynamodb", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def iam(self) -> "IAMClient":
        """An IAM client."""
        return self._session.client("iam", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def lambda_(self) -> "LambdaClient":
        """A Lambda client."""
        return self._session.client("lambda", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def logs(self) -> "CloudWatchLogsClient":
        """A CloudWatch Logs client."""
        return self._session.client("logs", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def s3(self) -> "S3Client":
        """An S3 client."""
        return self._session.client("s3", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def secretsmanager(self) -> Any:
        """A Secrets Manager client, whose types are not installed."""
        return self._session.client("secretsmanager", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def stepfunctions(self) -> Any:
        """A Step Functions client, whose types are not installed."""
        return self._session.client("stepfunctions", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def _session(self) -> boto3.Session:
        # boto3 reads the user's profile and its files even if credentials are given.
        nowhere = {
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
        return boto3.Session(
            aws_access_key_id=self.credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.credentials["AWS_SECRET_ACCESS_KEY"],
            region_name=self.region,
            botocore_session=botocore.session.Session(session_vars=nowhere),
        )


_CONFIG: Final = Config(
    proxies={},
    s3={"addressing_style": "path"},
    retries={"mode": "standard"},
    connect_timeout=5,
    read_timeout=30,
)


@contextmanager
def embedded_aws(*, keep: bool = False, enforce_roles: bool = False) -> Iterator[EmbeddedAws]:
    """Start an embedded AWS, and stop all of it at the end of the block; with `keep`, only after an exception.

    If this process is killed, the AWS stops too; with `keep` it stops KEPT_SECONDS after its start. With
    `enforce_roles` a function may only call what its role allows. Raises EmbeddedAwsError if it does not start.
    """
    if not MINISTACK.exists():
        raise EmbeddedAwsError(f"{MINISTACK.relative_to(ROOT)} does not exist.\nTry: make setup")
    with ExitStack() as cleanup:
        home = Path(mkdtemp(prefix="ddbreplica-aws-"))
        cleanup.callback(shutil.rmtree, home, ignore_errors=True)
        yield _start(home, cleanup, enforce_roles=enforce_roles, seconds=KEPT_SECONDS if keep else None)
        if keep:
            cleanup.pop_all()


def _start(home: Path, cleanup: ExitStack, *, enforce_roles: bool, seconds: float | None) -> EmbeddedAws:
    """Start an AWS on a free port. If another process takes that port first, try another one."""
    secret = secrets.token_hex(32)
    for _ in range(_PORTS_TO_TRY):
        port = free_port()
        process = _launch(home, port, secret, enforce_roles=enforce_roles, seconds=seconds)
        cleanup.callback(_kill, process)
        if _comes_up(process, home, port):
            return EmbeddedAws(f"http://127.0.0.1:{port}", home, process.pid, secret)
        if "in use" not in _log_tail(home):
            break
    raise EmbeddedAwsError(f"The embedded AWS did not start. The end of its log:\n{_log_tail(home)}")


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _launch(
    home: Path, port: int, secret: str, *, enforce_roles: bool, seconds: float | None
) -> subprocess.Popen[bytes]:
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        # This is its only other listener, and would listen on all interfaces.
        "IOT_MTLS_ENABLED": "0",
        # The secret key of each account's root, whose access key is the account's number. Functions get it too.
        "AWS_SECRET_ACCESS_KEY": secret,
        # If true, it enforces the policies of each caller.
        "AUTH": str(enforce_roles).lower(),
        # At start and stop it removes containers of its kind from Docker, so it must not find Docker.
        "DOCKER_HOST": f"unix://{home}/no-docker.sock",
    }
    lifetime = [f"--home={home}", *([] if seconds is None else [f"--seconds={seconds}"])]
    with _log(home).open("wb") as log:
        return subprocess.Popen(
            [MINISTACK.with_name("python"), _GATED, *lifetime],
            env=env,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _comes_up(process: subprocess.Popen[bytes], home: Path, port: int) -> bool:
    """Wait until it listens. Return False if it ended instead, or takes too long."""
    # Its log shows it; a response on the port could come from another process that was there first.
    word = f"Running on http://127.0.0.1:{port}"
    give_up_at = time.monotonic() + _SECONDS_TO_COME_UP
    while process.poll() is None and time.monotonic() < give_up_at:
        if word in _log(home).read_text(errors="replace"):
            return True
        time.sleep(0.05)
    return False


def _kill(process: subprocess.Popen[bytes]) -> None:
    # SIGKILL is safe, since it stores nothing. The whole group is killed, since its functions are processes.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _log(home: Path) -> Path:
    return home / "ministack.log"


def _log_tail(home: Path) -> str:
    lines = _log(home).read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES:]) or "(nothing)"
