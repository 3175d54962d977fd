"""transport: signed requests and their responses, several under way on one thread, with a real server on loopback."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.compat import HTTPHeaders
from botocore.exceptions import (
    ConnectionClosedError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NotSentError
from botocore.httpsession import URLLib3Session

from ddbreplica.aws.refusal import asked
from ddbreplica.dynamodb.transport import Response, Transport
from ddbreplica.model import Refusal
from tests.support.server import (
    Server,
    after,
    certified,
    foreign,
    hang_up,
    http,
    resetting_kept_connections,
    say,
    say_and_hang_up,
    serving,
)

pytestmark = pytest.mark.loopback

OK = http(b"{}")


def post(url: str, body: bytes = b"body") -> AWSPreparedRequest:
    return AWSRequest("POST", url, headers={"X-Amz-Target": "Put"}, data=body).prepare()


def transport(url: str, *, read_timeout: float = 5.0, clock: Any = time.time, **options: Any) -> Transport:
    timeouts: Any = (1, read_timeout)
    return Transport(URLLib3Session(timeout=timeouts, **options), url, clock=clock)


@pytest.fixture
def event() -> Iterator[threading.Event]:
    """An event that is set at the end of the test, so that no thread of the server waits for it."""
    event = threading.Event()
    yield event
    event.set()


def test_the_response_is_returned() -> None:
    with serving(say(foreign(b'{"a": 1}', headers="X-Amzn-RequestId: r\r\n"))) as server:
        answer = transport(server.url).start(post(server.url, b"the body"))()

    assert (answer.status, answer.headers.get("x-amzn-requestid"), answer.body) == (200, "r", b'{"a": 1}')
    ((head, body),) = server.requests
    assert head.startswith("POST / HTTP/1.1\n")
    assert f"Host: {server.url.removeprefix('http://')}" in head
    assert "X-Amz-Target: Put" in head
    assert body == b"the body"


def test_a_host_header_of_the_signer_is_not_sent_twice() -> None:
    # awscrt's signer, which botocore uses if it is installed, adds this header.
    with serving(say(OK)) as server:
        request = post(server.url)
        request.headers["host"] = "dynamodb.example"
        transport(server.url).start(request)()

    ((head, _),) = server.requests
    assert [line for line in head.splitlines() if line.lower().startswith("host:")] == [
        "host: dynamodb.example"
    ]


def test_a_response_with_an_error_status_is_returned() -> None:
    with serving(say(http(b"no", status="500 Internal Server Error"))) as server:
        answer = transport(server.url).start(post(server.url))()

    assert (answer.status, answer.body) == (500, b"no")


def test_several_requests_are_under_way_and_their_connections_are_kept(event: threading.Event) -> None:
    # The server responds to the first request only after the second one, so that sequential requests would never end.
    def let_go(connection: Any) -> None:
        event.set()
        connection.sendall(http(b"2"))

    with serving(after(event, say(http(b"1"))), let_go, say(http(b"3")), say(http(b"4"))) as server:
        sender = transport(server.url)
        first, second = sender.start(post(server.url)), sender.start(post(server.url))
        assert {first().body, second().body} == {b"1", b"2"}
        third, fourth = sender.start(post(server.url)), sender.start(post(server.url))
        assert {third().body, fourth().body} == {b"3", b"4"}

    assert server.connections == 2


def test_a_late_response_is_a_read_timeout(event: threading.Event) -> None:
    with serving(after(event, say(OK)), say(OK)) as server:
        sender = transport(server.url, read_timeout=0.2)
        wait = sender.start(post(server.url))
        with pytest.raises(ReadTimeoutError):
            wait()
        # Its response may still arrive, so that the connection is not used again.
        assert sender.start(post(server.url))().status == 200

    assert server.connections == 2


def test_a_response_that_arrived_during_another_wait_is_not_late(event: threading.Event) -> None:
    with serving(after(event, say(OK)), say(http(b"2"))) as server:
        sender = transport(server.url, read_timeout=0.3)
        slow = sender.start(post(server.url))
        server.wait_for(1)
        quick = sender.start(post(server.url))
        with pytest.raises(ReadTimeoutError):
            slow()
        assert quick().body == b"2"


@pytest.mark.parametrize(
    "do", [hang_up, say_and_hang_up(OK[:10]), say_and_hang_up(http(b"12345")[:-1]), say(b"nonsense\r\n\r\n")]
)
def test_a_response_that_is_cut_off_is_a_closed_connection(do: Any) -> None:
    with serving(do, say(OK)) as server:
        sender = transport(server.url)
        wait = sender.start(post(server.url))
        with pytest.raises(ConnectionClosedError):
            wait()
        assert sender.start(post(server.url))().status == 200


def test_a_kept_connection_that_the_server_closed_is_replaced(event: threading.Event) -> None:
    def answer_and_leave(connection: Any) -> None:
        say_and_hang_up(OK)(connection)
        event.set()

    with serving(answer_and_leave, say(OK)) as server:
        sender = transport(server.url)
        sender.start(post(server.url))()
        assert event.wait(5)
        assert sender.start(post(server.url))().status == 200

    assert server.connections == 2


class Overtaken:
    """Sends another response first. That to the first request follows when the second request has arrived."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self._has_come = threading.Event()
        self._has_followed = threading.Event()

    def first(self, connection: socket.socket) -> None:
        connection.sendall(self._first)
        threading.Thread(target=self._follow, args=(connection,), daemon=True).start()

    def second(self, connection: socket.socket) -> None:
        self._has_come.set()
        assert self._has_followed.wait(5)
        connection.sendall(http(b"2"))

    def _follow(self, connection: socket.socket) -> None:
        assert self._has_come.wait(5)
        with suppress(OSError):
            connection.sendall(http(b"1"))
        self._has_followed.set()


