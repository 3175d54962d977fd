"""The private parts of botocore and urllib3: what neither library documents is used in this module and nowhere else.

To write a batch (`parts_of`, `connections`, and the functions from `sign` to `error_of`):
- `AWSRequest`: a request before it is signed;
- a client's `_request_signer` and `_endpoint.http_session`: a write is signed and sent as the client does it, without
  the client's serialiser, endpoint rules and hooks, which take most of a request's CPU time;
- the event `request-created`: it shows where the endpoint rules sent a request, and with which headers;
- `emit_until_response`: the documented event `before-send` is emitted for these writes too;
- `botocore.handlers.add_recursion_detection_header`: the trace of the invocation, in the header of a request;
- `botocore.parsers.create_parser`: reads the code and the message of an error;
- `URLLib3Session._manager`, `HTTPConnectionPool._get_conn` and `_put_conn`: a connection is taken from the client's
  pool and returned to it, so that several requests are under way in one thread;
- `AWSConnection`: `endheaders` sends head and body in one system call, and `getresponse` of `http.client` reads the
  response to a request that urllib3 has not sent itself;
- `botocore.utils.get_environ_proxies`: whether a URL is reached through a proxy.

To assume a role (`RenewedCredentials`, `session_of`): `botocore.credentials.DeferredRefreshableCredentials`, which
renews credentials before they expire, and `register_component`, which gives them to a session.

To ask for an MFA code (`ask_mfa_code_with`): `_prompter` of the provider `assume-role`, which botocore creates with
`getpass.getpass`; the text that it passes does not name the profile.

To stop a redirect of S3 (`respond`): the event `before-call`, whose handler responds in place of the service.

To refuse a response that AWS did not send (`watch_responses` and the functions below it): the events `before-parse` and
`after-call`, and the models of operations and shapes that come with them.

To explain an error: `BotoCoreError.kwargs` (`handed_on`) and a credential's `method` (`provider_of`).

If a part that writes a batch is missing, `parts_of` raises MissingPartError, and the function writes by boto3's
documented calls (`plain_replica`).
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any, Final

import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

TESTED: Final[Mapping[str, tuple[str, str]]] = {
    "boto3": ("1.41.0", "1.44.5"),
    "botocore": ("1.41.0", "1.44.5"),
    "urllib3": ("2.8.0", "2.8.0"),
}
"""The lowest and the highest version of each package that the tests were run with."""

_missing: Exception | None = None
try:
    from botocore.awsrequest import AWSRequest
    from botocore.handlers import add_recursion_detection_header
    from botocore.parsers import create_parser
    from botocore.utils import get_environ_proxies
    from urllib3.connectionpool import HTTPConnectionPool

    # Only looked up, so that a missing one is found at import and not in the middle of a batch.
    _take, _give_back = HTTPConnectionPool._get_conn, HTTPConnectionPool._put_conn
    _PARSER = create_parser("json")
except (ImportError, AttributeError) as error:
    # Kept for `parts_of`. Raised here, it would also end the function that can write without these parts.
    _missing = error

with suppress(ImportError):  # then the import of RenewedCredentials raises it
    from botocore.credentials import DeferredRefreshableCredentials

    RenewedCredentials = DeferredRefreshableCredentials

_NO_SHAPE: Any = None  # the parser needs no shape for the code and the message of an error


class MissingPartError(Exception):
    """The installed versions lack a private part that `dynamodb.table` needs.

    `fact` says which part is missing, and `hint` what to install.
    """

    def __init__(self, part: object) -> None:
        """Take the ImportError or AttributeError that names the part."""
        lowest, highest = TESTED["boto3"]
        self.fact = f"A private part of botocore or urllib3 is missing: {part}."
        self.hint = (
            f"Install boto3 {highest}, or another version from {lowest} on, with the urllib3 that it needs."
        )
        super().__init__(f"{self.fact} {self.hint}")


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a client that sign and send. `sign` takes an operation and its request, and adds the signature."""

    sign: "Callable[[str, AWSRequest], None]"
    http_session: Any


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections of an HTTP session to one URL. Each connection that is taken must be given back."""

    take: Callable[[], Any]
    give_back: Callable[[Any], None]
    connect_timeout: float
    read_timeout: float


def parts_of(client: Any) -> Parts:
    """Return a client's signer and HTTP session. Raises MissingPartError if any part is missing."""
    if _missing is not None:
        raise MissingPartError(_missing)
    try:
        parts = Parts(client._request_signer.sign, client._endpoint.http_session)
        _ = parts.http_session._manager.connection_from_url, parts.http_session.send
        _ = client.meta.events.emit_until_response
    except AttributeError as error:
        raise MissingPartError(error) from error
    return parts


def connections(http_session: Any, url: str) -> Connections:
    """Return the connections of an HTTP session to a URL."""
    pool = http_session._manager.connection_from_url(url)
    return Connections(
        pool._get_conn, pool._put_conn, pool.timeout.connect_timeout, pool.timeout.read_timeout
    )


def is_proxied(url: str) -> bool:
    """Return whether the environment has a proxy for a URL."""
    return bool(get_environ_proxies(url))


