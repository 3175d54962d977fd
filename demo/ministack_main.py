"""Run ministack behind a gate that rejects each request not signed with this run's credentials.

Without the gate ministack accepts unsigned requests, and runs any code that it receives as a Lambda function. It
listens on the loopback interface, which every user of the machine and every page in a browser can reach.

This module runs in ministack's virtual environment (.venv-stack), so it imports nothing of this project.
"""

import argparse
import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, quote

from ministack import app as ministack  # type: ignore[import-not-found]
from ministack.core import iam_actions, iam_evaluator, lambda_runtime, sigv4  # type: ignore[import-not-found]
from ministack.core.responses import set_request_account_id  # type: ignore[import-not-found]
from ministack.services import cloudformation, iam, s3  # type: ignore[import-not-found]
from ministack.services.cloudformation import changesets, engine, handlers  # type: ignore[import-not-found]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

# Only the address, since a web page can make a name resolve to it. Any port, since a proxy has its own.
_HOST: Final = re.compile(rb"127\.0\.0\.1(:[0-9]+)?")
_OF_A_BROWSER: Final = (b"origin", b"referer", b"sec-fetch-")
_POLICY_VIOLATION: Final = 1008
_SECONDS_BETWEEN_LOOKS: Final = 1.0

_denied = iam_actions.access_denied_response
_s3_context = iam_actions.s3_service_context
_resolve_parameters = engine._resolve_parameters  # noqa: SLF001  ministack has no public one
_diff_resources = changesets._diff_resources  # noqa: SLF001
_create_change_set = changesets._create_change_set  # noqa: SLF001
_execute_change_set = changesets._execute_change_set  # noqa: SLF001


class RefusedError(Exception):
    """A rejected request. The message is the reason, without any part of the credentials."""