@pytest.mark.parametrize("is_proxied", [False, True])
@pytest.mark.parametrize(
    "first",
    [
        foreign(b"<html>", status="504 Gateway Timeout"),
        b"HTTP/1.1 103 Early Hints\r\nx-amzn-requestid: R1\r\n\r\n",
    ],
    ids=["a gateway's page", "an interim response"],
)
def test_a_second_response_is_not_read_as_the_one_to_the_next_request(
    first: bytes, is_proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Overtaken(first)
    with serving(late.first, late.second) as server:
        url, options = behind(server, monkeypatch) if is_proxied else (server.url, {})
        sender = transport(url, **options)
        exchange(sender, url)

        assert exchange(sender, url).body == b"2"


class WallClock:
    """A clock that moves only while the execution environment is frozen."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("frozen_for", "connections"), [(5.0, 1), (5.1, 2), (3600.0, 2), (-3600.0, 2)])
def test_a_connection_that_was_idle_for_long_is_opened_again(frozen_for: float, connections: int) -> None:
    clock = WallClock()
    with serving(say(OK), say(OK)) as server:
        sender = transport(server.url, clock=clock)
        sender.start(post(server.url))()
        clock.now += frozen_for
        assert sender.start(post(server.url))().status == 200

    assert server.connections == connections


def exchange(sender: Transport, url: str) -> Response:
    return sender.start(post(url))()


@pytest.mark.parametrize("is_proxied", [False, True])
def test_a_thousand_frozen_pauses_leave_no_request_in_doubt(
    is_proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, url = WallClock(), "http://dynamodb.us-east-1.amazonaws.test/"
    with resetting_kept_connections() as server:
        if is_proxied:
            monkeypatch.setenv("HTTP_PROXY", server)
            monkeypatch.setenv("NO_PROXY", "")
            sender = transport(url, clock=clock, proxies={"http": server})
        else:
            url = server
            sender = transport(url, clock=clock)
        refusals = []
        for _ in range(1000):
            answer = asked(partial(exchange, sender, url))
            refusals += [answer] if isinstance(answer, Refusal) else []
            clock.now += 60

    assert refusals == []


def test_the_same_server_without_reconnecting_leaves_requests_in_doubt() -> None:
    with resetting_kept_connections() as url:
        sender = transport(url, clock=WallClock())
        answers = [asked(partial(exchange, sender, url)) for _ in range(4)]

    assert [answer.in_doubt for answer in answers if isinstance(answer, Refusal)] == [True, True]


def test_a_refused_connection_is_an_error() -> None:
    with serving() as server:
        pass

    with pytest.raises(NotSentError):
        transport(server.url).start(post(server.url))


def test_an_interrupt_while_sending_leaves_no_half_sent_connection_behind() -> None:
    class Interrupting(HTTPHeaders):
        def items(self) -> Any:
            raise KeyboardInterrupt

    with serving(say(OK)) as server:
        sender = transport(server.url)
        request = post(server.url)
        request.headers = Interrupting()
        with pytest.raises(KeyboardInterrupt):
            sender.start(request)
        assert sender.start(post(server.url))().status == 200


def test_a_body_that_the_server_never_reads_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        larger_than_any_buffer = post(url, b"x" * 50_000_000)
        with pytest.raises(ConnectionClosedError):
            transport(url).start(larger_than_any_buffer)


def test_behind_a_proxy_requests_go_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(say(http(b"{}"))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        url = "http://dynamodb.us-east-1.amazonaws.test/"
        answer = transport(url, proxies={"http": proxy.url}).start(post(url))()

    assert answer.status == 200
    assert proxy.requests[0][0].startswith(f"POST {url} HTTP/1.1")


def behind(proxy: Server, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Any]:
    """Return the URL of a service behind a proxy, and the settings for the proxy."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "")
    return "http://dynamodb.us-east-1.amazonaws.test/", {"proxies": {"http": proxy.url}}


@pytest.mark.parametrize("do", [hang_up, say_and_hang_up(OK[:10]), say_and_hang_up(OK[:-1])])
def test_behind_a_proxy_a_request_without_a_whole_response_is_in_doubt(
    do: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(do) as proxy:
        url, options = behind(proxy, monkeypatch)
        answer = asked(partial(exchange, transport(url, **options), url))

    assert proxy.requests
    assert answer.in_doubt if isinstance(answer, Refusal) else answer.body != b"{}"


def test_a_proxy_that_cannot_be_reached_leaves_nothing_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:
        url, options = behind(proxy, monkeypatch)
    answer = asked(partial(exchange, transport(url, **options), url))

    assert isinstance(answer, Refusal)
    assert (answer.code, answer.in_doubt) == ("ProxyConnectionError", False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def sent(url: str, *, verify: Any) -> Response:
    session = URLLib3Session(verify=verify)
    session.send(post(url))
    return Transport(session, url).start(post(url))()


def test_the_certificate_is_checked_as_botocore_checks_it(authority: trustme.CA, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with serving(say(OK), say(OK), tls=certified(authority)) as server:
        assert sent(server.url, verify=str(bundle)).status == 200


def test_a_certificate_of_an_unknown_issuer_is_refused(authority: trustme.CA) -> None:
    with serving(say(OK), say(OK), tls=certified(authority)) as server:
        with pytest.raises(SSLError):
            sent(server.url, verify=True)
        with pytest.raises(NotSentError, match="certificate verify failed"):
            transport(server.url).start(post(server.url))