def socket_of(connection: Any) -> Any:
    """Return the socket of a connection, or None while it is not open."""
    return connection.sock


def send(connection: Any, target: str, request: AWSPreparedRequest) -> None:
    """Send a request on an open connection. Raises what `http.client` and urllib3 raise."""
    # awscrt's signer, which botocore uses where it is installed, adds the host to the headers.
    names_host = "host" in request.headers
    connection.putrequest(request.method, target, skip_host=names_host, skip_accept_encoding=True)
    for name, value in request.headers.items():
        connection.putheader(name, value)
    connection.endheaders(request.body)


def response_of(connection: Any) -> HTTPResponse:
    """Wait for the response on a connection. Raises what `http.client` raises."""
    return HTTPConnection.getresponse(connection)


def watch_requests(client: Any, operation: str, hook: Callable[..., None]) -> None:
    """Call a hook with each `request` of an operation of DynamoDB, before it is signed."""
    client.meta.events.register(f"request-created.dynamodb.{operation}", hook)


def unsigned(url: str, *, headers: Mapping[str, str], body: Any, context: Mapping[str, Any]) -> "AWSRequest":
    """Return a POST request with a context of its own, in which the signer keeps its time stamp."""
    request = AWSRequest("POST", url, headers=headers, data=body)
    request.context = {**context}
    return request


def response_of_hook(client: Any, operation: str, request: AWSPreparedRequest) -> AWSResponse | None:
    """Return the response of a `before-send` hook, if any. Tools respond in place of DynamoDB by such a hook."""
    _, response = client.meta.events.emit_until_response(f"before-send.dynamodb.{operation}", request=request)
    found: AWSResponse | None = response
    return found


def add_trace(headers: Mapping[str, str]) -> None:
    """Add the trace of the current invocation to the headers of a request."""
    add_recursion_detection_header({"headers": headers})


def error_of(status: int, headers: Any, body: bytes) -> Any:
    """Return the error of a response from DynamoDB, in the form that ClientError takes."""
    return _PARSER.parse({"status_code": status, "headers": headers, "body": body}, _NO_SHAPE)


def session_of(credentials: Any) -> botocore.session.Session:
    """Return a session that loads its credentials only from an object's `load_credentials`."""
    session = botocore.session.get_session()
    session.register_component("credential_provider", credentials)
    return session


def ask_mfa_code_with(session: botocore.session.Session, prompter: Callable[[str], str]) -> None:
    """Let a session ask for an MFA code by a function that takes botocore's own question and returns the code."""
    session.get_component("credential_provider").get_provider("assume-role")._prompter = prompter


def respond(client: Any, operation: str, status: int, content: Mapping[str, Any]) -> None:
    """Respond to each request of an operation, such as `s3.HeadBucket`, with a status and content, and send none."""
    no_headers: Any = {}
    response = AWSResponse("", status, no_headers, None)
    client.meta.events.register(f"before-call.{operation}", lambda **_: (response, content))


def handed_on(error: BaseException) -> Iterable[Any]:
    """Return the values that an error of botocore was created with."""
    values: Iterable[Any] = getattr(error, "kwargs", {}).values()
    return values


def provider_of(credentials: Any) -> str | None:
    """Return the name of the provider of credentials, if there is one, without loading the credentials."""
    name: str | None = getattr(credentials, "__dict__", {}).get("method")
    return name


def watch_responses(
    client: Any, *, before_parse: Callable[[Any, Any], None], after_call: Callable[[Any, Any, Any], None]
) -> None:
    """Call two hooks for each response of a client.

    `before_parse` takes the raw response and its operation; `after_call` takes the HTTP response, the parsed content
    and the operation.
    """
    events = client.meta.events
    events.register_first(
        "before-parse",
        lambda response_dict, operation_model, **_: before_parse(response_dict, operation_model),
    )
    events.register_first(
        "after-call", lambda http_response, parsed, model, **_: after_call(http_response, parsed, model)
    )


def empty_body(operation: Any) -> bytes | None:
    """Return a body that an operation's parser reads as empty, or None if the response is streamed."""
    if operation.has_streaming_output:
        return None
    if "json" in operation.service_model.resolved_protocol:
        return b"{}"
    serialization = operation.output_shape.serialization if operation.output_shape else {}
    return f"<empty><{serialization.get('resultWrapper', 'empty')}/></empty>".encode()


def output_of(operation: Any) -> Any:
    """Return the shape of an operation's output, or None if it has none."""
    return operation.output_shape


def type_of(shape: Any) -> str:
    """Return the documented type of a shape: structure, list, map, string, integer and so on."""
    name: str = shape.type_name
    return name


def members_of(shape: Any) -> Mapping[str, Any]:
    """Return the shapes of a structure's members by name, a list's element under `[]`, or a map's value under `{}`."""
    match shape.type_name:
        case "structure":
            members: Mapping[str, Any] = shape.members
            return members
        case "list":
            return {"[]": shape.member}
        case "map":
            return {"{}": shape.value}
    return {}