def gate(app: App) -> App:
    """Return an application that passes on requests signed by this run's credentials, and rejects others with 403."""

    async def gated(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
        elif scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            try:
                body = await _admitted(scope, receive)
            except RefusedError as error:
                await _refuse(send, str(error))
            else:
                await app(scope, _once_more(body, receive), send)

    return gated


async def _admitted(scope: Message, receive: Receive) -> bytes:
    """Return the request's body. Raises RefusedError, before it reads the body if the headers are enough."""
    _check_sender(scope["headers"])
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        decoded, key = sigv4.decode_header_value(value), name.decode("latin-1").lower()
        headers[key] = f"{headers[key]}, {decoded}" if key in headers else decoded
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    presigned = "authorization" not in headers
    parse = sigv4.parse_query_signature if presigned else sigv4.parse_header_signature
    signature = parse(query if presigned else headers)
    if isinstance(signature, tuple):
        raise RefusedError("it is not signed")
    secret = _secret_of(signature.access_key_id)
    body = await _read(receive)
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
    request = (signature, secret, scope["method"], path, query, headers, body)
    if sigv4.header_signature_failure(*request, presigned=presigned):
        raise RefusedError("its signature is wrong")
    return body


def _check_sender(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise RefusedError for a request from a browser, even if it is signed."""
    hosts = [value for name, value in headers if name.lower() == b"host"]
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise RefusedError("its Host is not 127.0.0.1")
    if any(name.lower().startswith(_OF_A_BROWSER) for name, _ in headers):
        raise RefusedError("a browser sent it")


def _secret_of(access_key_id: str) -> str:
    """Return the secret access key of the run, of an IAM user or of a role's session. Raises RefusedError."""
    if not access_key_id:
        raise RefusedError("it is not signed")
    # ministack stores users and sessions by account, and derives the account from the access key.
    set_request_account_id(iam_evaluator.find_iam_access_key_account(access_key_id) or access_key_id)
    found = iam_evaluator.resolve_credential(access_key_id)
    if not isinstance(found, iam_evaluator.ResolvedCredential):
        raise RefusedError("its access key is unknown")
    return str(found.secret_access_key)


async def _read(receive: Receive) -> bytes:
    chunks = []
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedError("it was not sent to its end")
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


def _once_more(body: bytes, receive: Receive) -> Receive:
    """Return a function that receives this body first, and then the further messages."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return left.pop() if left else await receive()

    return receive_again


async def _refuse(send: Send, why: str) -> None:
    content = f"Refused: {why}. Sign the request with the credentials of this run.\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _denied_with_request_id(
    service: str, action: str, principal_arn: str, request_id: str, **options: Any
) -> tuple[int, dict[str, str], bytes]:
    """Return ministack's denial with the request id, which ministack leaves out of denials only."""
    status, headers, body = _denied(service, action, principal_arn, request_id, **options)
    return status, {"x-amzn-requestid": request_id, "x-amz-request-id": request_id, **headers}, body


def _s3_context_with_precondition(
    action: str, query: Any, path: str = "", headers: Any = None
) -> MutableMapping[str, Any]:
    """Return ministack's condition keys of an S3 request, and `s3:if-none-match`, which ministack lacks."""
    context: MutableMapping[str, Any] = _s3_context(action, query, path, headers)
    if action == "s3:PutObject" and (wanted := (headers or {}).get("if-none-match")):
        context["s3:if-none-match"] = wanted
    return context


def _resolve_declared_parameters(
    template: MutableMapping[str, Any], provided: Sequence[MutableMapping[str, Any]], *previous: Any
) -> MutableMapping[str, Any]:
    """Return the values of a template's parameters, as ministack does.

    Raises ValueError, as AWS refuses the request, for a parameter that the template does not declare; ministack
    ignores such a parameter.
    """
    declared = template.get("Parameters", {})
    if unknown := [each["Key"] for each in provided if "Key" in each and each["Key"] not in declared]:
        raise ValueError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    resolved: MutableMapping[str, Any] = _resolve_parameters(template, provided, *previous)
    return resolved


class _Drift:
    """Drift-aware change sets, which ministack does not support: it compares templates only.

    They revert changes that were made to a role or a bucket policy of the template since the deployment; ministack
    reverts no other resource type.
    """

    def __init__(self) -> None:
        self._looks = False
        self._reverting: set[str] = set()

    def create(self, params: MutableMapping[str, Any]) -> Any:
        """Create a change set; with the deployment mode REVERT_DRIFT it also reverts drift."""
        self._looks = params.get("DeploymentMode") in ("REVERT_DRIFT", ["REVERT_DRIFT"])
        try:
            created = _create_change_set(params)
            if self._looks:
                self._reverting.add(self._find(params)["ChangeSetId"])
            return created
        finally:
            self._looks = False

    def execute(self, params: MutableMapping[str, Any]) -> Any:
        """Execute a change set; a drift-aware one begins with the actual properties of the resources."""
        found = self._find(params)
        if found and found["ChangeSetId"] in self._reverting:
            for resource in cloudformation._stacks[found["StackName"]]["_resources"].values():  # noqa: SLF001
                resource["Properties"] |= _actual(resource)
        return _execute_change_set(params)

    def diff(self, old: Any, new: Any, resources: Any = None, *more: Any) -> Sequence[Any]:
        """Return ministack's changes, and for a drift-aware change set those that revert drift."""
        changes: list[Any] = _diff_resources(old, new, resources, *more)
        if self._looks:
            changes += [
                {
                    "ResourceChange": {
                        "Action": "Modify",
                        "LogicalResourceId": name,
                        "PhysicalResourceId": resource["PhysicalResourceId"],
                        "ResourceType": resource["ResourceType"],
                        "Replacement": "False",
                        "Scope": ["Properties"],
                        "Details": [],
                    }
                }
                for name, resource in resources.items()
                if any(resource["Properties"].get(key) != value for key, value in _actual(resource).items())
            ]
        return changes

    def _find(self, params: MutableMapping[str, Any]) -> Any:
        names = [params.get(key, "") for key in ("ChangeSetName", "StackName")]
        one = [name[0] if isinstance(name, list) else name for name in names]
        return changesets._find_change_set(*one)[1]  # noqa: SLF001


def _actual(resource: MutableMapping[str, Any]) -> dict[str, Any]:
    """Return the properties that a role or a bucket policy has now, or nothing for other types."""
    if resource["ResourceType"] == "AWS::IAM::Role":
        inline = iam._roles[resource["PhysicalResourceId"]]["InlinePolicies"]  # noqa: SLF001
        return {
            "Policies": [
                {"PolicyName": name, "PolicyDocument": json.loads(document)}
                for name, document in inline.items()
            ]
        }
    if resource["ResourceType"] == "AWS::S3::BucketPolicy":
        document = s3._bucket_policies.get(resource["Properties"]["Bucket"], "{}")  # noqa: SLF001
        return {"PolicyDocument": json.loads(document)}
    return {}


class _Keyed:
    """Replaces `hashlib` where ministack derives a function's session credentials.

    ministack hashes names that are the same in every run, so that anyone could compute the credentials. Here the
    run's secret is part of the hash.
    """

    @staticmethod
    def sha256(data: bytes) -> hmac.HMAC:
        return hmac.new(os.environ["AWS_SECRET_ACCESS_KEY"].encode(), data, hashlib.sha256)


def _end(home: str) -> None:
    shutil.rmtree(home, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)  # it leads the process group of its functions


def _end_in_time(home: str, *, seconds: float | None) -> None:
    """End after so many seconds, or when the parent process has ended."""
    parent = os.getppid()
    if seconds is not None:
        time.sleep(seconds)
    else:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    _end(home)


def main() -> None:
    """Serve while the parent process runs, or for `--seconds`; then remove `--home`, and end with all functions."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", required=True)
    parser.add_argument("--seconds", type=float)
    asked = parser.parse_args()
    del sys.argv[1:]
    limits = {"seconds": asked.seconds}
    threading.Thread(target=_end_in_time, args=[asked.home], kwargs=limits, daemon=True).start()
    iam_actions.access_denied_response = _denied_with_request_id
    iam_actions.s3_service_context = _s3_context_with_precondition
    lambda_runtime.hashlib = _Keyed
    for module in (changesets, engine, handlers):
        module._resolve_parameters = _resolve_declared_parameters  # noqa: SLF001
    drift = _Drift()
    changesets._diff_resources = drift.diff  # noqa: SLF001
    handlers._ACTION_HANDLERS |= {"CreateChangeSet": drift.create, "ExecuteChangeSet": drift.execute}  # noqa: SLF001
    ministack.app = gate(ministack.app)
    ministack.main()


if __name__ == "__main__":
    main()
