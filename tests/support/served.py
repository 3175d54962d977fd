"""Serve moto on a loopback port, for commands in separate processes."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

_SERVICE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/")
_NOT_PASSED_ON = frozenset({"connection", "content-encoding", "content-length", "transfer-encoding", "host"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        signed = _SERVICE.search(self.headers.get("Authorization", ""))
        assert signed, "a request that is not signed"
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = requests.request(
            self.command,
            f"https://{signed[1]}.us-east-1.amazonaws.com{self.path}",
            headers={
                name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED_ON
            },
            data=body,
            timeout=60,
            stream=True,
        )
        is_without = self.command == "HEAD"
        content = b"" if is_without else found.content
        self.send_response_only(found.status_code)
        for name, value in found.headers.items():
            if name.lower() not in _NOT_PASSED_ON:
                self.send_header(name, value)
        if "date" not in found.headers:
            self.send_header("Date", self.date_time_string())
        length = found.headers.get("Content-Length", "0") if is_without else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815  as http.server names them

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def served() -> Iterator[str]:
    """Serve moto during the block, and yield its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
