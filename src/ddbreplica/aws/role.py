"""Assume a role of the replica's account when credentials are first needed, and renew them before they expire."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ddbreplica.aws.botocore_private import RenewedCredentials, session_of
from ddbreplica.aws.refusal import RefusedError, refusal_of
from ddbreplica.model import Refusal, RefusalKind

if TYPE_CHECKING:
    from mypy_boto3_sts.type_defs import AssumeRoleRequestTypeDef, AssumeRoleResponseTypeDef

CLIENT_CONFIG = Config(
    # One attempt of at most 4 s (1 s to connect, 1 s for TLS, 2 s for the response), for which REQUEST_SECONDS has
    # room. The code that repeats the request to be signed also repeats this one.
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=1,
    read_timeout=2,
)

_UNREADABLE = Refusal(
    RefusalKind.TRANSIENT, "UnreadableResponse", "the response to AssumeRole has no valid credentials"
)
_REQUIREMENTS = (
    "; the role must exist and trust the function's role, with REPLICA_EXTERNAL_ID if it requires an external ID, and"
    " the function's role must be allowed sts:AssumeRole"
)


class Role(RenewedCredentials):
    """Credentials that are valid for an hour, and that botocore renews 15 minutes before they expire.

    Signing a request with them raises RefusedError if the role cannot be assumed. Only one thread may use them.
    """

    def __init__(self, arn: str, *, external_id: str | None, session_name: str) -> None:
        """Send no request yet. CloudTrail in the replica's account shows `session_name`."""
        super().__init__(self._assume, "assume-role")
        self._request: AssumeRoleRequestTypeDef = {"RoleArn": arn, "RoleSessionName": session_name}
        if external_id is not None:
            self._request["ExternalId"] = external_id
        self._sts = boto3.client("sts", config=CLIENT_CONFIG)
        self._has_ended = False

    def session(self) -> boto3.Session:
        """Return a session whose clients act as this role."""
        return boto3.Session(botocore_session=session_of(self))

    def load_credentials(self) -> "Role":
        """Return itself, as the credentials that a session asks its provider for."""
        return self

    def end(self) -> None:
        """Assume the role again before the next request."""
        # A denied request may mean that the session was revoked or the role recreated. No error code says which, and
        # botocore would keep the denied credentials for up to 45 minutes.
        self._has_ended = True

    def refresh_needed(self, refresh_in: int | None = None) -> bool:
        """Return whether the credentials were ended, or expire within so many seconds."""
        return self._has_ended or super().refresh_needed(refresh_in)

    def _assume(self) -> Mapping[str, str]:
        try:
            granted = _granted(self._sts.assume_role(**self._request))
        except (BotoCoreError, ClientError) as error:
            raise RefusedError(self._refusal(refusal_of(error))) from error
        except Exception as error:
            # botocore may return or raise anything for a response that it cannot read.
            raise RefusedError(self._refusal(_UNREADABLE)) from error
        # Only now: after a failed attempt, the next request has to try again.
        self._has_ended = False
        return granted

    def _refusal(self, refusal: Refusal) -> Refusal:
        """Return the refusal of the request that was to be signed. It was never sent, so it is not in doubt."""
        message = f"REPLICA_ROLE_ARN {self._request['RoleArn']} cannot be assumed: {refusal.message}"
        if refusal.kind is RefusalKind.TRANSIENT:
            return replace(refusal, message=message, in_doubt=False)
        # AssumeRole has no item to reject: if the request is wrong, so are the settings.
        return replace(refusal, message=message + _REQUIREMENTS, kind=RefusalKind.FAULT)


def _granted(response: "AssumeRoleResponseTypeDef") -> Mapping[str, str]:
    """Return the credentials in the form that botocore keeps. Raises ValueError if they have expired."""
    credentials: Any = response["Credentials"]
    # botocore would raise RuntimeError for these, and the request that it could not sign would count as in doubt.
    if credentials["Expiration"] <= datetime.now(UTC):
        raise ValueError(credentials["Expiration"])
    return {
        "access_key": credentials["AccessKeyId"],
        "secret_key": credentials["SecretAccessKey"],
        "token": credentials["SessionToken"],
        "expiry_time": credentials["Expiration"].isoformat(),
        "account_id": response["AssumedRoleUser"]["Arn"].split(":")[4],
    }
