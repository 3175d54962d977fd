"""A loopback server with a script: each request gets its next step."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import trustme

Do: TypeAlias = Callable[[socket.socket], None]
"""A step: what to do with the connection of a request. The connection stays open afterwards."""


def http(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    """Return the bytes of a response of AWS."""
    return foreign(body, status=status, headers=f"x-amzn-requestid: R1\r\n{headers}")


def foreign(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    """Return the bytes of a response that is not from AWS: it lacks the request id."""
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def say(content: bytes) -> Do:
    """Return a step that sends these bytes."""
    return lambda connection: connection.sendall(content)


def hang_up(connection: socket.socket) -> None:
    """Close the connection without a response."""
    connection.shutdown(socket.SHUT_RDWR)


def say_and_hang_up(content: bytes) -> Do:
    """Return a step that sends these bytes and closes the connection."""

    def do(connection: socket.socket) -> None:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_RDWR)

    return do


def after(event: threading.Event, do: Do) -> Do:
    """Return a step that waits for the event first."""

    def wait(connection: socket.socket) -> None:
        assert event.wait(10)
        do(connection)

    return wait


def certified(authority: trustme.CA) -> ssl.SSLContext:
    """Return a TLS context with a certificate for this server, signed by the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@dataclass
class Server:
    """The server's address, the number of connections, and the head and body of each request."""

    url: str
    connections: int = 0
    requests: list[tuple[str, bytes]] = field(default_factory=list)

    def wait_for(self, requests: int) -> None:
        """Wait until so many requests have begun their step, so that the next request gets a later one."""
        give_up_at = time.monotonic() + 10
        while len(self.requests) < requests:
            assert time.monotonic() < give_up_at
            time.sleep(0.001)


@contextmanager
def serving(*script: Do, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve one request per step of the script. Connections of later requests are closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scheme, port = "https" if tls else "http", listener.getsockname()[1]
        server = Server(f"{scheme}://127.0.0.1:{port}")
        threading.Thread(target=_accept, args=(listener, server, list(script), tls), daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, server: Server, script: list[Do], tls: ssl.SSLContext | None) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            server.connections += 1
            threading.Thread(target=_serve, args=(connection, server, script, tls), daemon=True).start()


def _serve(connection: socket.socket, server: Server, script: list[Do], tls: ssl.SSLContext | None) -> None:
    with suppress(OSError), _secured(connection, tls) as channel, channel.makefile("rb") as stream:
        while lines := _head(stream):
            body = stream.read(_length(lines))
            do = script.pop(0) if script else hang_up
            server.requests.append((b"\n".join(lines).decode(), body))
            do(channel)


def _length(lines: Sequence[bytes]) -> int:
    return next((int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")), 0)


def _secured(connection: socket.socket, tls: ssl.SSLContext | None) -> socket.socket:
    return tls.wrap_socket(connection, server_side=True) if tls else connection


def _head(stream: Iterator[bytes]) -> Sequence[bytes]:
    lines = []
    while line := next(stream, b"").rstrip():
        lines.append(line)
    return lines


@contextmanager
def resetting_kept_connections() -> Iterator[str]:
    """Respond to the first request of each connection, and reset it at the second one. Yield the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_reset_kept, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def _reset_kept(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_respond_once, args=(connection,), daemon=True).start()


def _respond_once(connection: socket.socket) -> None:
    with suppress(OSError), connection, connection.makefile("rb") as stream:
        for answer in (http(b"{}"), None):
            if not (lines := _head(stream)):
                return
            stream.read(_length(lines))
            if answer is None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                connection.sendall(answer)
