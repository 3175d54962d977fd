"""An AWS on this machine's loopback interface, for as long as a `with` block lasts.

It is ministack, in an environment of its own (.venv-stack), since it pins botocore. It delivers the stream to
the deployed function as Lambda would, but it ignores reported failures, retries no batch in part, and has one
shard: how the function stands up to those is tested elsewhere.

It runs the code of whoever may call it. So it accepts only requests that are signed with credentials that are new
in each run (`ministack_main.py`). They are passed on in environments, and in files that only their user can read.
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
from typing import TYPE_CHECKING, Final

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
"""How long one runs that is kept."""

_SECONDS_TO_COME_UP: Final = 30.0
_PORTS_TO_TRY: Final = 3
_LOG_LINES: Final = 15
_COMPLAINTS: Final = 3
_LINE_LENGTH: Final = 400
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TERM")


@dataclass(frozen=True)
class EmbeddedAws:
    """A running one, in one Region and account of it; `dataclasses.replace` gives another.

    `home` is its temporary directory; `pid` leads the process group that is all of it. `secret` is the secret access
    key of this run, in whichever account.
    """

    endpoint_url: str
    home: Path
    pid: int
    secret: str = field(repr=False)
    region: str = REGION
    account: str = ACCOUNT

    @property
    def env(self) -> Mapping[str, str]:
        """The whole environment of a child process that is to reach this AWS and no other."""
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        files = {"AWS_CONFIG_FILE": os.devnull}
        return {**passed_on, **self.credentials, **variables(self.region), **files}

    def write_settings(self) -> Path:
        """Write credentials and Region into a file that only its user can read, for a shell to source."""
        settings = {**self.credentials, **variables(self.region)}
        path = self.home / "env"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"export {name}={value}\n" for name, value in settings.items())
        return path

    @property
    def credentials(self) -> Mapping[str, str]:
        """Who may do anything in the account: the embedded AWS takes an account's number for its access key."""
        return {"AWS_ACCESS_KEY_ID": self.account, "AWS_SECRET_ACCESS_KEY": self.secret}

    @property
    def log(self) -> Path:
        """What it writes, the functions' output included."""
        return _log(self.home)

    def complaints(self) -> str:
        """The last warnings and errors of its log, the functions' among them, for a person to read."""
        lines = self.log.read_text(errors="replace").splitlines()
        found = [line[:_LINE_LENGTH] for line in lines if " WARNING " in line or " ERROR " in line]
        return "\n".join(found[-_COMPLAINTS:]) or "(nothing)"

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """A client for stacks."""
        return self._session.client("cloudformation", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """A client for tables; it may be used from several threads."""
        return self._session.client("dynamodb", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def iam(self) -> "IAMClient":
        """A client for roles."""
        return self._session.client("iam", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def lambda_(self) -> "LambdaClient":
        """A client for functions and their mappings."""
        return self._session.client("lambda", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def logs(self) -> "CloudWatchLogsClient":
        """A client for log groups."""
        return self._session.client("logs", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def s3(self) -> "S3Client":
        """A client for buckets."""
        return self._session.client("s3", endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def _session(self) -> boto3.Session:
        # Without the user's profile and its files, which would be read even with credentials given.
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
    """Start an AWS, and stop all of it however the block ends; with `keep`, only if an exception ends it.

    If this process is killed, the AWS ends by itself; one that is kept does so KEPT_SECONDS after its start. With
    `enforce_roles` a function may call what its role allows, and nothing else. Raises EmbeddedAwsError if none comes
    up.
    """
    if not MINISTACK.exists():
        raise EmbeddedAwsError(f"{MINISTACK.relative_to(ROOT)} is not there.\nTry: make setup")
    with ExitStack() as cleanup:
        home = Path(mkdtemp(prefix="ddbreplica-aws-"))
        cleanup.callback(shutil.rmtree, home, ignore_errors=True)
        yield _start(home, cleanup, enforce_roles=enforce_roles, seconds=KEPT_SECONDS if keep else None)
        if keep:
            cleanup.pop_all()


def _start(home: Path, cleanup: ExitStack, *, enforce_roles: bool, seconds: float | None) -> EmbeddedAws:
    """Start one on a free port. Another process may take that port first: then on another one."""
    secret = secrets.token_hex(32)
    for _ in range(_PORTS_TO_TRY):
        port = free_port()
        process = _launch(home, port, secret, enforce_roles=enforce_roles, seconds=seconds)
        cleanup.callback(_kill, process)
        if _comes_up(process, home, port):
            return EmbeddedAws(f"http://127.0.0.1:{port}", home, process.pid, secret)
        if "in use" not in _log_tail(home):
            break
    raise EmbeddedAwsError(f"The embedded AWS does not come up. The end of its log:\n{_log_tail(home)}")


def free_port() -> int:
    """A port that nobody listens on now."""
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
        # Its only other listener, which would be on all interfaces.
        "IOT_MTLS_ENABLED": "0",
        # An account's number is the access key of its root, and this is the secret of each. Functions get it, too.
        "AWS_SECRET_ACCESS_KEY": secret,
        # It then holds every call to the policies of who makes it.
        "AUTH": str(enforce_roles).lower(),
        # At start and stop it removes containers of its kind from the Docker that it finds: let it find none.
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
    """Wait until it listens. False if it ended instead, or takes too long."""
    # By its own word: whatever answers on the port might be another process that was there first.
    word = f"Running on http://127.0.0.1:{port}"
    give_up_at = time.monotonic() + _SECONDS_TO_COME_UP
    while process.poll() is None and time.monotonic() < give_up_at:
        if word in _log(home).read_text(errors="replace"):
            return True
        time.sleep(0.05)
    return False


def _kill(process: subprocess.Popen[bytes]) -> None:
    # At once, since it keeps nothing; and the whole group, since the functions that it runs are processes.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _log(home: Path) -> Path:
    return home / "ministack.log"


def _log_tail(home: Path) -> str:
    lines = _log(home).read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES:]) or "(nothing)"
