"""Send a signed request and wait for its response in two steps, so that one thread has several requests under way.

botocore waits for a response before it returns, so that four requests at a time need four threads; switching between
them takes more CPU time than sending does. The connections are botocore's own, with its TLS, CA bundle and timeouts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from time import monotonic, time
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.exceptions import ConnectionError as NotSentError
from urllib3.exceptions import HTTPError

from ddbreplica.aws import botocore_private
from ddbreplica.aws.botocore_private import socket_of
from ddbreplica.aws.refusal import is_from_aws

# A response that arrived while another one was waited for is still read, even after its own timeout.
_LEAST_SECONDS = 0.1

_FIRST_FINAL = 200
"""The lowest status of a final response."""

MOST_IDLE_SECONDS = 5.0
"""A connection that was idle for longer is opened again before a request is sent on it.

AWS closes idle connections, and an execution environment that was frozen does not notice it. A request on such a
connection would be in doubt for no reason.
"""


@dataclass(frozen=True, slots=True)
class Response:
    """A response, whatever its status."""

    status: int
    headers: Mapping[str, str] | HTTPMessage
    body: bytes

    @property
    def is_last(self) -> bool:
        """Whether no other response to the same request may follow on the connection.

        After an interim response, or a page that a gateway sent instead, AWS's response may still arrive. It would
        be read as the response to the next request.
        """
        return self.status >= _FIRST_FINAL and is_from_aws(self.headers)

    @classmethod
    def of(cls, response: AWSResponse) -> "Response":
        """Return the response that botocore, or a tool in place of AWS, has already read."""
        return cls(response.status_code, response.headers, response.content)


Wait: TypeAlias = Callable[[], Response]
"""Wait for the response. It must be called once, even if the response is not needed, to free the connection."""


class Transport:
    """Sends requests to one URL. Both steps of a request raise BotoCoreError if there is no response."""

    def __init__(self, session: Any, url: str, *, clock: Callable[[], float] = time) -> None:
        """Use the connections of botocore's HTTP session.

        The session must have sent a request to the URL before, since this sets the trusted certificates. `clock` is a
        wall clock, since no other clock continues while an execution environment is frozen.
        """
        self._session = session
        self.url = url
        self._clock = clock
        self._used_at: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._begun_at = clock()
        self._target = urlsplit(url).path or "/"
        self._connections = botocore_private.connections(session, url)
        self._is_proxied = botocore_private.is_proxied(url)

    def start(self, request: AWSPreparedRequest) -> Wait:
        """Send a request within the connect timeout, and return the function that waits for the response.

        The read timeout begins when the request was sent. Behind a proxy `start` itself waits for the response, since
        botocore sends the request. Raises NotSentError only if no byte of the request was sent.
        """
        if self._is_proxied:
            return self._through_the_proxy(request)
        connection = self._connections.take()
        try:
            self._open(connection)
            self._send(connection, request)
        except BaseException:
            # Closed, or a late response would be read as that to the next request.
            self._give_back(connection, is_broken=True)
            raise
        give_up_at = monotonic() + self._connections.read_timeout
        return lambda: self._receive(connection, give_up_at)

    def _through_the_proxy(self, request: AWSPreparedRequest) -> Wait:
        if self._is_idle(self._session):
            self._session.close()  # closes its connections
        try:
            response = Response.of(self._session.send(request))
        finally:
            self._used_at[self._session] = self._clock()
        if not response.is_last:
            self._session.close()
        return lambda: response

    def _is_idle(self, used: Any) -> bool:
        # Also if the time went back: after the clock was set, the idle time is unknown.
        return abs(self._clock() - self._used_at.get(used, self._begun_at)) > MOST_IDLE_SECONDS

    def _open(self, connection: Any) -> None:
        """Connect if the connection is new or was idle for too long."""
        if socket_of(connection) is not None and self._is_idle(connection):
            connection.close()
        try:
            if socket_of(connection) is None:
                connection.connect()
        except (OSError, HTTPException, HTTPError) as error:
            raise NotSentError(error=error) from error
        # Sending has this limit too: REQUEST_SECONDS counts with 1 s for it.
        socket_of(connection).settimeout(self._connections.connect_timeout)

    def _send(self, connection: Any, request: AWSPreparedRequest) -> None:
        try:
            botocore_private.send(connection, self._target, request)
        except (OSError, HTTPException, HTTPError) as error:
            # Not NotSentError: a part of the request may have been sent, so that it is in doubt.
            raise ConnectionClosedError(endpoint_url=self.url, error=error) from error

    def _receive(self, connection: Any, give_up_at: float) -> Response:
        is_broken = True
        try:
            socket_of(connection).settimeout(max(give_up_at - monotonic(), _LEAST_SECONDS))
            received = botocore_private.response_of(connection)
            response = Response(received.status, received.headers, received.read())
            is_broken = not response.is_last
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=self.url, error=error) from error
        except (OSError, HTTPException) as error:
            raise ConnectionClosedError(endpoint_url=self.url, error=error) from error
        finally:
            self._give_back(connection, is_broken=is_broken)
        return response

    def _give_back(self, connection: Any, *, is_broken: bool) -> None:
        if is_broken:
            connection.close()
        self._used_at[connection] = self._clock()
        self._connections.give_back(connection)
